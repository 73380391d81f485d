//! What is to be done for a `CloudProvisioner` now. Pure: the same inputs give the same decision.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use federation::api::{
    CONDITION_READY, CloudCluster, CloudPhase, CloudProvisionerStatus, DeletionPolicy,
    MemberCluster, NodePool, UpcomingNodes,
};
use federation::capacity::{quantities_of, typed_quantities};
use federation::operator::conditions::whole_seconds;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use placement::{ClusterName, ClusterSummary, NodeClass, Snapshot, Summary};

use crate::observed::{Design, LABEL_CLUSTER, Observed};
use crate::plan::{self, Lack, Limits, Machine, Need, Plan};
use crate::validate::{Settings, dns_label};

/// How long the scheduler has to fill workers that have joined, before more are made.
const SETTLE: Duration = Duration::from_mins(1);
/// How often machines are made for a workload that does not become less by them.
const ATTEMPTS: u32 = 2;
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
    pub others: &'a BTreeMap<String, std::sync::Arc<Settings>>,
    /// The clusters whose kubeconfig is known.
    pub kubeconfigs: &'a BTreeSet<String>,
    /// The members of the federation by name.
    pub members: &'a BTreeMap<String, MemberCluster>,
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
    let member = inputs.members.get(cluster)?;
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

/// Clears up after a cluster whose `Cluster` is gone.
fn clear_up(inputs: &Inputs<'_>, gone: &CloudCluster, decision: &mut Decision) {
    let name = &gone.name;
    if let Some(member) = member_of(inputs, name) {
        let why = "its Cluster is gone".to_owned();
        let reported = report(inputs, name, CloudPhase::Draining, &why);
        leave_on(inputs, name, member, &why, &reported, decision);
        decision.clusters.push(CloudCluster {
            pools: Vec::new(),
            ..reported
        });
        return;
    }
    let told = format!("cluster {name} is gone");
    decision.act_and_tell(Action::Sweep(name.clone()), "ClusterDeleted", told);
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

/// Goes on taking a cluster out of the federation: in the end with whatever is still on it.
fn leave_on(
    inputs: &Inputs<'_>,
    name: &str,
    member: &MemberCluster,
    why: &str,
    reported: &CloudCluster,
    decision: &mut Decision,
) {
    let since = reported.since.as_ref().map_or(inputs.now, |since| since.0);
    let until = after(since, inputs.settings.drain_timeout);
    if member.metadata.deletion_timestamp.is_none() {
        decision.act(Action::Leave(name.to_owned(), why.to_owned()));
    } else if inputs.now >= until {
        let told = format!(
            "workloads of cluster {name} were not moved off within {:?}, and are lost with it",
            inputs.settings.drain_timeout
        );
        decision.act_and_tell(Action::Forget(name.to_owned()), "DrainTimedOut", told);
    } else {
        decision.wake(until);
    }
}

/// What is to be done for one cluster; gives what is reported of it.
fn look(
    inputs: &Inputs<'_>,
    cluster: &Observed,
    member: Option<&MemberCluster>,
    coming: &mut Coming,
    decision: &mut Decision,
) -> CloudCluster {
    let (settings, now) = (inputs.settings, inputs.now);
    let name = &cluster.design.cluster;
    coming.nodes = coming.nodes.saturating_add(cluster.design.nodes());
    let report = |phase: CloudPhase, message: &str| CloudCluster {
        pools: pools(cluster),
        ..report(inputs, name, phase, message)
    };
    if let Some(why) = &cluster.leaving {
        if let Some(member) = member {
            let reported = report(CloudPhase::Draining, why);
            leave_on(inputs, name, member, why, &reported, decision);
            return reported;
        }
        if !cluster.deleting {
            decision.act(Action::Delete(name.clone()));
        }
        return report(CloudPhase::Deleting, why);
    }
    if cluster.deleting {
        if let Some(member) = member {
            let why = "its Cluster is being deleted";
            let reported = report(CloudPhase::Deleting, why);
            leave_on(inputs, name, member, why, &reported, decision);
            return reported;
        }
        return report(
            CloudPhase::Deleting,
            waits("Cluster API deletes it", cluster),
        );
    }
    let leave = |decision: &mut Decision, phase, reason: &'static str, why: &str| {
        let told = format!("cluster {name} is given back: {why}");
        let action = Action::Leave(name.clone(), why.to_owned());
        decision.act_and_tell(action, reason, told);
        report(phase, why)
    };
    if inputs.deleting && settings.deletion_policy == DeletionPolicy::Delete {
        let why = "the CloudProvisioner is being deleted";
        return leave(decision, CloudPhase::Draining, "Deprovisioning", why);
    }
    if !cluster.initialized {
        let deadline = after(cluster.created, settings.provision_timeout);
        if now >= deadline {
            let why = format!(
                "it was not ready within {:?} ({})",
                settings.provision_timeout,
                waits("nothing is known of it", cluster)
            );
            decision.failed.extend(cluster.design.pools.keys().cloned());
            return leave(decision, CloudPhase::Failed, "ProvisionTimedOut", &why);
        }
        decision.wake(deadline);
        // Whatever of it is not there yet.
        decision.act(Action::Apply(cluster.design.clone()));
        coming.take(settings, cluster, None);
        let what = format!(
            "{}; {}",
            waits("it is being made", cluster),
            cluster.design.why
        );
        return report(CloudPhase::Provisioning, &what);
    }
    let Some(member) = member else {
        coming.take(settings, cluster, None);
        if !inputs.kubeconfigs.contains(name) {
            return report(CloudPhase::Provisioning, "it waits for its kubeconfig");
        }
        let deadline = after(now, settings.provision_timeout);
        let upcoming = announced(settings, &cluster.design.missing(), deadline);
        let told = format!("cluster {name} joins the federation");
        let action = Action::Register(name.clone(), upcoming);
        decision.act_and_tell(action, "ClusterRegistered", told);
        return report(CloudPhase::Provisioning, "it joins the federation");
    };
    if member.metadata.deletion_timestamp.is_some() {
        let why = "its MemberCluster was deleted; it joins again when that is gone";
        return report(CloudPhase::Draining, why);
    }
    serving(inputs, cluster, member, coming, decision, &report)
}

