//! Writes of single objects to a member. Each is conditional: a creation fails where the name is
//! taken, everything else where the object has changed since it was read.

use std::time::Duration;

use kube::api::{
    DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams, Preconditions,
};
use kube::core::{PartialObjectMeta, Request};
use kube::{Api, Client, Resource as _};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::bundle::{Item, ManagedKind, ObjectKey, Owner};
use super::delivery::{failure, foreign, not_removed};
use super::failure::{Failure, FailureKind};
use super::inventory::Watched;
use super::namespaces::Namespaces;
use super::replacement::{Foreign, replacement};
use super::watching::Deadlined as _;
use crate::api::{ANNOTATION_OWNER, FIELD_MANAGER, LABEL_HUB, LABEL_OWNER, LABEL_OWNER_PREFIX};

/// How often an object that changes between reading and writing is read again in one delivery.
const ATTEMPTS: u32 = 4;

/// Writes to one member.
#[derive(Clone)]
pub(super) struct Writer {
    client: Client,
    hub: String,
    deadline: Duration,
    namespaces: Namespaces,
}

/// What became of an object that an owner left.
pub(super) enum Removed {
    /// It is deleted.
    Gone,
    /// It stays, as it is now.
    Released(Box<ObjectMeta>),
}

/// Whether a refused write is tried in another way.
enum Refused {
    /// The object is made again: it cannot become what is wanted.
    Recreate,
    /// A Job that another share was made for.
    OtherShare,
    /// It stays refused.
    Final,
}

impl Writer {
    pub(super) fn new(
        client: Client,
        hub: String,
        deadline: Duration,
        namespaces: Namespaces,
    ) -> Self {
        Self {
            client,
            hub,
            deadline,
            namespaces,
        }
    }

    /// Makes an object, or replaces one of ours that the watch has not shown yet; its metadata.
    pub(super) async fn create(&self, owner: &Owner, item: &Item) -> Result<ObjectMeta, Failure> {
        match self.post(item, &labelled(owner, item)).await {
            Ok(live) => Ok(live),
            Err(error) if is_status(&error, 409) => self.replace(owner, item).await,
            Err(error) => Err(failure(&item.key, &error)),
        }
    }

    /// Replaces an object of ours; its metadata. A Job of another size that has done this share, or
    /// has failed for good, is left as it is.
    pub(super) async fn replace(&self, owner: &Owner, item: &Item) -> Result<ObjectMeta, Failure> {
        let api = self.api(&item.key);
        let mut kept = Foreign::Kept;
        let mut wanted = labelled(owner, item);
        for _ in 0..ATTEMPTS {
            let live = api
                .get_opt(&item.key.name)
                .with_deadline(self.deadline)
                .await;
            let live = live.map_err(|error| failure(&item.key, &error))?;
            let Some(live) = live else {
                match self.post(item, &wanted).await {
                    Ok(live) => return Ok(live),
                    Err(error) if is_status(&error, 409) => continue,
                    Err(error) => return Err(failure(&item.key, &error)),
                }
            };
            self.check_is_ours(owner, item, &live.metadata)?;
            let live_value = value_of(&item.key, &live)?;
            let must_recreate = changes_headless(item, &live_value);
            let refused = if must_recreate {
                Refused::Recreate
            } else {
                let mut object = replacement(item.key.kind, &wanted, &live_value, kept);
                for field in &item.retain {
                    if let Some(value) = live_value["spec"].get(*field) {
                        object["spec"][*field] = value.clone();
                    }
                }
                match self.put(&item.key, &object).await {
                    Ok(live) => return Ok(live.metadata),
                    Err(error) if is_status(&error, 409) || is_status(&error, 404) => continue,
                    Err(error) if is_status(&error, 422) && kept == Foreign::Kept => {
                        kept = Foreign::MetadataOnly;
                        continue;
                    }
                    Err(error) => match refused(item.key.kind, &error) {
                        Refused::Final => return Err(failure(&item.key, &error)),
                        other => other,
                    },
                }
            };
            if matches!(refused, Refused::OtherShare) && has_done(item, &live_value) {
                return Ok(live.metadata);
            }
            // What is made in its place is the other owners', too.
            for (label, value) in live.metadata.labels.iter().flatten() {
                if label.starts_with(LABEL_OWNER_PREFIX) {
                    wanted["metadata"]["labels"][label] = json!(value);
                }
            }
            let uid = live.metadata.uid.unwrap_or_default();
            self.delete(&item.key, &uid, live.metadata.resource_version)
                .await?;
        }
        Err(Failure {
            kind: FailureKind::Unavailable,
            message: format!("{} changes faster than it can be written", item.key),
        })
    }

