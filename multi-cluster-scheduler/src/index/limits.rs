//! Limits of clusters whose own schedulers cannot place more replicas of an object.
//!
//! Room is counted by requests and node selectors; a member's scheduler knows more: volumes, plugins,
//! reservations. When pods have been unschedulable there for `--unschedulable-after`, the cluster is
//! limited to what it does run of the object, for ten times as long, and the rest is placed elsewhere.
//! If its scheduler still cannot place more after that, the limit comes back for twice as long.

use std::collections::BTreeMap;
use std::time::Duration;

use placement::ClusterName;
use tokio::time::Instant;

/// How many times as long as pods may be unschedulable a cluster stays limited.
const FACTOR: u32 = 10;
/// The longest limit.
const LONGEST: Duration = Duration::from_hours(24);

/// The limits of one object, by cluster.
#[derive(Debug, Default)]
pub struct Limits(BTreeMap<ClusterName, Limit>);

/// What a cluster is limited to.
#[derive(Clone, Debug)]
struct Limit {
    replicas: u32,
    until: Instant,
    lasts: Duration,
    is_over: bool,
    /// What the member reports of the pods that it cannot schedule.
    message: String,
}

/// A cluster that cannot schedule pods of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unschedulable {
    /// The cluster.
    pub cluster: ClusterName,
    /// Pods that it cannot schedule.
    pub pods: u32,
    /// What it reports of them.
    pub message: String,
}

impl Limits {
    /// What clusters are limited to now.
    pub fn active(&self) -> BTreeMap<ClusterName, u32> {
        let active = self.0.iter().filter(|(_, limit)| !limit.is_over);
        active
            .map(|(cluster, limit)| (cluster.clone(), limit.replicas))
            .collect()
    }

    /// Why a cluster is limited, for people.
    pub fn problem(&self, cluster: &ClusterName) -> Option<String> {
        let limit = self.0.get(cluster)?;
        Some(format!(
            "limited to {} replicas for now, because its scheduler could not place more: {}",
            limit.replicas, limit.message
        ))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn remove(&mut self, cluster: &ClusterName) {
        self.0.remove(cluster);
    }

    /// Ends what has lasted long enough; how many ended. An ended limit is remembered for as long as
    /// it lasted, so that the next one lasts longer.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let mut ended = 0;
        for limit in self.0.values_mut() {
            if limit.until <= now && !limit.is_over {
                limit.is_over = true;
                ended += 1;
            }
        }
        self.0.retain(|_, limit| now < limit.until + limit.lasts);
        ended
    }

    /// Limits a cluster with this share; whether that is new.
    pub(super) fn limit(
        &mut self,
        stuck: Unschedulable,
        share: u32,
        after: Duration,
        now: Instant,
    ) -> bool {
        let before = self.0.get(&stuck.cluster);
        if before.is_some_and(|limit| !limit.is_over) {
            return false;
        }
        let lasts = before.map_or(after.saturating_mul(FACTOR), |limit| limit.lasts * 2);
        let lasts = lasts.min(LONGEST);
        let limit = Limit {
            replicas: share.saturating_sub(stuck.pods),
            until: now + lasts,
            lasts,
            is_over: false,
            message: stuck.message,
        };
        self.0.insert(stuck.cluster, limit);
        true
    }

    /// The limit makes no replica go elsewhere, and lasts for `after` only: there may be room soon.
    pub(super) fn shorten(&mut self, cluster: &ClusterName, after: Duration, now: Instant) {
        if let Some(limit) = self.0.get_mut(cluster) {
            (limit.until, limit.lasts) = (now + after, limit.lasts / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuck(pods: u32) -> Unschedulable {
        Unschedulable {
            cluster: ClusterName::from("a"),
            pods,
            message: "no volume".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_comes_back_lasts_twice_as_long() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let after = Duration::from_mins(1);
        assert!(limits.limit(stuck(2), 5, after, now));
        assert!(!limits.limit(stuck(3), 5, after, now), "one at a time");
        assert_eq!(limits.active(), [(ClusterName::from("a"), 3)].into());
        let over = now + after * 10;
        assert_eq!(limits.expire(over - Duration::from_secs(1)), 0);
        assert_eq!(limits.expire(over), 1);
        assert!(limits.active().is_empty());
        assert!(limits.limit(stuck(2), 5, after, over));
        assert_eq!(limits.expire(over + after * 20 - Duration::from_secs(1)), 0);
        assert_eq!(limits.expire(over + after * 20), 1);
        assert_eq!(limits.expire(over + after * 40), 0);
        assert!(
            limits.problem(&ClusterName::from("a")).is_none(),
            "forgotten"
        );
    }
}
