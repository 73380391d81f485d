//! How many pods a `ReplicaSet` lacks or has too many of, and which of them go first.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use jiff::Timestamp;

/// At most so many pods are made or deleted in one go.
pub(super) const BURST: usize = 500;

/// What decides about a pod's deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Candidate {
    /// None while it is not bound.
    pub(super) node: Option<String>,
    pub(super) phase: Phase,
    /// Since when it is ready; none if it is not.
    pub(super) ready: Option<Timestamp>,
    /// `controller.kubernetes.io/pod-deletion-cost`.
    pub(super) cost: i32,
    /// The most restarts of one of its containers.
    pub(super) restarts: i32,
    pub(super) created: Timestamp,
    pub(super) uid: String,
}

/// A pod's phase, those that go first before the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    #[default]
    Pending,
    Unknown,
    Running,
}

/// What is to be done about the number of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Create(usize),
    Delete(usize),
    Nothing,
}

/// What is to be done when there are so many pods and so many are wanted.
pub(super) fn change(have: usize, want: i32) -> Change {
    let want = usize::try_from(want).unwrap_or(0);
    match have.cmp(&want) {
        Ordering::Less => Change::Create((want - have).min(BURST)),
        Ordering::Equal => Change::Nothing,
        Ordering::Greater => Change::Delete((have - want).min(BURST)),
    }
}

/// The `count` pods that are missed least, by their place in `pods`. `related` are the nodes of
/// all pods of the same owner, once for each pod.
pub(super) fn least_missed<'a>(
    pods: &[Candidate],
    related: impl Iterator<Item = &'a str>,
    count: usize,
    now: Timestamp,
) -> Vec<usize> {
    let mut crowd: BTreeMap<&str, usize> = BTreeMap::new();
    for node in related {
        *crowd.entry(node).or_default() += 1;
    }
    let mut order: Vec<(usize, &Candidate)> = pods.iter().enumerate().collect();
    // The real controller's order, which its `ActivePodsWithRanks` defines.
    order.sort_by_cached_key(|(_, pod)| {
        let node = pod.node.as_deref();
        let crowd = node.and_then(|node| crowd.get(node)).copied().unwrap_or(0);
        (
            node.is_some(),
            pod.phase,
            pod.ready.is_some(),
            pod.cost,
            Reverse(crowd),
            pod.ready.map(|since| magnitude(since, now)),
            Reverse(pod.restarts),
            magnitude(pod.created, now),
            pod.uid.clone(),
        )
    });
    order
        .into_iter()
        .take(count)
        .map(|(index, _)| index)
        .collect()
}

/// The power of two, in nanoseconds, of the time since a moment. Pods of about the same age are
/// alike, and which of them goes is left to chance: to their uids.
fn magnitude(since: Timestamp, now: Timestamp) -> u32 {
    let age = now.duration_since(since).as_nanos();
    u128::try_from(age)
        .ok()
        .and_then(u128::checked_ilog2)
        .map_or(0, |log| log + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Ready since long.
    fn running(uid: &str, node: &str) -> Candidate {
        Candidate {
            node: Some(node.to_owned()),
            phase: Phase::Running,
            ready: Some(at(10)),
            created: at(5),
            uid: uid.to_owned(),
            ..Candidate::default()
        }
    }

    fn order(pods: &[Candidate]) -> Vec<&str> {
        let nodes = pods.iter().filter_map(|pod| pod.node.as_deref());
        let order = least_missed(pods, nodes, pods.len(), at(100_000));
        order
            .into_iter()
            .map(|index| pods[index].uid.as_str())
            .collect()
    }

    #[test]
    fn the_number_of_pods_is_brought_to_what_is_wanted() {
        assert_eq!(change(3, 5), Change::Create(2));
        assert_eq!(change(5, 3), Change::Delete(2));
        assert_eq!(change(5, 5), Change::Nothing);
        assert_eq!(change(0, 10_000), Change::Create(BURST));
    }

    #[test]
    fn what_is_missed_least_goes_first() {
        let keeper = running("keeper", "n1");
        let pods = [
            keeper.clone(),
            Candidate {
                cost: -5,
                ..running("cheap", "n2")
            },
            Candidate {
                restarts: 4,
                ..running("restarted", "n3")
            },
            Candidate {
                ready: Some(at(99_990)),
                ..running("fresh", "n4")
            },
            Candidate {
                ready: None,
                ..running("unready", "n5")
            },
            Candidate {
                ready: None,
                phase: Phase::Pending,
                ..running("starting", "n6")
            },
            Candidate {
                uid: "unbound".to_owned(),
                ..Candidate::default()
            },
        ];
        let wanted = [
            "unbound",
            "starting",
            "unready",
            "cheap",
            "fresh",
            "restarted",
            "keeper",
        ];
        assert_eq!(order(&pods), wanted);
    }

    #[test]
    fn of_two_on_one_node_one_goes_before_others() {
        let pods = [running("a", "n1"), running("b", "n2"), running("c", "n2")];
        assert_eq!(order(&pods)[2], "a");
    }

    proptest! {
        /// The order does not depend on how the pods are listed, and nobody is named twice.
        #[test]
        fn the_order_is_total(seed in any::<u64>(), count in 1..30_usize) {
            let mut random = crate::simulated::Random::new(seed, "pods");
            let mut pods: Vec<Candidate> = (0..count).map(|uid| Candidate {
                node: random.happens(0.8).then(|| format!("n{}", random.below(4))),
                phase: if random.happens(0.7) { Phase::Running } else { Phase::Pending },
                ready: random.happens(0.6).then(|| at((random.fraction() * 99_999.0) as i64)),
                cost: i32::from(random.happens(0.5)),
                restarts: i32::from(random.happens(0.5)),
                created: at((random.fraction() * 99_999.0) as i64),
                uid: format!("{uid:02}"),
            }).collect();
            let uids = |pods: &[Candidate]| order(pods).into_iter().map(str::to_owned).collect::<Vec<_>>();
            let before = uids(&pods);
            pods.reverse();
            prop_assert_eq!(&before, &uids(&pods));
            prop_assert_eq!(before.iter().collect::<std::collections::BTreeSet<_>>().len(), count);
        }
    }
}
