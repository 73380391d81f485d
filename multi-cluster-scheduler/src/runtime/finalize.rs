//! The end of an object: its copies leave the members, or are orphaned, before it leaves the hub; a
//! member that is away is given a grace, and what it still holds is put on record as a `Leftover`.

use std::sync::Arc;
use std::time::Duration;

use federation::api::Leftover;
use federation::members::Ending;
use federation::operator::status::WriteError;
use placement::ClusterName;
use tokio::time::Instant;
use tracing::info;

use super::reconcile::ReconcileError;
use super::{HubError, Scheduler};
use crate::index::Event;
use crate::workload::Workload;

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
        let may_go = index.are_all_away(remaining);
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
        let leftovers = self.index().leftovers_of(workload, ending, members);
        let kept = self.keep_leftovers(&leftovers).await;
        kept.map_err(|error| HubError::from_write(&workload.key, error))
    }

    /// Puts on record what a member holds of deleted objects.
    pub(super) async fn keep_leftovers_of(&self, member: &ClusterName) -> Result<(), WriteError> {
        let leftovers = self.index().unkept_leftovers(member);
        self.keep_leftovers(&leftovers).await?;
        self.index().leftovers_kept(member, &leftovers);
        Ok(())
    }

    async fn keep_leftovers(&self, leftovers: &[Leftover]) -> Result<(), WriteError> {
        for leftover in leftovers {
            let kept = self.hub.keep_leftover(leftover).await?;
            self.handle(Event::LeftoverApplied(Box::new(kept)));
        }
        Ok(())
    }
}
