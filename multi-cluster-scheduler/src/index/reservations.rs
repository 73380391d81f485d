//! Room that is held in the snapshot for replicas whose pods are not seen yet, and until when.

use std::collections::BTreeSet;

use placement::{ClusterName, OwnerKey};
use tokio::time::Instant;

/// When each reservation lapses.
#[derive(Debug, Default)]
pub struct Reservations(BTreeSet<(Instant, u128, ClusterName)>);

impl Reservations {
    pub(super) fn hold(&mut self, owner: OwnerKey, cluster: ClusterName, until: Instant) {
        self.0.insert((until, owner.0, cluster));
    }

    pub(super) fn release(&mut self, owner: OwnerKey) {
        self.0.retain(|(_, holder, _)| *holder != owner.0);
    }

    /// Those that have lapsed and were not renewed.
    pub(super) fn lapse(&mut self, now: Instant) -> Vec<(ClusterName, OwnerKey)> {
        let (due, later): (BTreeSet<_>, _) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(until, _, _)| *until <= now);
        self.0 = later;
        let renewed: BTreeSet<_> = (self.0.iter())
            .map(|(_, owner, cluster)| (*owner, cluster))
            .collect();
        let lapsed = due.into_iter().map(|(_, owner, cluster)| (owner, cluster));
        lapsed
            .filter(|(owner, cluster)| !renewed.contains(&(*owner, cluster)))
            .map(|(owner, cluster)| (cluster, OwnerKey(owner)))
            .collect()
    }
}
