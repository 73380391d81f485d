use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;

use super::*;

const GIB: i64 = 1 << 30;

fn machine(flavor: &str, cores: i64, gib: i64, price: Option<i64>) -> Machine {
    let capacity = Resources {
        cpu_milli: cores * 1000,
        memory: gib * GIB,
        ephemeral_storage: 40 * GIB,
        pods: 110,
        extended: BTreeMap::new(),
    };
    let mut allocatable = capacity.clone();
    allocatable.cpu_milli -= 100;
    allocatable.memory -= GIB / 2;
    Machine {
        flavor: flavor.to_owned(),
        node: NodeTemplate {
            allocatable,
            ..NodeTemplate::default()
        },
        capacity,
        price,
        priority: 0,
    }
}

/// The original's flavors.
fn machines() -> Vec<Machine> {
    vec![
        machine("small", 2, 8, Some(100)),
        machine("medium", 4, 16, Some(190)),
        machine("large", 8, 32, Some(370)),
        machine("xlarge", 16, 64, Some(730)),
    ]
}

fn need(owner: u128, cpu_milli: i64, memory: i64, replicas: u32) -> Need {
    let requests = Resources {
        cpu_milli,
        memory,
        ..Resources::default()
    };
    let shape = PodShape {
        requests,
        ..PodShape::default()
    };
    Need {
        owner: OwnerKey(owner),
        shape,
        replicas,
    }
}

fn limits(nodes: u32) -> Limits {
    Limits {
        nodes,
        cost: None,
        quota: None,
    }
}

fn planned(needs: &[Need], limits: &Limits, expander: Expander) -> Plan {
    plan(needs, &Snapshot::new(), &[], &machines(), limits, expander)
}

fn bought(plan: &Plan) -> Vec<(&str, u32)> {
    let nodes = plan.nodes.iter();
    nodes
        .map(|(flavor, count)| (flavor.as_str(), *count))
        .collect()
}

#[test]
fn what_fits_nowhere_gets_the_machines_that_it_needs() {
    // One on a small node and two on a medium one cost less than three on a large one.
    let three = need(1, 1500, GIB, 3);
    let plan = planned(&[three], &limits(10), Expander::Price);
    assert_eq!(bought(&plan), [("medium", 1), ("small", 1)]);
    assert_eq!(plan.uncovered, []);
}

#[rstest]
#[case(Expander::LeastWaste, &[("medium", 1)])]
#[case(Expander::Price, &[("medium", 1)])]
#[case(Expander::MostPods, &[("medium", 1)])]
fn one_that_is_too_large_for_the_smallest(
    #[case] expander: Expander,
    #[case] nodes: &[(&str, u32)],
) {
    let plan = planned(&[need(1, 3000, GIB, 1)], &limits(10), expander);
    assert_eq!(bought(&plan), nodes);
}

#[test]
fn flavors_are_mixed_where_that_is_cheaper() {
    // Fifteen fit on an xlarge; the sixteenth needs no second one.
    let plan = planned(&[need(1, 1000, GIB, 16)], &limits(10), Expander::Price);
    assert_eq!(bought(&plan), [("small", 1), ("xlarge", 1)]);
}

#[test]
fn the_flavors_with_the_highest_priority_are_taken_while_they_will_do() {
    let mut machines = machines();
    machines[0].priority = 10;
    let plan = |cpu_milli| {
        let needs = [need(1, cpu_milli, GIB, 4)];
        let all = limits(10);
        plan(
            &needs,
            &Snapshot::new(),
            &[],
            &machines,
            &all,
            Expander::Priority,
        )
    };
    assert_eq!(bought(&plan(900)), [("small", 2)]);
    // None fits on a small one; four cost least on one xlarge.
    assert_eq!(bought(&plan(3000)), [("xlarge", 1)]);
}

#[test]
fn what_is_coming_is_not_bought_again() {
    let needs = [need(1, 1000, GIB, 4)];
    let mut coming = Snapshot::new();
    let cluster = ClusterName::from("cloud");
    let node = &machines()[1].node;
    coming.add_upcoming(&cluster, node, 1);
    let plan = |clusters: &[ClusterName]| {
        plan(
            &needs,
            &coming,
            clusters,
            &machines(),
            &limits(10),
            Expander::Price,
        )
    };
    // Three of four fit on the medium one that is on its way.
    assert_eq!(
        bought(&plan(std::slice::from_ref(&cluster))),
        [("small", 1)]
    );
    coming.add_upcoming(&cluster, node, 2);
    let nothing = super::plan(
        &needs,
        &coming,
        &[cluster],
        &machines(),
        &limits(10),
        Expander::Price,
    );
    assert_eq!(nothing, Plan::default());
}

