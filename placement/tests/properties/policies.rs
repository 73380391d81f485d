//! What every policy owes, whatever the clusters and the request are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use placement::{
    Cluster, ClusterName, Current, Eligibility, Filter, Health, Inputs, Move, Node, Outcome,
    Overflow, OwnerKey, Plan, PodShape, Proximity, ReplicaScheduling, Request, Resources, Role,
    Snapshot, Stickiness, Taint, TaintEffect, Target, Targets, UnplacedReason, Verdict, place,
    policy,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

use crate::config;

const OWNER: OwnerKey = OwnerKey(1);

/// Clusters and a request, as values.
#[derive(Clone, Debug)]
struct Case {
    /// Each with the replicas that fit.
    clusters: Vec<(Cluster, u32)>,
    targets: Targets,
    replicas: u32,
    scheduling: ReplicaScheduling,
    overflow: Overflow,
    cloud: bool,
    resizable: bool,
    stickiness: Stickiness,
    reshaped: bool,
    current: Vec<Current>,
    moves: Vec<Move>,
    traffic: Option<BTreeMap<ClusterName, f64>>,
    proximity: Option<Proximity>,
    origin: Option<String>,
    cursor: u64,
}

fn shape() -> PodShape {
    PodShape {
        requests: Resources {
            cpu_milli: 100,
            ..Resources::default()
        },
        ..PodShape::default()
    }
}

impl Case {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        for (cluster, room) in &self.clusters {
            snapshot.upsert_cluster(cluster.clone());
            let node = Node {
                name: "n".to_owned(),
                labels: BTreeMap::new(),
                taints: Vec::new(),
                unschedulable: false,
                ready: true,
                allocatable: Resources {
                    cpu_milli: i64::from(*room) * 100 + 99,
                    pods: 110,
                    ..Resources::default()
                },
            };
            snapshot.upsert_node(&cluster.name, node);
        }
        snapshot
    }

    fn request<'a>(&'a self, shape: &'a PodShape) -> Request<'a> {
        Request {
            owner: OWNER,
            shape,
            targets: self.targets.clone(),
            replicas: self.replicas,
            scheduling: self.scheduling,
            eligibility: Eligibility {
                cloud: self.cloud,
                ..Eligibility::default()
            },
            overflow: self.overflow,
            current: self.current.clone(),
            resizable: self.resizable,
            moves: &self.moves,
            stickiness: self.stickiness,
            reshaped: self.reshaped,
            limits: BTreeMap::new(),
            inputs: Inputs {
                traffic: self.traffic.as_ref(),
                proximity: self.proximity.as_ref(),
                origins: (self.origin.iter())
                    .flat_map(|origin| self.snapshot().origins(origin))
                    .collect(),
                cursor: self.cursor,
                seed: 7,
                parameters: BTreeMap::new(),
            },
        }
    }

    /// What was there before on a cluster.
    fn had(&self, name: &ClusterName) -> u32 {
        let mut current = self.current.iter();
        current
            .find(|one| one.cluster == *name)
            .map_or(0, |one| one.replicas)
    }

    fn room(&self, name: &ClusterName) -> u32 {
        let mut clusters = self.clusters.iter();
        clusters
            .find(|(cluster, _)| cluster.name == *name)
            .map_or(0, |(_, room)| *room)
    }
}

fn name(number: u8) -> ClusterName {
    ClusterName::from(format!("c{number}"))
}

prop_compose! {
    fn cluster(number: u8)(
        role in prop_oneof![4 => Just(Role::OnPremises), 1 => Just(Role::Cloud)],
        health in prop_oneof![
            8 => Just(Health::Ready), 1 => Just(Health::Unreachable), 1 => Just(Health::Lost), 1 => Just(Health::Leaving),
        ],
        unschedulable in prop::bool::weighted(0.1),
        taint in option::weighted(
            0.15, select(vec![TaintEffect::NoSchedule, TaintEffect::NoExecute]),
        ),
        region in option::of(select(vec!["west".to_owned(), "east".to_owned()])),
        room in 0..8_u32,
    ) -> (Cluster, u32) {
        let taints = taint.map(|effect| Taint {
            key: "maintenance".to_owned(), value: String::new(), effect,
        });
        let cluster = Cluster {
            name: name(number), role, region, zone: None, labels: BTreeMap::new(),
            taints: taints.into_iter().collect(), unschedulable, health,
        };
        (cluster, room)
    }
}

