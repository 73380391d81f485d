//! Clusters, their nodes and their pods, kept incrementally, with what was computed from them.
//!
//! A change of a node or a pod costs the same however many there are: the columns of its node
//! change, and every kept shape's total by the difference. A decision reads totals; only where
//! other pods, or the replicas themselves, keep a shape from nodes that have room, it counts.
//!
//! A fork shares everything with its original until one of them changes a cluster, which is copied
//! then.

mod bound;
mod column;
mod growth;
mod holders;
mod interned;
mod labels;
mod marks;
mod matching;
mod profiles;
mod promise;
mod reservation;
mod room;
mod seats;
mod settling;
mod summarized;
mod summary;
mod table;
mod views;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::cluster::{Cluster, Node, Pod};
use crate::name::{ClusterName, OwnerKey, PodKey};
use crate::shape::PodShape;
pub use growth::{Growth, Watermark};
use reservation::Back;
pub use summarized::{ClusterSummary, FreeNodes, NodeTemplate, SummaryClass};
pub use summary::{NodeClass, Summary};
use table::Table;
use views::{KnownShape, Shapes};

/// Clusters, nodes and pods.
#[derive(Default)]
pub struct Snapshot {
    members: BTreeMap<ClusterName, Member>,
    shapes: Arc<Shapes>,
    /// Changes so far.
    changes: u64,
}

/// A cluster, and what is on it; nodes may be reported before their cluster.
#[derive(Clone, Default)]
pub(crate) struct Member {
    cluster: Option<Arc<Cluster>>,
    table: Arc<Table>,
    /// The number of the change after which more may be placed there than before.
    opened: u64,
}

impl Snapshot {
    /// Without any cluster.
    pub fn new() -> Self {
        Self::default()
    }

    /// A snapshot for "what if": it begins as this one, and neither sees the other's changes. It
    /// costs a pointer a cluster, and a copy of each cluster that either changes while both live.
    /// To drop it is to revert.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            members: self.members.clone(),
            shapes: self.shapes.clone(),
            changes: self.changes,
        }
    }

    /// A cluster joined or changed. Its nodes and pods stay.
    pub fn upsert_cluster(&mut self, cluster: Cluster) {
        if self.cluster(&cluster.name) == Some(&cluster) {
            return;
        }
        self.changes += 1;
        let member = self.members.entry(cluster.name.clone()).or_default();
        let before = member.cluster.as_deref();
        if before.is_none_or(|before| cluster.may_get_more_than(before)) {
            member.opened = self.changes;
        }
        member.cluster = Some(Arc::new(cluster));
    }

    /// A cluster left, with its nodes and pods.
    pub fn remove_cluster(&mut self, name: &ClusterName) {
        self.members.remove(name);
    }

    /// A node joined or changed. The same node again changes nothing.
    pub fn upsert_node(&mut self, cluster: &ClusterName, node: Node) {
        if let Some(mut table) = self.change_unless(cluster, |table| table.has_node(&node)) {
            table.upsert_reported_node(node);
        }
    }

    /// A node left. Pods that were bound to it count again if it comes back.
    pub fn remove_node(&mut self, cluster: &ClusterName, name: &str) {
        if let Some(mut table) = self.change_if(cluster, |table| table.by_name.contains_key(name)) {
            table.remove_node(name);
        }
    }

    /// A pod was bound or changed. The same pod again changes nothing.
    pub fn upsert_pod(&mut self, cluster: &ClusterName, key: PodKey, pod: Pod) {
        if let Some(mut table) = self.change_unless(cluster, |table| table.has_pod(key, &pod)) {
            table.upsert_pod(key, pod);
        }
    }

    /// A pod ended or left.
    pub fn remove_pod(&mut self, cluster: &ClusterName, key: PodKey) {
        if let Some(mut table) = self.change_if(cluster, |table| table.pods.contains_key(&key)) {
            table.remove_pod(key);
        }
    }

    /// The nodes were listed: there are no others.
    pub fn retain_nodes(&mut self, cluster: &ClusterName, names: &BTreeSet<String>) {
        let known = self.table(cluster);
        for name in known.map_or_else(Vec::new, |table| table.node_names_but(names)) {
            self.remove_node(cluster, &name);
        }
    }

    /// The pods were listed: there are no others.
    pub fn retain_pods(&mut self, cluster: &ClusterName, keys: &BTreeSet<PodKey>) {
        let known = self.table(cluster);
        for key in known.map_or_else(Vec::new, |table| table.pods_but(keys)) {
            self.remove_pod(cluster, key);
        }
    }

    /// The cluster is known by a summary: this replaces its nodes and pods, or the summary before.
    /// Reservations stay. See [`ClusterSummary`] for what does not fit there.
    pub fn upsert_summary(&mut self, cluster: &ClusterName, summary: &ClusterSummary) {
        let is_known = |table: &Table| table.summarized.as_deref() == Some(summary);
        if let Some(mut table) = self.change_unless(cluster, is_known) {
            table.summarize(summary);
        }
    }

    /// So many nodes like this will join: they count as empty nodes that are ready. Meant for forks,
    /// because the nodes that do join count beside them.
    pub fn add_upcoming(&mut self, cluster: &ClusterName, template: &NodeTemplate, count: u32) {
        if let Some(mut table) = self.change_unless(cluster, |_| count == 0) {
            table.add_upcoming(template, count);
        }
    }

    /// The owner is to run `replicas` of the shape there. As many as are not seen as pods yet hold
    /// room on nodes that would take them, until their pods are seen or the hold is released. A hold
    /// moves when its node has no room for it any more; one that no node has room for takes the next
    /// that comes.
    pub fn reserve(
        &mut self,
        cluster: &ClusterName,
        owner: OwnerKey,
        shape: &PodShape,
        replicas: u32,
    ) {
        let known = self.shapes.find(shape);
        let holds_none = |table: &Table| replicas == 0 && !table.holds_any(owner);
        if let Some(mut table) = self.change_unless(cluster, holds_none) {
            table.reserve(owner, shape, &known, replicas);
        }
    }

    /// What the owner's unseen replicas hold is free again.
    pub fn release(&mut self, cluster: &ClusterName, owner: OwnerKey) {
        if let Some(mut table) = self.change_if(cluster, |table| table.holds_any(owner)) {
            table.release(owner);
        }
    }

    /// The clusters that an origin names: those of the region, or else the one cluster.
    pub fn origins(&self, origin: &str) -> Vec<ClusterName> {
        let within = |cluster: &&Cluster| cluster.region.as_deref() == Some(origin);
        let region = self.clusters().filter(within);
        let region: Vec<_> = region.map(|cluster| cluster.name.clone()).collect();
        if region.is_empty() {
            vec![ClusterName::from(origin)]
        } else {
            region
        }
    }

    /// Replicas of the shape that fit on the cluster now.
    pub fn capacity(&self, cluster: &ClusterName, shape: &PodShape) -> u64 {
        let Some(table) = self.table(cluster) else {
            return 0;
        };
        table.capacity(shape, &self.shapes.find(shape))
    }

    /// The same, with the owner's own pods and reservation counted as free.
    pub fn room(&self, cluster: &ClusterName, shape: &PodShape, owner: OwnerKey) -> u64 {
        let Some(table) = self.table(cluster) else {
            return 0;
        };
        table.room(shape, &self.shapes.find(shape), owner)
    }

    /// The clusters, by name.
    pub fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.members
            .values()
            .filter_map(|member| member.cluster.as_deref())
    }

    /// Each cluster, by name, and what is on it.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&Cluster, &Member)> {
        self.members
            .values()
            .filter_map(|member| Some((member.cluster.as_deref()?, member)))
    }

    /// The room for a shape, to be read for many clusters.
    pub(crate) fn rooms<'a>(&self, shape: &'a PodShape, owner: OwnerKey) -> Rooms<'a> {
        Rooms {
            known: self.shapes.find(shape),
            shape,
            owner,
        }
    }

    /// One cluster.
    pub fn cluster(&self, name: &ClusterName) -> Option<&Cluster> {
        self.members.get(name)?.cluster.as_deref()
    }

    /// Sums over a cluster's nodes.
    pub fn summary(&self, name: &ClusterName) -> Option<Summary> {
        self.table(name).map(Summary::of)
    }

    /// Grows whenever a cluster's nodes may have room for more of some shape than before. Whether it
    /// does for one shape, and whether a cluster may serve now, tells [`Snapshot::growth`].
    pub fn version(&self, name: &ClusterName) -> u64 {
        self.table(name).map_or(0, |table| table.marks.grown())
    }

    fn table(&self, name: &ClusterName) -> Option<&Table> {
        Some(&*self.members.get(name)?.table)
    }

    /// The table of a cluster that may be new, for one more change, unless that changes nothing.
    fn change_unless(
        &mut self,
        name: &ClusterName,
        is_known: impl FnOnce(&Table) -> bool,
    ) -> Option<Change<'_>> {
        let member = self.members.entry(name.clone()).or_default();
        (!is_known(&member.table)).then(|| member.change(&mut self.changes, &self.shapes))
    }

    /// The table of a cluster that is known, for one more change, if that changes anything.
    fn change_if(
        &mut self,
        name: &ClusterName,
        has: impl FnOnce(&Table) -> bool,
    ) -> Option<Change<'_>> {
        let member = self.members.get_mut(name)?;
        has(&member.table).then(|| member.change(&mut self.changes, &self.shapes))
    }
}

