//! `CloudProvisioner`: where and how cloud clusters are made.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where and how cloud clusters are made: the fields that the original reads.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource,
)]
#[kube(
    group = "fogguru.eu",
    version = "v1",
    kind = "CloudProvisioner",
    shortname = "cpro",
    shortname = "cp",
    derive = "PartialEq",
    deprecated = "fogguru.eu/v1 CloudProvisioner: no operator of this release serves it, so the object has no effect",
    doc = "Where and how cloud clusters are made.",
    printcolumn(
        name = "Cluster",
        type_ = "string",
        json_path = ".spec.cloudClusterName"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct CloudProvisionerSpec {
    /// Name of the cluster to make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_cluster_name: Option<String>,
    /// Gateway of the cluster's network.
    #[serde(rename = "gatewayIP", skip_serializing_if = "Option::is_none")]
    pub gateway_ip: Option<String>,
    /// Floating address of its API server.
    #[serde(rename = "floatingIP", skip_serializing_if = "Option::is_none")]
    pub floating_ip: Option<String>,
    /// `OpenStack`'s id of the external network.
    #[serde(rename = "extNetworkID", skip_serializing_if = "Option::is_none")]
    pub ext_network_id: Option<String>,
    /// `OpenStack`'s id of the security group.
    #[serde(rename = "securityGroupID", skip_serializing_if = "Option::is_none")]
    pub security_group_id: Option<String>,
    /// `clouds.yaml`, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clouds_yaml: Option<String>,
    /// CA certificate, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_text: Option<String>,
    /// Address of `InfluxDB`.
    #[serde(rename = "influxDBIP", skip_serializing_if = "Option::is_none")]
    pub influx_db_ip: Option<String>,
}