fn targets() -> impl Strategy<Value = Targets> {
    let target = (0..8_u8, option::weighted(0.3, 0..9_u32)).prop_map(|(number, replicas)| Target {
        cluster: name(number),
        replicas,
    });
    prop_oneof![
        3 => (0..8_u32).prop_map(|count| Targets::Chosen { count }),
        1 => Just(Targets::Chosen { count: u32::MAX }),
        4 => vec(target, 0..5).prop_map(Targets::Given),
    ]
}

fn proximity() -> impl Strategy<Value = Proximity> {
    vec((0..8_u8, 0..8_u8, 1..50_u64), 0..30).prop_map(|times| {
        let mut proximity = Proximity::new();
        for (a, b, millis) in times {
            proximity.insert(name(a), name(b), Duration::from_millis(millis));
        }
        proximity
    })
}

fn current() -> impl Strategy<Value = Vec<Current>> {
    let one = (0..8_u8, 0..9_u32, 0..9_u32, 0..3_u32, any::<bool>());
    let one = one.prop_map(|(number, replicas, displaced, leaving, location)| Current {
        cluster: name(number),
        replicas,
        displaced: displaced.min(replicas),
        leaving,
        location,
    });
    vec(one, 0..5).prop_map(|mut all| {
        all.sort_by(|a, b| a.cluster.cmp(&b.cluster));
        all.dedup_by(|a, b| a.cluster == b.cluster);
        all
    })
}

prop_compose! {
    fn case()(
        clusters in (0..7_u8).prop_flat_map(|count| (0..count).map(cluster).collect::<Vec<_>>()),
        targets in targets(),
        (replicas, scheduling) in (
            0..12_u32,
            select(vec![ReplicaScheduling::PerLocation, ReplicaScheduling::Total]),
        ),
        overflow in select(vec![Overflow::Nearest, Overflow::Policy, Overflow::None]),
        cloud in any::<bool>(),
        stickiness in select(vec![Stickiness::Stay, Stickiness::Failback, Stickiness::Rechoose]),
        current in current(),
        traffic in option::of(vec((0..8_u8, 0.0..9.0_f64), 0..8)),
        proximity in option::of(proximity()),
        origin in option::of(select(vec!["west", "c0", "nowhere"])),
        cursor in any::<u64>(),
    ) -> Case {
        Case {
            clusters, targets, replicas, scheduling, overflow, cloud, stickiness, current,
            resizable: true, reshaped: false, moves: Vec::new(),
            traffic: traffic.map(|all| all.into_iter().map(|(n, bytes)| (name(n), bytes)).collect()),
            proximity, origin: origin.map(str::to_owned), cursor,
        }
    }
}

/// A case whose locations are named.
fn named() -> impl Strategy<Value = Case> {
    (case(), targets()).prop_map(|(mut case, other)| {
        if matches!(case.targets, Targets::Chosen { .. }) {
            case.targets = match other {
                Targets::Given(_) => other,
                Targets::Chosen { .. } => Targets::Given(Vec::new()),
            };
        }
        case
    })
}

