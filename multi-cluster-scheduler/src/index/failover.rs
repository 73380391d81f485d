//! Which silent members are lost, so that their replicas are placed elsewhere: pure.
//!
//! As the node life-cycle controller does it with nodes: one after the other, and none while so many
//! are silent that the fault is more likely on the hub's side.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use placement::ClusterName;
use tokio::time::Instant;

/// When a silent member is lost.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a member may be silent.
    pub toleration: Duration,
    /// Members that may be lost in a minute.
    pub per_minute: u32,
    /// While more than so many per cent of the members are silent, none is lost.
    pub threshold: u32,
}

/// The members that are lost, and those that would be.
#[derive(Debug, Default)]
pub struct Failover {
    lost: BTreeSet<ClusterName>,
    /// Those that have been silent for too long, and why they are not lost.
    held: BTreeMap<ClusterName, Held>,
    last: Option<Instant>,
}

/// Why a member that has been silent for too long is not lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// So many of so many are silent.
    TooMany {
        /// Silent members that are not lost yet.
        silent: usize,
        /// Members that are not lost yet.
        of: usize,
    },
    /// Others went first.
    Rate,
}

impl Failover {
    /// Lets time pass. `members` are those that answer, and those that do not, with since when. How
    /// many are newly lost.
    pub fn pass(
        &mut self,
        members: &BTreeMap<ClusterName, Option<Instant>>,
        settings: Settings,
        now: Instant,
    ) -> usize {
        // One that is lost is so until it answers.
        self.lost
            .retain(|name| members.get(name).is_some_and(Option::is_some));
        self.held.clear();
        // What is lost already is no sign of a fault that is beginning.
        let all = members
            .iter()
            .filter(|(name, _)| !self.lost.contains(*name));
        let of = all.clone().count();
        let silent: Vec<_> = all
            .filter_map(|(name, since)| Some(((*since)?, name)))
            .collect();
        let is_tolerated = |since: Instant| now.duration_since(since) < settings.toleration;
        let mut due = silent.clone();
        due.retain(|(since, _)| !is_tolerated(*since));
        due.sort();
        // Where none answers, there is nowhere to go.
        let too_many = silent.len() == of || silent.len() * 100 > of * settings.threshold as usize;
        let silent = silent.len();
        let mut newly = 0;
        for (_, name) in due {
            if too_many {
                self.held.insert(name.clone(), Held::TooMany { silent, of });
            } else if self.may_go(settings.per_minute, now) {
                self.last = Some(now);
                self.lost.insert(name.clone());
                newly += 1;
            } else {
                self.held.insert(name.clone(), Held::Rate);
            }
        }
        newly
    }

    fn may_go(&self, per_minute: u32, now: Instant) -> bool {
        let Some(pause) = Duration::from_mins(1).checked_div(per_minute) else {
            return false;
        };
        self.last
            .is_none_or(|last| now.duration_since(last) >= pause)
    }

    /// Whether a member is lost.
    pub fn is_lost(&self, name: &ClusterName) -> bool {
        self.lost.contains(name)
    }

    /// Why a member that has been silent for too long is not lost, if it is one.
    pub fn held(&self, name: &ClusterName) -> Option<Held> {
        self.held.get(name).copied()
    }

    /// Whether members are not lost because too many are silent.
    pub fn is_suspended(&self) -> bool {
        let mut held = self.held.values();
        held.any(|held| matches!(held, Held::TooMany { .. }))
    }
}

#[cfg(test)]
#[path = "failover_tests.rs"]
mod tests;
