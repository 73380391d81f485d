//! Sets of fields.
//!
//! A set is a tree of path elements. A field may be in the set, or fields below it, or both: who
//! owns `.spec.replicas` need not own `.spec`.

use super::element::PathElement;

/// A set of fields of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Sorted by element. None is empty.
    nodes: Vec<Node>,
}

/// A field and what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) element: PathElement,
    /// The field itself is in the set.
    pub(super) owned: bool,
    /// The fields below that are in the set.
    pub(super) below: FieldSet,
}

impl FieldSet {
    /// The set of these paths of plain fields.
    pub fn of(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert_fields(path);
        }
        set
    }

    fn insert_fields(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let mut below = Self::default();
        below.insert_fields(rest);
        self.add(
            PathElement::Field((*first).to_owned()),
            rest.is_empty(),
            below,
        );
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The fields at the top, in order.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What the set says of a field at the top.
    pub(super) fn get(&self, element: &PathElement) -> Option<&Node> {
        let place = self
            .nodes
            .binary_search_by(|node| node.element.cmp(element));
        place.ok().and_then(|index| self.nodes.get(index))
    }

    /// What the set says of a named field at the top.
    pub(super) fn field(&self, name: &str) -> Option<&Node> {
        let place = self.nodes.binary_search_by(|node| match &node.element {
            PathElement::Field(field) => field.as_str().cmp(name),
            _ => std::cmp::Ordering::Greater,
        });
        place.ok().and_then(|index| self.nodes.get(index))
    }

    /// Adds a field at the top, or what is below it, or both.
    pub(super) fn add(&mut self, element: PathElement, owned: bool, below: Self) {
        if !owned && below.is_empty() {
            return;
        }
        let node = Node {
            element,
            owned,
            below,
        };
        // Mostly they come in order.
        if self
            .nodes
            .last()
            .is_none_or(|last| last.element < node.element)
        {
            self.nodes.push(node);
            return;
        }
        let place = self
            .nodes
            .binary_search_by(|known| known.element.cmp(&node.element));
        match place {
            Ok(index) => {
                if let Some(known) = self.nodes.get_mut(index) {
                    known.owned |= node.owned;
                    known.below.unite(node.below);
                }
            }
            Err(index) => self.nodes.insert(index, node),
        }
    }

    /// Adds the fields of another set.
    pub fn unite(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        for node in other.nodes {
            self.add(node.element, node.owned, node.below);
        }
    }

    /// Takes away the fields of another set. What is below them stays.
    pub fn subtract(&mut self, other: &Self) {
        self.meet(other, |node, other| {
            node.owned &= !other.owned;
            node.below.subtract(&other.below);
        });
    }

    /// Takes away the fields of another set and all that is below them.
    pub fn subtract_all(&mut self, other: &Self) {
        self.meet(other, |node, other| {
            if other.owned {
                node.owned = false;
                node.below = Self::default();
            } else {
                node.below.subtract_all(&other.below);
            }
        });
    }

    /// Changes the nodes that are in both sets; drops those that become empty.
    fn meet(&mut self, other: &Self, change: impl Fn(&mut Node, &Node)) {
        if self.is_empty() || other.is_empty() {
            return;
        }
        let mut emptied = false;
        let mut others = other.nodes.iter().peekable();
        for node in &mut self.nodes {
            while others
                .next_if(|other| other.element < node.element)
                .is_some()
            {}
            if let Some(other) = others.next_if(|other| other.element == node.element) {
                change(node, other);
                emptied |= node.is_empty();
            }
        }
        if emptied {
            self.nodes.retain(|node| !node.is_empty());
        }
    }

    /// Changes every field at the top that has fields below it: whether it is owned itself, and
    /// what is below. A node must not become empty.
    pub(super) fn change_below(&mut self, change: impl Fn(&PathElement, &mut bool, &mut Self)) {
        for node in self.nodes.iter_mut().filter(|node| !node.below.is_empty()) {
            change(&node.element, &mut node.owned, &mut node.below);
        }
    }

    /// The fields that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::default();
        let mut others = other.nodes.iter().peekable();
        for node in &self.nodes {
            while others
                .next_if(|other| other.element < node.element)
                .is_some()
            {}
            if let Some(other) = others.next_if(|other| other.element == node.element) {
                let owned = node.owned && other.owned;
                let below = node.below.intersection(&other.below);
                if owned || !below.is_empty() {
                    both.add(node.element.clone(), owned, below);
                }
            }
        }
        both
    }

    /// The paths of the fields, as conflicts name them (`.spec.containers[name="a"].image`): those
    /// at the top first.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        let owned = self.nodes.iter().filter(|node| node.owned);
        paths.extend(owned.map(|node| format!("{prefix}{}", node.element)));
        for node in &self.nodes {
            if !node.below.is_empty() {
                node.below
                    .collect_paths(&format!("{prefix}{}", node.element), paths);
            }
        }
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.owned && self.below.is_empty()
    }
}