/// Decides the case, and checks what holds of every plan.
fn decide(policy: &str, case: &Case) -> Result<Plan, TestCaseError> {
    let policy = policy::by_name(policy).unwrap();
    let (snapshot, shape) = (case.snapshot(), shape());
    let plan = place(&snapshot, &case.request(&shape), policy);
    let placed: u32 = plan.placements.iter().map(|one| one.replicas).sum();
    prop_assert_eq!(placed + plan.unplaced_replicas(), plan.wanted);
    check_reasons(case, &plan)?;

    let mut seen = Vec::new();
    for one in &plan.placements {
        prop_assert!(!seen.contains(&&one.cluster), "twice: {:?}", plan);
        seen.push(&one.cluster);
        // New ones only where they fit; what runs may stay.
        let most = case.room(&one.cluster).max(case.had(&one.cluster));
        prop_assert!(one.replicas <= most, "over capacity: {:?}", plan);
        let verdict = plan
            .verdicts
            .iter()
            .find(|verdict| verdict.cluster == one.cluster);
        if let Some(Outcome::Filtered(filter)) = verdict.map(|verdict| &verdict.outcome) {
            let keeps = matches!(filter, Filter::Unreachable | Filter::Cordoned)
                || matches!(filter, Filter::Tainted(taint) if taint.effect == TaintEffect::NoSchedule);
            let most = if keeps { case.had(&one.cluster) } else { 0 };
            prop_assert!(one.replicas <= most, "new where nothing may go: {:?}", plan);
        }
    }
    // The same again, in another snapshot.
    let again = place(&case.snapshot(), &case.request(&shape), policy);
    prop_assert_eq!(&plan, &again);
    Ok(plan)
}

/// Replicas that the request wants, counted by hand.
fn wanted(case: &Case, plan: &Plan) -> u32 {
    match (&case.targets, case.scheduling) {
        (Targets::Chosen { count: u32::MAX }, ReplicaScheduling::PerLocation) => {
            let locations = plan.placements.iter().filter(|one| one.location).count();
            case.replicas * u32::try_from(locations.max(1)).unwrap()
        }
        (Targets::Chosen { count }, ReplicaScheduling::PerLocation) => count * case.replicas,
        (Targets::Chosen { .. }, ReplicaScheduling::Total) => case.replicas,
        (Targets::Given(targets), scheduling) => {
            let mut first: BTreeMap<_, _> = BTreeMap::new();
            for target in targets {
                first.entry(&target.cluster).or_insert(target.replicas);
            }
            match scheduling {
                ReplicaScheduling::Total if first.is_empty() => 0,
                ReplicaScheduling::Total => case.replicas,
                ReplicaScheduling::PerLocation => {
                    first.values().map(|one| one.unwrap_or(case.replicas)).sum()
                }
            }
        }
    }
}

/// Replicas that are wanted on clusters that do not exist: they go nowhere else.
fn wanted_of_strangers(case: &Case, targets: &[Target]) -> u32 {
    let mut first: BTreeMap<_, _> = BTreeMap::new();
    for target in targets {
        first.entry(&target.cluster).or_insert(target.replicas);
    }
    let count = u32::try_from(first.len()).unwrap();
    let wanted = (0..).zip(&first).map(|(place, (name, replicas))| {
        let wanted = match case.scheduling {
            ReplicaScheduling::PerLocation => replicas.unwrap_or(case.replicas),
            ReplicaScheduling::Total => {
                case.replicas / count + u32::from(place < case.replicas % count)
            }
        };
        let is_member = case.clusters.iter().any(|(one, _)| one.name == **name);
        if is_member { 0 } else { wanted }
    });
    wanted.sum()
}

/// Tests every policy.
fn check(test: impl Fn(&str, Case) -> Result<(), TestCaseError>) {
    check_with(case(), test);
}

fn check_with<T>(cases: T, test: impl Fn(&str, T::Value) -> Result<(), TestCaseError>)
where
    T: Strategy,
{
    for policy in policy::names() {
        let tested = TestRunner::new(config()).run(&cases, |case| test(policy, case));
        tested.unwrap_or_else(|failure| panic!("{policy}: {failure}"));
    }
}

#[test]
fn plans_keep_the_bounds() {
    check(|policy, case| {
        let plan = decide(policy, &case)?;
        prop_assert_eq!(plan.wanted, wanted(&case, &plan), "{:?}", plan);
        Ok(())
    });
}

