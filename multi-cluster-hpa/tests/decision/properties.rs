//! What holds for every input. A failing case is printed as the smallest that still fails, with the
//! seed that replays the run.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};

use jiff::SignedDuration;
use multi_cluster_hpa::behavior::{Behavior, Bounds, Policy, PolicyKind, Rules, Select};
use multi_cluster_hpa::decision::{History, Reading, Target, attribute, divide};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed};

use crate::world::{World, external};

/// Cases from a seed that a failing test prints; `PROPTEST_RNG_SEED` replays it.
fn config() -> Config {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(RandomState::new().hash_one(()));
    }
    println!("replay with PROPTEST_RNG_SEED={}", config.rng_seed);
    config
}

/// A location: replicas wanted, and the usage of each of its pods in percent; none is missing.
type Location = (u32, Vec<Option<i64>>);

fn name(number: usize) -> String {
    format!("cluster{number}")
}

fn world(locations: &[Location]) -> World {
    let names: Vec<_> = (0..locations.len()).map(name).collect();
    let wanted = names
        .iter()
        .zip(locations)
        .map(|(name, one)| (name.as_str(), one.0));
    let mut world = World::new(&wanted.collect::<Vec<_>>());
    for (name, (_, pods)) in names.iter().zip(locations) {
        for usage in pods {
            world.add(name, *usage);
        }
    }
    world
}

fn usage() -> impl Strategy<Value = Option<i64>> {
    option::weighted(0.9, 0_i64..300)
}

fn locations() -> impl Strategy<Value = Vec<Location>> {
    vec((0_u32..30, vec(usage(), 0..12)), 1..5)
}

/// As many pods as are wanted.
fn settled() -> impl Strategy<Value = Vec<Location>> {
    let location = vec(usage(), 1..12).prop_map(|pods| (pods.len() as u32, pods));
    vec(location, 1..5)
}

