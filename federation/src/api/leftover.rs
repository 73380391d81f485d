//! `Leftover`: what a member that was away still holds of an object that the hub has deleted.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A member still holds something of a deleted object, because it was away when the object went. It is
/// collected when the member is back, and then this record goes.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource,
)]
#[kube(
    group = "fogguru.eu",
    version = "v1",
    kind = "Leftover",
    derive = "PartialEq",
    doc = "A member still holds something of a deleted object, because it was away when the object went. It is collected when the member is back, and then this record goes. Made by the scheduler: deleting one leaves on the member what is there.",
    printcolumn(name = "Member", type_ = "string", json_path = ".spec.member"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.object.kind"),
    printcolumn(
        name = "Namespace",
        type_ = "string",
        json_path = ".spec.object.namespace"
    ),
    printcolumn(name = "Name", type_ = "string", json_path = ".spec.object.name"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct LeftoverSpec {
    /// Name of the `MemberCluster` that holds it.
    pub member: String,
    /// The object that was deleted.
    pub object: DeletedObject,
}

/// An object that the hub has deleted, and what becomes of what a member holds of it.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct DeletedObject {
    /// Its uid.
    pub uid: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it left there stays, without the labels of mck8s.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub orphan: bool,
    /// Its namespace on the hub went with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub namespace_gone: bool,
    /// Uid of the cluster that holds it; on another one that has the member's name by now, nothing
    /// is collected.
    #[serde(
        default,
        rename = "clusterUID",
        skip_serializing_if = "Option::is_none"
    )]
    pub cluster_uid: Option<String>,
}