/// What is to be done for a cluster that is a member.
fn serving(
    inputs: &Inputs<'_>,
    cluster: &Observed,
    member: &MemberCluster,
    coming: &mut Coming,
    decision: &mut Decision,
    report: &impl Fn(CloudPhase, &str) -> CloudCluster,
) -> CloudCluster {
    let (settings, now) = (inputs.settings, inputs.now);
    let name = &cluster.design.cluster;
    let mut design = cluster.design.clone();
    if notes_joined(cluster, &mut design) {
        design.joined_at = Some(now);
    }
    let registered = member.metadata.creation_timestamp.as_ref();
    let begun = registered.map_or(design.sized_at, |time| time.0.max(design.sized_at));
    let deadline = after(begun, settings.provision_timeout);
    let missing = design.missing();
    let mut given_up = None;
    if !missing.is_empty() && now >= deadline {
        // What has never come by now will not, and holds no place of what could.
        let lost: Vec<String> = (missing.iter())
            .map(|(flavor, count)| format!("{count} × {flavor}"))
            .collect();
        for (flavor, count) in &missing {
            if let Some(nodes) = design.pools.get_mut(flavor) {
                *nodes = nodes.saturating_sub(*count);
            }
            coming.nodes = coming.nodes.saturating_sub(*count);
            decision.failed.insert(flavor.clone());
        }
        given_up = Some(format!(
            "{} of cluster {name} were not ready within {:?}, and are given up",
            lost.join(" + "),
            settings.provision_timeout
        ));
    }
    match given_up {
        Some(told) => {
            let action = Action::Apply(design.clone());
            decision.act_and_tell(action, "ProvisionTimedOut", told);
        }
        None if design != cluster.design || !is_as_designed(cluster) => {
            decision.act(Action::Apply(design.clone()));
        }
        None => {}
    }
    let missing = design.missing();
    let announced = announced(settings, &missing, deadline);
    if announced != member.spec.upcoming {
        decision.act(Action::Register(name.clone(), announced));
    }
    let known = Observed {
        design,
        ..cluster.clone()
    };
    // One that has just joined is about to answer.
    let answers = is_ready(member);
    if takes_work(member) && (answers || now < deadline) {
        coming.take(settings, &known, Some(member));
        if let Some(joined) = known.design.joined_at {
            let settled = after(joined, SETTLE);
            if now < settled {
                coming.settles = Some(coming.settles.map_or(settled, |other| other.max(settled)));
            }
        }
    }
    let phase = if missing.is_empty() {
        CloudPhase::Running
    } else {
        decision.wake(deadline);
        CloudPhase::Scaling
    };
    let with_pools = |mut reported: CloudCluster| {
        reported.pools = pools(&known);
        reported
    };
    let why = &known.design.why;
    let placed = member.status.as_ref().map(|status| status.placements);
    let placed = placed.unwrap_or_default();
    if !answers {
        let message = format!("the scheduler does not reach it; {why}");
        return with_pools(report(phase, &message));
    }
    if placed.objects > 0 || phase != CloudPhase::Running {
        let message = format!(
            "{} replicas of {} objects; {why}",
            placed.replicas, placed.objects
        );
        return with_pools(report(phase, &message));
    }
    let before = inputs.before.clusters.iter().find(|one| one.name == *name);
    let since = before.and_then(|before| before.idle_since.as_ref());
    let since = since.map_or_else(|| whole_seconds(now), |since| since.0);
    let until = after(since, settings.deprovision_delay);
    if now >= until && !settings.suspend {
        let why = format!("it has had no work for {:?}", settings.deprovision_delay);
        let told = format!("cluster {name} is given back: {why}");
        let action = Action::Leave(name.clone(), why.clone());
        decision.act_and_tell(action, "Deprovisioning", told);
        return with_pools(report(CloudPhase::Draining, &why));
    }
    if until > now {
        decision.wake(until);
    }
    with_pools(CloudCluster {
        idle_since: Some(Time(since)),
        ..report(phase, &format!("no work; it goes at {until}"))
    })
}

