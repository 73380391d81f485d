//! Each location by its own load.

use std::collections::BTreeMap;

use super::conditions::{disabled, reachable};
use super::divide::{divide_among, divide_around, settle};
use super::location::{Location, change, conditions};
use super::pool::{Failure, Pool, Proposed, Recommendation, highest};
use super::start::Start;
use super::{
    Condition, Decision, History, LocationReport, Metric, Reading, Snapshot, Verdict, Wanted,
    attribute, divide,
};
use crate::behavior::{self, Allowed, Bounds, Limit, Stabilization, Step};
use crate::calculator::{Proposal, Settings, Tolerances};

pub(super) fn decide(snapshot: &Snapshot, history: &mut History) -> Decision {
    let layout = &snapshot.layout;
    history.owners = attribute(layout, &snapshot.pods, &history.owners);
    history
        .locations
        .retain(|name, _| layout.wanted.contains_key(name));
    for (name, current) in &layout.wanted {
        let series = history.locations.entry(name.clone()).or_default();
        series.begin(snapshot.now, *current);
    }

    let current = layout.total();
    let pools = pools(snapshot, history);
    match Start::of(current, &snapshot.scaling) {
        Start::Disabled => {
            let mut decision = unasked(&pools, &layout.wanted);
            decision.conditions.push(disabled());
            decision
        }
        Start::Jump(total, reason) => {
            let weights = weights(&layout.wanted);
            let floor = snapshot.scaling.min_per_cluster;
            let kept = layout.wanted.iter();
            let kept = kept.filter(|(name, _)| snapshot.unreachable(name).is_some());
            let kept = kept.map(|(name, now)| (name.as_str(), *now)).collect();
            let wanted = divide_around(total, &weights, floor, &kept);
            let mut decision = unasked(&pools, &wanted);
            decision.reason = Some(reason.to_owned());
            decision
        }
        Start::Query => ask(snapshot, history, &pools),
    }
}

/// A location and its pods.
type Pools<'a> = BTreeMap<&'a str, Pool<'a>>;

fn pools<'a>(snapshot: &'a Snapshot, history: &History) -> Pools<'a> {
    let layout = &snapshot.layout;
    let mut pools: Pools<'a> = layout
        .wanted
        .iter()
        .map(|(name, current)| {
            let pool = Pool {
                pods: Vec::new(),
                current: *current,
                cluster: Some(name),
            };
            (name.as_str(), pool)
        })
        .collect();
    for pod in snapshot.pods.iter().filter_map(|pod| snapshot.counted(pod)) {
        let owner = history.owners.get(&pod.0.key);
        if let Some(pool) = owner.and_then(|owner| pools.get_mut(owner.as_str())) {
            pool.pods.push(pod);
        }
    }
    pools
}

/// A decision without a metric.
fn unasked(pools: &Pools<'_>, wanted: &BTreeMap<String, u32>) -> Decision {
    let desired = |name: &str| wanted.get(name).copied().unwrap_or_default();
    let reports = pools.iter().map(|(name, pool)| LocationReport {
        cluster: (*name).to_owned(),
        pods: pool.running(),
        current: pool.current,
        desired: desired(name),
        metrics: Vec::new(),
        verdict: Verdict::Kept("no metric was queried".to_owned()),
    });
    finish(reports.collect(), vec![reachable()])
}

/// Sums up; the numbers are to be written only when one changes.
fn finish(locations: Vec<LocationReport>, conditions: Vec<Condition>) -> Decision {
    let sum = |of: fn(&LocationReport) -> u32| {
        let numbers = locations.iter().map(of);
        numbers.fold(0, u32::saturating_add)
    };
    let mut decision = Decision {
        current: sum(|one| one.current),
        desired: sum(|one| one.desired),
        locations,
        conditions,
        ..Decision::default()
    };
    if decision.has_changed() {
        let numbers = decision.locations.iter();
        let numbers = numbers.map(|one| (one.cluster.clone(), one.desired));
        decision.wanted = Some(Wanted::PerCluster(numbers.collect()));
    }
    decision
}

fn ask(snapshot: &Snapshot, history: &mut History, pools: &Pools<'_>) -> Decision {
    let settings = snapshot.settings();
    let whole = Pool::whole(snapshot, snapshot.layout.total());
    let overall = overall(snapshot, &whole, &settings);
    let mut answers = answers(snapshot, pools, &overall, &settings);
    let locations: Vec<Location<'_>> = pools
        .iter()
        .filter_map(|(name, pool)| {
            let Proposed {
                reports,
                recommendation,
            } = answers.remove(name)?;
            let allowed = allow(snapshot, history, name, pool.current, &recommendation);
            Some(Location {
                name,
                pool,
                metrics: reports,
                recommendation,
                allowed,
            })
        })
        .collect();

    let allowed: BTreeMap<String, u32> = locations
        .iter()
        .map(|one| (one.name.to_owned(), one.allowed.replicas))
        .collect();
    let Bounds { min, max } = snapshot.scaling.bounds;
    let sum = allowed
        .values()
        .fold(0_u32, |sum, one| sum.saturating_add(*one));
    let total = sum.clamp(min, max.max(min));
    let wanted = if total == sum {
        allowed
    } else {
        let floor = snapshot.scaling.min_per_cluster;
        let needs = if total < sum {
            needs(snapshot, &whole, pools)
        } else {
            BTreeMap::new()
        };
        // It is not known what they need: they keep what they have, if that leaves enough for the others.
        let least = |one: &Location<'_>| {
            if one.recommendation.is_err() {
                one.allowed.replicas
            } else {
                floor
            }
        };
        let least_of_all = locations
            .iter()
            .map(|one| u64::from(least(one)))
            .sum::<u64>();
        let is_enough = least_of_all <= u64::from(total);
        let claims = locations.iter().map(|one| {
            let need = needs.get(one.name).copied();
            let least = if is_enough { least(one) } else { floor };
            (one.name.to_owned(), one.claim(total < sum, need, least))
        });
        let shares = divide_among(total, &claims.collect());
        let tolerance = settings.tolerances.widest();
        settle(&snapshot.layout.wanted, shares, floor, tolerance)
    };
    let limit = match total.cmp(&sum) {
        std::cmp::Ordering::Less => Some(Limit::TooManyReplicas),
        std::cmp::Ordering::Greater => Some(Limit::TooFewReplicas),
        std::cmp::Ordering::Equal => None,
    };
    let conditions = conditions(&locations, limit);
    let current = whole.current;
    let change = change(&locations, current, total);
    let reports = locations.into_iter().map(|one| one.report(&wanted, limit));
    let mut decision = finish(reports.collect(), conditions);
    decision.reason = change.filter(|_| decision.wanted.is_some());
    decision.metrics = highest(&snapshot.metrics, overall, current).reports;
    decision
}