fn bounds() -> impl Strategy<Value = Bounds> {
    (0_u32..30, 1_u32..60).prop_map(|(min, more)| Bounds {
        min,
        max: min + more,
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let kind = select(vec![PolicyKind::Pods, PolicyKind::Percent]);
    let policy = (kind, 1_u32..150, 1_i64..300).prop_map(|(kind, value, seconds)| Policy {
        kind,
        value,
        period: SignedDuration::from_secs(seconds),
    });
    let choice = select(vec![Select::Max, Select::Min, Select::Disabled]);
    let window = (0_i64..600).prop_map(SignedDuration::from_secs);
    (option::of(window), choice, vec(policy, 1..4)).prop_map(|(window, select, policies)| Rules {
        window,
        select,
        policies,
        tolerance: None,
    })
}

fn behavior() -> impl Strategy<Value = Option<Behavior>> {
    let both = (rules(), rules()).prop_map(|(up, down)| Behavior { up, down });
    option::of(both)
}

proptest! {
    #![proptest_config(config())]

    /// Whatever runs and whatever is read, the sum is within its bounds, and each cluster has its
    /// minimum where the sum has room for that.
    #[test]
    fn the_sum_is_never_outside_its_bounds(
        locations in locations(), bounds in bounds(), floor in 0_u32..4, behavior in behavior(),
        queue in option::of(0_i64..100_000), traffic in option::of(vec(0.0_f64..100.0, 5)),
    ) {
        let mut world = world(&locations).bounds(bounds.min, bounds.max).floor(floor);
        world.snapshot.scaling.behavior = behavior;
        if let Some(queue) = queue {
            let queue = external(Target::AverageValue(1000), Reading::Total(queue));
            world = world.and_metric(queue);
        }
        if let Some(traffic) = traffic {
            let names: Vec<_> = (0..traffic.len()).map(name).collect();
            let traffic = names.iter().map(String::as_str).zip(traffic);
            world = world.traffic(&traffic.collect::<Vec<_>>());
        }
        for _ in 0..8 {
            let decision = world.step();
            if decision.current == 0 && bounds.min > 0 {
                prop_assert_eq!(decision.wanted, None);
                break;
            }
            prop_assert!((bounds.min..=bounds.max).contains(&decision.desired), "{decision:?}");
            let count = u32::try_from(decision.locations.len()).unwrap();
            let least = floor.min(decision.desired / count);
            for one in &decision.locations {
                prop_assert!(one.desired >= least, "{decision:?}");
            }
            let sum: u32 = decision.locations.iter().map(|one| one.desired).sum();
            prop_assert_eq!(sum, decision.desired);
            world.wait(SignedDuration::from_secs(15));
        }
    }

    /// The same for one number.
    #[test]
    fn one_number_is_never_outside_its_bounds(
        replicas in 0_u32..60, pods in vec(usage(), 0..12), bounds in bounds(),
        behavior in behavior(),
    ) {
        let mut world = World::global(replicas).bounds(bounds.min, bounds.max);
        world.snapshot.scaling.behavior = behavior;
        for usage in pods {
            world.add("cluster1", usage);
        }
        for _ in 0..8 {
            let decision = world.step();
            if decision.current == 0 && bounds.min > 0 {
                prop_assert_eq!(decision.wanted, None);
                break;
            }
            prop_assert!((bounds.min..=bounds.max).contains(&decision.desired), "{decision:?}");
            world.wait(SignedDuration::from_secs(15));
        }
    }

    /// More load never means fewer replicas.
    #[test]
    fn the_number_is_monotone_in_the_load(
        locations in settled(), more in vec(0_i64..200, 60), bounds in bounds(),
    ) {
        let mut more = more.into_iter().cycle();
        let raised: Vec<Location> = locations
            .iter()
            .map(|(wanted, pods)| {
                let pods = pods.iter().map(|usage| usage.map(|one| one + more.next().unwrap()));
                (*wanted, pods.collect())
            })
            .collect();
        let desired = |locations: &[Location]| {
            world(locations).bounds(bounds.min, bounds.max).decide_at_once().desired
        };
        prop_assert!(desired(&locations) <= desired(&raised));
    }

    /// Every pod has exactly one owner, which is a location; and no location gets more from
    /// elsewhere than it lacks, while nobody remembers another order.
    #[test]
    fn every_pod_has_one_owner(
        wanted in vec(0_u32..6, 1..4), placed in vec(0_u32..6, 4), pods in vec(0_u32..8, 5),
    ) {
        let names: Vec<_> = (0..5).map(name).collect();
        let of = |replicas: &[u32]| -> Vec<_> {
            names.iter().map(String::as_str).zip(replicas.iter().copied()).collect()
        };
        let mut world = World::new(&of(&wanted));
        for (cluster, replicas) in of(&placed) {
            world = world.placed(cluster, replicas);
        }
        for (cluster, count) in of(&pods) {
            world = world.run(cluster, count, 0);
        }
        let layout = &world.snapshot.layout;
        let owners = attribute(layout, &world.snapshot.pods, &BTreeMap::new());
        prop_assert_eq!(owners.len(), world.snapshot.pods.len());
        for (number, (location, wanted)) in of(&wanted).into_iter().enumerate() {
            let own = owners.values().filter(|owner| *owner == location).count() as u32;
            prop_assert!(own >= pods[number].min(wanted), "its own first");
        }
        for owner in owners.values() {
            prop_assert!(layout.wanted.contains_key(owner));
        }
        // The same again: it stays.
        prop_assert_eq!(&attribute(layout, &world.snapshot.pods, &owners), &owners);
    }

    /// Largest remainder: the sum is exact, nobody is a whole replica off its part, who has more
    /// weight has no less, and all get the floor where there is enough.
    #[test]
    fn a_division_is_fair(
        total in 0_u32..1000, weights in btree_map("[a-e]", 0_u64..1000, 1..6), floor in 0_u32..50,
    ) {
        let shares = divide(total, &weights, floor);
        prop_assert_eq!(shares.values().sum::<u32>(), total);
        prop_assert_eq!(shares.len(), weights.len());
        let count = u32::try_from(weights.len()).unwrap();
        for share in shares.values() {
            prop_assert!(*share >= floor.min(total / count));
        }
        for (one, weight) in &weights {
            for (other, less) in &weights {
                if weight > less {
                    prop_assert!(shares[one] >= shares[other] || floor * count >= total);
                }
            }
        }
        let sum: u64 = weights.values().sum();
        for (name, weight) in weights.iter().filter(|_| sum > 0) {
            let part = f64::from(total) * *weight as f64 / sum as f64;
            let share = f64::from(divide(total, &weights, 0)[name]);
            prop_assert!((share - part).abs() < 1.0 + 1e-9, "{share} of {part}");
        }
    }

    /// A load that stays the same comes to a number that stays the same. After a quiet time that is
    /// longer than every window and every period, nothing is left that could change it.
    #[test]
    fn a_constant_load_does_not_oscillate(
        loads in vec((1_u32..20, 0_i64..8000), 1..4), min in 0_u32..60, more in 1_u32..60,
        behavior in behavior(),
    ) {
        const INTERVAL: i64 = 30;
        const QUIET: i64 = 900;
        let mut replicas: Vec<_> = loads.iter().map(|(start, _)| *start).collect();
        let mut history = History::default();
        let mut changed = 0;
        let mut now = 0;
        while now - changed < QUIET {
            let pods = replicas.iter().zip(&loads).map(|(replicas, (_, load))| {
                let each = load / i64::from((*replicas).max(1));
                (*replicas, vec![Some(each); *replicas as usize])
            });
            let mut world = world(&pods.collect::<Vec<_>>()).bounds(min, min + more);
            world.snapshot.scaling.behavior.clone_from(&behavior);
            world.history = history;
            world.wait(SignedDuration::from_secs(now));
            let decision = world.step();
            history = world.history;
            if decision.wanted.is_some() {
                changed = now;
                replicas = decision.locations.iter().map(|one| one.desired).collect();
            }
            now += INTERVAL;
            // One replica in each period of 300 s, for all of 120.
            prop_assert!(now < 86_400, "still changing: {replicas:?}");
        }
    }
}
