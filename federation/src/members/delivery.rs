//! Bringing bundles to a member by writing them: one delivery of one owner, from what the member
//! holds to what it shall hold. It can end at any point and be done again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;

use super::bundle::{Bundle, Item, ManagedKind, ObjectKey, Owner, digest_bits, uid_bits};
use super::inventory::{Inventory, Record, Watched, held_fields, version_of};
use super::watching::Deadlined as _;
use crate::api::{FIELD_MANAGER, LABEL_HUB, LABEL_OWNER_PREFIX};
use crate::operator::redacted::redacted_message;

/// On a namespace that we made on a member.
const LABEL_MADE: &str = "fogguru.eu/created-for-hub";

/// Brings bundles to one member. Pushed now; pulled by an agent on the member later.
pub trait Delivery: Send + Sync {
    /// From now on the member shall hold exactly this for the bundle's owner. Returns at once;
    /// what comes of it is reported as a [`super::Change::Delivered`].
    fn deliver(&self, bundle: Bundle);
}

/// What came of a delivery.
pub type Outcome = Result<(), Failure>;

/// Why a delivery did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind of failure: decides whether and when to try again.
    pub kind: FailureKind,
    /// What happened, for a person.
    pub message: String,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// An object of that name is there and is not ours.
    Conflict,
    /// The member refuses the object.
    Rejected,
    /// The member has too much to do, or an error of its own.
    Unavailable,
    /// The member does not answer.
    Unreachable,
    /// This process may no longer write.
    NotLeader,
}

/// Writes to one member.
pub(super) struct Pusher {
    client: Client,
    hub: String,
    deadline: Duration,
    /// What was applied and what it looked like then; a repetition that would change nothing is
    /// left out, and a change by hand shows against it.
    applied: Mutex<BTreeMap<ObjectKey, Applied>>,
}

#[derive(Clone, Copy, Debug)]
struct Applied {
    content: u128,
    version: u64,
    held: u128,
    generation: i64,
}

impl Pusher {
    pub(super) fn new(client: Client, hub: String, deadline: Duration) -> Self {
        Self {
            client,
            hub,
            deadline,
            applied: Mutex::default(),
        }
    }

    /// What we applied was changed since, by somebody else or by an older write of ours that came
    /// late: it is to be applied again.
    pub(super) fn has_drifted(&self, key: &ObjectKey, now: Option<&Record>) -> bool {
        let mut applied = self.applied();
        let Some(last) = applied.get(key) else {
            return false;
        };
        let drifted = match now {
            Some(record) => {
                record.version > last.version
                    && (record.held, record.generation) != (last.held, last.generation)
            }
            None => true,
        };
        if drifted {
            applied.remove(key);
        }
        drifted
    }

    /// Everything is to be applied again, but the Jobs that have ended: they are not run again.
    pub(super) fn forget(&self, inventory: &Inventory) {
        let has_ended = |key: &ObjectKey| {
            (inventory.get(key)).is_some_and(|record| record.observed.has_ended())
        };
        self.applied().retain(|key, _| has_ended(key));
    }

    /// One delivery.
    pub(super) async fn push(&self, bundle: &Bundle, inventory: &Mutex<Inventory>) -> Outcome {
        for item in &bundle.items {
            self.apply(&bundle.owner, item, inventory).await?;
        }
        let wanted: BTreeSet<&ObjectKey> = bundle.items.iter().map(|item| &item.key).collect();
        let owner = uid_bits(&bundle.owner.uid);
        let surplus: Vec<(ObjectKey, Record)> = lock(inventory)
            .of(owner)
            .filter(|(key, record)| {
                !wanted.contains(key) && record.hub.as_deref() == Some(self.hub.as_str())
            })
            .map(|(key, record)| (key.clone(), record.clone()))
            .collect();
        // The main object goes before what it depends on.
        for (key, record) in surplus.iter().rev() {
            if key.kind == ManagedKind::PersistentVolumeClaim && !bundle.owner_gone {
                continue;
            }
            let left = self.remove(&bundle.owner, key, record).await?;
            let mut inventory = lock(inventory);
            match left {
                // The watch may have said so already, and will not say it again.
                Some(record) => inventory.put(key.clone(), record),
                None => inventory.remove(key),
            };
        }
        if bundle.namespace_gone {
            self.remove_namespace(&bundle.owner.namespace).await?;
        }
        Ok(())
    }

