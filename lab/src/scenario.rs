//! Plays a scenario: in virtual time on a simulated world, or in wall time on whatever can be a
//! [`ScenarioEnvironment`].

use std::time::Duration;

use federation::api::GROUP;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::simulated::{
    Action, Cluster, ConfigurationError, Flash, Metrics, NodeName, ObjectName, OperatorName,
    Scenario,
};
use crate::simulation::{self, Link, Reach};

/// The kinds that are in no namespace.
const WITHOUT_NAMESPACE: [&str; 4] = [
    "Namespace",
    "MemberCluster",
    "CloudProvisioner",
    "AppRescheduler",
];

/// What a scenario is played on. What a environment cannot do is an error that says so.
pub trait ScenarioEnvironment {
    /// A client for the hub.
    fn hub(&self) -> Client;
    /// What plays a member.
    fn cluster(&self, name: &str) -> Option<&Cluster>;
    /// What the pods of a member use.
    fn metrics(&self, name: &str) -> Option<&Metrics>;
    /// Cuts a member off, or opens the way to it.
    fn set_reach(&self, member: &str, reach: Reach) -> Result<(), String>;
    /// Changes the way to a member, or to the hub.
    fn set_link(&self, host: &str, link: Link) -> Result<(), String>;
    /// An operator dies, and is started again after so long.
    fn kill(&self, operator: OperatorName, down: Duration) -> Result<(), String>;
}

/// Plays a scenario from now to its end, by tokio's clock. `say` is told of each event: when it
/// happened, from the start, and what. An event that cannot be ends it; the error names the file
/// and the line.
pub async fn play(
    scenario: &Scenario,
    environment: &impl ScenarioEnvironment,
    mut say: impl FnMut(Duration, &str),
) -> Result<(), ConfigurationError> {
    let start = Instant::now();
    for event in &scenario.events {
        sleep_until(start + event.at).await;
        let played = run_action(&event.action, environment).await;
        played.map_err(|what| ConfigurationError::Wrong {
            file: scenario.file.clone(),
            line: event.line,
            what,
        })?;
        say(event.at, &told(&event.action));
    }
    sleep_until(start + scenario.ends).await;
    Ok(())
}

/// What people are told of an action.
fn told(action: &Action) -> String {
    let object = |one: &ObjectName| format!("{} {}/{}", one.kind, one.namespace, one.name);
    match action {
        Action::Apply(objects) => {
            let name = |one: &Value| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                format!("{} {}", text(&one["kind"]), text(&one["metadata"]["name"]))
            };
            let names: Vec<String> = objects.iter().map(name).collect();
            format!("apply {}", names.join(", "))
        }
        Action::Delete(one) => format!("delete {}", object(one)),
        Action::Scale(one, replicas) => format!("scale {} to {replicas}", object(one)),
        Action::Cordon(name, true) => format!("{name} is cordoned"),
        Action::Cordon(name, false) => format!("{name} is uncordoned"),
        Action::Cut(name) => format!("{name} is cut off"),
        Action::Open(name) => format!("{name} can be reached again"),
        Action::Lose(name) => format!("{name} fails"),
        Action::Return(name) => format!("{name} is back"),
        Action::LoseNode(one) => format!("{} fails", one.node),
        Action::ReturnNode(one) => format!("{} is back", one.node),
        Action::Drain(one) => format!("{} is drained", one.node),
        Action::AddNodes(name, group) => format!("{name} gets {} nodes", group.count),
        Action::Slow(name, round_trip, loss) => {
            format!("the way to {name} takes {round_trip:?} and loses {loss}")
        }
        Action::Crowd(flash) => format!(
            "{} times as many requests for {} during {:?}",
            flash.times, flash.workload, flash.lasts
        ),
        Action::Kill(operator, down) => {
            format!("{} dies, and is down for {down:?}", operator.as_str())
        }
    }
}

