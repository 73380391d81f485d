//! Owners with replicas that are promised and have no node: room that comes is theirs first.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use super::interned::Interned;
use crate::name::OwnerKey;
use crate::resources::Resources;
use crate::shape::{NodeConstraints, PodShape};

/// Changes for each look for room that other pods decide about: it costs as much as a decision, and
/// so little of it falls on a change.
const PACE: u64 = 32;

/// Looks that may be made ahead of that: a few are displaced now and then, and find room at once.
const AHEAD: u64 = 64;

/// Owners that wait.
#[derive(Clone, Default)]
pub(super) struct Waiting {
    kinds: Interned<Kind>,
    /// Those for whom a node alone decides, by kind.
    by_kind: BTreeSet<(u32, OwnerKey)>,
    /// Those for whom other pods decide, too.
    among_pods: BTreeSet<OwnerKey>,
    /// Of these, who was looked at last.
    last: Option<OwnerKey>,
    /// The number of the change from which on such a look is due again.
    due: u64,
}

/// Where a replica fits, as far as a node decides: many owners are of one kind.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) requests: Resources,
    pub(super) constraints: NodeConstraints,
}

/// How an owner waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Kind(u32),
    AmongPods,
}

impl Waiting {
    pub(super) fn add(&mut self, owner: OwnerKey, shape: &PodShape, among_pods: bool) -> Wait {
        if among_pods {
            self.among_pods.insert(owner);
            return Wait::AmongPods;
        }
        let kind = self.kinds.hold(Kind {
            requests: shape.requests.clone(),
            constraints: shape.constraints.clone(),
        });
        self.by_kind.insert((kind, owner));
        Wait::Kind(kind)
    }

    pub(super) fn remove(&mut self, owner: OwnerKey, wait: Wait) {
        match wait {
            Wait::AmongPods => {
                self.among_pods.remove(&owner);
            }
            Wait::Kind(kind) => {
                if self.by_kind.remove(&(kind, owner)) {
                    self.kinds.release(kind);
                }
            }
        }
    }

    /// The next kind after a number that somebody waits as.
    pub(super) fn kind_after(&self, number: u32) -> Option<u32> {
        let mut later = self.by_kind.range((number + 1, OwnerKey(0))..);
        later.next().map(|(kind, _)| *kind)
    }

    pub(super) fn kind(&self, number: u32) -> Option<&Kind> {
        self.kinds.get(number).map(|kind| &**kind)
    }

    /// The next owner of a kind, after one.
    pub(super) fn owner_after(&self, kind: u32, owner: Option<OwnerKey>) -> Option<OwnerKey> {
        let mut later = match owner {
            Some(owner) => self.by_kind.range((Excluded((kind, owner)), Unbounded)),
            None => self.by_kind.range((kind, OwnerKey(0))..),
        };
        let next = later.next().filter(|(of, _)| *of == kind);
        next.map(|(_, owner)| *owner)
    }

    /// The owner to look at now, of those for whom other pods decide: each in turn, on a cluster of
    /// so many nodes.
    pub(super) fn next_among_pods(&mut self, now: u64, nodes: usize) -> Option<OwnerKey> {
        if self.among_pods.is_empty() || now < self.due {
            return None;
        }
        self.due = now + pace(nodes);
        let later = |last| self.among_pods.range((Excluded(last), Unbounded)).next();
        let next = self.last.and_then(later);
        self.last = next.or_else(|| self.among_pods.first()).copied();
        self.last
    }

    /// Whether one may be looked at before it is its turn.
    pub(super) fn may_look(&mut self, now: u64, nodes: usize) -> bool {
        let due = self.due.max(now) + pace(nodes);
        let may = due <= now + pace(nodes) * AHEAD;
        if may {
            self.due = due;
        }
        may
    }

    #[cfg(test)]
    pub(super) fn owners(&self) -> BTreeSet<OwnerKey> {
        let by_kind = self.by_kind.iter().map(|(_, owner)| *owner);
        by_kind.chain(self.among_pods.iter().copied()).collect()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.by_kind.is_empty() && self.among_pods.is_empty()
    }
}

/// On few nodes a look costs less.
fn pace(nodes: usize) -> u64 {
    PACE.min(nodes as u64)
}
