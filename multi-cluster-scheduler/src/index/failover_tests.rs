//! When silent members are lost.

use super::*;

const SETTINGS: Settings = Settings {
    toleration: Duration::from_mins(5),
    per_minute: 6,
    threshold: 55,
};

/// Members by name and for how many seconds they have been silent; none answers.
fn members(now: Instant, silent: &[(&str, Option<u64>)]) -> BTreeMap<ClusterName, Option<Instant>> {
    let since = |seconds: u64| now.checked_sub(Duration::from_secs(seconds)).unwrap();
    (silent.iter())
        .map(|(name, seconds)| (ClusterName::from(*name), seconds.map(since)))
        .collect()
}

fn lost(failover: &Failover) -> Vec<&str> {
    failover.lost.iter().map(ClusterName::as_str).collect()
}

fn now() -> Instant {
    Instant::now() + Duration::from_hours(1)
}

#[test]
fn a_member_is_lost_when_it_has_been_silent_for_the_toleration_and_until_it_answers() {
    let (mut failover, now) = (Failover::default(), now());
    let mut pass = |seconds| {
        let members = members(now, &[("a", seconds), ("b", None), ("c", None)]);
        let newly = failover.pass(&members, SETTINGS, now);
        (newly, failover.is_lost(&ClusterName::from("a")))
    };
    assert_eq!(pass(Some(299)), (0, false));
    assert_eq!(pass(Some(300)), (1, true));
    assert_eq!(pass(Some(400)), (0, true));
    assert_eq!(pass(None), (0, false));
    assert_eq!(pass(Some(1)), (0, false));
}

#[test]
fn none_is_lost_while_too_many_are_silent_and_those_that_are_lost_stay_so() {
    let (mut failover, now) = (Failover::default(), now());
    let first = members(
        now,
        &[("a", Some(300)), ("b", None), ("c", None), ("d", None)],
    );
    failover.pass(&first, SETTINGS, now);
    assert_eq!(lost(&failover), ["a"]);
    // Two of the three others, of which one has only begun to be silent.
    let second = members(
        now,
        &[
            ("a", Some(310)),
            ("b", Some(305)),
            ("c", Some(1)),
            ("d", None),
        ],
    );
    let later = now + Duration::from_mins(1);
    assert_eq!(failover.pass(&second, SETTINGS, later), 0);
    assert_eq!(lost(&failover), ["a"]);
    assert!(failover.is_suspended());
    let held = failover.held(&ClusterName::from("b"));
    assert_eq!(held, Some(Held::TooMany { silent: 2, of: 3 }));
    assert_eq!(failover.held(&ClusterName::from("d")), None);
    // One of the three, when the other one answers again.
    let third = members(
        now,
        &[("a", Some(310)), ("b", Some(305)), ("c", None), ("d", None)],
    );
    assert_eq!(failover.pass(&third, SETTINGS, later), 1);
    assert_eq!(lost(&failover), ["a", "b"]);
    assert!(!failover.is_suspended());
}

#[test]
fn the_last_that_answered_is_never_lost() {
    let (mut failover, now) = (Failover::default(), now());
    let all = Settings {
        threshold: 100,
        ..SETTINGS
    };
    let one = members(now, &[("a", Some(300)), ("b", Some(300))]);
    assert_eq!(failover.pass(&one, all, now), 0);
    let one = members(now, &[("a", Some(300)), ("b", None)]);
    assert_eq!(failover.pass(&one, all, now), 1);
    let both = members(now, &[("a", Some(300)), ("b", Some(300))]);
    assert_eq!(failover.pass(&both, all, now + Duration::from_mins(1)), 0);
    assert_eq!(lost(&failover), ["a"]);
}

#[test]
fn members_are_lost_one_after_the_other_the_longest_silent_first() {
    let (mut failover, now) = (Failover::default(), now());
    let silent = members(
        now,
        &[
            ("a", Some(300)),
            ("b", Some(301)),
            ("c", None),
            ("d", None),
            ("e", None),
        ],
    );
    assert_eq!(failover.pass(&silent, SETTINGS, now), 1);
    assert_eq!(lost(&failover), ["b"]);
    assert_eq!(failover.held(&ClusterName::from("a")), Some(Held::Rate));
    let soon = now + Duration::from_secs(9);
    assert_eq!(failover.pass(&silent, SETTINGS, soon), 0);
    let later = now + Duration::from_secs(10);
    assert_eq!(failover.pass(&silent, SETTINGS, later), 1);
    assert_eq!(lost(&failover), ["a", "b"]);
}

#[test]
fn a_rate_of_zero_loses_none() {
    let (mut failover, now) = (Failover::default(), now());
    let never = Settings {
        per_minute: 0,
        ..SETTINGS
    };
    let silent = members(now, &[("a", Some(300)), ("b", None)]);
    assert_eq!(failover.pass(&silent, never, now), 0);
    assert_eq!(failover.held(&ClusterName::from("a")), Some(Held::Rate));
}