#[test]
fn a_limit_is_kept_and_what_it_costs_is_told() {
    let needs = [need(1, 1500, GIB, 10)];
    let plan = planned(&needs, &limits(1), Expander::Price);
    assert_eq!(bought(&plan), [("xlarge", 1)]);
    assert_eq!(plan.uncovered, []);
    let few = Limits {
        cost: Some(250),
        ..limits(10)
    };
    let plan = planned(&needs, &few, Expander::Price);
    // Two small ones have room for one each, a medium one for two.
    let covered = 2;
    assert_eq!(
        plan.uncovered,
        [Uncovered {
            need: 0,
            replicas: 10 - covered,
            why: Lack::Limit
        }]
    );
    let quota = Resources {
        cpu_milli: 4000,
        memory: 100 * GIB,
        ..Resources::default()
    };
    let few = Limits {
        quota: Some(quota),
        ..limits(10)
    };
    let plan = planned(&needs, &few, Expander::Price);
    let cores: u32 = plan
        .nodes
        .iter()
        .map(|(flavor, count)| {
            let machines = machines();
            let machine = machines.iter().find(|one| one.flavor == *flavor);
            machine.map_or(0, |one| one.capacity.cpu_milli as u32 / 1000) * count
        })
        .sum();
    assert!(cores <= 4, "{plan:?}");
}

#[test]
fn what_no_flavor_can_hold_is_said() {
    let plan = planned(
        &[need(1, 100_000, GIB, 2), need(2, 500, GIB, 1)],
        &limits(10),
        Expander::LeastWaste,
    );
    assert_eq!(bought(&plan), [("small", 1)]);
    assert_eq!(
        plan.uncovered,
        [Uncovered {
            need: 0,
            replicas: 2,
            why: Lack::NoFlavor
        }]
    );
}

#[test]
fn replicas_that_keep_each_other_away_get_a_node_each() {
    let mut apart = need(1, 100, GIB / 8, 3);
    apart.shape.profile.labels = (&BTreeMap::from([("app".to_owned(), "web".to_owned())])).into();
    apart.shape.profile.namespace = "default".into();
    apart.shape.profile.anti_affinity = Box::new([placement::PodTerm {
        selector: vec![placement::Requirement {
            key: "app".to_owned(),
            operator: placement::Operator::In,
            values: vec!["web".to_owned()],
        }],
        namespaces: vec!["default".to_owned()],
        namespace_selector: None,
        topology_key: "kubernetes.io/hostname".to_owned(),
    }]);
    let plan = planned(&[apart], &limits(10), Expander::Price);
    assert_eq!(bought(&plan), [("small", 3)]);
    assert_eq!(plan.uncovered, []);
}

proptest! {
    /// By the rules of the scheduler, what is bought holds all that is covered; limits are kept; and
    /// without limits everything that fits on some flavor is covered.
    #[test]
    fn what_is_bought_is_enough(
        sizes in prop::collection::vec((1_i64..9000, 1_i64..40, 1_u32..30), 1..8),
        nodes in prop_oneof![Just(10_000_u32), 0_u32..6],
        expander in prop::sample::select(vec![
            Expander::LeastWaste, Expander::Price, Expander::Priority, Expander::MostPods,
        ]),
    ) {
        let needs: Vec<Need> = sizes.iter().enumerate()
            .map(|(owner, (cpu, memory, replicas))| {
                need(owner as u128 + 1, *cpu, memory * GIB / 4, *replicas)
            })
            .collect();
        let machines = machines();
        let plan = planned(&needs, &limits(nodes), expander);
        prop_assert!(plan.nodes.values().sum::<u32>() <= nodes);
        let missing = |need: usize| -> u32 {
            let of = plan.uncovered.iter().filter(|one| one.need == need);
            of.map(|one| one.replicas).sum()
        };
        if nodes == 10_000 {
            prop_assert_eq!(&plan.uncovered, &[]);
        }
        let cluster = ClusterName::from("new");
        let mut snapshot = Snapshot::new();
        for machine in &machines {
            let count = plan.nodes.get(&machine.flavor).copied().unwrap_or(0);
            snapshot.add_upcoming(&cluster, &machine.node, count);
        }
        let mut order: Vec<usize> = (0..needs.len()).collect();
        // The largest first, as it was planned.
        let whole = &machines[3].node.allocatable;
        let part = |one: &Need| {
            let request = &one.shape.requests;
            let cpu = request.cpu_milli as f64 / whole.cpu_milli as f64;
            cpu.max(request.memory as f64 / whole.memory as f64)
        };
        order.sort_by(|a, b| part(&needs[*b]).total_cmp(&part(&needs[*a])));
        let mut held = 0;
        let mut covered = 0;
        for index in order {
            let need = &needs[index];
            let wanted = need.replicas - missing(index);
            covered += wanted;
            held += place(&mut snapshot, &cluster, need, wanted);
        }
        prop_assert_eq!(held, covered);
    }
}