#[test]
fn what_fits_is_placed() {
    check(|policy, mut case| {
        case.current.clear();
        let plan = decide(policy, &case)?;
        let rooms: Vec<u32> = plan
            .verdicts
            .iter()
            .filter(|verdict| matches!(verdict.outcome, Outcome::Scored { .. }))
            .map(|verdict| case.room(&verdict.cluster))
            .collect();
        let room: u32 = rooms.iter().sum();
        let missing = match (&case.targets, case.scheduling) {
            (Targets::Chosen { count }, ReplicaScheduling::PerLocation) if *count != u32::MAX => {
                let short = count.saturating_sub(u32::try_from(rooms.len()).unwrap());
                short * case.replicas
            }
            (Targets::Chosen { .. }, _) if rooms.is_empty() => case.replicas,
            (Targets::Chosen { count: 0 }, _) => case.replicas,
            (Targets::Given(targets), _) => wanted_of_strangers(&case, targets),
            _ => 0,
        };
        if case.overflow != Overflow::None {
            let left = (plan.wanted - missing).saturating_sub(room);
            prop_assert_eq!(plan.unplaced_replicas(), missing + left, "{:?}", plan);
        }
        Ok(())
    });
}

/// The shares of a plan, as the assignment that the next decision follows.
fn share_of(plan: &Plan, name: &ClusterName) -> u32 {
    let mut placements = plan.placements.iter();
    placements
        .find(|one| one.cluster == *name)
        .map_or(0, |one| one.replicas)
}

/// It may keep what it has.
fn may_stay(plan: &Plan, name: &ClusterName) -> bool {
    let outcome = plan.verdict(name).map(|verdict| &verdict.outcome);
    outcome.is_some_and(|outcome| match outcome {
        Outcome::Scored { .. } | Outcome::Filtered(Filter::Unreachable | Filter::Cordoned) => true,
        Outcome::Filtered(Filter::Tainted(taint)) => taint.effect == TaintEffect::NoSchedule,
        Outcome::Filtered(_) => false,
    })
}

/// Whatever room comes and goes: it moves when it is asked to, and not by the way.
#[test]
fn what_runs_stays_where_it_runs() {
    check_with((named(), case()), |policy, (mut case, later)| {
        if case.overflow == Overflow::None {
            case.overflow = Overflow::Nearest;
        }
        let before = decide(policy, &case)?;
        case.current = before.current();
        case.stickiness = Stickiness::Stay;
        // A location that is no member any more takes its replicas with it.
        for ((cluster, room), (later, more)) in case.clusters.iter_mut().zip(later.clusters) {
            (cluster.health, *room) = (later.health, more);
        }
        let next = decide(policy, &case)?;
        for one in &before.placements {
            if may_stay(&next, &one.cluster) {
                let share = share_of(&next, &one.cluster);
                prop_assert!(share >= one.replicas, "{:?}\nthen {:?}", before, next);
            }
        }
        Ok(())
    });
}

/// More replicas go to locations that have room for them, fewer are taken from what is displaced.
#[test]
fn locations_come_first_when_the_number_changes() {
    check_with((named(), 0..12_u32), |policy, (mut case, replicas)| {
        if let Targets::Given(targets) = &mut case.targets {
            targets.iter_mut().for_each(|target| target.replicas = None);
        }
        (case.scheduling, case.overflow) = (ReplicaScheduling::PerLocation, Overflow::Policy);
        let before = decide(policy, &case)?;
        case.current = before.current();
        case.stickiness = Stickiness::Stay;
        case.replicas = replicas;
        let next = decide(policy, &case)?;
        let fewer = next.wanted < before.wanted;
        let not_at_home = |plan: &Plan| plan.displaced_replicas() + plan.unplaced_replicas();
        prop_assert!(
            !fewer || not_at_home(&next) <= not_at_home(&before),
            "{:?}\nthen {:?}",
            before,
            next
        );
        // What is displaced, or has no place, beyond what was: no location could take it.
        let more = next.displaced_replicas() > before.displaced_replicas();
        let mut locations = next.placements.iter().filter(|one| one.location);
        let full = locations.all(|one| {
            let is_open = matches!(
                next.verdict(&one.cluster).map(|verdict| &verdict.outcome),
                Some(Outcome::Scored { .. })
            );
            !is_open
                || one.displaced > 0
                || one.replicas >= case.room(&one.cluster)
                || one.replicas == replicas
        });
        prop_assert!(!more || full, "{:?}\nthen {:?}", before, next);
        Ok(())
    });
}