    /// Takes the owner's label off an object. One without another owner is deleted, or stays without
    /// any label of ours if it is an orphan.
    pub(super) async fn release(
        &self,
        owner: &Owner,
        key: &ObjectKey,
        orphan: bool,
    ) -> Result<Removed, Failure> {
        let api = self.api(key);
        let live = api
            .get_metadata_opt(&key.name)
            .with_deadline(self.deadline)
            .await
            .map_err(|error| failure(key, &error))?;
        let Some(live) = live else {
            return Ok(Removed::Gone);
        };
        let metadata = live.metadata;
        let labels = metadata.labels.clone().unwrap_or_default();
        let own = format!("{LABEL_OWNER_PREFIX}{}", owner.uid);
        let is_own =
            |label: &str, value: &str| label == own || (label == LABEL_OWNER && value == owner.uid);
        let is_of_this_hub = labels.get(LABEL_HUB) == Some(&self.hub);
        if !is_of_this_hub || !labels.iter().any(|(label, value)| is_own(label, value)) {
            return Ok(Removed::Released(Box::new(metadata)));
        }
        let is_last = !labels
            .keys()
            .any(|label| label.starts_with(LABEL_OWNER_PREFIX) && *label != own);
        if is_last && !orphan {
            let uid = metadata.uid.unwrap_or_default();
            self.delete(key, &uid, metadata.resource_version).await?;
            return Ok(Removed::Gone);
        }
        let mut ours = vec![own.as_str(), LABEL_OWNER];
        if is_last {
            ours.push(LABEL_HUB);
        }
        let nothing = |names: &[&str]| -> Map<String, Value> {
            (names.iter().map(|name| ((*name).to_owned(), Value::Null))).collect()
        };
        let patch = json!({ "metadata": {
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
            "labels": nothing(&ours),
            "annotations": nothing(&[ANNOTATION_OWNER]),
        }});
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let released: kube::Result<PartialObjectMeta<DynamicObject>> = api
            .patch_metadata(&key.name, &params, &Patch::Merge(&patch))
            .with_deadline(self.deadline)
            .await;
        match released {
            Ok(live) => Ok(Removed::Released(Box::new(live.metadata))),
            Err(error) if is_status(&error, 404) => Ok(Removed::Gone),
            Err(error) => Err(not_removed(key, &error)),
        }
    }