/// Notes in a design how many workers have been ready; whether there are more than ever.
fn notes_joined(cluster: &Observed, design: &mut Design) -> bool {
    let mut has_grown = false;
    for (flavor, nodes) in &cluster.design.pools {
        let pool = cluster.pools.get(&dns_label(flavor));
        let ready = pool.map_or(0, |(_, ready)| *ready).min(*nodes);
        let joined = design.joined.entry(flavor.clone()).or_default();
        if ready > *joined {
            *joined = ready;
            has_grown = true;
        }
    }
    design.joined.retain(|_, count| *count > 0);
    has_grown
}

/// Whether the pools want as many workers as the design says.
fn is_as_designed(cluster: &Observed) -> bool {
    let pools = &cluster.design.pools;
    let is_right = |(flavor, nodes): (&String, &u32)| {
        let pool = cluster.pools.get(&dns_label(flavor));
        pool.map_or(*nodes == 0, |(wanted, _)| wanted == nodes)
    };
    pools.iter().all(is_right)
}

fn waits<'a>(otherwise: &'a str, cluster: &'a Observed) -> &'a str {
    if cluster.waits_for.is_empty() {
        otherwise
    } else {
        &cluster.waits_for
    }
}

fn pools(cluster: &Observed) -> Vec<NodePool> {
    let pools = cluster.design.pools.iter();
    pools
        .map(|(flavor, nodes)| NodePool {
            flavor: flavor.clone(),
            nodes: *nodes,
            ready: cluster
                .pools
                .get(&dns_label(flavor))
                .map_or(0, |(_, ready)| *ready),
        })
        .collect()
}

fn is_ready(member: &MemberCluster) -> bool {
    let conditions = member.status.iter().flat_map(|status| &status.conditions);
    let mut ready = conditions.filter(|one| one.type_ == CONDITION_READY);
    ready.any(|one| one.status == "True")
}

/// Whether the scheduler may place something new there: a person may have cordoned or tainted it.
fn takes_work(member: &MemberCluster) -> bool {
    let keeps_away = |effect: &str| effect == "NoSchedule" || effect == "NoExecute";
    let mut taints = member.spec.taints.iter();
    !member.spec.unschedulable && !taints.any(|taint| keeps_away(&taint.effect))
}

fn machine<'a>(settings: &'a Settings, flavor: &str) -> Option<&'a Machine> {
    settings.machines.iter().find(|one| one.flavor == flavor)
}

