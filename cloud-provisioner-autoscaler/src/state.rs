//! What the operator knows of the hub. One lock around it, never held while waiting for anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use federation::api::{
    CloudProvisionerSpec, CloudProvisionerStatus, MemberCluster, UnplacedReason, WorkloadStatus,
};
use federation::capacity::shape_of_template;
use federation::operator::key::NamespacedName;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ObjectMeta};
use placement::OwnerKey;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::decide::{Pending, Purchase};
use crate::plan::Need;
use crate::validate::{Invalid, Settings, validate};

/// Everything that is known of the hub.
#[derive(Default)]
pub struct State {
    /// By name.
    pub provisioners: BTreeMap<String, Provisioner>,
    /// By kind and name: what of them fits nowhere and may burst.
    pending: BTreeMap<(&'static str, NamespacedName), Pending>,
    /// By name.
    pub members: BTreeMap<String, Arc<MemberCluster>>,
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
        let of = |one: &Pending| (one.since, one.need.replicas);
        let now = pending.as_ref().map(of);
        let before = match pending {
            Some(pending) => self.pending.insert(key, pending),
            None => self.pending.remove(&key),
        };
        before.as_ref().map(of) != now
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
        self.pending.values().cloned().collect()
    }
}

/// What of a workload fits nowhere, and would fit on another cluster.
fn pending(key: &NamespacedName, object: &DynamicObject) -> Option<Pending> {
    let status: WorkloadStatus = read(&object.data, "status").unwrap_or_default();
    // What is said of another spec is not of this template.
    let is_of_this = status.observed_generation == object.metadata.generation;
    if object.metadata.deletion_timestamp.is_some() || !is_of_this {
        return None;
    }
    let may_burst = status.unplaced.iter().filter(|one| {
        one.burst_allowed && one.replicas > 0 && one.reason == UnplacedReason::NoRoom
    });
    let since = may_burst.clone().map(|one| one.since.0).min()?;
    let template = object.data.pointer("/spec/template")?;
    // What the scheduler has counted can be read; one that it refuses has nothing unplaced.
    let shape = shape_of_template(template, &key.namespace).ok()?;
    let replicas = may_burst.map(|one| one.replicas);
    Some(Pending {
        workload: key.to_string(),
        since,
        need: Need {
            owner: OwnerKey(owner_of(object)),
            shape,
            replicas: replicas.fold(0, u32::saturating_add),
        },
    })
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
