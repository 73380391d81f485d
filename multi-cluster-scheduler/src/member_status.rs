//! The status of members: standing, room, and what is near.

use std::collections::BTreeMap;
use std::time::Duration;

use federation::api::{
    CONDITION_FAILED_OVER, CONDITION_READY, MemberCluster, MemberClusterStatus, Neighbour,
    NodeClass, REASON_DUPLICATE_CLUSTER, REASON_HUB_CLUSTER,
};
use federation::members::AccessReason;
use federation::operator::conditions::Conditions;
use federation::operator::status::{WriteError, apply_status};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Api;
use placement::{ClusterName, Resources};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::failover::Held;
use crate::identity::Identity;
use crate::scheduler::Scheduler;
use crate::state::{Registered, State};

/// How often statuses are written, if only amounts have changed.
const INTERVAL: Duration = Duration::from_secs(3);
/// Owner of the status fields that the scheduler writes.
const STATUS_MANAGER: &str = "mck8s-scheduler-status";
/// Neighbours in a status.
const NEAREST: usize = 8;

impl Scheduler {
    /// Writes the members' statuses until cancelled: at once when a member came, went, opened or
    /// closed, every few seconds if only amounts have changed.
    pub(crate) async fn follow_member_statuses(&self, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            cancel
                .run_until_cancelled(self.write_member_statuses())
                .await;
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = self.standing_changed.notified() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// Writes the status of every member whose status has changed.
    async fn write_member_statuses(&self) {
        let names: Vec<_> = self.state().members.keys().cloned().collect();
        for name in names {
            if let Err(error) = self.write_member_status(&name).await {
                warn!(cluster = %name, %error, "status of the member not written");
            }
        }
    }

    pub(crate) async fn write_member_status(&self, name: &ClusterName) -> Result<(), WriteError> {
        // One after the other: the one that is written last is the one that was made last.
        let _turn = self.member_status_turn.lock().await;
        let status = {
            let state = self.state();
            // What is on record of one that cannot be read would be lost.
            let Some(registered) = state.members.get(name).filter(|one| one.is_readable) else {
                return Ok(());
            };
            let status = self.member_status(&state, name, registered);
            if registered.reported.as_ref() == Some(&status) {
                return Ok(());
            }
            status
        };
        let members: Api<MemberCluster> = Api::all(self.hub.clone());
        let written = apply_status(
            &members,
            &(),
            name.as_str(),
            STATUS_MANAGER,
            None,
            &status,
            self.options.deadline,
        );
        match written.await {
            Ok(_) => {
                let mut guard = self.state();
                let state = &mut *guard;
                if let Some(registered) = state.members.get_mut(name) {
                    let is_claimed = registered.recorded_uid() != status.cluster_uid.as_deref();
                    registered.reported = Some(status);
                    if is_claimed {
                        self.judge_identities(state);
                    }
                }
                Ok(())
            }
            Err(WriteError::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn member_status(
        &self,
        state: &State,
        name: &ClusterName,
        registered: &Registered,
    ) -> MemberClusterStatus {
        let open = registered.is_open();
        let refused = registered.refused.as_ref();
        let (reason, message) = match (registered.problem.as_ref(), open) {
            _ if let Identity::Duplicate(first) = &registered.identity => (
                REASON_DUPLICATE_CLUSTER,
                format!(
                    "the same cluster is served as {first}: nothing is served under this name; remove one of the two"
                ),
            ),
            _ if registered.identity == Identity::Hub => (
                REASON_HUB_CLUSTER,
                "this cluster is the hub: nothing is served on it; set spec.allowHub to true if workloads may run on the hub"
                    .to_owned(),
            ),
            (Some(problem), _) => (problem.reason.as_str(), problem.message.clone()),
            (None, _) if let Some(refused) = refused => ("Forbidden", refused.clone()),
            (None, true) => (
                "Answering",
                "answers, and what it holds is known".to_owned(),
            ),
            (None, false) => ("Listing", "its objects are being listed".to_owned()),
        };
        // One that is connected is worked with until it is lost, whatever its access says now.
        let is_denied = (registered.problem.as_ref())
            .is_some_and(|problem| problem.reason != AccessReason::Unreachable);
        let status = open && refused.is_none() && !is_denied;
        let reported = registered.reported.iter();
        let reported: Vec<_> = reported.flat_map(|one| one.conditions.clone()).collect();
        let (generation, now) = (registered.object.metadata.generation, self.clock.now());
        let mut conditions = Conditions::after(&reported);
        conditions.set(CONDITION_READY, status, reason, message, generation, now);
        if let Some((status, reason, message)) = self.failed_over(state, name, registered) {
            let kind = CONDITION_FAILED_OVER;
            conditions.set(kind, status, reason, message, generation, now);
        }
        let summary = state.snapshot.summary(name);
        let nearest = state
            .proximity
            .iter()
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
            observed_generation: registered.object.metadata.generation,
            conditions: conditions.into_vec(),
            cluster_uid: match registered.identity {
                Identity::Unique => registered.uid.clone(),
                Identity::Unknown => registered.recorded_uid().map(str::to_owned),
                Identity::Duplicate(_) | Identity::Hub => None,
            },
            version: registered.version.clone(),
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
            leftovers: registered.leftovers.clone(),
        }
    }
}

impl Scheduler {
    /// Whether the replicas of a member that has been silent for too long are placed elsewhere.
    fn failed_over(
        &self,
        state: &State,
        name: &ClusterName,
        registered: &Registered,
    ) -> Option<(bool, &'static str, String)> {
        Some(match state.failover.held(name) {
            _ if registered.is_refused() || registered.silent_since.is_none() => return None,
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
            None if state.failover.is_lost(name) => (
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
