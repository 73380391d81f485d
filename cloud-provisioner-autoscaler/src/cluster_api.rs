//! The hub's Cluster API: reading what was made, and making and deleting it.

use std::time::Duration;

use federation::api::{LABEL_SOURCE, MEMBER_FINALIZER, MemberCluster, UpcomingNodes};
use federation::members::Deadlined as _;
use federation::operator::finalizer::remove_finalizer;
use federation::operator::status::WriteError;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{
    DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, Preconditions,
};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::decide::{copy_of, is_of};
use crate::objects::{CORE, CORE_VERSION, INFRASTRUCTURE, LEFT};
use crate::observed::{
    ANNOTATION_DESIGN, ANNOTATION_LEAVING, LABEL_CLUSTER, LABEL_PROVISIONER, Observed, read,
};

/// Owner of the fields that are written.
pub const FIELD_MANAGER: &str = "cloud-provisioner-autoscaler";
/// The source of the members that are registered.
const SOURCE: &str = "cloud-provisioner";
/// The key of Cluster API's kubeconfigs.
const KUBECONFIG: &str = "value";

/// Why something was not read or done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The hub has no Cluster API.
    #[error(
        "the hub does not serve {CORE}/{CORE_VERSION}: install Cluster API there (clusterctl init)"
    )]
    NoClusterApi,
    /// The hub has no provider for `OpenStack`.
    #[error(
        "the hub serves no OpenStackCluster: install Cluster API's provider for OpenStack there (clusterctl init --infrastructure openstack)"
    )]
    NoProvider,
    /// A `Cluster` has lost its record.
    #[error(
        "the annotation {ANNOTATION_DESIGN} of Cluster {0} cannot be read, and nothing is done while it is so: restore it, or delete the Cluster"
    )]
    Unreadable(String),
    /// A `Cluster` that is not ours has the name of one that is to be made.
    #[error("there is a Cluster {0} that is somebody else's: write another cloudClusterName")]
    NameTaken(String),
    /// The hub refuses an object, or does not answer.
    #[error("{what}: {error}")]
    Hub {
        /// What was to be read or written.
        what: String,
        /// What it says.
        error: WriteError,
    },
}

impl Error {
    /// The reason of a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoClusterApi => "ClusterAPIMissing",
            Self::NoProvider => "ProviderMissing",
            Self::Unreadable(_) => "RecordUnreadable",
            Self::NameTaken(_) => "NameTaken",
            Self::Hub {
                error: WriteError::Rejected(_),
                ..
            } => "Rejected",
            Self::Hub { .. } => "HubUnavailable",
        }
    }
}

/// The Cluster API of a hub.
#[derive(Clone)]
pub struct ClusterApi {
    /// The hub.
    pub hub: Client,
    /// The namespace of the objects.
    pub namespace: String,
    /// Where the scheduler reads access to members.
    pub access_namespace: String,
    /// The longest that one call may take.
    pub deadline: Duration,
}

impl ClusterApi {
    fn api(&self, group: &str, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        Api::namespaced_with(self.hub.clone(), &self.namespace, &resource)
    }

    fn clusters(&self) -> Api<DynamicObject> {
        self.api(CORE, CORE_VERSION, "Cluster", "clusters")
    }

    fn deployments(&self) -> Api<DynamicObject> {
        self.api(
            CORE,
            CORE_VERSION,
            "MachineDeployment",
            "machinedeployments",
        )
    }

    /// The clusters that were made, for all provisioners.
    pub async fn observe(&self) -> Result<Vec<Observed>, Error> {
        let params = ListParams::default().labels(LABEL_PROVISIONER);
        let list = async |api: Api<DynamicObject>, what: &str| {
            let list = api.list(&params).with_deadline(self.deadline).await;
            list.map_err(|error| match error {
                kube::Error::Api(status) if status.code == 404 => Error::NoClusterApi,
                error => failed(what)(error),
            })
        };
        let deployments = list(self.deployments(), "list MachineDeployments").await?;
        let clusters = list(self.clusters(), "list Clusters").await?;
        let clusters = clusters.items.iter();
        let read = |one| read(one, &deployments.items).map_err(Error::Unreadable);
        clusters.map(read).collect()
    }

    /// Refuses to make a cluster of the name of one that is not this provisioner's.
    pub async fn check_name(&self, provisioner: &str, cluster: &str) -> Result<(), Error> {
        let found = self.cluster(cluster).await?;
        let is_ours = |found: &ObjectMeta| label_of(found, LABEL_PROVISIONER) == Some(provisioner);
        match found {
            Some(found) if !is_ours(&found) => Err(Error::NameTaken(cluster.to_owned())),
            _ => Ok(()),
        }
    }

