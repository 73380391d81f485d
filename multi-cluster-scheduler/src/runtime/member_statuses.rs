//! The one writer of members' statuses, and of the finalizer that holds their objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use federation::api::{MemberCluster, PlacedSummary};
use futures::StreamExt as _;
use placement::ClusterName;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{HubError, Scheduler};
use crate::index::Departure;
use crate::member_report;

/// How often statuses are written, if only amounts have changed.
const INTERVAL: Duration = Duration::from_secs(3);
/// Statuses written at the same time: a slow write delays no other.
const PARALLEL: usize = 16;

/// Of each member one status is written after the other, so that the last one made is the last one
/// written.
#[derive(Default)]
pub(super) struct Turns(Mutex<BTreeMap<ClusterName, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    fn of(&self, name: &ClusterName) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(name.clone()).or_default().clone()
    }

    /// Keeps those of members only.
    fn retain(&self, is_member: impl Fn(&ClusterName) -> bool) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|name, _| is_member(name));
    }
}

impl Scheduler {
    /// Writes the members' statuses until cancelled: at once when a member came, went, opened or
    /// closed, every few seconds if only amounts have changed.
    pub(super) async fn follow_member_statuses(&self, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            cancel
                .run_until_cancelled(self.write_member_statuses())
                .await;
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = self.member_status_changed.notified() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// Writes the status of every member whose status has changed.
    async fn write_member_statuses(&self) {
        let (names, placements) = {
            let index = self.index();
            (index.members().names(), index.placements())
        };
        let placements = &placements;
        self.member_status_turns.retain(|name| names.contains(name));
        let writes =
            futures::stream::iter(&names).for_each_concurrent(PARALLEL, |name| async move {
                match self.write_member_status(name, placements.of(name)).await {
                    Ok(()) => {}
                    // Its next event is under way, and it is written in the next round.
                    Err(error) if error.is_stale() => {
                        debug!(cluster = %name, %error, "status of the member not written yet");
                    }
                    Err(error) => {
                        warn!(cluster = %name, %error, "status of the member not written");
                    }
                }
            });
        writes.await;
    }

    /// Writes a member's status, if it has changed; `placed` is what is placed there. Before the status
    /// says that the cluster is served, its object gets our finalizer; one that is deleted and drained
    /// loses it.
    pub(super) async fn write_member_status(
        &self,
        name: &ClusterName,
        placed: PlacedSummary,
    ) -> Result<(), HubError> {
        let turn = self.member_status_turns.of(name);
        let _turn = turn.lock().await;
        let departure = self.index().departure(name, placed, Instant::now());
        if let Some((member, departure)) = departure {
            return self.release_member(&member, departure).await;
        }
        let (object, status, lacks_finalizer) = {
            let index = self.index();
            // What is on record of one that cannot be read would be lost.
            let record = index.members().get(name).filter(|one| one.is_readable());
            let Some(record) = record else {
                return Ok(());
            };
            let status = member_report::status_of(&index, name, record, placed, self.clock.now());
            let is_served = status.cluster_uid.is_some();
            let lacks_finalizer = is_served && record.lacks_finalizer();
            if record.reported() == Some(&status) && !lacks_finalizer {
                return Ok(());
            }
            (record.object().clone(), status, lacks_finalizer)
        };
        if lacks_finalizer {
            self.hub.hold_member(&object).await?;
        }
        if !self.hub.write_member_status(name, &status).await? {
            return Ok(());
        }
        let mut index = self.index();
        let effects = index.member_status_written(name, status);
        self.perform(&index, effects);
        Ok(())
    }

    /// Lets the object of a deleted member go.
    async fn release_member(
        &self,
        member: &MemberCluster,
        departure: Departure,
    ) -> Result<(), HubError> {
        self.hub.release_member(member).await?;
        let name = member.metadata.name.as_deref().unwrap_or_default();
        match departure {
            Departure::Drained => info!(cluster = name, "drained and removed"),
            Departure::Unreachable => {
                let message = "removed while unreachable, after the deletion grace period (--deletion-grace): what runs there goes on running, and no hub knows of it";
                warn!(cluster = name, "{message}");
                self.recorder.member(member, "RemovedUnreachable", message);
            }
        }
        Ok(())
    }
}
