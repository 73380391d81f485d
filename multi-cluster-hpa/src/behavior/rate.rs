//! How large a step may be.

use super::{Behavior, Bounds, Limit, Policy, PolicyKind, Rules, Select, Series, Step};

/// Without a behavior: at most twice the replicas, or four (`convertDesiredReplicasWithRules`).
pub(super) fn double(wanted: u32, current: u32, bounds: Bounds) -> (u32, Limit) {
    let most = current.saturating_mul(2).max(4);
    if wanted < bounds.min {
        (bounds.min, Limit::TooFewReplicas)
    } else if wanted > bounds.max.min(most) {
        above(bounds.max, most)
    } else {
        (wanted, Limit::DesiredWithinRange)
    }
}

/// With a behavior: what its policies allow (`convertDesiredReplicasWithBehaviorRate`).
pub(super) fn by_rules(
    wanted: u32,
    step: &Step<'_>,
    behavior: &Behavior,
    series: &Series,
) -> (u32, Limit) {
    let Step {
        current, bounds, ..
    } = *step;
    if wanted > current {
        let most = reach(step, &behavior.up, series, Direction::Up).max(current);
        if wanted > bounds.max.min(most) {
            return above(bounds.max, most);
        }
    } else if wanted < current {
        let fewest = reach(step, &behavior.down, series, Direction::Down).min(current);
        if wanted < bounds.min.max(fewest) {
            return below(bounds.min, fewest);
        }
    }
    (wanted, Limit::DesiredWithinRange)
}

fn above(max: u32, most: u32) -> (u32, Limit) {
    if max > most {
        (most, Limit::ScaleUpLimit)
    } else {
        (max, Limit::TooManyReplicas)
    }
}

fn below(min: u32, fewest: u32) -> (u32, Limit) {
    if min < fewest {
        (fewest, Limit::ScaleDownLimit)
    } else {
        (min, Limit::TooFewReplicas)
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// How far the chosen policy lets the number go (`calculateScaleUpLimitWithScalingRules`,
/// `calculateScaleDownLimitWithBehaviors`).
fn reach(step: &Step<'_>, rules: &Rules, series: &Series, direction: Direction) -> u32 {
    let allowed = rules.policies.iter().map(|policy| {
        let (added, removed) = series.changes(step.now, policy.period);
        policy.reach(i64::from(step.current) - added + removed, direction)
    });
    let chosen = match (rules.select, direction) {
        (Select::Disabled, _) => None,
        (Select::Max, Direction::Up) | (Select::Min, Direction::Down) => allowed.max(),
        (Select::Min, Direction::Up) | (Select::Max, Direction::Down) => allowed.min(),
    };
    match chosen {
        Some(replicas) => u32::try_from(replicas.max(0)).unwrap_or(u32::MAX),
        None => step.current,
    }
}

impl Policy {
    /// The replicas that the policy allows, from those at the start of its period.
    fn reach(&self, start: i64, direction: Direction) -> i64 {
        let value = i64::from(self.value);
        let part = f64::from(self.value) / 100.0;
        match (self.kind, direction) {
            (PolicyKind::Pods, Direction::Up) => start + value,
            (PolicyKind::Pods, Direction::Down) => start - value,
            // Rounded up: one replica could never become more by 10 % otherwise.
            (PolicyKind::Percent, Direction::Up) => (start as f64 * (1.0 + part)).ceil() as i64,
            (PolicyKind::Percent, Direction::Down) => (start as f64 * (1.0 - part)) as i64,
        }
    }
}
