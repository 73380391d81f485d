use proptest::prelude::*;
use rstest::rstest;

use super::Strategy;
use super::*;
use crate::simulated::Random;

fn set(name: &str, created: i64, replicas: i32, available: i32) -> Set {
    Set {
        name: name.to_owned(),
        created: Timestamp::from_second(created).unwrap(),
        replicas,
        available,
        desired: None,
        most: None,
    }
}

fn rolling(replicas: i32, surge: i32, unavailable: i32) -> Wanted {
    Wanted {
        replicas,
        strategy: Strategy::RollingUpdate { surge, unavailable },
    }
}

fn resize(name: &str, to: i32) -> Resize {
    (name.to_owned(), to)
}

#[rstest]
// Nothing old: the new one has its size.
#[case(rolling(3, 1, 0), set("new", 9, 3, 3), vec![], vec![])]
// Room for one more, then the new one waits to be available.
#[case(rolling(3, 1, 0), set("new", 9, 0, 0), vec![set("old", 1, 3, 3)], vec![resize("new", 1)])]
#[case(rolling(3, 1, 0), set("new", 9, 1, 0), vec![set("old", 1, 3, 3)], vec![])]
#[case(rolling(3, 1, 0), set("new", 9, 1, 1), vec![set("old", 1, 3, 3)], vec![resize("old", 2)])]
// What is sick goes first, however young, and harms nobody.
#[case(rolling(3, 1, 1), set("new", 9, 1, 0),
    vec![set("old", 1, 2, 2), set("sick", 2, 1, 0)], vec![resize("sick", 0)])]
// A new one that is too large shrinks.
#[case(rolling(2, 1, 0), set("new", 9, 5, 5), vec![], vec![resize("new", 2)])]
fn the_next_step_of_a_rolling_update(
    #[case] wanted: Wanted,
    #[case] new: Set,
    #[case] old: Vec<Set>,
    #[case] steps: Vec<Resize>,
) {
    assert_eq!(wanted.roll(&new, &old), steps);
}

fn sized(name: &str, created: i64, replicas: i32, most: i32) -> Set {
    Set {
        desired: Some(most),
        most: Some(most),
        ..set(name, created, replicas, replicas)
    }
}

#[rstest]
// One is active: it takes the size.
#[case(rolling(5, 0, 1), Some(set("new", 9, 3, 3)), vec![set("old", 1, 0, 0)], vec![resize("new", 5)])]
// None is: the new one, or else the latest.
#[case(rolling(5, 0, 1), None, vec![set("a", 1, 0, 0), set("b", 2, 0, 0)], vec![resize("b", 5)])]
// Half and half while a rollout is under way: both double.
#[case(rolling(20, 0, 1), Some(sized("new", 9, 5, 10)), vec![sized("old", 1, 5, 10)],
    vec![resize("new", 10), resize("old", 10)])]
// And halve, the older first; the rest goes to the largest.
#[case(rolling(5, 0, 1), Some(sized("new", 9, 4, 10)), vec![sized("old", 1, 6, 10)],
    vec![resize("old", 3), resize("new", 2)])]
#[case(rolling(0, 0, 1), Some(sized("new", 9, 4, 10)), vec![sized("old", 1, 6, 10)],
    vec![resize("old", 0), resize("new", 0)])]
// The new one is complete: old ones are not needed.
#[case(rolling(4, 0, 1), Some(sized("new", 9, 4, 4)), vec![sized("old", 1, 2, 4)],
    vec![resize("old", 0)])]
fn scaling_keeps_the_proportions(
    #[case] wanted: Wanted,
    #[case] new: Option<Set>,
    #[case] old: Vec<Set>,
    #[case] steps: Vec<Resize>,
) {
    assert_eq!(wanted.scale(new.as_ref(), &old), steps);
}

