//! The namespaces on a member: made where ours need one, and removed with the hub's while nothing is
//! in them that somebody else put there.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{
    DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions,
};
use kube::core::ApiResource;
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Api, Client};
use serde_json::json;

use super::failure::{Failure, FailureKind, named_failure};
use super::listing::list_metadata;
use super::watching::Deadlined as _;
use crate::api::{FIELD_MANAGER, LABEL_HUB, LABEL_OWNER, LABEL_OWNER_PREFIX};

/// On a namespace that we made on a member.
const LABEL_MADE: &str = "fogguru.eu/created-for-hub";
/// Lists asked for at the same time.
const PARALLEL: usize = 8;
/// At most this many objects of others are named.
const NAMED: usize = 3;

/// The namespaces of one member.
#[derive(Clone)]
pub(super) struct Namespaces {
    client: Client,
    hub: String,
    deadline: Duration,
}

/// A namespace that was made for ours stays on the member, without our labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceKept {
    /// Its name.
    pub namespace: String,
    /// Why it stays, for a person.
    pub why: String,
}

/// What is in a namespace.
enum Content {
    /// Only what goes with it.
    Nothing,
    /// Something of another of our owners, which comes here again when it goes.
    Ours,
    /// Something that is not ours, or nobody can tell; why.
    Others(String),
}

/// Whose an object is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belongs {
    /// It goes with the namespace: Kubernetes', or of an object that is looked at by itself.
    WithNamespace,
    /// Another of our owners'.
    ToUs,
    /// Somebody else's.
    ToOthers,
}

impl Namespaces {
    pub(super) fn new(client: Client, hub: String, deadline: Duration) -> Self {
        Self {
            client,
            hub,
            deadline,
        }
    }