/// What a named location is meant to run of a total.
fn wanted_at(case: &Case, name: &ClusterName) -> u32 {
    let Targets::Given(targets) = &case.targets else {
        return 0;
    };
    let names: BTreeSet<_> = targets.iter().map(|target| &target.cluster).collect();
    let count = u32::try_from(names.len()).unwrap();
    let place = names.iter().position(|one| **one == *name).unwrap();
    case.replicas / count + u32::from(u32::try_from(place).unwrap() < case.replicas % count)
}

#[test]
fn failback_gives_locations_what_they_have_room_for() {
    check_with(named(), |policy, mut case| {
        case.scheduling = ReplicaScheduling::Total;
        case.stickiness = Stickiness::Failback;
        let plan = decide(policy, &case)?;
        for one in plan.placements.iter().filter(|one| one.location) {
            let is_open = matches!(
                plan.verdict(&one.cluster).map(|verdict| &verdict.outcome),
                Some(Outcome::Scored { .. })
            );
            let elsewhere = plan.displaced_replicas() - one.displaced;
            if is_open
                && one.displaced == 0
                && elsewhere > 0
                && case.scheduling == ReplicaScheduling::Total
                && matches!(case.targets, Targets::Given(_))
            {
                let is_full = one.replicas >= case.room(&one.cluster)
                    || one.replicas == wanted_at(&case, &one.cluster);
                prop_assert!(is_full, "{:?}", plan);
            }
        }
        Ok(())
    });
}

#[test]
fn a_plan_is_settled() {
    check(|policy, case| {
        let plan = decide(policy, &case)?;
        let mut next = case.clone();
        if next.stickiness == Stickiness::Rechoose {
            next.stickiness = Stickiness::Stay;
        }
        // Another decision was made in between.
        next.cursor = next.cursor.wrapping_add(1);
        next.current = plan.current();
        let again = decide(policy, &next)?;
        let shares = |plan: &Plan| {
            let mut shares: Vec<_> = plan
                .placements
                .iter()
                .map(|one| (one.cluster.clone(), one.replicas, one.location))
                .collect();
            shares.sort();
            shares
        };
        prop_assert_eq!(
            shares(&plan),
            shares(&again),
            "{:?}\nthen {:?}",
            plan,
            again
        );
        prop_assert_eq!(plan.unplaced_replicas(), again.unplaced_replicas());
        Ok(())
    });
}

/// What a Job has on a cluster that may keep it stays as it is, whatever becomes of the clusters. (If
/// it is meant for all that match, fewer clusters want less.)
#[test]
fn what_is_not_resizable_stays() {
    check_with((case(), case()), |policy, (mut case, later)| {
        prop_assume!(!matches!(case.targets, Targets::Chosen { count: u32::MAX }));
        case.current.clear();
        case.resizable = false;
        case.stickiness = Stickiness::Stay;
        let plan = decide(policy, &case)?;
        case.current = plan.current();
        case.clusters = later.clusters;
        let next = decide(policy, &case)?;
        for before in case.current.iter().filter(|one| one.replicas > 0) {
            if may_stay(&next, &before.cluster) {
                let share = share_of(&next, &before.cluster);
                prop_assert_eq!(share, before.replicas, "{:?}\nthen {:?}", plan, next);
            }
        }
        Ok(())
    });
}

