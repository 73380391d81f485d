//! Members whose objects are deleted: what is placed there moves away before they are forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::api::{MemberCluster, PlacedSummary};
use federation::members::{MemberBackend, uid_bits};
use placement::ClusterName;
use tokio::time::Instant;

use super::{Effect, Index, MemberRecord};

/// Why a member may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It holds nothing of this hub.
    Drained,
    /// It has been unreachable for the deletion grace period: what it holds stays there.
    Unreachable,
}

/// What is placed on each member.
#[derive(Clone, Debug, Default)]
pub struct Placements(BTreeMap<ClusterName, PlacedSummary>);

impl Placements {
    /// On this one.
    pub fn of(&self, member: &ClusterName) -> PlacedSummary {
        self.0.get(member).copied().unwrap_or_default()
    }
}

impl Index {
    /// What is placed on each member.
    pub fn placements(&self) -> Placements {
        let mut all = Placements::default();
        for (_, tracked) in self.workloads.iter() {
            for one in &tracked.assignment().placements {
                let placed = all.0.entry(one.cluster.as_str().into()).or_default();
                placed.objects += 1;
                placed.replicas = placed.replicas.saturating_add(one.replicas);
            }
        }
        all
    }

    /// It holds nothing of this hub and nothing is placed on it; unknown while it does not answer.
    pub fn is_drained(
        &self,
        name: &ClusterName,
        record: &MemberRecord,
        placed: PlacedSummary,
    ) -> Option<bool> {
        let is_empty = || placed.objects == 0 && !self.holds_ours(name, record);
        record.is_open().then(is_empty)
    }

    /// Of objects that this hub does not know, a member may hold something for ever.
    fn holds_ours(&self, name: &ClusterName, record: &MemberRecord) -> bool {
        let is_left_over = |owner| {
            let mut leftovers = self.leftovers.here(name, record);
            leftovers.any(|one| uid_bits(&one.spec.object.uid) == owner)
        };
        let owners = record.backend().map(MemberBackend::owners);
        let mut owners = owners.into_iter().flatten();
        owners.any(|owner| self.workloads.of_owner(owner).is_some() || is_left_over(owner))
    }

    /// Whether a deleted member waits for nothing but us any more, and its object.
    pub fn departure(
        &self,
        name: &ClusterName,
        placed: PlacedSummary,
        now: Instant,
    ) -> Option<(Arc<MemberCluster>, Departure)> {
        let record = self.members.get(name).filter(|one| one.is_held())?;
        let since = record.leaving_since()?;
        let is_over = now.duration_since(since) >= self.settings.deletion_grace;
        // Nothing was ever brought to a cluster that was never admitted under this name.
        let is_served = !record.is_refused() && record.recorded_uid().is_some();
        let departure = match self.is_drained(name, record, placed) {
            _ if !is_served && placed.objects == 0 => Departure::Drained,
            Some(true) => Departure::Drained,
            None if is_over => Departure::Unreachable,
            _ => return None,
        };
        Some((record.object().clone(), departure))
    }

    /// Lets members go that may.
    pub(super) fn release_members(&mut self, now: Instant) {
        if !self.members.all().any(|(_, one)| one.is_held()) {
            return;
        }
        let placements = self.placements();
        let may_go = |name: &ClusterName| {
            let departure = self.departure(name, placements.of(name), now);
            departure.is_some()
        };
        if self.members.all().any(|(name, _)| may_go(name)) {
            self.effects.push(Effect::WriteMemberStatuses);
        }
    }
}

#[cfg(test)]
#[path = "leaving_tests.rs"]
mod tests;
