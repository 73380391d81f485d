//! The requests that are timed.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use placement::policy::{self, Policy};
use placement::{
    ClusterName, Eligibility, Inputs, Overflow, OwnerKey, Plan, PodShape, ReplicaScheduling,
    Request, Snapshot, Stickiness, Targets, place,
};

/// A request for 20 replicas on each of three clusters.
pub(super) fn request<'a>(
    shape: &'a PodShape,
    traffic: &'a BTreeMap<ClusterName, f64>,
) -> Request<'a> {
    Request {
        owner: OwnerKey(u128::MAX),
        shape,
        targets: Targets::Chosen { count: 3 },
        replicas: 20,
        scheduling: ReplicaScheduling::PerLocation,
        eligibility: Eligibility::default(),
        overflow: Overflow::Policy,
        current: Vec::new(),
        resizable: true,
        moves: &[],
        stickiness: Stickiness::Stay,
        reshaped: false,
        limits: BTreeMap::new(),
        inputs: Inputs {
            traffic: Some(traffic),
            ..Inputs::default()
        },
    }
}

/// What each cluster receives, made up.
pub(super) fn traffic(snapshot: &Snapshot) -> BTreeMap<ClusterName, f64> {
    let names = snapshot.clusters().map(|cluster| cluster.name.clone());
    let bytes = (0_u32..).map(|number| f64::from(number * 37 % 101));
    names.zip(bytes).collect()
}

/// The policies in turn, again and again.
pub(super) fn policies() -> impl Iterator<Item = &'static dyn Policy> {
    let names = [
        "worst_fit",
        "best_fit",
        "most_traffic",
        "first_fit",
        "round_robin",
    ];
    names.into_iter().filter_map(policy::by_name).cycle()
}

/// How long each decision takes, with the policies in turn.
pub(super) fn decisions<'a>(
    snapshot: &Snapshot,
    shapes: impl Iterator<Item = &'a PodShape>,
) -> Vec<Duration> {
    let traffic = traffic(snapshot);
    shapes
        .zip(policies())
        .map(|(shape, policy)| decide(snapshot, &request(shape, &traffic), policy).1)
        .collect()
}

/// Decides, and how long that takes.
pub(super) fn decide(
    snapshot: &Snapshot,
    request: &Request<'_>,
    policy: &dyn Policy,
) -> (Plan, Duration) {
    let start = Instant::now();
    let plan = black_box(place(snapshot, request, policy));
    (plan, start.elapsed())
}
