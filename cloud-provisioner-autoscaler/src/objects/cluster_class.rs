//! A cluster from a `ClusterClass`: one object, from which Cluster API makes all others.

use federation::api::ClusterClassReference;
use serde_json::{Value, json};

use super::{Place, cluster as bare, pool_labels};
use crate::observed::Design;
use crate::validate::{Settings, dns_label};

pub(super) fn cluster(
    place: &Place<'_>,
    settings: &Settings,
    class: &ClusterClassReference,
    design: &Design,
) -> Value {
    let workers = design.pools.iter().map(|(flavor, nodes)| {
        let mut workers = json!({
            "class": class.worker_class, "name": dns_label(flavor), "replicas": nodes,
            "metadata": { "labels": pool_labels(place, design, flavor) },
            "deletion": { "nodeDrainTimeoutSeconds": settings.drain_timeout.as_secs() },
        });
        if let Some(variable) = &class.flavor_variable {
            let value = json!({ "name": variable, "value": flavor });
            workers["variables"] = json!({ "overrides": [value] });
        }
        workers
    });
    let workers: Vec<Value> = workers.collect();
    let mut variables: Vec<Value> = (class.variables.iter())
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    if let Some(variable) = &class.flavor_variable
        && !class.variables.contains_key(variable)
    {
        let flavor = &settings.control_plane_flavor;
        variables.push(json!({ "name": variable, "value": flavor }));
    }
    let mut topology = json!({
        "classRef": { "name": class.name }, "version": settings.version,
        "controlPlane": { "replicas": settings.control_plane },
    });
    // Empty lists are refused.
    if !workers.is_empty() {
        topology["workers"] = json!({ "machineDeployments": workers });
    }
    if !variables.is_empty() {
        topology["variables"] = variables.into();
    }
    let mut cluster = bare(place, design);
    cluster["spec"]["topology"] = topology;
    cluster
}
