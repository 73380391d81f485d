//! What was proposed and what was done: the memory that windows and rates need.

use jiff::{SignedDuration, Timestamp};

use super::Behavior;

/// The record of one number of replicas: proposals, and changes that were carried out. What is too
/// old to count gives its place to what is new, so it stays as long as the windows are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    proposals: Vec<Proposal>,
    ups: Vec<Change>,
    downs: Vec<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Proposal {
    replicas: u32,
    at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    replicas: u32,
    at: Timestamp,
    /// Too old for every policy of its direction; stays so when a longer policy comes.
    outdated: bool,
}

impl Series {
    /// Begins a record: what runs now counts as proposed, so that a new process does not scale down
    /// at once. And what a clock that has jumped back would put into the future is dated now.
    pub fn begin(&mut self, now: Timestamp, current: u32) {
        if self.proposals.is_empty() {
            self.proposals.push(Proposal {
                replicas: current,
                at: now,
            });
        }
        for proposal in &mut self.proposals {
            proposal.at = proposal.at.min(now);
        }
        for change in self.ups.iter_mut().chain(&mut self.downs) {
            change.at = change.at.min(now);
        }
    }

    /// Moves the record along with a clock that has jumped by so much, so that windows go on.
    pub fn shift(&mut self, by: SignedDuration) {
        let moved = |at: Timestamp| at.checked_add(by).unwrap_or(at);
        for proposal in &mut self.proposals {
            proposal.at = moved(proposal.at);
        }
        for change in self.ups.iter_mut().chain(&mut self.downs) {
            change.at = moved(change.at);
        }
    }

    /// Records a change that was carried out (`storeScaleEvent`). Without a behavior none counts.
    pub fn scaled(&mut self, now: Timestamp, from: u32, to: u32, behavior: Option<&Behavior>) {
        let Some(behavior) = behavior else {
            return;
        };
        let (changes, rules) = if to > from {
            (&mut self.ups, &behavior.up)
        } else {
            (&mut self.downs, &behavior.down)
        };
        let longest = rules.policies.iter().map(|policy| policy.period).max();
        for change in changes.iter_mut() {
            change.outdated |= age(now, change.at) > longest.unwrap_or_default();
        }
        let change = Change {
            replicas: from.abs_diff(to),
            at: now,
            outdated: false,
        };
        match changes.iter_mut().rfind(|change| change.outdated) {
            Some(place) => *place = change,
            None => changes.push(change),
        }
    }

    /// The highest proposal of a window, with the one that is made now (`stabilizeRecommendation`).
    pub(super) fn highest(&mut self, now: Timestamp, proposed: u32, window: SignedDuration) -> u32 {
        let is_old = |proposal: &Proposal| age(now, proposal.at) >= window;
        let counting = self.proposals.iter().filter(|proposal| !is_old(proposal));
        let highest = counting.map(|proposal| proposal.replicas).max();
        self.record(now, proposed, is_old);
        highest.unwrap_or_default().max(proposed)
    }

    /// The number nearest to the current one that lies between the lowest proposal of the first
    /// window and the highest of the second (`stabilizeRecommendationWithBehaviors`).
    pub(super) fn stabilize(
        &mut self,
        now: Timestamp,
        proposed: u32,
        current: u32,
        (up, down): (SignedDuration, SignedDuration),
    ) -> u32 {
        let within = |window: SignedDuration| {
            let proposals = self.proposals.iter();
            proposals.filter(move |proposal| age(now, proposal.at) < window)
        };
        let replicas = |proposal: &Proposal| proposal.replicas;
        let lowest = within(up).map(replicas).min().unwrap_or(proposed);
        let highest = within(down).map(replicas).max().unwrap_or(proposed);
        self.record(now, proposed, |proposal| {
            let age = age(now, proposal.at);
            age > up && age > down
        });
        current.max(lowest.min(proposed)).min(highest.max(proposed))
    }

    /// Replicas that were added and removed within a period (`getReplicasChangePerPeriod`).
    pub(super) fn changes(&self, now: Timestamp, period: SignedDuration) -> (i64, i64) {
        let sum = |changes: &[Change]| {
            let recent = changes.iter().filter(|one| age(now, one.at) < period);
            recent.map(|change| i64::from(change.replicas)).sum()
        };
        (sum(&self.ups), sum(&self.downs))
    }

    fn record(&mut self, now: Timestamp, replicas: u32, is_old: impl Fn(&Proposal) -> bool) {
        let proposal = Proposal { replicas, at: now };
        match self.proposals.iter_mut().rfind(|one| is_old(one)) {
            Some(place) => *place = proposal,
            None => self.proposals.push(proposal),
        }
    }
}

fn age(now: Timestamp, at: Timestamp) -> SignedDuration {
    now.duration_since(at)
}
