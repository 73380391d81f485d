//! Where room may have grown: what waits for room is tried again when it may fit, and not before.

use super::Snapshot;
use super::room::Load;
use super::table::Table;
use crate::name::ClusterName;
use crate::shape::PodShape;

/// A moment in the life of a snapshot, to ask later what has changed since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark(pub(super) u64);

/// Where room may have grown since a watermark. Made once, it is cheap to ask for many shapes: each
/// costs as much as there are nodes that have more room.
pub struct Growth<'a> {
    since: u64,
    clusters: Vec<Grown<'a>>,
}

struct Grown<'a> {
    name: &'a ClusterName,
    /// It may serve from now on.
    is_open: bool,
    table: &'a Table,
    nodes: Vec<u32>,
}

impl Snapshot {
    /// The watermark of now.
    pub fn watermark(&self) -> Watermark {
        Watermark(self.changes)
    }

    /// Where room may have grown since a watermark of this snapshot. Whatever has come since, the
    /// report of a node or a pod that is as it was is no growth.
    pub fn growth(&self, since: Watermark) -> Growth<'_> {
        let Watermark(since) = since;
        let clusters = self.members.iter().filter_map(|(name, member)| {
            let is_open = member.opened > since;
            (is_open || member.table.marks.now > since).then(|| Grown {
                name,
                is_open,
                table: &member.table,
                nodes: member.table.marks.since(since).collect(),
            })
        });
        Growth {
            since,
            clusters: clusters.collect(),
        }
    }
}

impl Growth<'_> {
    /// Nothing has changed, so there is no more room for any shape.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    /// Whether more replicas of the shape may fit than before, on any cluster.
    pub fn reaches(&self, shape: &PodShape) -> bool {
        self.clusters_for(shape).next().is_some()
    }

    /// The clusters, by name, on which more replicas of the shape may fit than before. Also a
    /// cluster that joined, or that changed so that more may be placed there, is one.
    pub fn clusters_for(&self, shape: &PodShape) -> impl Iterator<Item = &ClusterName> {
        let load = Load::of(&shape.requests);
        let grown = self
            .clusters
            .iter()
            .filter(move |one| one.is_open || one.reaches(shape, &load, self.since));
        grown.map(|one| one.name)
    }
}

impl Grown<'_> {
    fn reaches(&self, shape: &PodShape, load: &Load, since: u64) -> bool {
        let fits = |node: &u32| {
            let node = *node as usize;
            self.table.free.fits(node, load, None) >= 1.0
                && self.table.admits_node(node, &shape.constraints)
        };
        !self.table.is_unknown_for(shape)
            && (self.nodes.iter().any(fits) || self.table.pods_make_room(shape, since))
    }
}

impl Table {
    /// Whether there may be more room for a shape on other nodes than those that have more. Where
    /// its replicas stand in each other's way, any change may lead to more of them.
    fn pods_make_room(&self, shape: &PodShape, since: u64) -> bool {
        let pod = &shape.profile;
        shape.depends_on_order() && self.marks.now > since
            || self.marks.layout() > since && self.profiles.repel(pod)
            || self.profiles.repelled_more(pod, since)
    }
}