#[rstest]
#[case(Limit::Percent(25), Limit::Percent(25), 10, (3, 2))]
#[case(Limit::Percent(25), Limit::Percent(25), 1, (1, 0))]
#[case(Limit::Number(0), Limit::Percent(1), 10, (0, 1))]
#[case(Limit::Number(2), Limit::Number(0), 10, (2, 0))]
fn limits_are_rounded_so_that_it_goes_on(
    #[case] surge: Limit,
    #[case] unavailable: Limit,
    #[case] replicas: i32,
    #[case] posts: (i32, i32),
) {
    assert_eq!(fenceposts(surge, unavailable, replicas), posts);
}

/// What a `ReplicaSet` controller makes of a new size: pods that are not available go first.
fn apply(sets: &mut [Set], steps: Vec<Resize>) {
    for (name, to) in steps {
        let set = sets.iter_mut().find(|set| set.name == name).unwrap();
        set.replicas = to;
        set.available = set.available.min(to);
    }
}

proptest! {
    /// Whatever becomes available when: never more than the surge above what is wanted, never
    /// fewer available than allowed, and in the end only the new one is left.
    #[test]
    fn a_rolling_update_keeps_its_limits_and_ends(
        replicas in 1..40_i32,
        surge in 0..12_i32,
        unavailable in 0..12_i32,
        old_parts in proptest::collection::vec(1..10_i32, 1..4),
        seed in any::<u64>(),
    ) {
        let (surge, unavailable) =
            fenceposts(Limit::Number(surge), Limit::Number(unavailable), replicas);
        let wanted = rolling(replicas, surge, unavailable);
        let mut random = Random::new(seed, "rollout");
        // Old ones that are of the wanted size together, as an earlier rollout left them.
        let mut left = replicas;
        let mut sets: Vec<Set> = Vec::new();
        for (index, part) in (0..).zip(&old_parts) {
            let size = if sets.len() + 1 == old_parts.len() { left } else { left.min(*part) };
            sets.push(set(&format!("old{index}"), index, size, size));
            left -= size;
        }
        sets.push(set("new", 100, 0, 0));
        let mut steps = 0;
        loop {
            let (new, old) = sets.split_last().unwrap();
            let step = wanted.roll(new, old);
            let still = step.is_empty();
            apply(&mut sets, step);
            prop_assert!(total(&sets) <= replicas + surge, "{sets:?}");
            let available: i32 = sets.iter().map(|set| set.available).sum();
            prop_assert!(available >= replicas - wanted.unavailable(), "{sets:?}");
            let new = sets.last_mut().unwrap();
            if still && new.available == new.replicas {
                break;
            }
            let coming = usize::try_from(new.replicas - new.available).unwrap();
            let came = if still { 1 + random.below(coming) } else { random.below(coming + 1) };
            new.available += i32::try_from(came).unwrap();
            steps += 1;
            prop_assert!(steps < 1000, "no end: {sets:?}");
        }
        let (new, old) = sets.split_last().unwrap();
        prop_assert_eq!(new.replicas, replicas);
        prop_assert_eq!(total(old), 0);
    }

    /// Scaling in the middle of a rollout gives exactly the new total, surge included.
    #[test]
    fn scaling_hands_out_all_there_is(
        replicas in 0..60_i32,
        surge in 0..10_i32,
        sizes in proptest::collection::vec(1..20_i32, 2..5),
    ) {
        let wanted = rolling(replicas, surge, 1);
        let most = sizes.iter().sum();
        let sizes = (0..).zip(&sizes);
        let mut sets: Vec<Set> = sizes.map(|(index, size)| Set {
            most: Some(most),
            ..set(&format!("rs{index}"), index, *size, 0)
        }).collect();
        let (new, old) = sets.split_last().unwrap();
        let steps = wanted.scale(Some(new), old);
        apply(&mut sets, steps);
        let most = if replicas > 0 { replicas + surge } else { 0 };
        prop_assert_eq!(total(&sets), most);
        prop_assert!(sets.iter().all(|set| set.replicas >= 0));
    }
}
