//! The end of an object: its copies leave the members, or are orphaned, before it leaves the hub; a
//! member that is away is given a grace, and what it still holds is put on record on its
//! `MemberCluster`.

use std::sync::Arc;
use std::time::Duration;

use federation::api::Leftover;
use federation::members::{Deadlined as _, Delivery as _, Ending};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use placement::ClusterName;
use tokio::time::Instant;
use tracing::info;

use crate::bundles;
use crate::hub::HubError;
use crate::reconcile::ReconcileError;
use crate::scheduler::Scheduler;
use crate::workload::Workload;

/// Leftovers on record of one member, at most. The record is part of an object, whose size the hub
/// limits, and names may be long.
const MAX_LEFTOVERS: usize = 2000;

/// Whether the record has room for an object, or has it already.
fn has_room_for(uid: &str, leftovers: &[Leftover]) -> bool {
    leftovers.len() < MAX_LEFTOVERS || leftovers.iter().any(|leftover| leftover.uid == uid)
}

impl Scheduler {
    /// Takes a deleted object as far as it can go now.
    pub(crate) async fn finalize(
        &self,
        workload: &Arc<Workload>,
    ) -> Result<Option<Duration>, ReconcileError> {
        if !workload.is_held() {
            if workload.is_held_by_kopf() {
                self.let_go(workload)
                    .await
                    .map_err(ReconcileError::Finalize)?;
            }
            return Ok(None);
        }
        let namespace_gone = self
            .namespace_is_going(&workload.key.namespace)
            .await
            .map_err(|error| ReconcileError::Finalize(HubError::Api(Box::new(error))))?;
        let ending = Ending {
            orphan: workload.is_orphaned(),
            namespace_gone,
        };
        let remaining = self.clear_members(workload, ending);
        if !remaining.is_empty() {
            let waited = self.has_waited(workload);
            let away = self.are_all_away(&remaining);
            let may_go = away && self.can_be_recorded(workload, &remaining);
            if waited < self.options.deletion_grace || !may_go {
                self.reports
                    .add_after(workload.key.clone(), self.options.report_delay);
                let rest = self.options.deletion_grace.saturating_sub(waited);
                return Ok(Some(
                    rest.clamp(Duration::from_millis(200), Duration::from_secs(5)),
                ));
            }
            self.put_on_record(workload, ending, &remaining)
                .await
                .map_err(ReconcileError::Finalize)?;
        }
        self.let_go(workload)
            .await
            .map_err(ReconcileError::Finalize)?;
        info!(key = %workload.key, "deleted");
        Ok(None)
    }

    /// Hands empty bundles to the members that hold something; the names of those not clear yet.
    fn clear_members(&self, workload: &Arc<Workload>, ending: Ending) -> Vec<ClusterName> {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(tracked) = state.workloads.get(&workload.key) else {
            return Vec::new();
        };
        let owner = workload.owner_bits();
        let mut remaining = Vec::new();
        let members = state.members.iter();
        for (name, registered) in members.filter(|(_, one)| !one.is_refused()) {
            let assigned = tracked
                .assignment
                .placements
                .iter()
                .any(|one| one.cluster == name.as_str());
            let holds = registered
                .member
                .as_ref()
                .is_some_and(|member| member.holds(owner));
            let removed = tracked.removed.contains(name);
            if holds || (assigned && !removed) {
                remaining.push(name.clone());
                if let Some(member) = &registered.member
                    && (holds || !removed)
                {
                    let mut bundle = bundles::nothing(workload);
                    bundle.ending = Some(ending);
                    member.deliver(bundle);
                }
            }
        }
        remaining
    }

    /// Since this process has seen the deletion: the hub's clock may be another one than ours.
    fn has_waited(&self, workload: &Workload) -> Duration {
        let mut state = self.state();
        let tracked = state.workloads.get_mut(&workload.key);
        tracked.map_or(Duration::ZERO, |tracked| {
            let since = tracked.deletion_seen.get_or_insert_with(Instant::now);
            since.elapsed()
        })
    }

    fn are_all_away(&self, members: &[ClusterName]) -> bool {
        let state = self.state();
        members.iter().all(|name| {
            state
                .members
                .get(name)
                .is_none_or(|registered| !registered.is_open())
        })
    }

    /// Where the record of a member is full, the object waits for the member, or for its removal.
    fn can_be_recorded(&self, workload: &Workload, members: &[ClusterName]) -> bool {
        let state = self.state();
        let mut members = members.iter().filter_map(|name| state.members.get(name));
        members.all(|one| has_room_for(&workload.uid, &one.leftovers))
    }

    /// The record comes before the finalizer goes: what is left over is collected only against it.
    async fn put_on_record(
        &self,
        workload: &Arc<Workload>,
        ending: Ending,
        members: &[ClusterName],
    ) -> Result<(), HubError> {
        let leftover = |cluster_uid| Leftover {
            cluster_uid,
            uid: workload.uid.clone(),
            kind: workload.key.kind.name().to_owned(),
            namespace: workload.key.namespace.clone(),
            name: workload.key.name.clone(),
            orphan: ending.orphan,
            namespace_gone: ending.namespace_gone,
        };
        for name in members {
            info!(key = %workload.key, cluster = %name, "goes without its cluster: what is left there is collected when the cluster is back");
            if let Some(registered) = self.state().members.get_mut(name) {
                let leftover = leftover(registered.recorded_uid().map(str::to_owned));
                if !registered.leftovers.contains(&leftover) {
                    registered.leftovers.push(leftover);
                }
            }
            self.write_member_status(name).await?;
        }
        Ok(())
    }

    /// A namespace that was made on members for ours goes with ours.
    async fn namespace_is_going(&self, name: &str) -> kube::Result<bool> {
        let namespaces: Api<Namespace> = Api::all(self.hub.clone());
        let found = namespaces
            .get_metadata_opt(name)
            .within(self.options.deadline)
            .await?;
        Ok(found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()))
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