/// What the metrics ask for over all pods.
fn overall(
    snapshot: &Snapshot,
    whole: &Pool<'_>,
    settings: &Settings,
) -> Vec<Result<Proposal, String>> {
    let unseen = snapshot.unseen();
    let ask = |metric: &Metric| match (whole.ask(metric, settings), &unseen) {
        (Ok(proposal), Some(unseen))
            if matches!(metric.reading, Reading::Total(_))
                && metric.counts_pods()
                && proposal.replicas < whole.current =>
        {
            Err(unseen.message.clone())
        }
        (asked, _) => asked,
    };
    snapshot.metrics.iter().map(ask).collect()
}

/// What each location would need to be exactly on target.
fn needs<'a>(snapshot: &Snapshot, whole: &Pool<'_>, pools: &Pools<'a>) -> BTreeMap<&'a str, u32> {
    let exact = Settings {
        tolerances: Tolerances { up: 0.0, down: 0.0 },
        ..snapshot.settings()
    };
    let overall = overall(snapshot, whole, &exact);
    let answers = answers(snapshot, pools, &overall, &exact).into_iter();
    answers
        .filter_map(|(name, answer)| Some((name, answer.recommendation.ok()?.replicas)))
        .collect()
}

/// What the metrics ask for in each location. A value for all clusters is one proposal for all,
/// divided as the replicas are.
fn answers<'a>(
    snapshot: &Snapshot,
    pools: &Pools<'a>,
    overall: &[Result<Proposal, String>],
    settings: &Settings,
) -> BTreeMap<&'a str, Proposed> {
    // One with nothing counts as if it had one, or it would never get any again.
    let mut as_it_is = weights(&snapshot.layout.wanted);
    as_it_is
        .values_mut()
        .for_each(|weight| *weight = (*weight).max(1));
    let shares: Vec<_> = overall
        .iter()
        .map(|outcome| match outcome {
            Ok(proposal) => divide(proposal.replicas, &as_it_is, 0),
            Err(_) => BTreeMap::new(),
        })
        .collect();
    let ask = |name: &str, pool: &Pool<'_>| {
        let metrics = snapshot.metrics.iter().zip(overall.iter().zip(&shares));
        let outcomes = metrics.map(|(metric, (overall, shares))| match metric.reading {
            Reading::Total(_) => overall.clone().map(|proposal| Proposal {
                replicas: shares.get(name).copied().unwrap_or_default(),
                ..proposal
            }),
            _ => pool.ask(metric, settings),
        });
        highest(&snapshot.metrics, outcomes.collect(), pool.current)
    };
    let answer = |(name, pool): (&&'a str, &Pool<'_>)| {
        let answer = match snapshot.unreachable(name) {
            Some(failure) => Proposed {
                reports: Vec::new(),
                recommendation: Err(failure),
            },
            None => ask(name, pool),
        };
        (*name, answer)
    };
    pools.iter().map(answer).collect()
}

/// What windows, rates and the limits of one cluster leave of a recommendation. Without a recommendation the number
/// stays.
fn allow(
    snapshot: &Snapshot,
    history: &mut History,
    name: &str,
    current: u32,
    recommendation: &Result<Recommendation, Failure>,
) -> Allowed {
    let floor = snapshot.scaling.min_per_cluster;
    let Bounds { min, max } = snapshot.scaling.bounds;
    // One location alone has the limits of the sum, and so exactly Kubernetes' answers.
    let is_alone = snapshot.layout.wanted.len() == 1;
    match (recommendation, history.locations.get_mut(name)) {
        (Ok(recommendation), Some(series)) if current >= floor => {
            let step = Step {
                now: snapshot.now,
                current,
                proposed: recommendation.replicas,
                bounds: Bounds {
                    min: if is_alone { floor.max(min) } else { floor },
                    max,
                },
                behavior: snapshot.scaling.behavior.as_ref(),
                downscale_stabilization: snapshot.defaults.downscale_stabilization,
            };
            behavior::limit(&step, series)
        }
        _ => Allowed {
            replicas: current.max(floor),
            stabilization: Stabilization::ReadyForNewScale,
            limit: Limit::DesiredWithinRange,
        },
    }
}

fn weights(replicas: &BTreeMap<String, u32>) -> BTreeMap<String, u64> {
    let weight = |(name, replicas): (&String, &u32)| (name.clone(), u64::from(*replicas));
    replicas.iter().map(weight).collect()
}
