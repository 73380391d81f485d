//! What earlier decisions left behind.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Decision, Wanted};
use crate::behavior::{Behavior, Series};
use crate::calculator::PodKey;

/// The memory of one autoscaler. A new process begins with an empty one: then what runs counts as
/// what was proposed last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Of the number for all clusters.
    pub(super) total: Series,
    /// Of each location's number.
    pub(super) locations: BTreeMap<String, Series>,
    /// Whose each pod was at the last decision.
    pub(super) owners: BTreeMap<PodKey, String>,
}

impl History {
    /// Moves the record along with a clock that has jumped by so much.
    pub fn shift(&mut self, by: SignedDuration) {
        self.total.shift(by);
        for series in self.locations.values_mut() {
            series.shift(by);
        }
    }

    /// Records that a decision was carried out at `now`.
    pub fn scaled(&mut self, decision: &Decision, now: Timestamp, behavior: Option<&Behavior>) {
        if decision.desired != decision.current {
            self.total
                .scaled(now, decision.current, decision.desired, behavior);
        }
        let Some(Wanted::PerCluster(wanted)) = &decision.wanted else {
            return;
        };
        for report in &decision.locations {
            let Some(&to) = wanted.get(&report.cluster) else {
                continue;
            };
            if let Some(series) = self.locations.get_mut(&report.cluster)
                && to != report.current
            {
                series.scaled(now, report.current, to, behavior);
            }
        }
    }
}
