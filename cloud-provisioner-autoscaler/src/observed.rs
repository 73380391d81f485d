//! What Cluster API's objects say of the clusters that were made: everything that is known of a
//! cluster is read back from there, so that a restart goes on where it was.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// On each of our objects: the `CloudProvisioner`.
pub const LABEL_PROVISIONER: &str = "fogguru.eu/cloud-provisioner";
/// On each of our objects: the cluster.
pub const LABEL_CLUSTER: &str = "fogguru.eu/cloud-cluster";
/// On the objects of a pool of workers: the DNS label of the flavor.
pub const LABEL_POOL: &str = "fogguru.eu/pool";
/// On a `Cluster`: the [`Design`], as JSON. It is the record of what is to be there, and is written
/// before anything is made.
pub const ANNOTATION_DESIGN: &str = "fogguru.eu/design";
/// On a `Cluster`: it is being given back, and why.
pub const ANNOTATION_LEAVING: &str = "fogguru.eu/leaving";

/// What a cluster is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Design {
    /// Its name.
    pub cluster: String,
    /// Workers by flavor.
    pub pools: BTreeMap<String, u32>,
    /// When workers were added last.
    pub sized_at: Timestamp,
    /// Of the workers, how many have ever been ready at a time. What has not, is on its way.
    #[serde(default)]
    pub joined: BTreeMap<String, u32>,
    /// When more became ready last.
    #[serde(default)]
    pub joined_at: Option<Timestamp>,
    /// Why workers were added last.
    #[serde(default)]
    pub why: String,
}

impl Design {
    /// Workers of all flavors.
    pub fn nodes(&self) -> u32 {
        self.pools
            .values()
            .fold(0, |sum, nodes| sum.saturating_add(*nodes))
    }

    /// The workers that have never been ready, by flavor.
    pub fn missing(&self) -> BTreeMap<String, u32> {
        let pools = self.pools.iter();
        let missing = pools.map(|(flavor, nodes)| {
            let joined = self.joined.get(flavor).copied().unwrap_or(0);
            (flavor.clone(), nodes.saturating_sub(joined))
        });
        missing.filter(|(_, count)| *count > 0).collect()
    }
}

/// A cluster as its objects have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Whose it is.
    pub provisioner: String,
    /// What it is to be.
    pub design: Design,
    /// When its `Cluster` was made.
    pub created: Timestamp,
    /// Its `Cluster` is being deleted.
    pub deleting: bool,
    /// It is being given back, and why.
    pub leaving: Option<String>,
    /// Its control plane serves.
    pub initialized: bool,
    /// What it waits for, as Cluster API says it.
    pub waits_for: String,
    /// Its pools of workers by the DNS label of the flavor: how many are wanted, and how many are
    /// ready.
    pub pools: BTreeMap<String, (u32, u32)>,
}

/// Reads a `Cluster`, and those of these `MachineDeployment`s that are its; the name of one whose record
/// cannot be read.
pub fn read(cluster: &DynamicObject, deployments: &[DynamicObject]) -> Result<Observed, String> {
    let name = cluster.name_any();
    let annotations = cluster.annotations();
    let record = annotations.get(ANNOTATION_DESIGN);
    let design = record.and_then(|text| serde_json::from_str::<Design>(text).ok());
    let design = design.ok_or_else(|| name.clone())?;
    let is_its = |one: &&DynamicObject| one.labels().get(LABEL_CLUSTER) == Some(&name);
    let pools = deployments.iter().filter(is_its).filter_map(|one| {
        let pool = one.labels().get(LABEL_POOL)?.clone();
        let number = |pointer: &str| {
            let value = one.data.pointer(pointer).and_then(Value::as_u64);
            u32::try_from(value.unwrap_or(0)).unwrap_or(u32::MAX)
        };
        Some((
            pool,
            (number("/spec/replicas"), number("/status/readyReplicas")),
        ))
    });
    Ok(Observed {
        provisioner: (cluster.labels().get(LABEL_PROVISIONER).cloned()).unwrap_or_default(),
        created: cluster
            .creation_timestamp()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        deleting: cluster.metadata.deletion_timestamp.is_some(),
        leaving: annotations.get(ANNOTATION_LEAVING).cloned(),
        initialized: is_initialized(&cluster.data),
        waits_for: waits_for(&cluster.data),
        pools: pools.collect(),
        design: Design {
            cluster: name,
            ..design
        },
    })
}

fn is_initialized(cluster: &Value) -> bool {
    let initialized = cluster.pointer("/status/initialization/controlPlaneInitialized");
    initialized == Some(&Value::Bool(true))
}

/// The first condition that is not met, in the order in which they are met.
fn waits_for(cluster: &Value) -> String {
    const ORDER: [&str; 5] = [
        "InfrastructureReady",
        "ControlPlaneInitialized",
        "ControlPlaneAvailable",
        "WorkersAvailable",
        "Available",
    ];
    const LONGEST: usize = 512;
    let conditions = cluster.pointer("/status/conditions");
    let conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    let conditions: Vec<&Value> = conditions.collect();
    let unmet = ORDER.into_iter().find_map(|kind| {
        let mut of_kind = conditions.iter().filter(|one| one["type"] == kind);
        of_kind.find(|one| one["status"] != "True").copied()
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    unmet.map_or_else(String::new, |one| {
        let (kind, message) = (text(&one["type"]), text(&one["message"]));
        let first = message.lines().next().unwrap_or_default();
        let first = &first[..first.floor_char_boundary(LONGEST)];
        if first.is_empty() {
            kind
        } else {
            format!("{kind}: {first}")
        }
    })
}