impl Member {
    /// The table for one more change; it is copied if a fork has it, too.
    fn change<'a>(&'a mut self, changes: &mut u64, shapes: &'a Shapes) -> Change<'a> {
        *changes += 1;
        let table = Arc::make_mut(&mut self.table);
        table.marks.now = *changes;
        Change { table, shapes }
    }
}

/// A table while it is changed. When that is done, room is held where there is room by then.
struct Change<'a> {
    table: &'a mut Table,
    shapes: &'a Shapes,
}

impl Deref for Change<'_> {
    type Target = Table;

    fn deref(&self) -> &Table {
        self.table
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut Table {
        self.table
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.table.settle(self.shapes);
    }
}

/// The room for a shape of an owner.
pub(crate) struct Rooms<'a> {
    known: KnownShape,
    shape: &'a PodShape,
    owner: OwnerKey,
}

impl Rooms<'_> {
    /// Replicas that fit on a cluster, the owner's own counted as free.
    pub(crate) fn on(&self, member: &Member) -> u64 {
        member.table.room(self.shape, &self.known, self.owner)
    }
}

impl Table {
    fn capacity(&self, shape: &PodShape, known: &KnownShape) -> u64 {
        if self.is_unknown_for(shape) {
            return 0;
        }
        match self.peers(shape, None) {
            Some(peers) => {
                let view = self.views.read(known, self, Clone::clone);
                self.room_among(&view, peers, &Back::new())
            }
            None => self.views.read(known, self, |view| view.total),
        }
    }

    fn room(&self, shape: &PodShape, known: &KnownShape, owner: OwnerKey) -> u64 {
        if self.is_unknown_for(shape) {
            return 0;
        }
        match self.peers(shape, Some(owner)) {
            Some(peers) => {
                let view = self.views.read(known, self, Clone::clone);
                self.room_among(&view, peers, &self.back(owner))
            }
            None => (self.views).read(known, self, |view| {
                view.total + self.gain_without(owner, view)
            }),
        }
    }
}
