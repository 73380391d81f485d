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

/// What a decision is made from.
pub struct Inputs<'a> {
    /// What is asked for.
    pub settings: &'a Settings,
    /// The time.
    pub now: Timestamp,
    /// What fits nowhere.
    pub pending: &'a [Pending],
    /// The clusters that were made.
    pub clusters: &'a [Observed],
    /// The members of the federation by name.
    pub members: &'a BTreeMap<String, MemberCluster>,
    /// What was reported last.
    pub before: &'a CloudProvisionerStatus,
    /// Flavors that have failed of late.
    pub failed: &'a BTreeSet<String>,
    /// The object is being deleted.
    pub deleting: bool,
}

/// A thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make a cluster what its design says, whatever is there of it.
    Apply(Design),
    /// Make it a member, with the nodes that are on their way.
    Register(String, Vec<UpcomingNodes>),
    /// Say which nodes of a member are on their way.
    Announce(String, Vec<UpcomingNodes>),
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

/// What is to be done, and what is to be said.
#[derive(Debug, Default)]
pub struct Decision {
    /// What to do, in order.
    pub actions: Vec<Action>,
    /// The clusters as they are reported.
    pub clusters: Vec<CloudCluster>,
    /// Events: whether it is a warning, a reason, and a sentence.
    pub events: Vec<(bool, &'static str, String)>,
    /// Why replicas have no machine, in sentences.
    pub lacks: Vec<String>,
    /// When something will have to be done that nothing else tells of.
    pub wake: Option<Timestamp>,
    /// Flavors that were not ready in time.
    pub failed: BTreeSet<String>,
    /// What all machines cost in an hour, in thousandths of the unit.
    pub cost: Option<i64>,
}

/// Decides.
pub fn decide(inputs: &Inputs<'_>) -> Decision {
    let mut decision = Decision::default();
    let mut coming = Coming::default();
    for cluster in inputs.clusters {
        let name = &cluster.design.cluster;
        let member = inputs.members.get(name).filter(|one| is_of(one, name));
        let reported = one(inputs, cluster, member, &mut coming, &mut decision);
        decision.clusters.push(reported);
    }
    let is_there = |name: &str| inputs.clusters.iter().any(|one| one.design.cluster == name);
    for gone in inputs
        .before
        .clusters
        .iter()
        .filter(|one| !is_there(&one.name))
    {
        decision.actions.push(Action::Sweep(gone.name.clone()));
        let told = format!("cluster {} is gone", gone.name);
        decision.events.push((false, "ClusterDeleted", told));
    }
    if !inputs.deleting && !inputs.settings.suspend {
        scale_up(inputs, &coming, &mut decision);
    }
    decision.cost = cost(inputs.settings, &decision.clusters);
    decision
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
}

/// What is to be done for one cluster; gives what is reported of it.
fn one(
    inputs: &Inputs<'_>,
    cluster: &Observed,
    member: Option<&MemberCluster>,
    coming: &mut Coming,
    decision: &mut Decision,
) -> CloudCluster {
    let (settings, now) = (inputs.settings, inputs.now);
    let name = &cluster.design.cluster;
    coming.nodes += cluster.design.nodes();
    let before = inputs.before.clusters.iter().find(|one| one.name == *name);
    let report = |phase: CloudPhase, message: String| {
        let same = before.filter(|before| before.phase == phase);
        let since = same.and_then(|before| before.since.clone());
        CloudCluster {
            name: name.clone(),
            phase,
            since: Some(since.unwrap_or_else(|| Time(whole_seconds(now)))),
            pools: pools(cluster),
            idle_since: None,
            message,
        }
    };
    if cluster.deleting {
        if member.is_some_and(|member| member.metadata.deletion_timestamp.is_none()) {
            let why = "its Cluster is being deleted".to_owned();
            decision.actions.push(Action::Leave(name.clone(), why));
        }
        return report(
            CloudPhase::Deleting,
            waits("Cluster API deletes it", cluster),
        );
    }
    if let Some(why) = &cluster.leaving {
        if let Some(member) = member {
            let draining = report(CloudPhase::Draining, why.clone());
            let since = draining.since.as_ref().map_or(now, |since| since.0);
            let until = after(since, settings.drain_timeout);
            if member.metadata.deletion_timestamp.is_none() {
                let leave = Action::Leave(name.clone(), why.clone());
                decision.actions.push(leave);
            } else if now >= until {
                let told = format!(
                    "workloads of cluster {name} were not moved off within {:?}, and are lost with it",
                    settings.drain_timeout
                );
                decision.events.push((true, "DrainTimedOut", told));
                decision.actions.push(Action::Forget(name.clone()));
            } else {
                wake(decision, until);
            }
            return draining;
        }
        decision.actions.push(Action::Delete(name.clone()));
        return report(CloudPhase::Deleting, why.clone());
    }
    let leave = |decision: &mut Decision, phase, reason: &'static str, why: String| {
        let is_failed = phase == CloudPhase::Failed;
        let told = format!("cluster {name} is given back: {why}");
        decision.events.push((is_failed, reason, told));
        decision
            .actions
            .push(Action::Leave(name.clone(), why.clone()));
        report(phase, why)
    };
    if inputs.deleting && settings.deletion_policy == DeletionPolicy::Delete {
        let why = "the CloudProvisioner is being deleted".to_owned();
        return leave(decision, CloudPhase::Draining, "Deprovisioning", why);
    }
    let deadline = after(cluster.design.sized_at, settings.provision_timeout);
    if !cluster.initialized {
        if now >= deadline {
            let why = format!(
                "it was not ready within {:?} ({})",
                settings.provision_timeout,
                waits("nothing is known of it", cluster)
            );
            decision.failed.extend(cluster.design.pools.keys().cloned());
            return leave(decision, CloudPhase::Failed, "ProvisionTimedOut", why);
        }
        wake(decision, deadline);
        // Whatever of it is not there yet.
        let apply = Action::Apply(cluster.design.clone());
        decision.actions.push(apply);
        coming.expect(settings, cluster, &cluster.design.pools);
        return report(CloudPhase::Provisioning, waits("it is being made", cluster));
    }
    let upcoming = |missing: &BTreeMap<String, u32>| announced(settings, missing, deadline);
    let Some(member) = member else {
        let missing = upcoming(&cluster.design.pools);
        decision
            .actions
            .push(Action::Register(name.clone(), missing));
        let told = format!("cluster {name} joins the federation");
        decision.events.push((false, "ClusterRegistered", told));
        coming.expect(settings, cluster, &cluster.design.pools);
        return report(
            CloudPhase::Provisioning,
            "it joins the federation".to_owned(),
        );
    };
    if member.metadata.deletion_timestamp.is_some() {
        return report(
            CloudPhase::Draining,
            "its MemberCluster was deleted; it joins again when that is gone".to_owned(),
        );
    }
    let is_as_designed = |(flavor, nodes): (&String, &u32)| {
        let pool = cluster.pools.get(&dns_label(flavor));
        pool.map_or(*nodes == 0, |(wanted, _)| wanted == nodes)
    };
    let is_stray = |pool: &String| {
        !cluster
            .design
            .pools
            .keys()
            .any(|one| dns_label(one) == *pool)
    };
    if !cluster.design.pools.iter().all(is_as_designed) || cluster.pools.keys().any(is_stray) {
        decision.actions.push(Action::Apply(cluster.design.clone()));
    }
    let missing = missing(cluster, member);
    if !missing.is_empty() && now >= deadline {
        // What has not come by now will not, and holds no place of what could.
        let mut design = cluster.design.clone();
        for (flavor, count) in &missing {
            if let Some(nodes) = design.pools.get_mut(flavor) {
                *nodes -= count;
            }
            decision.failed.insert(flavor.clone());
            let told = format!(
                "{count} × {flavor} of cluster {name} were not ready within {:?}, and are given up",
                settings.provision_timeout
            );
            decision.events.push((true, "ProvisionTimedOut", told));
        }
        coming.nodes -= missing.values().sum::<u32>();
        coming.known(member);
        coming.usable.push(design.clone());
        decision.actions.push(Action::Apply(design));
        return report(
            CloudPhase::Running,
            "workers were not ready in time".to_owned(),
        );
    }
    let announced = upcoming(&missing);
    if announced != member.spec.upcoming {
        decision
            .actions
            .push(Action::Announce(name.clone(), announced));
    }
    // One that has just joined is about to answer.
    if is_ready(member) || now < deadline {
        coming.expect(settings, cluster, &missing);
        coming.known(member);
    }
    let phase = if missing.is_empty() {
        CloudPhase::Running
    } else {
        wake(decision, deadline);
        CloudPhase::Scaling
    };
    let placed = member.status.as_ref().map(|status| status.placements);
    let placed = placed.unwrap_or_default();
    let is_idle = is_ready(member) && placed.objects == 0 && phase == CloudPhase::Running;
    if !is_idle {
        let message = format!("{} replicas of {} objects", placed.replicas, placed.objects);
        return report(phase, message);
    }
    let since = before.and_then(|before| before.idle_since.as_ref());
    let since = since.map_or_else(|| whole_seconds(now), |since| since.0);
    let until = after(since, settings.deprovision_delay);
    if now >= until && !settings.suspend {
        let why = format!("it has had no work for {:?}", settings.deprovision_delay);
        return leave(decision, CloudPhase::Draining, "Deprovisioning", why);
    }
    wake(decision, until);
    CloudCluster {
        idle_since: Some(Time(since)),
        ..report(phase, format!("no work; it goes at {until}"))
    }
}

