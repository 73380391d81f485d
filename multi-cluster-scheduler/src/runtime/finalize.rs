//! The end of an object: its copies leave the members, or are orphaned, before it leaves the hub; a
//! member that is away is given a grace, and what it still holds is put on record on its
//! `MemberCluster`.

use std::sync::Arc;
use std::time::Duration;

use federation::api::Leftover;
use federation::members::Ending;
use placement::ClusterName;
use tokio::time::Instant;
use tracing::info;

use super::reconcile::ReconcileError;
use super::{HubError, Scheduler};
use crate::index::Index;
use crate::workload::Workload;

/// Leftovers on record of one member, at most. The record is part of an object, whose size the hub
/// limits, and names may be long.
const MAX_LEFTOVERS: usize = 2000;

/// Whether the record has room for an object, or has it already.
fn has_room_for(uid: &str, leftovers: &[Leftover]) -> bool {
    leftovers.len() < MAX_LEFTOVERS || leftovers.iter().any(|leftover| leftover.uid == uid)
}

/// Where the record of a member is full, the object waits for the member, or for its removal.
fn can_be_recorded(index: &Index, workload: &Workload, members: &[ClusterName]) -> bool {
    let mut members = members.iter().filter_map(|name| index.members().get(name));
    members.all(|one| has_room_for(&workload.uid, one.leftovers()))
}

impl Scheduler {
    /// Takes a deleted object as far as it can go now.
    pub(super) async fn finalize(
        &self,
        workload: &Arc<Workload>,
    ) -> Result<Option<Duration>, ReconcileError> {
        if !workload.is_held() {
            if workload.is_held_by_kopf() {
                let removed = self.hub.remove_finalizer(workload).await;
                removed.map_err(ReconcileError::Finalize)?;
            }
            return Ok(None);
        }
        let namespace_gone = self
            .hub
            .is_namespace_going(&workload.key.namespace)
            .await
            .map_err(|error| ReconcileError::Finalize(HubError::Api(Box::new(error))))?;
        let ending = Ending {
            orphan: workload.is_orphaned(),
            namespace_gone,
        };
        let remaining = self.clear_members(workload, ending);
        if !remaining.is_empty() {
            if let Some(wait) = self.must_wait(workload, &remaining) {
                self.report_later(&workload.key);
                return Ok(Some(wait));
            }
            let recorded = self.put_on_record(workload, ending, &remaining).await;
            recorded.map_err(ReconcileError::Finalize)?;
        }
        let removed = self.hub.remove_finalizer(workload).await;
        removed.map_err(ReconcileError::Finalize)?;
        info!(key = %workload.key, "deleted");
        Ok(None)
    }

    /// Hands the last bundles to the members that hold something; the names of those not clear yet.
    fn clear_members(&self, workload: &Workload, ending: Ending) -> Vec<ClusterName> {
        let index = self.index();
        let (remaining, effects) = index.clear_deleted(workload, ending);
        self.perform(&index, effects);
        remaining
    }

    /// How long to wait for members that are not clear yet. None once the grace period has passed, all
    /// of them are away, and what is left there can be put on record.
    fn must_wait(&self, workload: &Workload, remaining: &[ClusterName]) -> Option<Duration> {
        let mut index = self.index();
        let waited = index.deleted_for(&workload.key, Instant::now());
        let may_go = index.are_all_away(remaining) && can_be_recorded(&index, workload, remaining);
        let rest = self.options.deletion_grace.saturating_sub(waited);
        let wait = rest.clamp(Duration::from_millis(200), Duration::from_secs(5));
        (!rest.is_zero() || !may_go).then_some(wait)
    }

    /// The record comes before the finalizer goes: what is left over is collected only against it.
    async fn put_on_record(
        &self,
        workload: &Workload,
        ending: Ending,
        members: &[ClusterName],
    ) -> Result<(), HubError> {
        let placements = {
            let mut index = self.index();
            index.leave_over(workload, ending, members);
            index.placements()
        };
        for name in members {
            self.write_member_status(name, placements.of(name)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_record_takes_no_other_object() {
        let leftover = |number: usize| Leftover {
            uid: number.to_string(),
            ..Leftover::default()
        };
        let mut leftovers: Vec<_> = (1..MAX_LEFTOVERS).map(leftover).collect();
        assert!(has_room_for("new", &leftovers));
        leftovers.push(leftover(0));
        assert!(!has_room_for("new", &leftovers));
        assert!(has_room_for("0", &leftovers), "it is on record already");
    }
}
