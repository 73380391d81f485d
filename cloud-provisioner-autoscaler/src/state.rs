//! What the operator knows of the hub. One lock around it, never held while waiting for anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use federation::api::{
    CloudProvisionerSpec, CloudProvisionerStatus, MemberCluster, UnplacedReason, WorkloadStatus,
};
use federation::capacity::shape_of_template;
use federation::operator::finalizer::{has_finalizer, is_held_by_kopf};
use federation::operator::key::NamespacedName;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ObjectMeta};
use placement::OwnerKey;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::decide::{Pending, Purchase};
use crate::plan::Need;
use crate::validate::{Invalid, Settings, validate};

/// Holds a `CloudProvisioner` until its clusters are gone.
pub const FINALIZER: &str = "fogguru.eu/cloud";

/// Everything that is known of the hub.
#[derive(Default)]
pub struct State {
    /// By name.
    pub provisioners: BTreeMap<String, Provisioner>,
    /// By kind and name: what of them fits nowhere and may burst.
    pending: BTreeMap<(&'static str, NamespacedName), Vec<Pending>>,
    /// By name.
    pub members: BTreeMap<String, MemberCluster>,
}

/// A `CloudProvisioner`.
pub struct Provisioner {
    /// As the hub has it.
    pub metadata: ObjectMeta,
    /// What it asks for, or why it cannot be served.
    pub settings: Result<Arc<Settings>, Invalid>,
    /// The status that the hub has.
    pub reported: CloudProvisionerStatus,
    /// What is needed to give back what was made, if it cannot be served.
    pub of_deletion: Arc<Settings>,
    /// Flavors that were not ready in time.
    pub failed: BTreeMap<String, Failure>,
    /// What machines were made for, by workload.
    pub purchases: BTreeMap<String, Purchase>,
}

/// A flavor that was not ready in time.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// How often in a row.
    pub times: u32,
    /// Until when it is not tried.
    pub until: Timestamp,
}

impl Provisioner {
    /// Whether it is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether it stays until its clusters are gone.
    pub fn is_held(&self) -> bool {
        has_finalizer(&self.metadata, FINALIZER)
    }

    /// Whether the original's finalizer is on it.
    pub fn is_held_by_kopf(&self) -> bool {
        is_held_by_kopf(&self.metadata)
    }

    /// What an Event is about.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("fogguru.eu/v1".to_owned()),
            kind: Some("CloudProvisioner".to_owned()),
            name: self.metadata.name.clone(),
            uid: self.metadata.uid.clone(),
            ..ObjectReference::default()
        }
    }
}

impl State {
    /// Takes in a provisioner as the hub has it. Whether it is to be looked at: not because of its
    /// status.
    pub fn provisioner_applied(&mut self, object: &DynamicObject) -> bool {
        let name = object.name_any();
        let before = self.provisioners.remove(&name);
        let before = before.filter(|before| before.metadata.uid == object.metadata.uid);
        let spec: Result<CloudProvisionerSpec, String> = read(&object.data, "spec");
        let of_deletion = spec.as_ref().ok().cloned().unwrap_or_default();
        let of_deletion = Arc::new(Settings::of_deletion(&of_deletion));
        let settings = match spec {
            Ok(spec) => validate(&name, &spec).map(Arc::new),
            Err(error) => Err(Invalid::new(error)),
        };
        let matters = |metadata: &ObjectMeta| {
            let finalizers = metadata.finalizers.clone();
            let is_deleting = metadata.deletion_timestamp.is_some();
            (metadata.generation, is_deleting, finalizers)
        };
        let known = before.as_ref().map(|before| matters(&before.metadata));
        let is_news = known != Some(matters(&object.metadata));
        let (reported, failed, purchases) = match before {
            Some(before) => (before.reported, before.failed, before.purchases),
            None => (
                read(&object.data, "status").unwrap_or_default(),
                BTreeMap::new(),
                BTreeMap::new(),
            ),
        };
        let provisioner = Provisioner {
            metadata: ObjectMeta {
                managed_fields: None,
                ..object.metadata.clone()
            },
            settings,
            reported,
            of_deletion,
            failed,
            purchases,
        };
        self.provisioners.insert(name, provisioner);
        is_news
    }

    /// Takes in a workload as the hub has it. Whether something of it fits nowhere that did, or the
    /// other way round.
    pub fn workload_applied(&mut self, kind: &'static str, object: &DynamicObject) -> bool {
        let key = (kind, NamespacedName::of(object));
        let pending = pending(&key.1, object);
        let of = |all: &[Pending]| -> Vec<(Timestamp, u32)> {
            all.iter()
                .map(|one| (one.since, one.need.replicas))
                .collect()
        };
        let before = self.pending.get(&key).map(|before| of(before));
        let has_changed = before.unwrap_or_default() != of(&pending);
        if pending.is_empty() {
            self.pending.remove(&key);
        } else {
            self.pending.insert(key, pending);
        }
        has_changed
    }

    /// Forgets a workload. Whether something of it fitted nowhere.
    pub fn workload_gone(&mut self, kind: &'static str, key: &NamespacedName) -> bool {
        self.pending.remove(&(kind, key.clone())).is_some()
    }

    /// The workloads of a kind of which something fits nowhere.
    pub fn pending_of(&self, kind: &'static str) -> BTreeSet<NamespacedName> {
        let of_kind = self.pending.keys().filter(|(one, _)| *one == kind);
        of_kind.map(|(_, key)| key.clone()).collect()
    }

    /// What fits nowhere, and may burst.
    pub fn pending(&self) -> Vec<Pending> {
        self.pending.values().flatten().cloned().collect()
    }
}

/// What of a workload fits nowhere, and would fit on another cluster.
fn pending(key: &NamespacedName, object: &DynamicObject) -> Vec<Pending> {
    if object.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let status: WorkloadStatus = read(&object.data, "status").unwrap_or_default();
    // What is said of another spec is not of this template.
    if status.observed_generation != object.metadata.generation {
        return Vec::new();
    }
    let may_burst = status.unplaced.iter().filter(|one| {
        one.burst_allowed && one.replicas > 0 && one.reason == UnplacedReason::NoRoom
    });
    let may_burst: Vec<_> = may_burst.collect();
    let template = object.data.pointer("/spec/template");
    let (Some(template), false) = (template, may_burst.is_empty()) else {
        return Vec::new();
    };
    // What the scheduler has counted can be read; one that it refuses has nothing unplaced.
    let Ok(shape) = shape_of_template(template, &key.namespace) else {
        return Vec::new();
    };
    let owner = OwnerKey(owner_of(object));
    let since = may_burst.iter().map(|one| one.since.0).min();
    vec![Pending {
        workload: key.to_string(),
        since: since.unwrap_or_default(),
        need: Need {
            owner,
            shape,
            replicas: (may_burst.iter())
                .map(|one| one.replicas)
                .fold(0, u32::saturating_add),
        },
    }]
}

/// The uid as a number; what is no uid counts as the object of nobody else.
fn owner_of(object: &DynamicObject) -> u128 {
    let uid = object.uid().unwrap_or_default().replace('-', "");
    u128::from_str_radix(&uid, 16).unwrap_or_default()
}

/// A part of an object, or what is wrong with it. A part that is not there is empty.
fn read<T: DeserializeOwned>(object: &Value, part: &str) -> Result<T, String> {
    let empty = || Value::Object(serde_json::Map::new());
    let value = object.get(part).cloned().unwrap_or_else(empty);
    serde_json::from_value(value).map_err(|error| format!("{part}: {error}"))
}