/// Whether a member was registered for a cluster of ours: one that a person has given the name is theirs.
fn is_of(member: &MemberCluster, cluster: &str) -> bool {
    let labels = member.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(LABEL_CLUSTER))
        .is_some_and(|name| name == cluster)
}

fn waits(otherwise: &str, cluster: &Observed) -> String {
    if cluster.waits_for.is_empty() {
        otherwise.to_owned()
    } else {
        cluster.waits_for.clone()
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

/// The workers that are wanted, by flavor, and that the scheduler does not see yet: those that are not
/// ready, and of those that are as many as it has not counted.
fn missing(cluster: &Observed, member: &MemberCluster) -> BTreeMap<String, u32> {
    let classes = member.status.iter().flat_map(|status| &status.node_classes);
    let seen: u32 = classes.map(|class| class.nodes).sum();
    let ready = |flavor: &String, nodes: u32| {
        let pool = cluster.pools.get(&dns_label(flavor));
        pool.map_or(0, |(_, ready)| *ready).min(nodes)
    };
    let pools = cluster.design.pools.iter();
    let all_ready: u32 = pools
        .clone()
        .map(|(flavor, nodes)| ready(flavor, *nodes))
        .sum();
    let mut unseen = all_ready.saturating_sub(seen);
    let missing = pools.map(|(flavor, nodes)| {
        let ready = ready(flavor, *nodes);
        let not_counted = unseen.min(ready);
        unseen -= not_counted;
        (flavor.clone(), nodes - ready + not_counted)
    });
    missing.filter(|(_, count)| *count > 0).collect()
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

impl Coming {
    /// More nodes may go to a cluster, and these are on their way.
    fn expect(&mut self, settings: &Settings, cluster: &Observed, missing: &BTreeMap<String, u32>) {
        let name = ClusterName::from(cluster.design.cluster.as_str());
        for (flavor, count) in missing {
            if let Some(machine) = machine(settings, flavor) {
                self.room.add_upcoming(&name, &machine.node, *count);
            }
        }
        self.clusters.push(name);
        self.usable.push(cluster.design.clone());
    }

    /// What is free on a member: what fits there is about to be placed.
    fn known(&mut self, member: &MemberCluster) {
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
        if at <= inputs.now {
            due.push(pending);
        } else {
            wake(decision, at);
        }
    }
    if due.is_empty() {
        return;
    }
    let needs: Vec<Need> = due.iter().map(|one| one.need.clone()).collect();
    let machines: Vec<Machine> = (settings.machines.iter())
        .filter(|machine| !inputs.failed.contains(&machine.flavor))
        .filter(|machine| !decision.failed.contains(&machine.flavor))
        .cloned()
        .collect();
    let target = coming.usable.first();
    let is_new = target.is_none();
    let spent = cost(settings, &decision.clusters).unwrap_or(0);
    let of_control_plane = if is_new {
        control_plane_cost(settings)
    } else {
        0
    };
    let limits = Limits {
        nodes: settings.max_nodes.saturating_sub(coming.nodes),
        cost: (settings.max_cost).map(|most| (most - spent - of_control_plane).max(0)),
        quota: None,
    };
    let plan = plan::plan(
        &needs,
        &coming.room,
        &coming.clusters,
        &machines,
        &limits,
        settings.expander,
    );
    for one in &plan.uncovered {
        decision
            .lacks
            .push(lack(due[one.need].workload.as_str(), one, inputs));
    }
    if plan.nodes.is_empty() {
        return;
    }
    let count = inputs.clusters.len();
    if is_new && count >= settings.max_clusters as usize {
        let told = format!(
            "maxClusters is {}, and none of them takes more nodes now",
            settings.max_clusters
        );
        decision.lacks.push(told);
        return;
    }
    let mut design = target.cloned().unwrap_or_else(|| Design {
        cluster: free_name(inputs),
        pools: BTreeMap::new(),
        sized_at: inputs.now,
    });
    design.sized_at = inputs.now;
    for (flavor, nodes) in &plan.nodes {
        *design.pools.entry(flavor.clone()).or_default() += nodes;
    }
    at_least(settings, &mut design, &plan);
    let told = told(&due, &plan, &design, is_new);
    decision.events.push((false, "ScalingUp", told.clone()));
    wake(decision, after(inputs.now, settings.provision_timeout));
    // Another design of it may be among the actions already.
    let is_of_it =
        |one: &Action| matches!(one, Action::Apply(other) if other.cluster == design.cluster);
    decision.actions.retain(|one| !is_of_it(one));
    if is_new {
        decision.clusters.push(CloudCluster {
            name: design.cluster.clone(),
            phase: CloudPhase::Provisioning,
            since: Some(Time(whole_seconds(inputs.now))),
            pools: design.pools.iter().map(pool).collect(),
            idle_since: None,
            message: told,
        });
    } else if let Some(cluster) =
        (decision.clusters.iter_mut()).find(|one| one.name == design.cluster)
    {
        if cluster.phase == CloudPhase::Running {
            cluster.phase = CloudPhase::Scaling;
            cluster.since = Some(Time(whole_seconds(inputs.now)));
        }
        let ready: BTreeMap<String, u32> = (cluster.pools.iter())
            .map(|pool| (pool.flavor.clone(), pool.ready))
            .collect();
        cluster.pools = design.pools.iter().map(pool).collect();
        for pool in &mut cluster.pools {
            pool.ready = ready.get(&pool.flavor).copied().unwrap_or(0);
        }
        cluster.message = told;
    }
    decision.actions.push(Action::Apply(design));
}

fn pool((flavor, nodes): (&String, &u32)) -> NodePool {
    NodePool {
        flavor: flavor.clone(),
        nodes: *nodes,
        ready: 0,
    }
}

/// As many workers as a cluster keeps.
fn at_least(settings: &Settings, design: &mut Design, plan: &Plan) {
    let lacking = settings.min_nodes.saturating_sub(design.nodes());
    if let Some((flavor, _)) = plan.nodes.iter().next() {
        *design.pools.entry(flavor.clone()).or_default() += lacking;
    }
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
    let replicas: u32 = due.iter().map(|one| one.need.replicas).sum();
    let mut text = format!("{replicas} replicas of ");
    let names: Vec<&str> = due
        .iter()
        .take(3)
        .map(|one| one.workload.as_str())
        .collect();
    text.push_str(&names.join(", "));
    if due.len() > 3 {
        let _ = write!(text, " and {} more", due.len() - 3);
    }
    let nodes: Vec<String> = (plan.nodes.iter())
        .map(|(flavor, count)| format!("{count} × {flavor}"))
        .collect();
    let verb = if is_new {
        "makes cluster"
    } else {
        "adds to cluster"
    };
    let _ = write!(
        text,
        " fit nowhere: {verb} {} {}",
        design.cluster,
        nodes.join(" + ")
    );
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
                failed.join(", ")
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

/// What the clusters cost in an hour, if the price of each of their machines is known.
fn cost(settings: &Settings, clusters: &[CloudCluster]) -> Option<i64> {
    let mut sum = 0_i64;
    for cluster in clusters {
        settings.control_plane_price?;
        sum = sum.saturating_add(control_plane_cost(settings));
        for pool in &cluster.pools {
            let price = machine(settings, &pool.flavor).and_then(|one| one.price)?;
            sum = sum.saturating_add(price.saturating_mul(i64::from(pool.nodes)));
        }
    }
    Some(sum)
}

fn wake(decision: &mut Decision, at: Timestamp) {
    decision.wake = Some(decision.wake.map_or(at, |other| other.min(at)));
}

fn after(time: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    time.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
