//! What a member holds of the kinds we bring: ours with their state, and the names of the others.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::Deserialize;
use serde_json::Value;

use super::bundle::{ManagedKind, ObjectKey, digest_bits, uid_bits};
use super::diagnosis::{Diagnosis, StatusCondition, of_conditions};
use super::replacement::is_ours;
use crate::api::{LABEL_HUB, LABEL_OWNER, LABEL_OWNER_PREFIX};

/// The state of an owner's main object on a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// A Deployment's.
    Replicas(ObservedReplicas),
    /// A Job's.
    Job(ObservedJob),
    /// An object without a state that matters.
    Present,
}

impl Observed {
    /// A Job that is complete or has failed for good.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Job(job) if job.complete || job.given_up)
    }

    /// A Job that has done as much, or has failed for good: it is not run again.
    pub(super) fn has_done(&self, completions: &Value) -> bool {
        let Self::Job(job) = self else { return false };
        let wanted = completions.as_u64().unwrap_or(1);
        job.given_up || u64::from(job.succeeded) >= wanted
    }
}

/// A Deployment's replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObservedReplicas {
    /// The member's controllers have seen the last change of the spec.
    pub current: bool,
    /// Replicas that the member's Deployment asks for.
    pub wanted: u32,
    /// Replicas that run the current template.
    pub updated: u32,
    /// Ready replicas.
    pub ready: u32,
    /// Available replicas.
    pub available: u32,
}

/// A Job's pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObservedJob {
    /// Pods that run.
    pub active: u32,
    /// Of those, ready ones.
    pub ready: u32,
    /// Pods that finished well.
    pub succeeded: u32,
    /// Pods that failed.
    pub failed: u32,
    /// The Job is complete.
    pub complete: bool,
    /// The Job has failed for good.
    pub given_up: bool,
}

/// One object on the member.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// Uid of the object.
    pub(super) uid: String,
    /// Resource version, as a number that grows.
    pub(super) version: u64,
    /// The hub that brought it, if one did.
    pub(super) hub: Option<String>,
    /// The owners on that hub.
    pub(super) owners: BTreeSet<u128>,
    /// A dependency, with one label an owner.
    pub(super) shared: bool,
    /// Digest of the fields that our field managers hold, and since when. When somebody changes
    /// one of them by hand, we no longer hold it, and the digest changes.
    pub(super) held: u128,
    /// Counts the changes of the spec, of kinds that have one.
    pub(super) generation: i64,
    /// Its state.
    pub(super) observed: Observed,
    /// What the member says is wrong with it.
    pub(super) diagnosis: Option<Diagnosis>,
}

/// The watched part of an object: metadata, and the status of those that have replicas.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Watched {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
    /// Its status cannot be read.
    #[serde(skip)]
    pub(super) status_is_unknown: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    replicas: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    updated_replicas: u32,
    ready_replicas: u32,
    available_replicas: u32,
    active: u32,
    ready: u32,
    succeeded: u32,
    failed: u32,
    conditions: Vec<StatusCondition>,
}

/// Of any of the managed kinds: which one, the watch says.
impl kube::Resource for Watched {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }
    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }
    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }
    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Watched {
    /// Metadata alone.
    pub(super) fn of(metadata: ObjectMeta) -> Self {
        Self {
            metadata,
            spec: Spec::default(),
            status: Status::default(),
            status_is_unknown: false,
        }
    }

    /// Metadata of an object whose status cannot be read.
    pub(super) fn without_status(metadata: ObjectMeta) -> Self {
        Self {
            status_is_unknown: true,
            ..Self::of(metadata)
        }
    }

    pub(super) fn key(&self, kind: ManagedKind) -> ObjectKey {
        ObjectKey {
            kind,
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            name: self.metadata.name.clone().unwrap_or_default(),
        }
    }

    pub(super) fn record(&self, kind: ManagedKind) -> Record {
        let labels = self.metadata.labels.as_ref();
        let hub = labels.and_then(|labels| labels.get(LABEL_HUB)).cloned();
        let owners = match (&hub, labels) {
            (Some(_), Some(labels)) => labels
                .iter()
                .filter_map(|(key, value)| match key.as_str() {
                    LABEL_OWNER => Some(uid_bits(value)),
                    key => key.strip_prefix(LABEL_OWNER_PREFIX).map(uid_bits),
                })
                .collect(),
            _ => BTreeSet::new(),
        };
        Record {
            uid: self.metadata.uid.clone().unwrap_or_default(),
            version: version_of(&self.metadata),
            held: if hub.is_some() {
                held_fields(&self.metadata)
            } else {
                0
            },
            generation: self.metadata.generation.unwrap_or(0),
            hub,
            shared: labels
                .is_some_and(|labels| labels.keys().any(|key| key.starts_with(LABEL_OWNER_PREFIX))),
            owners,
            observed: self.observed(kind),
            diagnosis: self.diagnosis(kind),
        }
    }

    /// What the status of a change before this one says is outdated.
    fn diagnosis(&self, kind: ManagedKind) -> Option<Diagnosis> {
        let outdated = kind == ManagedKind::Deployment
            && self.status.observed_generation < self.metadata.generation.unwrap_or(0);
        if outdated {
            return None;
        }
        of_conditions(kind, &self.status.conditions)
    }

    fn observed(&self, kind: ManagedKind) -> Observed {
        let status = &self.status;
        match kind {
            ManagedKind::Deployment => Observed::Replicas(ObservedReplicas {
                current: status.observed_generation >= self.metadata.generation.unwrap_or(0),
                wanted: self.spec.replicas.unwrap_or(1),
                updated: status.updated_replicas,
                ready: status.ready_replicas,
                available: status.available_replicas,
            }),
            ManagedKind::Job => Observed::Job(ObservedJob {
                active: status.active,
                ready: status.ready,
                succeeded: status.succeeded,
                failed: status.failed,
                complete: self.has("Complete"),
                given_up: self.has("Failed"),
            }),
            _ => Observed::Present,
        }
    }

    fn has(&self, condition: &str) -> bool {
        self.status
            .conditions
            .iter()
            .any(|c| c.kind == condition && c.status == "True")
    }
}

