//! A bundle: everything that one member shall hold for one owner.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount,
};
use kube::core::ApiResource;
use sha2::{Digest as _, Sha256};

use super::manifest::Manifest;

/// The owning object on the hub.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Its uid.
    pub uid: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What a member shall hold for an owner; nothing but that, so an empty bundle removes all.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// The owner.
    pub owner: Owner,
    /// The generation of the owner's spec that it was made from.
    pub generation: i64,
    /// The objects: what the main one needs first, and the main one last.
    pub items: Vec<Arc<Item>>,
    /// The owner is being deleted on the hub, so this is its last bundle. Without it a claim (PVC)
    /// outlives an empty bundle: a move never deletes data.
    pub ending: Option<Ending>,
}

/// How an owner ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Its objects stay on the members, without our labels.
    pub orphan: bool,
    /// Its namespace is being deleted on the hub: one that was made for us goes too, if it holds
    /// nothing else.
    pub namespace_gone: bool,
}

/// One object of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Which object.
    pub key: ObjectKey,
    /// The object: only the fields that are ours to set.
    pub manifest: Manifest,
    /// A dependency that several owners may bring; it stays until the last one leaves. The label of
    /// the owner is not part of the manifest.
    pub shared: bool,
    /// Of a dependency: the resource version of the hub's object that it was made from. A newer one
    /// that another owner brought is not overwritten.
    pub revision: u64,
    /// Fields of its spec that are left to whoever else sets them on the member.
    pub retain: Vec<&'static str>,
}

/// The kinds that are brought to members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManagedKind {
    /// apps/v1
    Deployment,
    /// batch/v1
    Job,
    /// v1
    Service,
    /// v1
    ConfigMap,
    /// v1
    Secret,
    /// v1
    ServiceAccount,
    /// v1
    PersistentVolumeClaim,
}

impl ManagedKind {
    /// All of them.
    pub const ALL: [Self; 7] = Self::REMOVAL_ORDER;

    /// The order in which an owner's objects are removed: what runs first, then what it needs. They
    /// are brought in the opposite order; a token needs the account that it is for.
    pub const REMOVAL_ORDER: [Self; 7] = [
        Self::Deployment,
        Self::Job,
        Self::Service,
        Self::PersistentVolumeClaim,
        Self::ConfigMap,
        Self::Secret,
        Self::ServiceAccount,
    ];

    /// An owner's main object, not one that it needs.
    pub fn is_main(self) -> bool {
        matches!(self, Self::Deployment | Self::Job | Self::Service)
    }

    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Job => "Job",
            Self::Service => "Service",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::ServiceAccount => "ServiceAccount",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
        }
    }

    /// Group, version, kind and plural.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::Job => ApiResource::erase::<Job>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::Secret => ApiResource::erase::<Secret>(&()),
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::PersistentVolumeClaim => ApiResource::erase::<PersistentVolumeClaim>(&()),
        }
    }
}

/// Which object of a member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: ManagedKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// A uid as a number. Kubernetes' uids are UUIDs; anything else is digested.
pub fn uid_bits(uid: &str) -> u128 {
    let hex: String = uid.chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&hex, 16)
        .ok()
        .filter(|_| hex.len() == 32)
        .unwrap_or_else(|| digest_bits(uid.as_bytes()))
}

/// The first 128 bits of a SHA-256.
pub(super) fn digest_bits(bytes: &[u8]) -> u128 {
    Sha256::digest(bytes)
        .iter()
        .take(16)
        .fold(0, |bits, byte| (bits << 8) | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_its_own_number() {
        assert_eq!(uid_bits("00000000-0000-0000-0000-0000000000ff"), 255);
        assert_ne!(uid_bits("static-pod-hash"), uid_bits("static-pod-hasi"));
    }
}