    /// Makes a namespace, if it is not there.
    pub(super) async fn make(&self, name: &str) -> kube::Result<()> {
        let namespace: Namespace = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": name, "labels": { LABEL_HUB: self.hub, LABEL_MADE: "true" } },
        }))
        .map_err(kube::Error::SerdeError)?;
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match self
            .api()
            .create(&params, &namespace)
            .with_deadline(self.deadline)
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            made => made.map(drop),
        }
    }

    /// Removes a namespace that we made when its last owner goes. One that holds anything of others
    /// stays, without our labels, and is given.
    pub(super) async fn remove(
        &self,
        name: &str,
        owner: &str,
    ) -> Result<Option<NamespaceKept>, Failure> {
        let what = format!("Namespace {name}");
        let failed = |error: &kube::Error| named_failure(&what, error);
        let api = self.api();
        let live = api
            .get_metadata_opt(name)
            .with_deadline(self.deadline)
            .await;
        let Some(live) = live.map_err(|error| failed(&error))? else {
            return Ok(None);
        };
        let metadata = live.metadata;
        let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key));
        let is_ours = label(LABEL_MADE).is_some() && label(LABEL_HUB) == Some(&self.hub);
        if !is_ours || metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        match self.content(name, owner).await? {
            Content::Ours => Ok(None),
            Content::Nothing => {
                let params = DeleteParams {
                    preconditions: Some(Preconditions {
                        uid: metadata.uid,
                        resource_version: metadata.resource_version,
                    }),
                    ..DeleteParams::background()
                };
                let deleted = api.delete(name, &params).with_deadline(self.deadline).await;
                match deleted {
                    Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
                    Err(kube::Error::Api(status)) if status.code == 409 => Err(Failure {
                        kind: FailureKind::Unavailable,
                        message: format!("{what} changed while it was being removed"),
                    }),
                    Err(error) => Err(failed(&error)),
                    Ok(_) => Ok(None),
                }
            }
            Content::Others(why) => {
                let patch = Patch::Merge(json!({ "metadata": {
                    "uid": metadata.uid,
                    "labels": { LABEL_HUB: null, LABEL_MADE: null },
                }}));
                let params = PatchParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PatchParams::default()
                };
                let patched = api.patch_metadata(name, &params, &patch);
                match patched.with_deadline(self.deadline).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
                    Err(error) => Err(failed(&error)),
                    Ok(_) => Ok(Some(NamespaceKept {
                        namespace: name.to_owned(),
                        why,
                    })),
                }
            }
        }
    }

    /// Looks at everything in a namespace that the member can list. What cannot be listed may be
    /// somebody's, so it counts as such; a member that does not answer is tried again.
    async fn content(&self, name: &str, owner: &str) -> Result<Content, Failure> {
        let unanswered = |what: &str, error: &kube::Error| {
            let failure = named_failure(what, error);
            let passes = matches!(
                failure.kind,
                FailureKind::Unreachable | FailureKind::Unavailable | FailureKind::NotLeader
            );
            passes.then_some(failure)
        };
        let discovered = Discovery::new(self.client.clone()).run_aggregated();
        let discovery = match discovered.with_deadline(self.deadline).await {
            Ok(discovery) => discovery,
            Err(error) => {
                return match unanswered("the API groups", &error) {
                    Some(failure) => Err(failure),
                    None => Ok(Content::Others(format!(
                        "what it holds is not known, because the API groups cannot be listed: {error}"
                    ))),
                };
            }
        };
        let (mut namespaced, mut cluster_scoped) = (Vec::new(), BTreeSet::new());
        for group in discovery.groups() {
            // Of all versions: a kind may be served in another one than most of its group.
            let mut resources = group.resources_by_stability();
            resources.sort_by(|a, b| a.0.plural.cmp(&b.0.plural));
            for (resource, capabilities) in resources {
                if capabilities.scope == Scope::Cluster {
                    cluster_scoped.insert(resource.kind.clone());
                } else if capabilities.supports_operation(verbs::LIST) && holds_objects(&resource) {
                    namespaced.push(resource);
                }
            }
        }
        let mut lists = futures::stream::iter(namespaced)
            .map(|resource| async move {
                let listed = self.list(name, &resource).await;
                (resource, listed)
            })
            .buffered(PARALLEL);
        let (mut others, mut ours) = (Vec::new(), false);
        while let Some((resource, listed)) = lists.next().await {
            let objects = match listed {
                Ok(objects) => objects,
                // It left the API meanwhile.
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                Err(error) => {
                    let what = format!("{} in namespace {name}", resource.plural);
                    if let Some(failure) = unanswered(&what, &error) {
                        return Err(failure);
                    }
                    let named = named_failure(&what, &error);
                    return Ok(Content::Others(format!(
                        "what it holds is not known: {named}"
                    )));
                }
            };
            for metadata in objects {
                match self.belongs(owner, &resource, &metadata, &cluster_scoped) {
                    Belongs::WithNamespace => {}
                    Belongs::ToUs => ours = true,
                    Belongs::ToOthers => others.push(format!(
                        "{} {}",
                        resource.kind,
                        metadata.name.unwrap_or_default()
                    )),
                }
            }
        }
        if !others.is_empty() {
            let more = others.len().saturating_sub(NAMED);
            others.truncate(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let named = others.join(", ");
            return Ok(Content::Others(format!("it holds {named}{more}")));
        }
        Ok(if ours {
            Content::Ours
        } else {
            Content::Nothing
        })
    }

    async fn list(&self, name: &str, resource: &ApiResource) -> kube::Result<Vec<ObjectMeta>> {
        let api = Api::namespaced_with(self.client.clone(), name, resource);
        list_metadata(&api, ListParams::default(), self.deadline).await
    }

    fn belongs(
        &self,
        owner: &str,
        resource: &ApiResource,
        metadata: &ObjectMeta,
        cluster_scoped: &BTreeSet<String>,
    ) -> Belongs {
        let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key));
        let annotation = |key: &str| {
            metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get(key))
        };
        if label(LABEL_HUB) == Some(&self.hub) {
            let is_owner = label(LABEL_OWNER).is_some_and(|uid| uid == owner)
                || label(&format!("{LABEL_OWNER_PREFIX}{owner}")).is_some();
            return if is_owner || metadata.deletion_timestamp.is_some() {
                Belongs::WithNamespace
            } else {
                Belongs::ToUs
            };
        }
        let name = metadata.name.as_deref().unwrap_or_default();
        let is_kubernetes = match (resource.group.as_str(), resource.kind.as_str()) {
            ("" | "events.k8s.io", "Event") => true,
            ("", "ServiceAccount") => name == "default",
            ("", "ConfigMap") => name == "kube-root-ca.crt",
            // Of Kubernetes before 1.24.
            ("", "Secret") => {
                annotation("kubernetes.io/service-account.name").is_some_and(|of| of == "default")
            }
            // Made for a Service, which is looked at by itself, and without an owner reference.
            ("", "Endpoints") => {
                annotation("endpoints.kubernetes.io/last-change-trigger-time").is_some()
                    || label("endpoints.kubernetes.io/managed-by").is_some()
            }
            _ => false,
        };
        // The garbage collector takes what belongs to an object in the namespace, which is looked at
        // by itself.
        let owners = metadata.owner_references.as_deref().unwrap_or_default();
        let is_dependent =
            !owners.is_empty() && owners.iter().all(|one| !cluster_scoped.contains(&one.kind));
        if is_kubernetes || is_dependent {
            Belongs::WithNamespace
        } else {
            Belongs::ToOthers
        }
    }

    fn api(&self) -> Api<Namespace> {
        Api::all(self.client.clone())
    }
}

/// Metrics are computed from pods, and kept by nobody.
fn holds_objects(resource: &ApiResource) -> bool {
    !resource.group.ends_with("metrics.k8s.io")
}

impl std::fmt::Display for NamespaceKept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "namespace {} stays: {}", self.namespace, self.why)
    }
}
