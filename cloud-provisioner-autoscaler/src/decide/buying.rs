//! Machines for what has had none for long enough.

use std::collections::BTreeMap;

use federation::api::{CloudCluster, CloudPhase, NodePool};
use federation::operator::conditions::whole_seconds;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::coming::Coming;
use super::cost::{control_plane_cost, spent};
use super::{Action, Decision, Inputs, Pending, Purchase, Step, after, machine, report, some};
use crate::observed::Design;
use crate::plan::{self, Lack, Limits, Machine, Need, Plan};
use crate::validate::Settings;

/// How often machines are made for a workload that does not become less by them.
const ATTEMPTS: u32 = 2;

/// Adds machines for what has had none for long enough.
pub(super) fn scale_up(inputs: &Inputs<'_>, coming: &Coming, decision: &mut Decision) {
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
