//! The clusters, pods and shapes that decisions are measured on.

use std::collections::BTreeMap;

use placement::{
    Cluster, ClusterName, Health, LabelSet, Node, NodeTerm, Operator, OwnerKey, Pod, PodKey,
    PodShape, Profile, Requirement, Resources, Role, Snapshot, Taint, TaintEffect, Toleration,
    TolerationOperator,
};

/// How many clusters there are, and what is on them.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) clusters: u64,
    /// Nodes of a cluster.
    pub(super) nodes: u64,
    /// Pods in all.
    pub(super) pods: u64,
}

impl Size {
    /// Apps on a cluster, of 20 pods each.
    fn apps(self) -> u64 {
        self.pods / self.clusters / 20
    }

    pub(super) fn describe(self) -> String {
        let Self {
            clusters,
            nodes,
            pods,
        } = self;
        format!("{clusters} clusters × {nodes} nodes, {pods} pods")
    }
}

pub(super) fn filled(draw: &mut Draw, size: Size) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for number in 0..size.clusters {
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
        for index in 0..size.nodes {
            snapshot.upsert_node(&cluster_name(number), node(draw, index));
        }
    }
    for number in 0..size.pods {
        let cluster = cluster_name(number % size.clusters);
        snapshot.upsert_pod(&cluster, PodKey(u128::from(number)), pod(draw, size));
    }
    snapshot
}

pub(super) fn cluster_name(number: u64) -> ClusterName {
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
pub(super) fn pod(draw: &mut Draw, size: Size) -> Pod {
    let (cpu, memory) = (
        draw.below(8).cast_signed() + 1,
        draw.below(5).cast_signed() + 1,
    );
    let owner = draw.below(40_000);
    Pod {
        node: node_name(draw.below(size.nodes)),
        requests: Resources {
            cpu_milli: cpu * 100,
            memory: memory << 28,
            ..Resources::default()
        },
        owner: (owner < 20_000).then_some(OwnerKey(u128::from(owner))),
        profile: profile(owner % size.apps()),
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
pub(super) fn shape(draw: &mut Draw, number: i64) -> PodShape {
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
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