    /// The `Cluster` of this name, if there is one.
    async fn cluster(&self, cluster: &str) -> Result<Option<ObjectMeta>, Error> {
        let api = self.clusters();
        let found = api.get_metadata_opt(cluster).with_deadline(self.deadline);
        let found = found
            .await
            .map_err(failed(&format!("get Cluster {cluster}")));
        Ok(found?.map(|found| found.metadata))
    }

    /// The version in which the hub serves the objects of the provider for `OpenStack`.
    pub async fn openstack_version(&self) -> Result<String, Error> {
        for version in ["v1beta1", "v1beta2"] {
            let group = format!("{INFRASTRUCTURE}/{version}");
            let found = self.hub.list_api_group_resources(&group);
            match found.with_deadline(self.deadline).await {
                Ok(list)
                    if list
                        .resources
                        .iter()
                        .any(|one| one.name == "openstackclusters") =>
                {
                    return Ok(version.to_owned());
                }
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(failed("discover the provider")(error)),
            }
        }
        Err(Error::NoProvider)
    }

    /// Makes an object what it is to be, and leaves fields of others as they are.
    pub async fn apply(&self, object: &Value) -> Result<(), Error> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        let api_version = text(&object["apiVersion"]);
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let plural = format!("{}s", kind.to_lowercase());
        let api = self.api(group, version, &kind, &plural);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(object);
        let applied = api.patch_metadata(&name, &params, &patch);
        let applied = applied.with_deadline(self.deadline).await;
        applied.map_err(failed(&format!("apply {kind} {name}")))?;
        Ok(())
    }

    /// Notes on a `Cluster` that it is being given back, before anything is taken away.
    pub async fn mark(&self, cluster: &str, why: &str) -> Result<(), Error> {
        let patch = json!({ "metadata": { "annotations": { ANNOTATION_LEAVING: why } } });
        let api = self.clusters();
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let marked = api.patch_metadata(cluster, &params, &patch);
        let marked = marked.with_deadline(self.deadline).await;
        match marked {
            // It is gone already.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            marked => marked
                .map(drop)
                .map_err(failed(&format!("annotate Cluster {cluster}"))),
        }
    }

    /// Deletes a `Cluster` that is no member any more; Cluster API deletes what belongs to it.
    pub async fn delete(&self, provisioner: &str, cluster: &str) -> Result<(), Error> {
        let Some(found) = self.cluster(cluster).await? else {
            return Ok(());
        };
        // What is watched may be behind: its workloads may still be there.
        if self.member(cluster).await?.is_some()
            || label_of(&found, LABEL_PROVISIONER) != Some(provisioner)
        {
            return Ok(());
        }
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: found.uid,
            resource_version: None,
        });
        let api = self.clusters();
        let deleted = api.delete(cluster, &params).with_deadline(self.deadline);
        gone(deleted.await.map(drop)).map_err(failed(&format!("delete Cluster {cluster}")))
    }

    /// Deletes what is left of a cluster that is gone: what nothing owned, and our copy of its
    /// kubeconfig.
    pub async fn sweep(&self, provisioner: &str, cluster: &str) -> Result<(), Error> {
        if self.cluster(cluster).await?.is_some() {
            return Ok(());
        }
        let selection = format!("{LABEL_PROVISIONER}={provisioner},{LABEL_CLUSTER}={cluster}");
        let params = ListParams::default().labels(&selection);
        for (group, kind, plural) in LEFT {
            let version = match group {
                "" => "v1".to_owned(),
                INFRASTRUCTURE => match self.openstack_version().await {
                    Ok(version) => version,
                    Err(Error::NoProvider) => continue,
                    Err(error) => return Err(error),
                },
                _ => CORE_VERSION.to_owned(),
            };
            let api = self.api(group, &version, kind, plural);
            let what = format!("delete what is left of {cluster} ({kind})");
            let how = DeleteParams::default();
            let deleted = api.delete_collection(&how, &params);
            let deleted = deleted.with_deadline(self.deadline).await;
            gone(deleted.map(drop)).map_err(failed(&what))?;
        }
        let secrets: Api<Secret> = Api::namespaced(self.hub.clone(), &self.access_namespace);
        let name = copy_of(cluster);
        let found = secrets.get_metadata_opt(&name).with_deadline(self.deadline);
        let what = format!("delete Secret {name}");
        let found = found.await.map_err(failed(&what))?;
        let is_ours = |found: &ObjectMeta| {
            label_of(found, LABEL_CLUSTER) == Some(cluster)
                && label_of(found, LABEL_PROVISIONER) == Some(provisioner)
        };
        let Some(found) = found.map(|found| found.metadata).filter(is_ours) else {
            return Ok(());
        };
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: found.uid,
            resource_version: None,
        });
        let deleted = secrets.delete(&name, &params).with_deadline(self.deadline);
        gone(deleted.await.map(drop)).map_err(failed(&what))
    }

    /// The kubeconfig that Cluster API has written for a cluster, if it has.
    pub async fn kubeconfig(&self, cluster: &str) -> Result<Option<ByteString>, Error> {
        let secrets: Api<Secret> = Api::namespaced(self.hub.clone(), &self.namespace);
        let name = format!("{cluster}-kubeconfig");
        let found = secrets.get_opt(&name).with_deadline(self.deadline).await;
        let found = found.map_err(failed(&format!("get Secret {name}")))?;
        Ok(found.and_then(|secret| secret.data?.remove(KUBECONFIG)))
    }

    /// Copies a kubeconfig to where the scheduler reads access to members.
    pub async fn copy_kubeconfig(
        &self,
        provisioner: &str,
        cluster: &str,
        kubeconfig: &ByteString,
    ) -> Result<(), Error> {
        let name = copy_of(cluster);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": name, "namespace": self.access_namespace,
                "labels": { LABEL_CLUSTER: cluster, LABEL_PROVISIONER: provisioner },
            },
            "data": { KUBECONFIG: kubeconfig },
        });
        let secrets: Api<Secret> = Api::namespaced(self.hub.clone(), &self.access_namespace);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&secret);
        let applied = secrets.patch_metadata(&name, &params, &patch);
        let applied = applied.with_deadline(self.deadline).await;
        applied
            .map(drop)
            .map_err(failed(&format!("apply Secret {name}")))
    }

    fn members(&self) -> Api<MemberCluster> {
        Api::all(self.hub.clone())
    }

    /// Makes a cluster a member, with the nodes that are on their way. A member of this name that is
    /// somebody else's stays as it is, and the error says so.
    pub async fn register(
        &self,
        provisioner: &str,
        cluster: &str,
        upcoming: &[UpcomingNodes],
    ) -> Result<(), Error> {
        let access = json!({ "secretRef": {
            "namespace": self.access_namespace, "name": copy_of(cluster), "key": KUBECONFIG,
        } });
        let member = json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster",
            "metadata": { "name": cluster, "labels": {
                LABEL_SOURCE: SOURCE, LABEL_CLUSTER: cluster, LABEL_PROVISIONER: provisioner,
            } },
            "spec": { "access": access, "role": "Cloud", "upcoming": upcoming },
        });
        let params = PatchParams::apply(FIELD_MANAGER);
        let api = self.members();
        let patch = Patch::Apply(&member);
        let applied = api.patch_metadata(cluster, &params, &patch);
        let applied = applied.with_deadline(self.deadline).await;
        let what = format!("apply MemberCluster {cluster}");
        match applied {
            Ok(_) => Ok(()),
            // Who else has set what, in the hub's words.
            Err(kube::Error::Api(status)) if status.code == 409 => Err(Error::Hub {
                what,
                error: WriteError::Rejected(status.message.clone()),
            }),
            Err(error) => Err(failed(&what)(error)),
        }
    }

    /// Takes a member out of the federation: the scheduler moves its workloads off before it lets the
    /// object go.
    pub async fn deregister(&self, cluster: &str) -> Result<(), Error> {
        let what = format!("delete MemberCluster {cluster}");
        let api = self.members();
        let Some(found) = self.member(cluster).await? else {
            return Ok(());
        };
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: found.uid,
            resource_version: None,
        });
        let deleted = api.delete(cluster, &params).with_deadline(self.deadline);
        gone(deleted.await.map(drop)).map_err(failed(&what))
    }

    /// The forced way, for a member that is being taken out: what it holds stays there.
    pub async fn forget(&self, cluster: &str) -> Result<(), Error> {
        let Some(found) = self.member(cluster).await? else {
            return Ok(());
        };
        let api = self.members();
        let removed = remove_finalizer(&api, &found, MEMBER_FINALIZER, self.deadline);
        match removed.await {
            Ok(()) | Err(WriteError::Stale) => Ok(()),
            Err(error) => Err(Error::Hub {
                what: format!("forget MemberCluster {cluster}"),
                error,
            }),
        }
    }

    /// The member that was registered for a cluster, if it is there.
    async fn member(&self, cluster: &str) -> Result<Option<ObjectMeta>, Error> {
        let api = self.members();
        let found = api.get_opt(cluster).with_deadline(self.deadline).await;
        let found = found.map_err(failed(&format!("get MemberCluster {cluster}")))?;
        let found = found.filter(|found| is_of(found, cluster));
        Ok(found.map(|found| found.metadata))
    }
}

fn label_of<'a>(metadata: &'a ObjectMeta, label: &str) -> Option<&'a str> {
    let labels = metadata.labels.as_ref()?;
    labels.get(label).map(String::as_str)
}

/// What is not there is deleted.
fn gone(deleted: kube::Result<()>) -> kube::Result<()> {
    match deleted {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        deleted => deleted,
    }
}

fn failed(what: &str) -> impl Fn(kube::Error) -> Error {
    let what = what.to_owned();
    move |error| Error::Hub {
        what: what.clone(),
        error: error.into(),
    }
}
