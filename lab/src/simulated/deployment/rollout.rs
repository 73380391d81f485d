//! How a Deployment's `ReplicaSets` are resized: by a rolling update, by recreation, or in
//! proportion when only its size has changed.

use std::cmp::Reverse;

use jiff::Timestamp;

/// What a Deployment wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) replicas: i32,
    pub(super) strategy: Strategy,
}

/// How a Deployment goes from one template to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// So many above the wanted replicas at most, and so many below that are available.
    RollingUpdate { surge: i32, unavailable: i32 },
    /// All old ones go before a new one comes.
    Recreate,
}

/// A `ReplicaSet` of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) created: Timestamp,
    /// The size that it shall have.
    pub(super) replicas: i32,
    /// How many of its pods are available.
    pub(super) available: i32,
    /// The Deployment's size when this was last resized, and with its surge.
    pub(super) desired: Option<i32>,
    pub(super) most: Option<i32>,
}

/// A `ReplicaSet`, by name, and the size that it shall have.
pub(super) type Resize = (String, i32);

impl Wanted {
    pub(super) fn surge(&self) -> i32 {
        match self.strategy {
            Strategy::RollingUpdate { surge, .. } => surge,
            Strategy::Recreate => 0,
        }
    }

    pub(super) fn unavailable(&self) -> i32 {
        match self.strategy {
            Strategy::RollingUpdate { unavailable, .. } => unavailable.min(self.replicas),
            Strategy::Recreate => 0,
        }
    }

    /// The size that a new `ReplicaSet` may have beside those that are there: its own is in `new`.
    pub(super) fn new_size(&self, all: &[Set], new: i32) -> i32 {
        if self.strategy == Strategy::Recreate {
            return self.replicas;
        }
        let room = self.replicas + self.surge() - total(all);
        if room <= 0 {
            return new;
        }
        new + room.min(self.replicas - new)
    }

    /// The next step of a rolling update: the new one grows, or else the old ones shrink.
    pub(super) fn roll(&self, new: &Set, old: &[Set]) -> Vec<Resize> {
        let all: Vec<Set> = old.iter().chain([new]).cloned().collect();
        let grown = if new.replicas > self.replicas {
            self.replicas
        } else {
            self.new_size(&all, new.replicas)
        };
        if grown != new.replicas {
            return vec![(new.name.clone(), grown)];
        }
        self.shrink(new, old)
    }

    /// Shrinks the old ones as far as enough stay available: first by what is not available
    /// anyway, the oldest first.
    fn shrink(&self, new: &Set, old: &[Set]) -> Vec<Resize> {
        let least = self.replicas - self.unavailable();
        let mut sets: Vec<Set> = old.to_vec();
        sets.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        let coming = new.replicas - new.available;
        let surplus = total(&sets) + new.replicas - least - coming;
        if surplus <= 0 {
            return Vec::new();
        }
        let mut left = surplus;
        for set in &mut sets {
            let sick = (set.replicas - set.available).clamp(0, left);
            set.replicas -= sick;
            left -= sick;
        }
        let available: i32 = sets.iter().map(|set| set.available).sum();
        let mut left = (available + new.available - least).max(0);
        for set in &mut sets {
            let gone = set.replicas.min(left);
            set.replicas -= gone;
            left -= gone;
        }
        changes(old, &sets)
    }

    /// Resizes what there is when only the wanted size has changed.
    pub(super) fn scale(&self, new: Option<&Set>, old: &[Set]) -> Vec<Resize> {
        let all: Vec<Set> = old.iter().chain(new).cloned().collect();
        let mut active: Vec<Set> = all.iter().filter(|set| set.replicas > 0).cloned().collect();
        let latest = old
            .iter()
            .max_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        let only = match &active[..] {
            [] => new.or(latest),
            [only] => Some(only),
            _ => None,
        };
        if active.len() < 2 {
            let only = only.filter(|only| only.replicas != self.replicas);
            return only
                .map(|only| (only.name.clone(), self.replicas))
                .into_iter()
                .collect();
        }
        if new.is_some_and(|new| self.is_saturated(new)) {
            let old = active
                .iter()
                .filter(|set| new.is_none_or(|new| set.name != new.name));
            return old.map(|set| (set.name.clone(), 0)).collect();
        }
        if self.strategy == Strategy::Recreate {
            return Vec::new();
        }
        self.proportion(&mut active);
        changes(&all, &active)
    }

    /// All of the new one's pods are there and available, for this very size.
    fn is_saturated(&self, new: &Set) -> bool {
        new.desired == Some(self.replicas)
            && new.replicas == self.replicas
            && new.available == self.replicas
    }

    /// Shares out what is to be added or taken, by size; the largest takes what is left.
    fn proportion(&self, sets: &mut [Set]) {
        let most = if self.replicas > 0 {
            self.replicas + self.surge()
        } else {
            0
        };
        let before = total(sets);
        let to_add = most - before;
        if to_add >= 0 {
            sets.sort_by_key(|set| {
                (
                    Reverse(set.replicas),
                    Reverse(set.created),
                    set.name.clone(),
                )
            });
        } else {
            sets.sort_by_key(|set| (Reverse(set.replicas), set.created, set.name.clone()));
        }
        let mut added = 0;
        for set in sets.iter_mut() {
            let allowed = to_add - added;
            let share = self.share(set, before);
            let share = if to_add > 0 {
                share.min(allowed)
            } else {
                share.max(allowed)
            };
            let share = if to_add == 0 { 0 } else { share };
            set.replicas += share;
            added += share;
        }
        if let Some(first) = sets.first_mut() {
            first.replicas = (first.replicas + to_add - added).max(0);
        }
    }

    /// How much a set should grow, or shrink, to keep its part of the whole.
    fn share(&self, set: &Set, total: i32) -> i32 {
        if self.replicas == 0 {
            return -set.replicas;
        }
        let before = set.most.filter(|most| *most > 0).unwrap_or(total);
        if before == 0 {
            return 0;
        }
        let wanted = f64::from(set.replicas) * f64::from(self.replicas + self.surge());
        (wanted / f64::from(before)).round() as i32 - set.replicas
    }
}

/// The size of all together.
pub(super) fn total(sets: &[Set]) -> i32 {
    sets.iter().map(|set| set.replicas).sum()
}

/// What differs in size.
fn changes(before: &[Set], after: &[Set]) -> Vec<Resize> {
    let changed = after.iter().filter(|set| {
        let same = before.iter().find(|one| one.name == set.name);
        same.is_some_and(|one| one.replicas != set.replicas)
    });
    changed
        .map(|set| (set.name.clone(), set.replicas))
        .collect()
}

/// `maxSurge` and `maxUnavailable` of a size: the first is rounded up, the second down, and one of
/// them must leave room to go on.
pub(super) fn fenceposts(surge: Limit, unavailable: Limit, replicas: i32) -> (i32, i32) {
    let surge = surge.of(replicas, f64::ceil);
    let unavailable = unavailable.of(replicas, f64::floor);
    if surge == 0 && unavailable == 0 {
        return (0, 1);
    }
    (surge, unavailable)
}

/// A number, or a share of the replicas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    Number(i32),
    Percent(i32),
}

impl Limit {
    fn of(self, replicas: i32, round: fn(f64) -> f64) -> i32 {
        match self {
            Self::Number(number) => number,
            Self::Percent(percent) => {
                round(f64::from(percent) * f64::from(replicas) / 100.0) as i32
            }
        }
    }
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