async fn run_action(action: &Action, environment: &impl ScenarioEnvironment) -> Result<(), String> {
    let hub = environment.hub();
    match action {
        Action::Apply(objects) => {
            for object in objects {
                apply(&hub, object).await?;
            }
            Ok(())
        }
        Action::Delete(one) => {
            let (api, params) = (api(&hub, one), DeleteParams::default());
            let deleted = api.delete(&one.name, &params).await;
            deleted.map(drop).map_err(|error| error.to_string())
        }
        Action::Scale(one, replicas) => patch(&hub, one, &json!({ "replicas": replicas })).await,
        Action::Cordon(name, cordoned) => {
            let member = ObjectName {
                kind: "MemberCluster".to_owned(),
                namespace: String::new(),
                name: name.clone(),
            };
            patch(&hub, &member, &json!({ "unschedulable": cordoned })).await
        }
        Action::Cut(name) => environment.set_reach(name, Reach::Silent),
        Action::Open(name) => environment.set_reach(name, Reach::Open),
        Action::Lose(name) => {
            each_node(cluster(environment, name)?, Cluster::lose_node);
            environment.set_reach(name, Reach::Silent)
        }
        Action::Return(name) => {
            each_node(cluster(environment, name)?, Cluster::return_node);
            environment.set_reach(name, Reach::Open)
        }
        Action::LoseNode(one) => {
            node(environment, one)?.lose_node(&one.node);
            Ok(())
        }
        Action::ReturnNode(one) => {
            node(environment, one)?.return_node(&one.node);
            Ok(())
        }
        Action::Drain(one) => {
            let drained = node(environment, one)?.drain(&one.node).await;
            drained.map(drop).map_err(|error| error.to_string())
        }
        Action::AddNodes(name, group) => {
            let added = cluster(environment, name)?.add_nodes(group).await;
            added.map(drop).map_err(|error| error.to_string())
        }
        Action::Slow(name, round_trip, loss) => {
            let (round_trip, loss) = (*round_trip, *loss);
            environment.set_link(name, Link { round_trip, loss })
        }
        Action::Crowd(flash) => crowd(environment, flash),
        Action::Kill(operator, down) => environment.kill(*operator, *down),
    }
}

fn cluster<'a>(
    environment: &'a impl ScenarioEnvironment,
    name: &str,
) -> Result<&'a Cluster, String> {
    environment
        .cluster(name)
        .ok_or_else(|| format!("there is no cluster {name} here"))
}

/// The cluster of a node that is there.
fn node<'a>(
    environment: &'a impl ScenarioEnvironment,
    name: &NodeName,
) -> Result<&'a Cluster, String> {
    let cluster = cluster(environment, &name.cluster)?;
    let nodes: Vec<String> = cluster.nodes().iter().map(|one| one.name_any()).collect();
    if nodes.contains(&name.node) {
        return Ok(cluster);
    }
    Err(format!(
        "{} has no node {}; write one of {}",
        name.cluster,
        name.node,
        nodes.join(", ")
    ))
}

fn each_node(cluster: &Cluster, act: fn(&Cluster, &str)) {
    for node in cluster.nodes() {
        act(cluster, &node.name_any());
    }
}

/// The crowd begins to come where it shall.
fn crowd(environment: &impl ScenarioEnvironment, flash: &Flash) -> Result<(), String> {
    for name in &flash.clusters {
        let metrics = environment.metrics(name);
        metrics
            .ok_or_else(|| format!("there is no cluster {name} here"))?
            .add_crowd(&flash.workload, flash.times, flash.lasts);
    }
    Ok(())
}

async fn apply(hub: &Client, object: &Value) -> Result<(), String> {
    let mut object = object.clone();
    // A manifest without a namespace is for the default one, as kubectl has it.
    let kind = object["kind"].as_str().unwrap_or_default();
    if !WITHOUT_NAMESPACE.contains(&kind) && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = "default".into();
    }
    let applied = simulation::apply(hub, &object).await;
    applied.map_err(|error| format!("{} {}: {error}", object["kind"], object["metadata"]["name"]))
}

async fn patch(hub: &Client, name: &ObjectName, spec: &Value) -> Result<(), String> {
    let patch = Patch::Merge(json!({ "spec": spec }));
    let (api, params) = (api(hub, name), PatchParams::default());
    let patched = api.patch(&name.name, &params, &patch).await;
    patched.map(drop).map_err(|error| error.to_string())
}

fn api(hub: &Client, name: &ObjectName) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", &name.kind));
    if name.namespace.is_empty() {
        return Api::all_with(hub.clone(), &resource);
    }
    Api::namespaced_with(hub.clone(), &name.namespace, &resource)
}