    async fn apply(&self, owner: &Owner, item: &Item, inventory: &Mutex<Inventory>) -> Outcome {
        let content = digest_bits(item.object.to_string().as_bytes());
        let known = lock(inventory).get(&item.key).cloned();
        let ours = known.as_ref().is_some_and(|record| {
            record.hub.as_deref() == Some(self.hub.as_str())
                && (item.shared || record.owners.contains(&uid_bits(&owner.uid)))
        });
        if known.is_some() && !ours {
            return Err(Failure {
                kind: FailureKind::Conflict,
                message: format!(
                    "{} exists and was not made by this object: rename one of the two, or delete that one",
                    item.key
                ),
            });
        }
        if self
            .applied()
            .get(&item.key)
            .is_some_and(|last| last.content == content)
        {
            return Ok(());
        }
        // What is ours may be taken back from other writers; what is new must be nobody's.
        let params = PatchParams {
            force: ours,
            ..PatchParams::apply(&manager(owner, item.shared))
        };
        let api = self.api(&item.key);
        let patch = Patch::Apply(&item.object);
        let mut result = api
            .patch(&item.key.name, &params, &patch)
            .within(self.deadline)
            .await;
        if matches!(&result, Err(kube::Error::Api(status)) if status.code == 404 && status.details.as_ref().is_some_and(|d| d.kind == "namespaces"))
        {
            self.make_namespace(&item.key.namespace).await?;
            result = api
                .patch(&item.key.name, &params, &patch)
                .within(self.deadline)
                .await;
        }
        if let Some(record) = known.filter(|_| ours && was_made_for_another_share(&result)) {
            if record
                .observed
                .has_done(&item.object["spec"]["completions"])
            {
                let applied = Applied {
                    content,
                    version: record.version,
                    held: record.held,
                    generation: record.generation,
                };
                self.applied().insert(item.key.clone(), applied);
                return Ok(());
            }
            self.remove(owner, &item.key, &record).await?;
            result = api
                .patch(&item.key.name, &params, &patch)
                .within(self.deadline)
                .await;
        }
        let live = result.map_err(|error| failure(&item.key, &error))?;
        let version = version_of(&live.metadata);
        self.applied().insert(
            item.key.clone(),
            Applied {
                content,
                version,
                held: held_fields(&live.metadata),
                generation: live.metadata.generation.unwrap_or(0),
            },
        );
        // So that a second delivery before the watch has caught up knows it as ours.
        let mut inventory = lock(inventory);
        if inventory.get(&item.key).is_none() {
            inventory.put(
                item.key.clone(),
                Watched::of(live.metadata).record(item.key.kind),
            );
        }
        Ok(())
    }

