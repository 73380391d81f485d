//! What a lab shall look like.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::binaries::Program;

/// What a lab shall look like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the lab keeps its data, logs and kubeconfig. It belongs to the
    /// lab: what an earlier one left in it is removed.
    pub directory: PathBuf,
    /// What the clusters are.
    pub flavour: Flavour,
    /// The members, which become `cluster1`, `cluster2`, ….
    pub members: Vec<Member>,
    /// Whether KWOK serves simulated resource metrics of the pods, for
    /// metrics-server, which serves them as `metrics.k8s.io`, and for a
    /// Prometheus (see [`Cluster::metrics_url`]). What a pod uses is
    /// set by its annotations `kwok.x-k8s.io/usage-cpu` and `…/usage-memory`.
    /// Embedded clusters have none.
    ///
    /// [`Cluster::metrics_url`]: super::Cluster::metrics_url
    pub metrics: bool,
    /// Whether the API servers of real control planes record what service accounts ask them for (see
    /// [`Cluster::audit_log`]).
    ///
    /// [`Cluster::audit_log`]: super::Cluster::audit_log
    pub audit: bool,
    /// Whether etcd waits until a write is on the disk, as in production. Tests
    /// do without: it takes longer, and their data need not survive.
    pub fsync: bool,
}

/// What the clusters of a lab are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// Kubernetes' own programs, etcd and KWOK, a process each.
    #[default]
    Kubernetes,
    /// The embedded control plane, with a simulated cluster for a member, all
    /// in one process.
    Embedded {
        /// A program that begins with [`embedded::serve_if_asked`], often
        /// `std::env::current_exe()`.
        ///
        /// [`embedded::serve_if_asked`]: crate::embedded::serve_if_asked
        program: PathBuf,
    },
}

/// One member cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// How many nodes it has, `<cluster>-node1` and so on.
    pub nodes: usize,
    /// The size of each of them.
    pub node: NodeSize,
    /// `topology.kubernetes.io/region` of its nodes.
    pub region: String,
    /// `topology.kubernetes.io/zone` of its nodes.
    pub zone: String,
}

/// What a node has for pods, as Kubernetes quantities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSize {
    /// Cores, as `4` or `500m`.
    pub cpu: String,
    /// Bytes, as `16Gi`.
    pub memory: String,
    /// The number of pods.
    pub pods: u32,
}

impl Flavour {
    /// The programs that a lab of this flavour runs.
    pub fn programs(&self) -> &'static [Program] {
        match self {
            Self::Kubernetes => &Program::ALL,
            Self::Embedded { .. } => &[Program::Kubectl],
        }
    }
}

impl Options {
    /// `members` alike clusters of `nodes` nodes of the default size.
    pub fn uniform(directory: impl Into<PathBuf>, members: usize, nodes: usize) -> Self {
        Self {
            directory: directory.into(),
            flavour: Flavour::default(),
            members: (1..=members)
                .map(|index| Member::new(index, nodes))
                .collect(),
            metrics: false,
            audit: false,
            fsync: false,
        }
    }

    /// The same with clusters of this flavour.
    #[must_use]
    pub fn with_flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        self
    }

    /// The same with this size for every node.
    #[must_use]
    pub fn with_node_size(mut self, size: &NodeSize) -> Self {
        for member in &mut self.members {
            member.node = size.clone();
        }
        self
    }
}

impl Member {
    /// A member of `nodes` default nodes, in a region and zone of its own:
    /// `region<index>` and `region<index>-a`.
    pub fn new(index: usize, nodes: usize) -> Self {
        Self {
            nodes,
            node: NodeSize::default(),
            region: format!("region{index}"),
            zone: format!("region{index}-a"),
        }
    }
}

impl Default for NodeSize {
    /// 4 cores, 16 GiB and, as kubelets have it, 110 pods.
    fn default() -> Self {
        Self {
            cpu: "4".to_owned(),
            memory: "16Gi".to_owned(),
            pods: 110,
        }
    }
}
