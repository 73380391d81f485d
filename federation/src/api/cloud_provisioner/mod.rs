//! `CloudProvisioner`: where and how cloud clusters are made, how large they may be, and when they go.

mod status;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use status::{CloudCluster, CloudPhase, CloudProvisionerStatus, NodePool};

/// Where and how cloud clusters are made, how large they may be, and when they go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "fogguru.eu",
    version = "v1",
    kind = "CloudProvisioner",
    shortname = "cpro",
    shortname = "cp",
    derive = "PartialEq",
    status = "CloudProvisionerStatus",
    doc = "Where and how cloud clusters are made, how large they may be, and when they go.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Clusters",
        type_ = "integer",
        json_path = ".status.clusterCount"
    ),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.nodes"),
    printcolumn(name = "Flavor", type_ = "string", json_path = ".status.flavors"),
    printcolumn(name = "Cost/h", type_ = "string", json_path = ".status.costPerHour"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct CloudProvisionerSpec {
    /// Name of the cluster to make; of further ones, what their names begin with. Default: the
    /// object's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_cluster_name: Option<String>,
    /// Read by the original, and by nothing here: the network of a cluster has its own gateway.
    #[serde(rename = "gatewayIP", skip_serializing_if = "Option::is_none")]
    pub gateway_ip: Option<String>,
    /// Floating address of the API server, where it must be a certain one.
    #[serde(rename = "floatingIP", skip_serializing_if = "Option::is_none")]
    pub floating_ip: Option<String>,
    /// `OpenStack`'s id of the external network. Default: the only one that there is.
    #[serde(rename = "extNetworkID", skip_serializing_if = "Option::is_none")]
    pub ext_network_id: Option<String>,
    /// `OpenStack`'s id of a security group of all nodes. Default: one is made.
    #[serde(rename = "securityGroupID", skip_serializing_if = "Option::is_none")]
    pub security_group_id: Option<String>,
    /// `clouds.yaml`, base64. Whoever may read this object reads it: use `credentialsSecretRef`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clouds_yaml: Option<String>,
    /// CA certificate of the cloud, base64. Use `credentialsSecretRef`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_text: Option<String>,
    /// Read by the original, and by nothing here.
    #[serde(rename = "influxDBIP", skip_serializing_if = "Option::is_none")]
    pub influx_db_ip: Option<String>,

    /// A Secret with `clouds.yaml` and, where the cloud's certificate needs it, `cacert`, in the
    /// namespace of the Cluster API objects (`--cloud-namespace`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<CredentialsSecretReference>,
    /// Which cloud of `clouds.yaml`. Default `openstack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_name: Option<String>,
    /// Make clusters from a `ClusterClass` instead, so that any provider of Cluster API serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_class: Option<ClusterClassReference>,
    /// Version of Kubernetes on the nodes. Default `v1.34.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// Name of the image of the nodes. Default: `ubuntu-2204-kube-` and the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Name of the SSH key of the nodes. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_key_name: Option<String>,
    /// The machines of the control plane.
    #[serde(default, deserialize_with = "super::lenient::field")]
    pub control_plane: ControlPlaneMachines,
    /// The flavors that workers may have. Default: the original's four.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub flavors: Vec<Flavor>,
    /// What a node keeps for itself, besides what its `DaemonSet`s request: it comes off the flavor's
    /// size. Default: 100m of CPU and 600Mi of memory.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Option::is_none"
    )]
    pub node_overhead: Option<BTreeMap<String, Quantity>>,
    /// Which of several ways to make room is taken.
    #[serde(default)]
    pub expander: Expander,

    /// Workers that a new cluster has at least, within the limits. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub min_nodes: u32,
    /// Workers of all clusters together, at most.
    #[serde(default = "default_max_nodes")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_nodes: u32,
    /// Clusters, at most.
    #[serde(default = "default_max_clusters")]
    #[schemars(range(min = 0, max = 10))]
    pub max_clusters: u32,
    /// What all machines may cost in an hour, in the unit of the prices. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_per_hour: Option<Quantity>,

    /// How long replicas must have been unplaced before machines are made for them.
    #[serde(default = "default_scale_up_delay")]
    #[schemars(length(min = 1, max = 63))]
    pub scale_up_delay: String,
    /// How long a cluster must have had no work before it goes.
    #[serde(default = "default_deprovision_delay")]
    #[schemars(length(min = 1, max = 63))]
    pub deprovision_delay: String,
    /// How long a new cluster, or a new worker, may take to be ready. What takes longer is given up:
    /// the cluster is deleted, and the flavor is not tried again for a while.
    #[serde(default = "default_provision_timeout")]
    #[schemars(length(min = 1, max = 63))]
    pub provision_timeout: String,
    /// How long a worker that goes may take to be drained.
    #[serde(default = "default_drain_timeout")]
    #[schemars(length(min = 1, max = 63))]
    pub drain_timeout: String,
    /// Nothing new is made, and no cluster goes for want of work.
    #[serde(default)]
    pub suspend: bool,
    /// What becomes of the clusters when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// A Secret with the access to a cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CredentialsSecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A `ClusterClass`, and what its clusters are made with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterClassReference {
    /// Name of the `ClusterClass`, in the namespace of the Cluster API objects.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The class of the workers among its `workers.machineDeployments`.
    #[serde(default = "default_worker_class")]
    #[schemars(length(min = 1, max = 253))]
    pub worker_class: String,
    /// The variable that takes the flavor of a pool of workers. Default: none; then there can be one
    /// flavor only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavor_variable: Option<String>,
    /// Values of its other variables.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schemars(schema_with = "any_map")]
    pub variables: BTreeMap<String, serde_json::Value>,
}

/// The machines of a control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ControlPlaneMachines {
    /// How many: one, or three.
    #[schemars(range(min = 1, max = 5))]
    pub replicas: u32,
    /// Their flavor. Default: the cheapest of `flavors`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavor: Option<String>,
}

impl Default for ControlPlaneMachines {
    fn default() -> Self {
        Self {
            replicas: 1,
            flavor: None,
        }
    }
}

/// A kind of machine that a cloud has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Flavor {
    /// Its name in the cloud.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its size, by resource: `cpu` and `memory` at least.
    #[serde(deserialize_with = "super::lenient::field")]
    pub capacity: BTreeMap<String, Quantity>,
    /// What one costs in an hour, in any unit that is the same for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<Quantity>,
    /// For the expander `Priority`: higher is taken first.
    #[serde(default)]
    pub priority: i32,
    /// Labels of its nodes, that selectors of pods may ask for.
    #[serde(
        default,
        deserialize_with = "super::lenient::texts",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
}

/// Which of several ways to make room is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Expander {
    /// That which leaves least unused.
    #[default]
    LeastWaste,
    /// The cheapest.
    Price,
    /// That of the flavors with the highest priority.
    Priority,
    /// That which has room for most replicas; of several, the one with the fewest nodes.
    MostPods,
}

/// What becomes of the clusters of a `CloudProvisioner` that is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They are drained and deleted, and the object stays until they are gone.
    #[default]
    Delete,
    /// They stay as they are, and nobody sizes them any more.
    Orphan,
}

fn default_max_nodes() -> u32 {
    10
}

fn default_max_clusters() -> u32 {
    1
}

fn default_scale_up_delay() -> String {
    "30s".to_owned()
}

fn default_deprovision_delay() -> String {
    "21m".to_owned()
}

fn default_provision_timeout() -> String {
    "15m".to_owned()
}

fn default_drain_timeout() -> String {
    "5m".to_owned()
}

fn default_worker_class() -> String {
    "default-worker".to_owned()
}

fn any_map(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
