//! The status of members: standing, room, and what is near.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use federation::api::{
    CONDITION_FAILED_OVER, CONDITION_READY, MemberClusterStatus, Neighbour, NodeClass,
    REASON_DUPLICATE_CLUSTER, REASON_HUB_CLUSTER,
};
use federation::members::AccessReason;
use federation::operator::conditions::Conditions;
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use placement::{ClusterName, Resources};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{HubError, Scheduler};
use crate::index::{Held, Identity, Index, MemberRecord};

/// How often statuses are written, if only amounts have changed.
const INTERVAL: Duration = Duration::from_secs(3);
/// Statuses written at the same time: a slow write delays no other.
const PARALLEL: usize = 16;
/// Neighbours in a status.
const NEAREST: usize = 8;

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
        let names = self.index().members().names();
        self.member_status_turns.retain(|name| names.contains(name));
        let writes =
            futures::stream::iter(&names).for_each_concurrent(PARALLEL, |name| async move {
                if let Err(error) = self.write_member_status(name).await {
                    warn!(cluster = %name, %error, "status of the member not written");
                }
            });
        writes.await;
    }

    /// Writes a member's status, if it has changed.
    pub(super) async fn write_member_status(&self, name: &ClusterName) -> Result<(), HubError> {
        let turn = self.member_status_turns.of(name);
        let _turn = turn.lock().await;
        let status = {
            let index = self.index();
            // What is on record of one that cannot be read would be lost.
            let record = index.members().get(name).filter(|one| one.is_readable());
            let Some(record) = record else {
                return Ok(());
            };
            let status = self.member_status(&index, name, record);
            if record.reported() == Some(&status) {
                return Ok(());
            }
            status
        };
        if !self.hub.write_member_status(name, &status).await? {
            return Ok(());
        }
        let mut index = self.index();
        let effects = index.member_status_written(name, status);
        self.perform(&index, effects);
        Ok(())
    }

    fn member_status(
        &self,
        index: &Index,
        name: &ClusterName,
        record: &MemberRecord,
    ) -> MemberClusterStatus {
        let open = record.is_open();
        let forbidden = record.forbidden();
        let (reason, message) = match (record.problem(), open) {
            _ if let Identity::Duplicate(first) = record.identity() => (
                REASON_DUPLICATE_CLUSTER,
                format!(
                    "the same cluster is served as {first}: nothing is served under this name; remove one of the two"
                ),
            ),
            _ if *record.identity() == Identity::Hub => (
                REASON_HUB_CLUSTER,
                "this cluster is the hub: nothing is served on it; set spec.allowHub to true if workloads may run on the hub"
                    .to_owned(),
            ),
            (Some(problem), _) => (problem.reason.as_str(), problem.message.clone()),
            (None, _) if let Some(forbidden) = forbidden => ("Forbidden", forbidden.to_owned()),
            (None, true) => (
                "Answering",
                "answers, and what it holds is known".to_owned(),
            ),
            (None, false) => ("Listing", "its objects are being listed".to_owned()),
        };
        // One that is connected is worked with until it is lost, whatever its access says now.
        let is_denied =
            (record.problem()).is_some_and(|problem| problem.reason != AccessReason::Unreachable);
        let status = open && forbidden.is_none() && !is_denied;
        let reported = record.reported().into_iter();
        let reported: Vec<_> = reported.flat_map(|one| one.conditions.clone()).collect();
        let (generation, now) = (record.object().metadata.generation, self.clock.now());
        let mut conditions = Conditions::after(&reported);
        conditions.set(CONDITION_READY, status, reason, message, generation, now);
        if let Some((status, reason, message)) = self.failed_over(index, name, record) {
            let kind = CONDITION_FAILED_OVER;
            conditions.set(kind, status, reason, message, generation, now);
        }
        let summary = index.snapshot().summary(name);
        let nearest = index
            .proximity()
            .into_iter()
            .flat_map(|proximity| proximity.nearest(name, NEAREST))
            .map(|(cluster, time)| Neighbour {
                cluster: cluster.to_string(),
                // Tenths: the coordinates move all the time, the status need not.
                round_trip_millis: (time.as_secs_f64() * 10_000.0).round() / 10.0,
            });
        let classes = summary
            .iter()
            .flat_map(|summary| &summary.classes)
            .map(|class| NodeClass {
                nodes: class.nodes,
                allocatable: amounts(&class.allocatable),
                free: amounts(&class.free),
                largest_free: amounts(&class.largest_free),
            });
        MemberClusterStatus {
            observed_generation: record.object().metadata.generation,
            conditions: conditions.into_vec(),
            cluster_uid: match record.identity() {
                Identity::Unique => record.uid().map(str::to_owned),
                Identity::Unknown => record.recorded_uid().map(str::to_owned),
                Identity::Duplicate(_) | Identity::Hub => None,
            },
            version: record.version().map(str::to_owned),
            nodes: summary.as_ref().map_or(0, |summary| summary.ready_nodes),
            allocatable: summary
                .as_ref()
                .map(|summary| amounts(&summary.allocatable))
                .unwrap_or_default(),
            free: summary
                .as_ref()
                .map(|summary| amounts(&summary.free))
                .unwrap_or_default(),
            node_classes: classes.collect(),
            nearest: nearest.collect(),
            leftovers: record.leftovers().to_vec(),
        }
    }
}