/// Kubernetes promises (KEP-5504) and has always kept that resource versions grow as integers.
pub(super) fn version_of(metadata: &ObjectMeta) -> u64 {
    metadata
        .resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

/// Digest of what our writes hold of an object, and since when.
pub(super) fn held_fields(metadata: &ObjectMeta) -> u128 {
    let mut held: Vec<String> = metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.subresource.as_deref().is_none_or(str::is_empty))
        .filter(|entry| entry.manager.as_deref().is_some_and(is_ours))
        .map(|entry| {
            format!(
                "{:?} {:?} {}",
                entry.manager,
                entry.time,
                entry
                    .fields_v1
                    .as_ref()
                    .map(|f| f.0.to_string())
                    .unwrap_or_default()
            )
        })
        .collect();
    held.sort();
    digest_bits(held.join("\n").as_bytes())
}

/// All records of a member.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    records: BTreeMap<ObjectKey, Record>,
    by_owner: BTreeMap<u128, BTreeSet<ObjectKey>>,
    listed: BTreeSet<ManagedKind>,
    listing: BTreeMap<ManagedKind, BTreeSet<ObjectKey>>,
}

impl Inventory {
    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Record> {
        self.records.get(key)
    }

    /// The objects of an owner.
    pub(super) fn of(&self, owner: u128) -> impl Iterator<Item = (&ObjectKey, &Record)> {
        self.by_owner
            .get(&owner)
            .into_iter()
            .flatten()
            .filter_map(|key| self.records.get_key_value(key))
    }

    /// Every owner that a hub has here.
    pub(super) fn owners(&self, hub: &str) -> Vec<u128> {
        let holds = |key: &ObjectKey| {
            self.records
                .get(key)
                .is_some_and(|r| r.hub.as_deref() == Some(hub))
        };
        self.by_owner
            .iter()
            .filter(|(_, keys)| keys.iter().any(holds))
            .map(|(owner, _)| *owner)
            .collect()
    }

    /// Everything is known.
    pub(super) fn is_complete(&self) -> bool {
        self.listed.len() == ManagedKind::ALL.len()
    }

    /// The owners that the change concerns.
    pub(super) fn put(&mut self, key: ObjectKey, record: Record) -> BTreeSet<u128> {
        if let Some(listing) = self.listing.get_mut(&key.kind) {
            listing.insert(key.clone());
        }
        if self.records.get(&key) == Some(&record) {
            return BTreeSet::new();
        }
        let mut concerned = record.owners.clone();
        concerned.extend(self.remove(&key));
        for owner in &record.owners {
            self.by_owner.entry(*owner).or_default().insert(key.clone());
        }
        self.records.insert(key, record);
        concerned
    }

    /// The object with this uid is gone. One that was made since in its place stays known.
    pub(super) fn gone(&mut self, key: &ObjectKey, uid: &str) -> BTreeSet<u128> {
        match self.records.get(key) {
            Some(record) if record.uid == uid => self.remove(key),
            _ => BTreeSet::new(),
        }
    }

    fn remove(&mut self, key: &ObjectKey) -> BTreeSet<u128> {
        let Some(record) = self.records.remove(key) else {
            return BTreeSet::new();
        };
        for owner in &record.owners {
            if let Some(keys) = self.by_owner.get_mut(owner) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_owner.remove(owner);
                }
            }
        }
        record.owners
    }

    pub(super) fn list_begins(&mut self, kind: ManagedKind) {
        self.listing.insert(kind, BTreeSet::new());
    }

    /// What was not listed is gone: it is given as it was last seen.
    pub(super) fn list_ends(&mut self, kind: ManagedKind) -> Vec<(ObjectKey, Record)> {
        self.listed.insert(kind);
        let seen = self.listing.remove(&kind).unwrap_or_default();
        let gone: Vec<ObjectKey> = self
            .records
            .keys()
            .filter(|key| key.kind == kind && !seen.contains(*key))
            .cloned()
            .collect();
        let mut ended = Vec::new();
        for key in gone {
            if let Some(record) = self.records.get(&key).cloned() {
                self.remove(&key);
                ended.push((key, record));
            }
        }
        ended
    }

    /// The member was away for long: nothing is known until everything was listed again.
    pub(super) fn forget_completeness(&mut self) {
        self.listed.clear();
        self.listing.clear();
    }
}
