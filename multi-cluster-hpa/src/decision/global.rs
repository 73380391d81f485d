//! One number for all clusters; divided by the deployment, or by where requests arrive.

use std::collections::BTreeMap;

use super::conditions::{self, Start};
use super::divide::settle;
use super::pool::{Pool, highest};
use super::{
    Decision, Distribution, History, LocationReport, Scope, Snapshot, Verdict, Wanted, divide,
};
use crate::behavior::{self, Step};

pub(super) fn decide(snapshot: &Snapshot, history: &mut History) -> Decision {
    let current = match snapshot.scaling.scope {
        Scope::Global => snapshot.replicas,
        Scope::PerCluster => snapshot.layout.total(),
    };
    history.total.begin(snapshot.now, current);
    let mut decision = total(snapshot, history, current);
    if snapshot.scaling.distribution == Distribution::Traffic
        && snapshot.scaling.scope == Scope::PerCluster
    {
        spread(snapshot, &mut decision);
    } else if decision.desired != current {
        decision.wanted = Some(Wanted::Total(decision.desired));
    }
    decision
}

/// The number, as Kubernetes' `reconcileAutoscaler` finds it.
fn total(snapshot: &Snapshot, history: &mut History, current: u32) -> Decision {
    let bounds = snapshot.scaling.bounds;
    let mut decision = Decision {
        current,
        desired: current,
        conditions: vec![conditions::reachable()],
        ..Decision::default()
    };
    match Start::of(current, bounds) {
        Start::Disabled => {
            decision.conditions.push(conditions::disabled());
            return decision;
        }
        Start::Jump(desired, reason) => {
            decision.desired = desired;
            decision.reason = Some(reason.to_owned());
            return decision;
        }
        Start::Ask => {}
    }
    let pool = Pool::whole(snapshot, current);
    let settings = snapshot.settings();
    let metrics = &snapshot.metrics;
    let asked = metrics.iter().map(|metric| pool.ask(metric, &settings));
    let answer = highest(metrics, asked.collect(), current);
    decision.metrics = answer.reports;
    let wish = match answer.wish {
        Ok(wish) => wish,
        Err(failure) => {
            decision.conditions.push(conditions::inactive(&failure));
            return decision;
        }
    };
    let step = Step {
        now: snapshot.now,
        current,
        proposed: wish.replicas,
        bounds,
        behavior: snapshot.scaling.behavior.as_ref(),
        downscale_stabilization: snapshot.defaults.downscale_stabilization,
    };
    let allowed = behavior::limit(&step, &mut history.total);
    decision.desired = allowed.replicas;
    decision.reason = reason(current, &wish.metric, wish.replicas);
    decision.reason = decision.reason.filter(|_| allowed.replicas != current);
    decision.conditions = vec![
        conditions::able(allowed.stabilization, &[]),
        conditions::active(format!("the replica count follows {}", wish.metric)),
        conditions::limited(allowed.limit, allowed.is_limited(), &[]),
    ];
    decision
}

/// Why the number changes, as Kubernetes words it.
pub(super) fn reason(current: u32, metric: &str, wished: u32) -> Option<String> {
    match wished.cmp(&current) {
        std::cmp::Ordering::Greater => Some(format!("{metric} above target")),
        std::cmp::Ordering::Less => Some("All metrics below target".to_owned()),
        std::cmp::Ordering::Equal => None,
    }
}

/// Divides the number by where requests arrive.
fn spread(snapshot: &Snapshot, decision: &mut Decision) {
    let current = &snapshot.layout.wanted;
    let total = decision.desired;
    let floor = snapshot.scaling.min_per_cluster;
    let traffic = snapshot
        .traffic
        .as_ref()
        .map(|traffic| weights(current, traffic));
    let traffic = traffic.filter(|weights| weights.values().any(|weight| *weight > 0));
    let (shares, verdict) = if let Some(weights) = &traffic {
        (divide(total, weights, floor), Verdict::Followed)
    } else {
        let as_it_is = current
            .iter()
            .map(|(name, one)| (name.clone(), u64::from(*one)));
        let why = "nobody knows where requests arrive; divided as it was";
        let shares = divide(total, &as_it_is.collect(), floor);
        (shares, Verdict::Kept(why.to_owned()))
    };
    let tolerance = snapshot.settings().tolerances.widest();
    let wanted = settle(current, shares, floor, tolerance);
    decision.locations = current
        .iter()
        .map(|(cluster, now)| LocationReport {
            cluster: cluster.clone(),
            pods: running(snapshot, cluster),
            current: *now,
            desired: wanted.get(cluster).copied().unwrap_or_default(),
            metrics: Vec::new(),
            verdict: verdict.clone(),
        })
        .collect();
    if wanted != *current {
        decision.wanted = Some(Wanted::PerCluster(wanted));
    }
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

fn running(snapshot: &Snapshot, cluster: &str) -> u32 {
    let pods = snapshot.pods.iter();
    let pods = pods.filter(|pod| pod.key.cluster == cluster && pod.is_active());
    u32::try_from(pods.count()).unwrap_or(u32::MAX)
}
