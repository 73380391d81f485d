//! What became of the locations, summed up for people.

use std::collections::BTreeMap;

use super::divide::Claim;
use super::global::reason;
use super::pool::{Failure, Pool, Recommendation};
use super::{Condition, LocationReport, MetricReport, Verdict, conditions};
use crate::behavior::{Allowed, Limit, Stabilization};

/// What one location's metrics ask for, and what they may have.
pub(super) struct Location<'a> {
    pub(super) name: &'a str,
    pub(super) pool: &'a Pool<'a>,
    pub(super) metrics: Vec<MetricReport>,
    pub(super) recommendation: Result<Recommendation, Failure>,
    pub(super) allowed: Allowed,
}

/// Why the numbers change, for the Event.
pub(super) fn change(locations: &[Location<'_>], current: u32, total: u32) -> Option<String> {
    let recommendations = locations
        .iter()
        .filter_map(|one| Some((one, one.recommendation.as_ref().ok()?)));
    let above =
        recommendations.filter(|(one, recommendation)| recommendation.replicas > one.pool.current);
    let above = above
        .map(|(_, recommendation)| recommendation)
        .max_by_key(|recommendation| recommendation.replicas);
    match (total < current, above) {
        (false, Some(recommendation)) => reason(0, &recommendation.metric, recommendation.replicas),
        (true, _) => reason(current, "", total),
        (false, None) => Some("a cluster is below minReplicasPerCluster".to_owned()),
    }
}

/// `sum` is what limited the sum.
pub(super) fn conditions(locations: &[Location<'_>], sum: Option<Limit>) -> Vec<Condition> {
    let sum = sum.map(|limit| conditions::limited(limit, true, &[]));
    let failures = locations
        .iter()
        .map(|one| one.recommendation.as_ref().err());
    if let Some(failures) = failures.collect::<Option<Vec<_>>>() {
        let inactive = failures.first().map(|first| conditions::inactive(first));
        let reachable = std::iter::once(conditions::reachable());
        return reachable.chain(inactive).chain(sum).collect();
    }
    let mut stabilizations = locations.iter().map(|one| one.allowed.stabilization);
    let held_back = |one: &Stabilization| *one != Stabilization::ReadyForNewScale;
    let stabilization = stabilizations.find(held_back);
    let stabilization = stabilization.unwrap_or(Stabilization::ReadyForNewScale);
    let limit = locations.iter().find(|one| one.allowed.is_limited());
    let limit = limit.map_or(Limit::DesiredWithinRange, |one| one.allowed.limit);
    // Said of all where it holds for all.
    let names = |holds: &dyn Fn(&Location<'_>) -> bool| {
        let names = locations
            .iter()
            .filter(|one| holds(one))
            .map(|one| one.name);
        let names: Vec<_> = names.collect();
        if names.len() == locations.len() {
            Vec::new()
        } else {
            names
        }
    };
    let held = names(&|one| one.allowed.stabilization == stabilization);
    let limited = names(&|one| one.allowed.limit == limit);
    let limits = limit != Limit::DesiredWithinRange;
    vec![
        conditions::able(stabilization, &held),
        scaling_active(locations),
        sum.unwrap_or_else(|| conditions::limited(limit, limits, &limited)),
    ]
}

/// There is a recommendation for one location at least; the message names those without one.
fn scaling_active(locations: &[Location<'_>]) -> Condition {
    let mut followed: Vec<&str> = Vec::new();
    let mut kept = Vec::new();
    for one in locations {
        match &one.recommendation {
            Ok(recommendation) if followed.contains(&recommendation.metric.as_str()) => {}
            Ok(recommendation) => followed.push(&recommendation.metric),
            Err(failure) => {
                let (name, current) = (one.name, one.pool.current);
                kept.push(format!("{name} keeps {current} ({})", failure.message));
            }
        }
    }
    let follows = format!("the replica count follows {}", followed.join(", "));
    let parts: Vec<_> = std::iter::once(follows).chain(kept).collect();
    conditions::active(parts.join("; "))
}

impl Location<'_> {
    /// Its claim on a number for all that is smaller (`is_scarce`), or larger, than all may have
    /// together.
    ///
    /// A division by what rates allow, or by what is asked for within the tolerance, would never
    /// come to rest, because both move with every change. So what is scarce is divided by what is
    /// needed, and what the minimum keeps stays where it is.
    pub(super) fn claim(&self, is_scarce: bool, need: Option<u32>, least: u32) -> Claim {
        let allowed = self.allowed.replicas;
        let (weight, least, most) = if is_scarce {
            (need.unwrap_or(allowed).max(allowed), least, allowed)
        } else {
            (self.pool.current, allowed, u32::MAX)
        };
        Claim {
            weight: u64::from(weight),
            least,
            most,
        }
    }

    pub(super) fn report(
        self,
        wanted: &BTreeMap<String, u32>,
        sum: Option<Limit>,
    ) -> LocationReport {
        let desired = wanted.get(self.name).copied().unwrap_or_default();
        let allowed = self.allowed;
        let verdict = if let Err(failure) = &self.recommendation {
            Verdict::Kept(failure.message.clone())
        } else if let Some(limit) = sum.filter(|_| desired != allowed.replicas) {
            Verdict::Limited(format!(
                "{} over all clusters: {} asked for here",
                limit.message(),
                allowed.replicas
            ))
        } else if allowed.is_limited() {
            Verdict::Limited(allowed.limit.message().to_owned())
        } else if allowed.stabilization != Stabilization::ReadyForNewScale {
            Verdict::Limited(allowed.stabilization.message().to_owned())
        } else {
            Verdict::Followed
        };
        LocationReport {
            cluster: self.name.to_owned(),
            pods: self.pool.running(),
            current: self.pool.current,
            desired,
            metrics: self.metrics,
            verdict,
        }
    }
}
