//! The one writer of members' statuses, and of the finalizer that holds their objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use federation::api::{MemberCluster, PlacedSummary};
use federation::operator::queue::Backoff;
use futures::StreamExt as _;
use placement::ClusterName;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{HubError, Scheduler};
use crate::index::Departure;
use crate::member_report;
use crate::workload::version_of;

/// How often statuses are written, if only amounts have changed.
const INTERVAL: Duration = Duration::from_secs(3);
/// Statuses written at the same time: a slow write delays no other.
const PARALLEL: usize = 16;

/// How long a status that the hub refuses waits before it is tried again, at first and at most.
const REFUSED: Backoff = Backoff {
    first: INTERVAL,
    longest: Duration::from_mins(5),
};

/// Of each member one status is written after the other, so that the last one made is the last one
/// written.
#[derive(Default)]
pub(super) struct Turns(Mutex<BTreeMap<ClusterName, Arc<tokio::sync::Mutex<Turn>>>>);

/// Whose turn it is knows what became of the turn before.
#[derive(Default)]
struct Turn {
    /// The hub refuses what is written: how often, why, and until when it is left.
    refusal: Option<(u32, String, Instant)>,
}

impl Turn {
    fn must_wait(&self, now: Instant) -> bool {
        let refusal = self.refusal.as_ref();
        refusal.is_some_and(|(_, _, until)| *until > now)
    }

    /// A write has ended; the hub's words, if it refuses and has not said the same before.
    fn ended(&mut self, result: &Result<(), HubError>, now: Instant) -> Option<String> {
        let Some(why) = result.as_ref().err().and_then(HubError::rejection) else {
            self.refusal = None;
            return None;
        };
        let before = self.refusal.take();
        let (times, said) = before.map_or((0, None), |(times, said, _)| (times, Some(said)));
        let until = now + REFUSED.after(times + 1);
        self.refusal = Some((times + 1, why.to_owned(), until));
        (said.as_deref() != Some(why)).then(|| why.to_owned())
    }
}

impl Turns {
    fn of(&self, name: &ClusterName) -> Arc<tokio::sync::Mutex<Turn>> {
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
                let turn = self.member_status_turns.of(name);
                let mut turn = turn.lock().await;
                if turn.must_wait(Instant::now()) {
                    return;
                }
                let result = self.write_member_status(name, placements.of(name)).await;
                if let Some(refusal) = turn.ended(&result, Instant::now()) {
                    self.say_refused(name, &refusal);
                }
                match result {
                    Ok(()) => {}
                    // It was said once, and is tried again later.
                    Err(error) if error.rejection().is_some() => {}
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
    async fn write_member_status(
        &self,
        name: &ClusterName,
        placed: PlacedSummary,
    ) -> Result<(), HubError> {
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
            let is_there =
                record.reported() == Some(&status) && !record.has_other_status(Instant::now());
            if is_there && !lacks_finalizer {
                return Ok(());
            }
            (record.object().clone(), status, lacks_finalizer)
        };
        if lacks_finalizer {
            self.hub.hold_member(&object).await?;
        }
        let written = self.hub.write_member_status(name, &status).await?;
        let Some(version) = written else {
            return Ok(());
        };
        let mut index = self.index();
        let effects = index.member_status_written(name, status, version_of(&version));
        self.perform(&index, effects);
        Ok(())
    }

    fn say_refused(&self, name: &ClusterName, refusal: &str) {
        let message = format!("the hub refuses its status: {refusal}");
        warn!(cluster = %name, "{message}");
        let object = self
            .index()
            .members()
            .get(name)
            .map(|one| one.object().clone());
        if let Some(object) = object {
            self.recorder.member(&object, "StatusRejected", &message);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use federation::operator::status::WriteError;

    #[tokio::test(start_paused = true)]
    async fn a_status_that_is_refused_is_said_once_and_tried_less_often_each_time() {
        let refused = || {
            Err(HubError::MemberStatus(WriteError::Rejected(
                "no".to_owned(),
            )))
        };
        let (mut turn, mut now) = (Turn::default(), Instant::now());
        assert_eq!(turn.ended(&refused(), now).as_deref(), Some("no"));
        for wait in [3, 6, 12, 24] {
            assert!(turn.must_wait(now + Duration::from_secs(wait - 1)));
            now += Duration::from_secs(wait);
            assert!(!turn.must_wait(now));
            assert_eq!(turn.ended(&refused(), now), None);
        }
        assert_eq!(turn.ended(&Ok(()), now), None);
        assert!(!turn.must_wait(now));
        assert_eq!(turn.ended(&refused(), now).as_deref(), Some("no"));
    }
}
