//! The objects that stories are about.

use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::simulated::Random;

/// Names of the objects, and of the namespaces that they are in.
pub(super) const NAMES: [(&str, &str); 6] = [
    ("default", "ada"),
    ("default", "bea"),
    ("default", "cleo"),
    ("default", "dora"),
    ("team", "eve"),
    ("team", "flo"),
];
/// The name of a Deployment on the first member that is none of ours.
pub(super) const FOREIGN: &str = "foreign";

const POLICIES: [&str; 6] = [
    "worst_fit",
    "best_fit",
    "first_fit",
    "round_robin",
    "random",
    "nearest",
];

/// The kinds that the scheduler serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Served {
    Deployment,
    Job,
    Service,
}

impl Served {
    pub(super) const ALL: [Self; 3] = [Self::Deployment, Self::Job, Self::Service];

    /// Its resource on the hub.
    pub(super) fn on_hub(self) -> ApiResource {
        resource("fogguru.eu", "v1", &format!("MultiCluster{self:?}"))
    }

    /// And on members.
    pub(super) fn on_members(self) -> ApiResource {
        let group = match self {
            Self::Deployment => "apps",
            Self::Job => "batch",
            Self::Service => "",
        };
        resource(group, "v1", &format!("{self:?}"))
    }
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// The member clusters on the hub.
pub(super) fn member_clusters(hub: &Client) -> Api<DynamicObject> {
    of(hub, &resource("fogguru.eu", "v1", "MemberCluster"), None)
}

/// The moves in a namespace, or all.
pub(super) fn moves(hub: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
    of(
        hub,
        &resource("fogguru.eu", "v1", "WorkloadMove"),
        namespace,
    )
}

/// The objects of a resource in a namespace, or all.
pub(super) fn of(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Where something shall run, as it is drawn.
pub(super) fn places(random: &mut Random, members: &[&String]) -> Value {
    if random.happens(0.3) {
        let first = random.below(members.len());
        let clusters: Vec<_> = members.iter().skip(first).take(2).collect();
        return json!({
            "placementPolicy": "cluster_affinity", "clusters": clusters, "numberOfLocations": null,
        });
    }
    json!({
        "placementPolicy": POLICIES[random.below(POLICIES.len())],
        "numberOfLocations": 1 + random.below(3), "clusters": null,
    })
}

/// A `MultiClusterDeployment`.
pub(super) fn deployment(
    random: &mut Random,
    namespace: &str,
    name: &str,
    places: &Value,
) -> Value {
    let mut spec = json!({
        "replicas": random.below(5),
        "selector": { "matchLabels": { "app": name } },
        // A rollout must not wait for room that it holds itself, as it may in any cluster.
        "strategy": { "rollingUpdate": { "maxSurge": 0, "maxUnavailable": "100%" } },
        "template": template(random, name),
    });
    add(&mut spec, places);
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": name, "namespace": namespace }, "spec": spec,
    })
}

/// A `MultiClusterJob` whose pods end.
pub(super) fn job(random: &mut Random, namespace: &str, name: &str, places: &Value) -> Value {
    let mut template = template(random, name);
    template["metadata"]["annotations"] =
        json!({ crate::simulated::RUN_SECONDS: (1 + random.below(120)).to_string() });
    let mut spec = json!({ "replicas": 1 + random.below(3), "template": template });
    add(&mut spec, places);
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterJob",
        "metadata": { "name": name, "namespace": namespace }, "spec": spec,
    })
}

/// A `MultiClusterService`, of the deployment of its name or of clusters by name.
pub(super) fn service(
    random: &mut Random,
    namespace: &str,
    name: &str,
    members: &[&String],
) -> Value {
    let mut spec = json!({
        "selector": { "app": name },
        "ports": [{ "port": 80, "targetPort": 8000 + random.below(3) }],
    });
    if random.happens(0.3) {
        let clusters: Vec<_> = members.iter().take(1 + random.below(2)).collect();
        spec["clusters"] = json!(clusters);
    }
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterService",
        "metadata": { "name": name, "namespace": namespace }, "spec": spec,
    })
}

/// A Deployment that somebody else has on a member.
pub(super) fn foreign() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": FOREIGN, "namespace": "default" },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": FOREIGN } },
            "template": {
                "metadata": { "labels": { "app": FOREIGN } },
                "spec": { "containers": [{ "name": "main", "image": "foreign:1" }] },
            },
        },
    })
}

fn template(random: &mut Random, name: &str) -> Value {
    let cpu = 250 * (1 + random.below(6));
    json!({
        "metadata": { "labels": { "app": name } },
        "spec": { "containers": [{
            "name": "main", "image": format!("main:{}", random.below(3)),
            "resources": { "requests": { "cpu": format!("{cpu}m"), "memory": "256Mi" } },
        }] },
    })
}

/// The fields of `more`, but for those that are null.
fn add(spec: &mut Value, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        if !value.is_null() {
            spec[name.as_str()] = value.clone();
        }
    }
}