fn announced(
    settings: &Settings,
    missing: &BTreeMap<String, u32>,
    until: Timestamp,
) -> Vec<UpcomingNodes> {
    let nodes = missing.iter().filter_map(|(flavor, count)| {
        let node = &machine(settings, flavor)?.node;
        Some(UpcomingNodes {
            nodes: *count,
            allocatable: quantities_of(&node.allocatable),
            labels: node.labels.clone(),
            taints: Vec::new(),
            until: Time(whole_seconds(until)),
        })
    });
    nodes.collect()
}

/// The clusters that more nodes may go to, and what will have room there.
#[derive(Default)]
struct Coming {
    room: Snapshot,
    clusters: Vec<ClusterName>,
    /// The designs of those that answer, or are being made.
    usable: Vec<Design>,
    /// Workers of all clusters.
    nodes: u32,
    /// Workers have joined of late: until then the scheduler fills them.
    settles: Option<Timestamp>,
}

impl Coming {
    /// More nodes may go to a cluster, and what it will have room for counts.
    fn take(&mut self, settings: &Settings, cluster: &Observed, member: Option<&MemberCluster>) {
        self.count(settings, cluster, member);
        self.usable.push(cluster.design.clone());
    }

    /// What a cluster will have room for counts: nodes that are on their way, and what is free on a
    /// member, because what fits there is about to be placed.
    fn count(&mut self, settings: &Settings, cluster: &Observed, member: Option<&MemberCluster>) {
        let name = ClusterName::from(cluster.design.cluster.as_str());
        for (flavor, count) in cluster.design.missing() {
            if let Some(machine) = machine(settings, &flavor) {
                self.room.add_upcoming(&name, &machine.node, count);
            }
        }
        self.clusters.push(name);
        if let Some(member) = member.filter(|member| is_ready(member) && takes_work(member)) {
            self.free(member);
        }
    }

    fn free(&mut self, member: &MemberCluster) {
        let classes = member.status.iter().flat_map(|status| &status.node_classes);
        let classes = classes.map(|class| NodeClass {
            nodes: class.nodes,
            allocatable: typed_quantities(&class.allocatable),
            free: typed_quantities(&class.free),
            largest_free: typed_quantities(&class.largest_free),
        });
        let summary = Summary {
            classes: classes.collect(),
            ..Summary::default()
        };
        let name = member.metadata.name.as_deref().unwrap_or_default();
        let name = ClusterName::from(format!("free/{name}"));
        let summary = ClusterSummary::from(&summary);
        self.room.upsert_summary(&name, &summary);
        self.clusters.push(name);
    }
}

/// Adds machines for what has had none for long enough.
fn scale_up(inputs: &Inputs<'_>, coming: &Coming, decision: &mut Decision) {
    let settings = inputs.settings;
    let mut due = Vec::new();
    for pending in inputs.pending {
        let at = after(pending.since, settings.scale_up_delay);
        if settings.suspend || at > inputs.now {
            decision.waiting = decision.waiting.saturating_add(pending.need.replicas);
            if !settings.suspend {
                decision.wake(at);
            }
        } else if let Some(lack) = in_vain(inputs, pending) {
            decision.lacks.push(lack);
        } else {
            due.push(pending);
        }
    }
    if due.is_empty() {
        return;
    }
    if let Some(settles) = coming.settles {
        // What has joined is being filled.
        decision.wake(settles);
        return;
    }
    let needs: Vec<Need> = due.iter().map(|one| one.need.clone()).collect();
    let is_barred = |machine: &&Machine| {
        inputs.failed.contains(&machine.flavor) || decision.failed.contains(&machine.flavor)
    };
    let machines: Vec<Machine> = (settings.machines.iter())
        .filter(|machine| !is_barred(machine))
        .cloned()
        .collect();
    let target = coming.usable.first();
    let limits = limits(settings, coming, &decision.clusters, target.is_none());
    let plan = plan::plan(
        &needs,
        &coming.room,
        &coming.clusters,
        &machines,
        &limits,
        settings.expander,
    );
    for one in &plan.uncovered {
        let workload = due[one.need].workload.as_str();
        decision.lacks.push(lack(workload, one, inputs));
    }
    if plan.nodes.is_empty() {
        return;
    }
    if target.is_none() && decision.clusters.len() >= settings.max_clusters as usize {
        let told = format!(
            "maxClusters is {}, and none of them takes more nodes now",
            settings.max_clusters
        );
        decision.lacks.push(told);
        return;
    }
    buy(inputs, &due, &plan, target, &limits, decision);
}

