//! What is to be done for a `CloudProvisioner` now. Pure: the same inputs give the same decision.
//!
//! [`cluster`] looks at each cluster that was made, [`coming`] adds up what will have room, and [`buying`]
//! makes machines for what has none; [`cost`] says what they cost.

mod buying;
mod cluster;
mod coming;
mod cost;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use federation::api::{
    CloudCluster, CloudPhase, CloudProvisionerStatus, MemberCluster, UpcomingNodes,
};
use federation::operator::conditions::whole_seconds;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::observed::{Design, LABEL_CLUSTER, Observed};
use crate::plan::{Machine, Need};
use crate::validate::Settings;
use buying::scale_up;
use cluster::{clear_up, look};
use coming::Coming;
use cost::known_cost;

/// Sentences and names in a message; of more, how many more.
const MOST_TOLD: usize = 5;

/// Replicas of a workload that fit nowhere and may burst.
#[derive(Clone, Debug)]
pub struct Pending {
    /// `NAMESPACE/NAME` of the workload, for people.
    pub workload: String,
    /// Since when.
    pub since: Timestamp,
    /// What they need.
    pub need: Need,
}

/// Machines that were made for a workload, and what was unplaced of it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// Since when it was unplaced.
    pub since: Timestamp,
    /// How many replicas were.
    pub replicas: u32,
    /// How often that has not helped.
    pub in_vain: u32,
}

/// What a decision is made from.
pub struct Inputs<'a> {
    /// The `CloudProvisioner`.
    pub provisioner: &'a str,
    /// What is asked for.
    pub settings: &'a Settings,
    /// The time.
    pub now: Timestamp,
    /// What fits nowhere.
    pub pending: &'a [Pending],
    /// The clusters that were made, for all provisioners.
    pub clusters: &'a [Observed],
    /// What the other provisioners ask for.
    pub others: &'a BTreeMap<String, Arc<Settings>>,
    /// The clusters whose kubeconfig is known.
    pub kubeconfigs: &'a BTreeSet<String>,
    /// The members of the federation by name.
    pub members: &'a BTreeMap<String, Arc<MemberCluster>>,
    /// What was reported last.
    pub before: &'a CloudProvisionerStatus,
    /// Flavors that have failed of late.
    pub failed: &'a BTreeSet<String>,
    /// What machines were made for, by workload.
    pub purchases: &'a BTreeMap<String, Purchase>,
    /// The object is being deleted.
    pub deleting: bool,
}

/// A thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make a cluster what its design says, whatever is there of it.
    Apply(Design),
    /// Make it a member, or say anew which nodes of it are on their way.
    Register(String, Vec<UpcomingNodes>),
    /// Begin to give it back, for this reason: it is taken out of the federation, which moves its
    /// workloads off first.
    Leave(String, String),
    /// Take it out of the federation with whatever is still on it: there was no room elsewhere in time.
    Forget(String),
    /// Delete it. Nothing of the federation is on it any more.
    Delete(String),
    /// Delete what is left of one that is gone.
    Sweep(String),
}

impl Action {
    /// The cluster that it is about.
    pub fn cluster(&self) -> &str {
        match self {
            Self::Apply(design) => &design.cluster,
            Self::Register(cluster, _)
            | Self::Leave(cluster, _)
            | Self::Forget(cluster)
            | Self::Delete(cluster)
            | Self::Sweep(cluster) => cluster,
        }
    }
}

/// What is said of an action once it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether it is a warning.
    pub is_warning: bool,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// An action, and what is said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is to be done.
    pub action: Action,
    /// The Event, if it is news.
    pub told: Option<Told>,
}

/// What is to be done, and what is to be said.
#[derive(Debug, Default)]
pub struct Decision {
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// The clusters as they are reported.
    pub clusters: Vec<CloudCluster>,
    /// Those among them that are to be made now.
    pub made: BTreeSet<String>,
    /// Why replicas have no machine, in sentences.
    pub lacks: Vec<String>,
    /// Replicas that fit nowhere, and for which no machine is made yet.
    pub waiting: u32,
    /// When something will have to be done that nothing else tells of.
    pub wake: Option<Timestamp>,
    /// Flavors that were not ready in time.
    pub failed: BTreeSet<String>,
    /// What machines are made for now.
    pub purchases: BTreeMap<String, Purchase>,
    /// What all machines cost in an hour, in thousandths of the unit, if all prices are known.
    pub cost: Option<i64>,
}

