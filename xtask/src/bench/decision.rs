//! How fast placements are decided, at the size that the operator is built for.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use placement::{
    Cluster, ClusterName, Eligibility, Health, Inputs, LabelSet, Node, NodeTerm, Operator,
    Overflow, OwnerKey, Pod, PodKey, PodShape, Profile, ReplicaScheduling, Request, Requirement,
    Resources, Role, Snapshot, Taint, TaintEffect, Targets, Toleration, TolerationOperator, place,
    policy,
};

use super::Figure;

const CLUSTERS: u64 = 100;
const NODES: u64 = 5_000;
const PODS: u64 = 2_000_000;
/// Apps on a cluster, of 20 pods each.
const APPS: u64 = 1_000;
/// Shapes that a snapshot keeps.
const KEPT: usize = 128;

/// Measures decisions and events on 100 clusters of 5,000 nodes with 2,000,000 pods.
pub(crate) fn run(quick: bool) -> Result<Vec<Figure>> {
    let (nodes, pods) = if quick {
        (NODES / 10, PODS / 10)
    } else {
        (NODES, PODS)
    };
    let mut draw = Draw(0x6d63_6b38);
    let before = resident()?;
    let mut snapshot = filled(&mut draw, nodes, pods);

    let shapes: Vec<PodShape> = (0..400).map(|number| shape(&mut draw, number)).collect();
    let new: Vec<Duration> = decisions(&snapshot, shapes.iter());
    let kept = &shapes[shapes.len() - KEPT..];
    let again = decisions(&snapshot, kept.iter().cycle().take(2_000));
    let events = if quick { 20_000 } else { 200_000 };
    let event = fold(&mut snapshot, &mut draw, nodes, events);
    let memory = resident()?.saturating_sub(before);

    let size = format!("{CLUSTERS} clusters × {nodes} nodes, {pods} pods");
    Ok(vec![
        figure(
            format!("decision, a shape never seen before, P99 ({size})"),
            percentile(new, 99),
            Duration::from_millis(2),
        ),
        figure(
            "decision, a shape seen before, P99".to_owned(),
            percentile(again, 99),
            Duration::from_micros(100),
        ),
        figure(
            format!("one pod event, {KEPT} shapes kept, mean"),
            event,
            Duration::from_micros(5),
        ),
        Figure {
            name: "memory of the snapshot with all that is kept".to_owned(),
            measured: format!("{} MiB", memory >> 20),
            target: "< 1024 MiB".to_owned(),
            met: memory < 1 << 30,
        },
    ])
}

fn figure(name: String, measured: Duration, target: Duration) -> Figure {
    Figure {
        name,
        measured: format!("{measured:.1?}"),
        target: format!("< {target:?}"),
        met: measured < target,
    }
}

/// How long each decision takes, with the policies in turn.
fn decisions<'a>(snapshot: &Snapshot, shapes: impl Iterator<Item = &'a PodShape>) -> Vec<Duration> {
    let traffic: BTreeMap<_, _> = (0..CLUSTERS)
        .map(|number| (cluster_name(number), (number * 37 % 101) as f64))
        .collect();
    let policies = [
        "worst_fit",
        "best_fit",
        "most_traffic",
        "first_fit",
        "round_robin",
    ];
    let policies = policies.into_iter().filter_map(policy::by_name).cycle();
    shapes
        .zip(policies)
        .map(|(shape, policy)| {
            let request = Request {
                owner: OwnerKey(u128::MAX),
                shape,
                targets: Targets::Chosen { count: 3 },
                replicas: 20,
                scheduling: ReplicaScheduling::PerLocation,
                eligibility: Eligibility::default(),
                overflow: Overflow::Policy,
                current: Vec::new(),
                growing: true,
                limits: BTreeMap::new(),
                rechoose: false,
                inputs: Inputs {
                    traffic: Some(&traffic),
                    ..Inputs::default()
                },
            };
            let start = Instant::now();
            std::hint::black_box(place(snapshot, &request, policy));
            start.elapsed()
        })
        .collect()
}

/// The mean time of a pod that comes or goes.
fn fold(snapshot: &mut Snapshot, draw: &mut Draw, nodes: u64, events: u32) -> Duration {
    let changes: Vec<_> = (0..u128::from(events))
        .map(|number| {
            let cluster = cluster_name(draw.below(CLUSTERS));
            (cluster, PodKey((1 << 64) | (number / 2)), pod(draw, nodes))
        })
        .collect();
    let mut last = None;
    let start = Instant::now();
    for (cluster, key, pod) in changes {
        match last.take() {
            None => {
                last = Some(cluster.clone());
                snapshot.upsert_pod(&cluster, key, pod);
            }
            Some(cluster) => snapshot.remove_pod(&cluster, key),
        }
    }
    start.elapsed() / events
}

fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: u64 = kib.context("/proc/self/status tells no VmRSS")?.parse()?;
    Ok(kib << 10)
}

