//! From what is known of a member to the status that people read: pure.

use federation::api::{
    CONDITION_DRAINED, CONDITION_FAILED_OVER, CONDITION_READY, MemberClusterStatus, Neighbour,
    NodeClass, PlacedSummary, REASON_DUPLICATE_CLUSTER, REASON_HUB_CLUSTER,
};
use federation::capacity::quantities_of;
use federation::members::AccessReason;
use federation::operator::conditions::Conditions;
use k8s_openapi::jiff::Timestamp;
use placement::ClusterName;

use crate::index::{Held, Identity, Index, MemberRecord};

/// Neighbours in a status.
const NEAREST: usize = 8;

/// The status of a member now; `placed` is what is placed on it.
pub(crate) fn status_of(
    index: &Index,
    name: &ClusterName,
    record: &MemberRecord,
    placed: PlacedSummary,
    now: Timestamp,
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
            "Synced",
            "API server reachable, caches in sync".to_owned(),
        ),
        (None, false) => ("Syncing", "its objects are being listed".to_owned()),
    };
    // One that is connected is worked with until it is lost, whatever its access says now.
    let is_denied =
        (record.problem()).is_some_and(|problem| problem.reason != AccessReason::Unreachable);
    let status = open && forbidden.is_none() && !is_denied;
    let reported = record.reported().into_iter();
    let reported: Vec<_> = reported.flat_map(|one| one.conditions.clone()).collect();
    let generation = record.object().metadata.generation;
    let mut conditions = Conditions::after(&reported);
    conditions.set(CONDITION_READY, status, reason, message, generation, now);
    if let Some((status, reason, message)) = failed_over(index, name, record) {
        let kind = CONDITION_FAILED_OVER;
        conditions.set(kind, status, reason, message, generation, now);
    }
    let (status, reason, message) = drained(index, name, record, placed);
    conditions.set(CONDITION_DRAINED, status, reason, message, generation, now);
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
            allocatable: quantities_of(&class.allocatable),
            free: quantities_of(&class.free),
            largest_free: quantities_of(&class.largest_free),
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
            .map(|summary| quantities_of(&summary.allocatable))
            .unwrap_or_default(),
        free: summary
            .as_ref()
            .map(|summary| quantities_of(&summary.free))
            .unwrap_or_default(),
        node_classes: classes.collect(),
        nearest: nearest.collect(),
        placements: placed,
        leftovers: record.unkept().to_vec(),
    }
}

/// Whether the replicas of a member that has been silent for too long are placed elsewhere.
fn failed_over(
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
                index.settings().failover.threshold
            ),
        ),
        Some(Held::Rate) => (
            false,
            "RateLimited",
            format!(
                "other member clusters go first: --failover-rate={} a minute",
                index.settings().failover.per_minute
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

/// Whether it holds nothing of this hub, so that it can be removed without taking anything away.
fn drained(
    index: &Index,
    name: &ClusterName,
    record: &MemberRecord,
    placed: PlacedSummary,
) -> (bool, &'static str, String) {
    let PlacedSummary { objects, replicas } = placed;
    let reason = match index.is_drained(name, record, placed) {
        Some(true) => {
            let message = "it holds no object of this hub".to_owned();
            return (true, "Empty", message);
        }
        _ if record.is_refused() => {
            let message = "nothing is served under this name".to_owned();
            return (true, "NotServed", message);
        }
        None => "Unknown",
        Some(false) if record.is_leaving() => "Draining",
        Some(false) => "InUse",
    };
    let next = match reason {
        "Unknown" => "; it does not answer",
        "Draining" => "; they stay until their replacements elsewhere are available",
        _ => "",
    };
    let message = format!("{replicas} replicas of {objects} objects are placed there{next}");
    (false, reason, message)
}