impl Decision {
    fn act(&mut self, action: Action) {
        self.steps.push(Step { action, told: None });
    }

    fn act_and_tell(&mut self, action: Action, reason: &'static str, message: String) {
        let is_warning = matches!(reason, "ProvisionTimedOut" | "DrainTimedOut");
        let told = Some(Told {
            is_warning,
            reason,
            message,
        });
        self.steps.push(Step { action, told });
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |other| other.min(at)));
    }
}

/// Decides.
pub fn decide(inputs: &Inputs<'_>) -> Decision {
    let mut decision = Decision::default();
    let mut coming = Coming::default();
    let (ours, theirs): (Vec<&Observed>, Vec<&Observed>) =
        (inputs.clusters.iter()).partition(|one| one.provisioner == inputs.provisioner);
    for cluster in &ours {
        let member = member_of(inputs, &cluster.design.cluster);
        let reported = look(inputs, cluster, member, &mut coming, &mut decision);
        decision.clusters.push(reported);
    }
    let is_there = |name: &str| ours.iter().any(|one| one.design.cluster == name);
    for gone in &inputs.before.clusters {
        if !is_there(&gone.name) {
            clear_up(inputs, gone, &mut decision);
        }
    }
    for cluster in theirs {
        let settings = inputs.others.get(&cluster.provisioner);
        if let Some(settings) = settings.filter(|_| !is_going(cluster)) {
            let member = member_of(inputs, &cluster.design.cluster);
            coming.count(settings, cluster, member);
        }
    }
    if !inputs.deleting {
        scale_up(inputs, &coming, &mut decision);
    }
    decision.cost = known_cost(inputs.settings, &decision.clusters);
    decision
}

fn is_going(cluster: &Observed) -> bool {
    cluster.deleting || cluster.leaving.is_some()
}

/// The member that a cluster has become: one that a person has given the name is theirs.
fn member_of<'a>(inputs: &'a Inputs<'_>, cluster: &str) -> Option<&'a MemberCluster> {
    let member: &MemberCluster = inputs.members.get(cluster)?;
    is_of(member, cluster).then_some(member)
}

/// Whether a member was registered for a cluster of ours: by its label, or by its access.
pub fn is_of(member: &MemberCluster, cluster: &str) -> bool {
    let labels = member.metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get(LABEL_CLUSTER));
    let access = member.spec.access.secret_ref.as_ref();
    let copy = copy_of(cluster);
    label.is_some_and(|name| name == cluster) || access.is_some_and(|secret| secret.name == copy)
}

/// The name of our copy of a cluster's kubeconfig.
pub fn copy_of(cluster: &str) -> String {
    format!("{cluster}-kubeconfig")
}

fn machine<'a>(settings: &'a Settings, flavor: &str) -> Option<&'a Machine> {
    settings.machines.iter().find(|one| one.flavor == flavor)
}

/// A report of a cluster; since when it is in its phase is read from the last one.
fn report(inputs: &Inputs<'_>, name: &str, phase: CloudPhase, message: &str) -> CloudCluster {
    let before = inputs.before.clusters.iter().find(|one| one.name == name);
    let same = before.filter(|before| before.phase == phase);
    let since = same.and_then(|before| before.since.clone());
    CloudCluster {
        name: name.to_owned(),
        phase,
        since: Some(since.unwrap_or_else(|| Time(whole_seconds(inputs.now)))),
        pools: Vec::new(),
        idle_since: None,
        message: message.to_owned(),
    }
}

/// The first of some texts, and how many more there are.
pub fn some(texts: &[impl AsRef<str>], between: &str) -> String {
    let first: Vec<&str> = texts.iter().take(MOST_TOLD).map(AsRef::as_ref).collect();
    let mut text = first.join(between);
    if texts.len() > MOST_TOLD {
        let _ = write!(text, "{between}and {} more", texts.len() - MOST_TOLD);
    }
    text
}

fn after(time: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    time.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
