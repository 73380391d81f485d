//! Bringing bundles to a member by writing them: one delivery of one owner, from what the member
//! holds to what it shall hold. It can end at any point and be done again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::bundle::{Bundle, Item, ManagedKind, ObjectKey, Owner, digest_bits, uid_bits};
use super::contest::{Contest, Contests, Rival, is_held_by_others};
use super::failure::{Failure, FailureKind, Outcome, named_failure};
use super::inventory::{Inventory, Record, Watched, held_fields, version_of};
use super::watching::Deadlined as _;
use crate::api::{FIELD_MANAGER, LABEL_HUB, LABEL_OWNER_PREFIX};

/// On a namespace that we made on a member.
const LABEL_MADE: &str = "fogguru.eu/created-for-hub";

/// Brings bundles to one member. Pushed now; pulled by an agent on the member later.
pub trait Delivery: Send + Sync {
    /// From now on the member shall hold exactly this for the bundle's owner. Returns at once;
    /// what comes of it is reported as a [`super::Change::Delivered`].
    fn deliver(&self, bundle: Bundle);
}

/// Writes to one member.
pub(super) struct Pusher {
    client: Client,
    hub: String,
    deadline: Duration,
    /// What was applied and what it looked like then; a repetition that would change nothing is
    /// left out, and a change by hand shows against it.
    applied: Mutex<BTreeMap<ObjectKey, Applied>>,
    contests: Mutex<Contests>,
}

#[derive(Clone, Copy, Debug)]
struct Applied {
    content: u128,
    version: u64,
    held: u128,
    generation: i64,
    /// Others may change some of its fields.
    retains: bool,
    /// Another writer has changed or deleted it since.
    undone: bool,
}

impl Pusher {
    pub(super) fn new(client: Client, hub: String, deadline: Duration) -> Self {
        Self {
            client,
            hub,
            deadline,
            applied: Mutex::default(),
            contests: Mutex::default(),
        }
    }

    /// What we applied was changed since, by somebody else or by an older write of ours that came
    /// late: it is to be applied again.
    pub(super) fn has_drifted(&self, key: &ObjectKey, now: Option<&Record>) -> bool {
        let mut applied = self.applied();
        let Some(last) = applied.get_mut(key) else {
            return false;
        };
        if last.undone {
            // It waits to be applied again.
            return false;
        }
        last.undone = match now {
            Some(record) => {
                let is_another = record.generation != last.generation && !last.retains;
                record.version > last.version && (record.held != last.held || is_another)
            }
            None => true,
        };
        last.undone
    }

    /// It is applied again; when.
    pub(super) fn undone(&self, key: &ObjectKey, rival: Option<Rival>) -> Instant {
        self.contests().undone(key, rival, Instant::now())
    }

    /// The first of these that another writer fights over.
    pub(super) fn contest(&self, keys: impl Iterator<Item = ObjectKey>) -> Option<Contest> {
        self.contests().find(keys, Instant::now())
    }

    /// When one of these is to be applied again, or its fight counts as over.
    pub(super) fn next(&self, keys: impl Iterator<Item = ObjectKey>) -> Option<Instant> {
        self.contests().next(keys, Instant::now())
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
        let may_put_back = self.contests().may_put_back(&item.key, Instant::now());
        if self
            .applied()
            .get(&item.key)
            .is_some_and(|last| last.content == content && !(last.undone && may_put_back))
        {
            return Ok(());
        }
        let object = &self.without_retained(item, known.is_some()).await?;
        // What is ours may be taken back from other writers; what is new must be nobody's.
        let params = PatchParams {
            force: ours,
            ..PatchParams::apply(&manager(owner, item.shared))
        };
        let api = self.api(&item.key);
        let patch = Patch::Apply(object);
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
                    retains: !item.retain.is_empty(),
                    undone: false,
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
                retains: !item.retain.is_empty(),
                undone: false,
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

    /// The object as it is applied where it is already: a retained field that somebody else sets is
    /// left out, and one that nobody else sets stays as it is. A field that we set alone would lose
    /// its value if it were just left out.
    async fn without_retained<'a>(
        &self,
        item: &'a Item,
        is_there: bool,
    ) -> Result<Cow<'a, Value>, Failure> {
        if item.retain.is_empty() || !is_there {
            return Ok(Cow::Borrowed(&item.object));
        }
        let api = self.api(&item.key);
        let live = api.get_opt(&item.key.name).within(self.deadline).await;
        let Some(live) = live.map_err(|error| failure(&item.key, &error))? else {
            return Ok(Cow::Borrowed(&item.object));
        };
        let managed = live.metadata.managed_fields.as_deref().unwrap_or_default();
        let mut object = item.object.clone();
        let Some(spec) = object["spec"].as_object_mut() else {
            return Ok(Cow::Owned(object));
        };
        for field in &item.retain {
            if is_held_by_others(managed, field) {
                spec.remove(*field);
            } else if let Some(value) = live.data["spec"].get(*field) {
                spec.insert((*field).to_owned(), value.clone());
            }
        }
        Ok(Cow::Owned(object))
    }

    /// Deletes an object, or leaves it to its other owners: then it is given as it is now.
    async fn remove(
        &self,
        owner: &Owner,
        key: &ObjectKey,
        record: &Record,
    ) -> Result<Option<Record>, Failure> {
        self.applied().remove(key);
        self.contests().forget(key);
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

    fn contests(&self) -> MutexGuard<'_, Contests> {
        self.contests.lock().unwrap_or_else(PoisonError::into_inner)
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

pub(super) fn lock(inventory: &Mutex<Inventory>) -> MutexGuard<'_, Inventory> {
    inventory.lock().unwrap_or_else(PoisonError::into_inner)
}