impl Scheduler {
    /// Whether the replicas of a member that has been silent for too long are placed elsewhere.
    fn failed_over(
        &self,
        index: &Index,
        name: &ClusterName,
        record: &MemberRecord,
    ) -> Option<(bool, &'static str, String)> {
        Some(match index.failover().held(name) {
            _ if record.is_refused() || record.silent_since().is_none() => return None,
            Some(Held::TooMany { silent, of }) => (
                false,
                "Suspended",
                format!(
                    "{silent} of {of} member clusters are silent, more than --unhealthy-cluster-threshold={} %: the replicas of none are placed elsewhere; to move them nevertheless, remove the MemberCluster or raise the threshold",
                    self.options.failover.threshold
                ),
            ),
            Some(Held::Rate) => (
                false,
                "RateLimited",
                format!(
                    "other member clusters go first: --failover-rate={} a minute",
                    self.options.failover.per_minute
                ),
            ),
            None if index.failover().is_lost(name) => (
                true,
                "TolerationExceeded",
                "silent for longer than --cluster-toleration: its replicas are placed elsewhere"
                    .to_owned(),
            ),
            None => return None,
        })
    }
}

/// Amounts as people write them.
fn amounts(resources: &Resources) -> BTreeMap<String, Quantity> {
    let cpu = if resources.cpu_milli % 1000 == 0 {
        (resources.cpu_milli / 1000).to_string()
    } else {
        format!("{}m", resources.cpu_milli)
    };
    let mut all = BTreeMap::from([
        ("cpu".to_owned(), Quantity(cpu)),
        ("memory".to_owned(), Quantity(bytes(resources.memory))),
        ("pods".to_owned(), Quantity(resources.pods.to_string())),
    ]);
    if resources.ephemeral_storage > 0 {
        all.insert(
            "ephemeral-storage".to_owned(),
            Quantity(bytes(resources.ephemeral_storage)),
        );
    }
    all.extend(
        resources
            .extended
            .iter()
            .map(|(name, amount)| (name.clone(), Quantity(amount.to_string()))),
    );
    all
}

fn bytes(amount: i64) -> String {
    const UNITS: [(&str, i64); 3] = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let unit = UNITS
        .iter()
        .find(|(_, size)| amount != 0 && amount % size == 0);
    unit.map_or_else(
        || amount.to_string(),
        |(name, size)| format!("{}{name}", amount / size),
    )
}