// What the measurements run on.

fn filled(draw: &mut Draw, nodes: u64, pods: u64) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for number in 0..CLUSTERS {
        let cluster = Cluster {
            name: cluster_name(number),
            role: Role::OnPremises,
            region: None,
            zone: None,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            unschedulable: false,
            health: Health::Ready,
        };
        snapshot.upsert_cluster(cluster);
        for index in 0..nodes {
            snapshot.upsert_node(&cluster_name(number), node(draw, index));
        }
    }
    for number in 0..pods {
        let cluster = cluster_name(number % CLUSTERS);
        snapshot.upsert_pod(&cluster, PodKey(u128::from(number)), pod(draw, nodes));
    }
    snapshot
}

fn cluster_name(number: u64) -> ClusterName {
    ClusterName::from(format!("cluster-{number:03}"))
}

fn node_name(index: u64) -> String {
    format!("node-{index:05}")
}

/// One of five sizes in one of three zones; one in twenty is tainted.
fn node(draw: &mut Draw, index: u64) -> Node {
    let size = draw.below(5);
    let cores = 8_i64 << size.min(3);
    let name = node_name(index);
    let mut labels: BTreeMap<String, String> = (0..10)
        .map(|key| (format!("example.org/fixed-{key}"), format!("value-{key}")))
        .collect();
    labels.extend([
        ("kubernetes.io/hostname".to_owned(), name.clone()),
        ("kubernetes.io/arch".to_owned(), "amd64".to_owned()),
        ("zone".to_owned(), format!("zone-{}", draw.below(3))),
        ("type".to_owned(), format!("type-{size}")),
        ("cores".to_owned(), cores.to_string()),
    ]);
    let taint = Taint {
        key: "dedicated".to_owned(),
        value: "infra".to_owned(),
        effect: TaintEffect::NoSchedule,
    };
    Node {
        name,
        labels,
        taints: (draw.below(20) == 0).then_some(taint).into_iter().collect(),
        unschedulable: false,
        ready: true,
        allocatable: Resources {
            cpu_milli: cores * 1000 - 120,
            memory: (cores << 32) - (600 << 20),
            ephemeral_storage: 100 << 30,
            pods: 110,
            extended: BTreeMap::new(),
        },
    }
}

/// A pod with one of 40 requests; half of them belong to an object on the hub.
fn pod(draw: &mut Draw, nodes: u64) -> Pod {
    let (cpu, memory) = (
        draw.below(8).cast_signed() + 1,
        draw.below(5).cast_signed() + 1,
    );
    let owner = draw.below(40_000);
    Pod {
        node: node_name(draw.below(nodes)),
        requests: Resources {
            cpu_milli: cpu * 100,
            memory: memory << 28,
            ..Resources::default()
        },
        owner: (owner < 20_000).then_some(OwnerKey(u128::from(owner))),
        profile: profile(owner % APPS),
    }
}

/// What other pods see of a pod: those of an app have the same labels.
fn profile(app: u64) -> Profile {
    let labels = BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), format!("app-{app}")),
        ("app.kubernetes.io/part-of".to_owned(), "shop".to_owned()),
        ("pod-template-hash".to_owned(), format!("{app:010x}")),
    ]);
    Profile {
        namespace: format!("team-{}", app % 500).into(),
        labels: LabelSet::from(&labels),
        ..Profile::default()
    }
}

/// Shapes of which no two are the same: bare, with a selector, a toleration, affinity.
fn shape(draw: &mut Draw, number: i64) -> PodShape {
    let mut shape = PodShape::default();
    shape.requests.cpu_milli = 50 + number;
    shape.requests.memory = (draw.below(64).cast_signed() + 1) << 26;
    let constraints = &mut shape.constraints;
    if number % 2 == 1 {
        let zone = format!("zone-{}", draw.below(3));
        constraints.node_selector.insert("zone".to_owned(), zone);
    }
    if number % 3 == 1 {
        constraints.tolerations.push(Toleration {
            key: Some("dedicated".to_owned()),
            operator: TolerationOperator::Exists,
            value: None,
            effect: None,
        });
    }
    if number % 4 >= 2 {
        let requirement = |key: &str, operator, values: &[&str]| Requirement {
            key: key.to_owned(),
            operator,
            values: values.iter().map(|&value| value.to_owned()).collect(),
        };
        let term = |labels| NodeTerm {
            labels,
            fields: Vec::new(),
        };
        constraints.affinity = Some(vec![
            term(vec![
                requirement("type", Operator::In, &["type-1", "type-2"]),
                requirement("gpu", Operator::DoesNotExist, &[]),
            ]),
            term(vec![requirement("cores", Operator::Gt, &["16"])]),
        ]);
    }
    shape
}

/// Sebastiano Vigna's `SplitMix64`: the same numbers on every machine.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