    /// Deletes an object if it is still this one, and has not changed since this version.
    pub(super) async fn delete(
        &self,
        key: &ObjectKey,
        uid: &str,
        resource_version: Option<String>,
    ) -> Result<(), Failure> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version,
            }),
            ..DeleteParams::background()
        };
        match self
            .api(key)
            .delete(&key.name, &params)
            .with_deadline(self.deadline)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if is_status(&error, 404) => Ok(()),
            Err(error) => Err(not_removed(key, &error)),
        }
    }

    /// Creates an object, and its namespace if the member lacks it.
    async fn post(&self, item: &Item, wanted: &Value) -> kube::Result<ObjectMeta> {
        let create = async || {
            let body = serde_json::to_vec(wanted).map_err(kube::Error::SerdeError)?;
            let request = requests(&item.key).create(&written_by_us(), body);
            self.send(request).await
        };
        let mut made = create().await;
        if made.as_ref().is_err_and(lacks_namespace) {
            self.namespaces.make(&item.key.namespace).await?;
            made = create().await;
        }
        made.map(|live| live.metadata)
    }

    async fn put(&self, key: &ObjectKey, object: &Value) -> kube::Result<DynamicObject> {
        let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
        let request = requests(key).replace(&key.name, &written_by_us(), body);
        self.send(request).await
    }

    /// A field that the member does not know is refused and not dropped, so that it is told.
    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> kube::Result<DynamicObject> {
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        let strict = format!("{}&fieldValidation=Strict", request.uri());
        *request.uri_mut() = strict
            .parse()
            .map_err(|error: http::uri::InvalidUri| kube::Error::HttpError(error.into()))?;
        self.client
            .request(request)
            .with_deadline(self.deadline)
            .await
    }

    fn check_is_ours(&self, owner: &Owner, item: &Item, live: &ObjectMeta) -> Result<(), Failure> {
        let label = |name: &str| live.labels.as_ref().and_then(|labels| labels.get(name));
        let ours = label(LABEL_HUB) == Some(&self.hub)
            && (item.shared || label(LABEL_OWNER) == Some(&owner.uid));
        if !ours {
            return Err(foreign(&item.key));
        }
        if live.deletion_timestamp.is_some() {
            return Err(Failure {
                kind: FailureKind::Unavailable,
                message: format!("{} is being deleted; it is made again afterwards", item.key),
            });
        }
        Ok(())
    }

    fn api(&self, key: &ObjectKey) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &key.namespace, &key.kind.resource())
    }
}

/// The object with the owner's label on it, if it may have several.
fn labelled(owner: &Owner, item: &Item) -> Value {
    let mut object = item.manifest.object();
    if item.shared {
        object["metadata"]["labels"][format!("{LABEL_OWNER_PREFIX}{}", owner.uid)] = json!("true");
    }
    object
}

fn value_of(key: &ObjectKey, live: &DynamicObject) -> Result<Value, Failure> {
    serde_json::to_value(live).map_err(|error| Failure {
        kind: FailureKind::Rejected,
        message: format!("{key}: {error}"),
    })
}

fn requests(key: &ObjectKey) -> Request {
    Request::new(DynamicObject::url_path(
        &key.kind.resource(),
        Some(&key.namespace),
    ))
}

fn written_by_us() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn is_status(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

fn lacks_namespace(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status)
        if status.code == 404 && status.details.as_ref().is_some_and(|details| details.kind == "namespaces"))
}

/// A Service keeps the address that it has, also none; it gets another only when it is made again.
fn changes_headless(item: &Item, live: &Value) -> bool {
    let (wanted, external, none) = (&item.manifest, "ExternalName", "None");
    item.key.kind == ManagedKind::Service
        && wanted.value("/spec/type") != external
        && live["spec"]["type"] != external
        && (wanted.value("/spec/clusterIP") == none) != (live["spec"]["clusterIP"] == none)
}

/// Whether a Job has done what is wanted of it, or has failed for good.
fn has_done(item: &Item, live: &Value) -> bool {
    Watched::deserialize(live).is_ok_and(|live| {
        let observed = live.record(item.key.kind).observed;
        observed.has_done(item.manifest.value("/spec/completions"))
    })
}

/// What to do about a 422. A claim is never deleted, whatever it should be.
fn refused(kind: ManagedKind, error: &kube::Error) -> Refused {
    let kube::Error::Api(status) = error else {
        return Refused::Final;
    };
    let causes: Vec<_> = (status.details.iter())
        .flat_map(|details| &details.causes)
        .collect();
    if status.code != 422 || causes.is_empty() {
        return Refused::Final;
    }
    let is_immutable = |message: &str| {
        message.contains("immutable") || message.contains("may not change once set")
    };
    let of_immutables = causes.iter().all(|cause| is_immutable(&cause.message));
    match kind {
        ManagedKind::Job if causes.iter().all(|cause| cause.field == "spec.completions") => {
            Refused::OtherShare
        }
        ManagedKind::ConfigMap
        | ManagedKind::Secret
        | ManagedKind::ServiceAccount
        | ManagedKind::Service
            if of_immutables =>
        {
            Refused::Recreate
        }
        _ => Refused::Final,
    }
}
