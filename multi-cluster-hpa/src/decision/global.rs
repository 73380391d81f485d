//! One number for all clusters.

use super::conditions;
use super::pool::{Pool, highest};
use super::start::Start;
use super::traffic::spread;
use super::{Decision, Distribution, History, Metric, Scope, Snapshot, Wanted};
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
    match Start::of(current, &snapshot.scaling) {
        Start::Disabled => {
            decision.conditions.push(conditions::disabled());
            return decision;
        }
        Start::Jump(desired, reason) => {
            decision.desired = desired;
            decision.reason = Some(reason.to_owned());
            return decision;
        }
        Start::Query => {}
    }
    let pool = Pool::whole(snapshot, current);
    let settings = snapshot.settings();
    let metrics = &snapshot.metrics;
    let asked = metrics.iter().map(|metric| pool.ask(metric, &settings));
    let answer = highest(metrics, asked.collect(), current);
    decision.metrics = answer.reports;
    let recommendation = match (answer.recommendation, snapshot.unseen()) {
        (Ok(recommendation), Some(unseen))
            if recommendation.replicas < current && metrics.iter().any(Metric::counts_pods) =>
        {
            Err(unseen)
        }
        (recommendation, _) => recommendation,
    };
    let recommendation = match recommendation {
        Ok(recommendation) => recommendation,
        Err(failure) => {
            decision.conditions.push(conditions::inactive(&failure));
            return decision;
        }
    };
    let step = Step {
        now: snapshot.now,
        current,
        proposed: recommendation.replicas,
        bounds,
        behavior: snapshot.scaling.behavior.as_ref(),
        downscale_stabilization: snapshot.defaults.downscale_stabilization,
    };
    let allowed = behavior::limit(&step, &mut history.total);
    decision.desired = allowed.replicas;
    decision.reason = reason(current, &recommendation.metric, recommendation.replicas);
    decision.reason = decision.reason.filter(|_| allowed.replicas != current);
    decision.conditions = vec![
        conditions::able(allowed.stabilization, &[]),
        conditions::active(format!(
            "the replica count follows {}",
            recommendation.metric
        )),
        conditions::limited(allowed.limit, allowed.is_limited(), &[]),
    ];
    decision
}

/// Why the number changes, as Kubernetes words it.
pub(super) fn reason(current: u32, metric: &str, recommended: u32) -> Option<String> {
    match recommended.cmp(&current) {
        std::cmp::Ordering::Greater => Some(format!("{metric} above target")),
        std::cmp::Ordering::Less => Some("All metrics below target".to_owned()),
        std::cmp::Ordering::Equal => None,
    }
}