/// Where room is what is missing, a cluster that may be used is full; where it is not, none may be.
fn check_reasons(case: &Case, plan: &Plan) -> Result<(), TestCaseError> {
    if !case.resizable || !case.moves.is_empty() {
        // What a job runs elsewhere makes up for any of it, and a move comes after it.
        return Ok(());
    }
    let scored = |verdict: &&Verdict| matches!(verdict.outcome, Outcome::Scored { .. });
    let left = |verdict: &Verdict| {
        let mut placements = plan.placements.iter();
        let share = placements.find(|one| one.cluster == verdict.cluster);
        let share = share.map_or(0, |one| one.replicas);
        case.room(&verdict.cluster).saturating_sub(share)
    };
    let eligible: Vec<_> = plan.verdicts.iter().filter(scored).collect();
    for one in &plan.unplaced {
        prop_assert!(one.replicas > 0, "{:?}", plan);
        match (&one.location, one.reason) {
            (Some(location), UnplacedReason::UnknownCluster) => {
                prop_assert!(!case.clusters.iter().any(|(one, _)| one.name == *location));
            }
            (Some(location), UnplacedReason::NotEligible) => {
                let alone = case.overflow == Overflow::None;
                prop_assert!(alone || eligible.is_empty(), "{:?}", plan);
                prop_assert!(!eligible.iter().any(|one| one.cluster == *location));
            }
            (Some(location), UnplacedReason::NoRoom) if case.overflow == Overflow::None => {
                let verdict = plan.verdict(location).unwrap();
                prop_assert_eq!(left(verdict), 0, "{:?}", plan);
            }
            (Some(_), UnplacedReason::NoRoom) => {
                let left: u32 = eligible.iter().map(|one| left(one)).sum();
                prop_assert_eq!(left, 0, "{:?}", plan);
            }
            (Some(_), UnplacedReason::NotEnoughClusters) => {
                prop_assert!(false, "{:?}", plan);
            }
            (None, UnplacedReason::NotEligible) => {
                prop_assert!(eligible.is_empty() && !plan.verdicts.is_empty());
            }
            _ => {}
        }
    }
    Ok(())
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (0..8_u8, 0..8_u8, 0..5_u32).prop_map(|(from, to, replicas)| Move {
        from: name(from),
        to: name(to),
        replicas,
    });
    vec(one, 1..4)
}

/// Moves change the shares by just what was not refused, and only where it fits.
#[test]
fn moves_move_and_nothing_else() {
    check_with((case(), moves()), |policy, (case, moves)| {
        let without = decide(policy, &case)?;
        let with = Case { moves, ..case };
        let plan = decide(policy, &with)?;
        prop_assert_eq!(plan.moves.len(), with.moves.len());
        let shares = |plan: &Plan| -> BTreeMap<ClusterName, i64> {
            let placements = plan.placements.iter();
            let placements = placements.filter(|one| one.replicas > 0);
            placements
                .map(|one| (one.cluster.clone(), i64::from(one.replicas)))
                .collect()
        };
        let mut expected = shares(&without);
        for one in plan.moves.iter().filter(|one| one.refused.is_none()) {
            let replicas = i64::from(one.requested.replicas);
            *expected.entry(one.requested.from.clone()).or_default() -= replicas;
            *expected.entry(one.requested.to.clone()).or_default() += replicas;
        }
        expected.retain(|_, replicas| *replicas != 0);
        prop_assert_eq!(expected, shares(&plan), "{:?}", plan);
        prop_assert_eq!(without.unplaced, plan.unplaced);
        prop_assert_eq!(without.verdicts, plan.verdicts);
        Ok(())
    });
}

/// What was moved stays where it was moved to.
#[test]
fn a_move_lasts() {
    check_with((case(), moves()), |policy, (case, moves)| {
        let mut next = Case { moves, ..case };
        let moved = decide(policy, &next)?;
        next.current = moved.current();
        next.moves.clear();
        next.stickiness = Stickiness::Stay;
        let then = decide(policy, &next)?;
        for one in &moved.placements {
            let share = share_of(&then, &one.cluster);
            // What had no place may have one there now.
            prop_assert!(share >= one.replicas, "{:?}\nthen {:?}", moved, then);
        }
        Ok(())
    });
}
