//! A cluster that was made: how far it is, and what is to be done for it.

use std::collections::BTreeMap;
use std::time::Duration;

use federation::api::{
    CloudCluster, CloudPhase, DeletionPolicy, MemberCluster, NodePool, UpcomingNodes,
};
use federation::capacity::quantities_of;
use federation::operator::conditions::whole_seconds;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::coming::{Coming, is_ready, takes_work};
use super::{Action, Decision, Inputs, after, machine, member_of, report};
use crate::observed::{Design, Observed};
use crate::validate::{Settings, dns_label};

/// How long the scheduler has to fill workers that have joined, before more are made.
const SETTLE: Duration = Duration::from_mins(1);

/// Clears up after a cluster whose `Cluster` is gone.
pub(super) fn clear_up(inputs: &Inputs<'_>, gone: &CloudCluster, decision: &mut Decision) {
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
pub(super) fn look(
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
