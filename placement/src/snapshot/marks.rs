//! When what may make room changed: watermarks by node, and for what pods among each other decide.

/// Sequence numbers of the snapshot at which something changed that may make room.
#[derive(Clone, Default)]
pub(super) struct Marks {
    /// The number of the last change, or of the one that is being made.
    pub(super) now: u64,
    /// By node: more was free there, or it admitted more, or other pods.
    nodes: Vec<u64>,
    /// A node joined or left, or changed its labels or taints: domains are other ones.
    layout: u64,
    /// Any node grew, or room that other pods decide about was counted and may have grown.
    grown: u64,
    /// The nodes that grew with the change that is being made.
    latest: Vec<u32>,
}

impl Marks {
    /// A further node.
    pub(super) fn push(&mut self) {
        self.nodes.push(0);
    }

    /// A node may have room for more.
    pub(super) fn grew(&mut self, node: usize) {
        self.nodes[node] = self.now;
        self.grown = self.now;
        self.latest.push(node as u32);
    }

    /// Every node may have room for more.
    pub(super) fn grew_everywhere(&mut self) {
        self.nodes.fill(self.now);
        self.grown = self.now;
        self.latest.extend((0..).take(self.nodes.len()));
    }

    /// One of the nodes that grew with the change that is being made, by a number from 0 on.
    pub(super) fn latest(&self, number: usize) -> Option<u32> {
        self.latest.get(number).copied()
    }

    /// The change is made.
    pub(super) fn clear_latest(&mut self) {
        self.latest.clear();
    }

    /// There may be more room on any node for what other pods decide about.
    pub(super) fn grew_among_pods(&mut self) {
        self.grown = self.now;
    }

    pub(super) fn layout_changed(&mut self) {
        self.layout = self.now;
    }

    pub(super) fn grown(&self) -> u64 {
        self.grown
    }

    pub(super) fn layout(&self) -> u64 {
        self.layout
    }

    /// The nodes that grew after a number.
    pub(super) fn since(&self, since: u64) -> impl Iterator<Item = u32> {
        let nodes = (0..).zip(&self.nodes);
        nodes
            .filter(move |(_, mark)| **mark > since)
            .map(|(node, _)| node)
    }
}
