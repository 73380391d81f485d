//! `MultiClusterService`: a Service on the clusters where its deployment runs.

use k8s_openapi::api::core::v1::ServiceSpec;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::WorkloadStatus;

/// A Service on the clusters of the `MultiClusterDeployment` of the same name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "fogguru.eu",
    version = "v1",
    kind = "MultiClusterService",
    shortname = "mcs",
    shortname = "mcss",
    category = "all",
    namespaced,
    derive = "PartialEq",
    status = "WorkloadStatus",
    doc = "A Service on the clusters of the MultiClusterDeployment of the same name.",
    printcolumn(name = "Clusters", type_ = "string", json_path = ".status.clusters"),
    printcolumn(
        name = "Placed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Placed\")].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct MultiClusterServiceSpec {
    /// The clusters, comma-separated. Without it (and without `clusters`): those of the
    /// `MultiClusterDeployment` of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locations: Option<String>,
    /// The clusters, one name an entry. Wins over `locations`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Vec<String>>,
    /// When the object is deleted, what it brought to the clusters stays there.
    #[serde(default)]
    pub preserve_on_deletion: bool,
    /// As in a Service.
    #[serde(flatten, deserialize_with = "super::lenient::service")]
    pub service: ServiceSpec,
}