/// Why no more machines are made for a workload: those that were have not taken any of it.
fn in_vain(inputs: &Inputs<'_>, pending: &Pending) -> Option<String> {
    let purchase = inputs.purchases.get(&pending.workload)?;
    let is_the_same = purchase.since == pending.since;
    let is_no_less = pending.need.replicas >= purchase.replicas;
    (is_the_same && is_no_less && purchase.in_vain + 1 >= ATTEMPTS).then(|| {
        format!(
            "{} replicas of {}: machines were made for them {ATTEMPTS} times, and have taken none (a flavor that promises more than its nodes have, or a label that they lack)",
            pending.need.replicas, pending.workload
        )
    })
}

fn limits(settings: &Settings, coming: &Coming, clusters: &[CloudCluster], is_new: bool) -> Limits {
    let control_plane = if is_new {
        control_plane_cost(settings)
    } else {
        0
    };
    let spent = spent(settings, clusters).saturating_add(control_plane);
    Limits {
        nodes: settings.max_nodes.saturating_sub(coming.nodes),
        cost: (settings.max_cost).map(|most| most.saturating_sub(spent).max(0)),
        quota: None,
    }
}

/// Adds the machines of a plan to a cluster, or makes one for them.
fn buy(
    inputs: &Inputs<'_>,
    due: &[&Pending],
    plan: &Plan,
    target: Option<&Design>,
    limits: &Limits,
    decision: &mut Decision,
) {
    let settings = inputs.settings;
    let is_new = target.is_none();
    let mut design = target.cloned().unwrap_or_else(|| Design {
        cluster: free_name(inputs),
        pools: BTreeMap::new(),
        sized_at: inputs.now,
        joined: BTreeMap::new(),
        joined_at: None,
        why: String::new(),
    });
    design.sized_at = inputs.now;
    for (flavor, nodes) in &plan.nodes {
        let pool = design.pools.entry(flavor.clone()).or_default();
        *pool = pool.saturating_add(*nodes);
    }
    if is_new {
        at_least(settings, &mut design, plan, limits);
    }
    let told = told(due, plan, &design, is_new);
    design.why.clone_from(&told);
    decision.wake(after(inputs.now, settings.provision_timeout));
    // Another design of it may be among the steps already.
    let is_of_it = |step: &Step| matches!(&step.action, Action::Apply(other) if other.cluster == design.cluster);
    decision
        .steps
        .retain(|step| !is_of_it(step) || step.told.is_some());
    for pending in due {
        let before = inputs.purchases.get(&pending.workload);
        let before = before.filter(|before| {
            before.since == pending.since && pending.need.replicas >= before.replicas
        });
        let purchase = Purchase {
            since: pending.since,
            replicas: pending.need.replicas,
            in_vain: before.map_or(0, |before| before.in_vain + 1),
        };
        decision
            .purchases
            .insert(pending.workload.clone(), purchase);
    }
    let name = design.cluster.clone();
    if is_new {
        decision.made.insert(name.clone());
        decision.clusters.push(CloudCluster {
            pools: design.pools.iter().map(pool).collect(),
            ..report(inputs, &name, CloudPhase::Provisioning, &told)
        });
    } else if let Some(cluster) = (decision.clusters.iter_mut()).find(|one| one.name == name) {
        if cluster.phase == CloudPhase::Running {
            cluster.phase = CloudPhase::Scaling;
            cluster.since = Some(Time(whole_seconds(inputs.now)));
        }
        cluster.idle_since = None;
        let ready: BTreeMap<String, u32> = (cluster.pools.iter())
            .map(|pool| (pool.flavor.clone(), pool.ready))
            .collect();
        cluster.pools = design.pools.iter().map(pool).collect();
        for pool in &mut cluster.pools {
            pool.ready = ready.get(&pool.flavor).copied().unwrap_or(0);
        }
        cluster.message.clone_from(&told);
    }
    decision.act_and_tell(Action::Apply(design), "ScalingUp", told);
}

fn pool((flavor, nodes): (&String, &u32)) -> NodePool {
    NodePool {
        flavor: flavor.clone(),
        nodes: *nodes,
        ready: 0,
    }
}