    /// Deletes an object, or leaves it to its other owners: then it is given as it is now.
    async fn remove(
        &self,
        owner: &Owner,
        key: &ObjectKey,
        record: &Record,
    ) -> Result<Option<Record>, Failure> {
        self.applied().remove(key);
        let api = self.api(key);
        let mut preconditions = Preconditions {
            uid: Some(record.uid.clone()),
            resource_version: None,
        };
        if record.shared {
            let resource = key.kind.resource();
            let released = json!({
                "apiVersion": resource.api_version, "kind": resource.kind,
                "metadata": { "name": key.name, "namespace": key.namespace, "uid": record.uid },
            });
            let params = PatchParams::apply(&manager(owner, true)).force();
            let live = match api
                .patch(&key.name, &params, &Patch::Apply(&released))
                .within(self.deadline)
                .await
            {
                Ok(live) => live,
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
                Err(error) => return Err(not_removed(key, &error)),
            };
            if live
                .metadata
                .labels
                .iter()
                .flatten()
                .any(|(label, _)| label.starts_with(LABEL_OWNER_PREFIX))
            {
                return Ok(Some(Watched::of(live.metadata).record(key.kind)));
            }
            preconditions.resource_version = live.metadata.resource_version;
        }
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::background()
        };
        match api.delete(&key.name, &params).within(self.deadline).await {
            Ok(_) => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(not_removed(key, &error)),
        }
    }

    async fn make_namespace(&self, name: &str) -> Outcome {
        let namespace: Namespace = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": name, "labels": { LABEL_HUB: self.hub, LABEL_MADE: "true" } },
        }))
        .map_err(|error| Failure {
            kind: FailureKind::Rejected,
            message: format!("namespace {name}: {error}"),
        })?;
        let api: Api<Namespace> = Api::all(self.client.clone());
        match api
            .create(&PostParams::default(), &namespace)
            .within(self.deadline)
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(named_failure(&format!("namespace {name}"), &error)),
        }
    }

    async fn remove_namespace(&self, name: &str) -> Outcome {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let what = format!("namespace {name}");
        let live = api
            .get_metadata_opt(name)
            .within(self.deadline)
            .await
            .map_err(|error| named_failure(&what, &error))?;
        let Some(live) = live else { return Ok(()) };
        let label = |key: &str| {
            live.metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(key))
                .map(String::as_str)
        };
        if label(LABEL_MADE).is_none() || label(LABEL_HUB) != Some(self.hub.as_str()) {
            return Ok(());
        }
        match api
            .delete(name, &DeleteParams::background())
            .within(self.deadline)
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(named_failure(&what, &error)),
        }
    }

    fn api(&self, key: &ObjectKey) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &key.namespace, &key.kind.resource())
    }

    fn applied(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Applied>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One field manager an owner for what owners share: the API server then counts the owners, and
/// a field leaves with the last one that asks for it.
fn manager(owner: &Owner, shared: bool) -> String {
    if shared {
        format!("{FIELD_MANAGER}-{}", owner.uid)
    } else {
        FIELD_MANAGER.to_owned()
    }
}

/// A Job is refused because it was made for another share, by a member that left with it and came
/// back when another one was decided: the size of a Job cannot be changed.
fn was_made_for_another_share(result: &kube::Result<DynamicObject>) -> bool {
    let Err(kube::Error::Api(status)) = result else {
        return false;
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut fields = causes.map(|cause| cause.field.as_str()).peekable();
    status.code == 422 && fields.peek().is_some() && fields.all(|field| field == "spec.completions")
}

fn failure(key: &ObjectKey, error: &kube::Error) -> Failure {
    named_failure(&key.to_string(), error)
}

/// Why an object is still there. Somebody may have become an owner meanwhile, or it is another object
/// by now: it is looked at again.
fn not_removed(key: &ObjectKey, error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 409 => Failure {
            kind: FailureKind::Unavailable,
            message: format!("{key} changed while it was being removed"),
        },
        error => failure(key, error),
    }
}

fn named_failure(what: &str, error: &kube::Error) -> Failure {
    let (kind, reason) = match error {
        kube::Error::Api(status) => {
            let kind = match status.code {
                409 => FailureKind::Conflict,
                408 | 504 => FailureKind::Unreachable,
                429 | 500.. => FailureKind::Unavailable,
                _ => FailureKind::Rejected,
            };
            (kind, status.message.clone())
        }
        kube::Error::Service(error) if crate::operator::fence::is_not_leader(error.as_ref()) => (
            FailureKind::NotLeader,
            "this copy of the scheduler is not the leader".to_owned(),
        ),
        error => (FailureKind::Unreachable, redacted_message(error)),
    };
    Failure {
        kind,
        message: format!("{what}: {reason}"),
    }
}

pub(super) fn lock(inventory: &Mutex<Inventory>) -> MutexGuard<'_, Inventory> {
    inventory.lock().unwrap_or_else(PoisonError::into_inner)
}
