//! One number, divided by where requests arrive (`distribution: Traffic`).

use std::collections::BTreeMap;

use super::divide::{divide_around, settle};
use super::{Decision, LocationReport, Snapshot, Verdict, Wanted, divide};

/// Divides the number. A location whose requests are not known keeps its own, if that leaves enough
/// for the others; where nothing is known, all is divided as it was.
pub(super) fn spread(snapshot: &Snapshot, decision: &mut Decision) {
    let current = &snapshot.layout.wanted;
    let total = decision.desired;
    // Requests are seen where pods are: a location without one would never get any again.
    let own = snapshot.scaling.min_per_cluster;
    let is_enough = u64::from(total) >= current.len() as u64;
    let floor = if is_enough { own.max(1) } else { own };
    let running = running(snapshot);
    let why = unmeasured(snapshot, &running);
    let kept: BTreeMap<&str, u32> = current
        .iter()
        .filter(|(name, _)| why.contains_key(name.as_str()))
        .map(|(name, now)| (name.as_str(), *now))
        .collect();
    let traffic = snapshot.traffic.as_ref();
    let traffic = traffic.map(|traffic| weights(current, traffic));
    let is_known = |weights: &BTreeMap<String, u64>| {
        let mut weights = weights.iter();
        weights.any(|(name, weight)| *weight > 0 && !kept.contains_key(name.as_str()))
    };
    let traffic = traffic.filter(is_known);
    let shares = if let Some(weights) = &traffic {
        divide_around(total, weights, floor, &kept)
    } else {
        let weights = current.iter();
        let weights = weights.map(|(name, now)| (name.clone(), u64::from(*now)));
        divide(total, &weights.collect(), floor)
    };
    let tolerance = snapshot.settings().tolerances.widest();
    let wanted = settle(current, shares, floor, tolerance);
    let verdict = |name: &str, now: u32| match (&traffic, why.get(name)) {
        (None, _) => {
            let why = "it is not known where requests arrive: divided as it was";
            Verdict::Kept(why.to_owned())
        }
        (_, Some(why)) if wanted.get(name) == Some(&now) => Verdict::Kept(why.clone()),
        _ => Verdict::Followed,
    };
    decision.locations = current
        .iter()
        .map(|(cluster, now)| LocationReport {
            cluster: cluster.clone(),
            pods: running.get(cluster.as_str()).copied().unwrap_or_default(),
            current: *now,
            desired: wanted.get(cluster).copied().unwrap_or_default(),
            metrics: Vec::new(),
            verdict: verdict(cluster, *now),
        })
        .collect();
    if wanted != *current {
        decision.wanted = Some(Wanted::PerCluster(wanted));
    }
}

/// The locations of which it is not known what requests arrive there, and why.
fn unmeasured<'a>(
    snapshot: &'a Snapshot,
    running: &BTreeMap<&str, u32>,
) -> BTreeMap<&'a str, String> {
    let is_measured = |name: &str| {
        let traffic = snapshot.traffic.as_ref();
        traffic.is_some_and(|traffic| traffic.get(name).is_some_and(|one| one.is_finite()))
    };
    let why = |name: &str| {
        let unreachable = snapshot.unreachable(name).map(|failure| failure.message);
        let unmeasured = !is_measured(name) && running.contains_key(name);
        unreachable
            .or_else(|| unmeasured.then(|| "it is not known what requests arrive here".to_owned()))
    };
    let names = snapshot.layout.wanted.keys().map(String::as_str);
    names.filter_map(|name| Some((name, why(name)?))).collect()
}

/// Traffic as integers, exact to a billionth of the largest; what is no number is none.
fn weights(
    locations: &BTreeMap<String, u32>,
    traffic: &BTreeMap<String, f64>,
) -> BTreeMap<String, u64> {
    let of = |name: &String| {
        traffic
            .get(name)
            .copied()
            .filter(|one| one.is_finite() && *one > 0.0)
    };
    let largest = locations.keys().filter_map(of).fold(0.0, f64::max);
    let part = |name: &String| of(name).map_or(0, |one| (one / largest * 1e9) as u64);
    locations
        .keys()
        .map(|name| (name.clone(), part(name)))
        .collect()
}

/// Pods that run, or will, by cluster.
fn running(snapshot: &Snapshot) -> BTreeMap<&str, u32> {
    let mut running = BTreeMap::new();
    let pods = snapshot.pods.iter();
    for (pod, _) in pods.filter_map(|pod| snapshot.counted(pod)) {
        if pod.is_active() {
            *running.entry(pod.key.cluster.as_str()).or_insert(0) += 1;
        }
    }
    running
}
