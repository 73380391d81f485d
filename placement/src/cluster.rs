//! Clusters, their nodes, and the pods on them.

use std::collections::BTreeMap;
use std::fmt;

use crate::name::{ClusterName, OwnerKey};
use crate::profile::Profile;
use crate::resources::Resources;

/// A cluster as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// What it is for.
    pub role: Role,
    /// Its region.
    pub region: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Cordoned: it keeps what it has and gets nothing new.
    pub unschedulable: bool,
    /// Whether it answers, and stays.
    pub health: Health,
}

impl Cluster {
    /// Whether more may be placed on it than on what it was before.
    pub(crate) fn may_get_more_than(&self, before: &Self) -> bool {
        let has_gone = |taint: &Taint| !self.taints.contains(taint);
        before.taints.iter().any(has_gone)
            || before.labels != self.labels
            || before.role != self.role
            || before.unschedulable && !self.unschedulable
            || before.health != Health::Ready && self.health == Health::Ready
    }
}

/// What a cluster is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// There anyway.
    OnPremises,
    /// The last resort: it costs while it runs.
    Cloud,
}

/// Whether a cluster answers, and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ready,
    /// It does not, within its toleration time: it keeps what it has and gets nothing new.
    Unreachable,
    /// It has not for longer than that: what it had is decided again.
    Lost,
    /// It is being removed from the registry, whether it answers or not: what it has is decided again.
    Leaving,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Cordoned.
    pub unschedulable: bool,
    /// Its kubelet says so.
    pub ready: bool,
    /// What its pods may request in all.
    pub allocatable: Resources,
}

/// A pod that is bound to a node and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// The node's name. The node may be reported later.
    pub node: String,
    /// Its requests.
    pub requests: Resources,
    /// The object on the hub that it belongs to.
    pub owner: Option<OwnerKey>,
    /// What the scheduling of other pods looks at in it.
    pub profile: Profile,
}

/// Keeps away what does not tolerate it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What it does.
    pub effect: TaintEffect,
}

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaintEffect {
    /// Nothing new.
    NoSchedule,
    /// Nothing new, if it can be helped. It never filters.
    PreferNoSchedule,
    /// Nothing new, and what is there leaves.
    NoExecute,
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equals = if self.value.is_empty() { "" } else { "=" };
        write!(f, "{}{equals}{}:{:?}", self.key, self.value, self.effect)
    }
}