/// As many workers as a cluster keeps, within the limits.
fn at_least(settings: &Settings, design: &mut Design, plan: &Plan, limits: &Limits) {
    let cheapest = plan
        .nodes
        .keys()
        .filter_map(|flavor| machine(settings, flavor))
        .min_by_key(|machine| (machine.price.unwrap_or(0), machine.capacity.cpu_milli));
    let Some(cheapest) = cheapest else { return };
    let bought = design.nodes();
    let lacking = settings.min_nodes.saturating_sub(bought);
    let mut most = lacking.min(limits.nodes.saturating_sub(bought));
    if let (Some(cost), Some(price)) = (limits.cost, cheapest.price.filter(|price| *price > 0)) {
        let spent = plan.nodes.iter().map(|(flavor, nodes)| {
            let price = machine(settings, flavor).and_then(|one| one.price);
            price.unwrap_or(0).saturating_mul(i64::from(*nodes))
        });
        let left = cost
            .saturating_sub(spent.fold(0, i64::saturating_add))
            .max(0);
        most = most.min(u32::try_from(left / price).unwrap_or(u32::MAX));
    }
    let pool = design.pools.entry(cheapest.flavor.clone()).or_default();
    *pool = pool.saturating_add(most);
}

/// A name that no cluster has.
fn free_name(inputs: &Inputs<'_>) -> String {
    let first = &inputs.settings.cluster_name;
    let is_taken = |name: &str| {
        inputs.members.contains_key(name)
            || inputs.clusters.iter().any(|one| one.design.cluster == name)
    };
    let numbered = (2..).map(|number: u32| format!("{first}-{number}"));
    let mut names = std::iter::once(first.clone()).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or_default()
}

fn told(due: &[&Pending], plan: &Plan, design: &Design, is_new: bool) -> String {
    let replicas = due.iter().map(|one| one.need.replicas);
    let replicas = replicas.fold(0, u32::saturating_add);
    let names: Vec<&str> = due.iter().map(|one| one.workload.as_str()).collect();
    let nodes: Vec<String> = (plan.nodes.iter())
        .map(|(flavor, count)| format!("{count} × {flavor}"))
        .collect();
    let verb = if is_new {
        "makes cluster"
    } else {
        "adds to cluster"
    };
    format!(
        "{replicas} replicas of {} fit nowhere: {verb} {} {}",
        some(&names, ", "),
        design.cluster,
        nodes.join(" + ")
    )
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

fn lack(workload: &str, one: &plan::Uncovered, inputs: &Inputs<'_>) -> String {
    let replicas = one.replicas;
    match one.why {
        Lack::NoFlavor if inputs.failed.is_empty() => {
            format!("{replicas} replicas of {workload} fit on no flavor")
        }
        Lack::NoFlavor => {
            let failed: Vec<&str> = inputs.failed.iter().map(String::as_str).collect();
            format!(
                "{replicas} replicas of {workload} fit on no flavor but those that were not ready in time: {}",
                some(&failed, ", ")
            )
        }
        Lack::Limit => {
            format!("{replicas} replicas of {workload} would exceed maxNodes or maxCostPerHour")
        }
    }
}

fn control_plane_cost(settings: &Settings) -> i64 {
    let price = settings.control_plane_price.unwrap_or(0);
    price.saturating_mul(i64::from(settings.control_plane))
}

/// What the clusters cost in an hour, as far as prices are known.
fn spent(settings: &Settings, clusters: &[CloudCluster]) -> i64 {
    let of_pool = |pool: &NodePool| {
        let price = machine(settings, &pool.flavor).and_then(|one| one.price);
        price.unwrap_or(0).saturating_mul(i64::from(pool.nodes))
    };
    let of_cluster = |cluster: &CloudCluster| {
        let pools = cluster.pools.iter().map(of_pool);
        pools.fold(control_plane_cost(settings), i64::saturating_add)
    };
    clusters.iter().map(of_cluster).fold(0, i64::saturating_add)
}

/// The same, if the price of each of their machines is known.
fn known_cost(settings: &Settings, clusters: &[CloudCluster]) -> Option<i64> {
    let mut pools = clusters.iter().flat_map(|cluster| &cluster.pools);
    let is_known =
        |pool: &NodePool| machine(settings, &pool.flavor).is_some_and(|one| one.price.is_some());
    let all =
        pools.all(is_known) && (clusters.is_empty() || settings.control_plane_price.is_some());
    all.then(|| spent(settings, clusters))
}

fn after(time: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    time.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
