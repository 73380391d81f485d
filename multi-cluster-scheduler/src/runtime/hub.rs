//! Writes to the hub. Each is conditional on the object's uid or version, so that a writer that has
//! missed something is refused. What the hub refuses for another reason, it will refuse again: that
//! is another error.

use std::fmt::Debug;
use std::time::Duration;

use federation::api::{
    FIELD_MANAGER, FINALIZER, Leftover, MEMBER_FINALIZER, MemberCluster, MemberClusterStatus,
    OBSOLETE_ANNOTATION, WorkloadMove, WorkloadMoveStatus, WorkloadStatus,
};
use federation::members::Deadlined as _;
use federation::operator::finalizer::{
    add_finalizer, remove_finalizer, with_finalizer, without_finalizer,
};
use federation::operator::redacted::redacted_message;
use federation::operator::status::{WriteError, apply_status};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use placement::ClusterName;
use serde::Serialize;
use serde_json::json;
use tracing::debug;

use crate::workload::{Key, Workload};

/// Owner of the status fields that the scheduler writes.
const STATUS_MANAGER: &str = "mck8s-scheduler-status";

/// Why a write to the hub did not happen.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// What was known of the object is not true any more; it is read again.
    #[error("{0} changed meanwhile")]
    Stale(Key),
    /// The object is gone.
    #[error("{0} is gone")]
    Gone(Key),
    /// The hub refuses the write, and will refuse it again: an admission policy, a rule of the
    /// CRD, a size, a right.
    #[error("the hub refuses the write of {key}: {message}")]
    Rejected {
        /// Which object.
        key: Key,
        /// The hub's words.
        message: String,
    },
    /// The hub had an error or did not answer.
    #[error("the hub: {}", redacted_message(.0.as_ref()))]
    Api(#[source] Box<kube::Error>),
    /// The status of a member was not written.
    #[error("the status of a member: {0}")]
    MemberStatus(#[from] WriteError),
    /// A patch could not be built.
    #[error("a patch cannot be built: {0}")]
    Patch(#[from] serde_json::Error),
}

impl HubError {
    fn of(key: &Key, error: kube::Error) -> Self {
        Self::from_write(key, error.into())
    }

    pub(super) fn from_write(key: &Key, error: WriteError) -> Self {
        match error {
            WriteError::Gone => Self::Gone(key.clone()),
            WriteError::Stale => Self::Stale(key.clone()),
            WriteError::Rejected(message) => Self::Rejected {
                key: key.clone(),
                message,
            },
            WriteError::Unavailable(error) => Self::Api(error),
        }
    }

    /// The object has to be read again.
    pub fn is_stale(&self) -> bool {
        use WriteError::Stale;
        matches!(
            self,
            Self::Stale(_) | Self::Gone(_) | Self::MemberStatus(Stale)
        )
    }

    /// The hub's words, where it will refuse the same again.
    pub fn rejection(&self) -> Option<&str> {
        match self {
            Self::Rejected { message, .. } | Self::MemberStatus(WriteError::Rejected(message)) => {
                Some(message)
            }
            _ => None,
        }
    }
}

/// The hub, as the scheduler writes to it.
pub(crate) struct Hub {
    client: Client,
    deadline: Duration,
}

impl Hub {
    pub(crate) fn new(client: Client, deadline: Duration) -> Self {
        Self { client, deadline }
    }

    /// A client of the hub.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    fn api(&self, key: &Key) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &key.namespace, &key.kind.resource())
    }

    /// Puts our finalizer on, so that the members can be cleared before the object goes. Takes off
    /// what is obsolete: the original's finalizer, and our annotation of earlier releases.
    /// `resource_version` is the one that the finalizers are known of.
    pub(crate) async fn add_finalizer(
        &self,
        workload: &Workload,
        resource_version: &str,
    ) -> Result<(), HubError> {
        let finalizers = with_finalizer(&workload.finalizers, FINALIZER);
        let mut metadata = json!({
            "uid": workload.uid,
            "resourceVersion": resource_version,
            "finalizers": finalizers,
        });
        if workload.has_obsolete_annotation {
            metadata["annotations"] = json!({ OBSOLETE_ANNOTATION: null });
        }
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        self.patch_metadata(workload, &patch)
            .await
            .map_err(|error| HubError::of(&workload.key, error))
    }

    /// Takes our finalizer off (and the original's): the object may go.
    pub(crate) async fn remove_finalizer(&self, workload: &Workload) -> Result<(), HubError> {
        let kept = without_finalizer(&workload.finalizers, FINALIZER);
        match self.replace_finalizers(workload, kept).await {
            Err(HubError::Gone(_)) => Ok(()),
            result => result,
        }
    }

    async fn replace_finalizers(
        &self,
        workload: &Workload,
        finalizers: Vec<String>,
    ) -> Result<(), HubError> {
        let patch = serde_json::from_value(json!([
            { "op": "test", "path": "/metadata/uid", "value": workload.uid },
            { "op": "test", "path": "/metadata/finalizers", "value": workload.finalizers },
            { "op": "replace", "path": "/metadata/finalizers", "value": finalizers },
        ]))?;
        match self
            .patch_metadata(workload, &Patch::<()>::Json(patch))
            .await
        {
            Ok(()) => Ok(()),
            Err(error) => {
                let held = |object: &DynamicObject| object.finalizers() == workload.finalizers;
                Err(self.why(workload, error, held).await)
            }
        }
    }

    async fn patch_metadata<P: Serialize + Debug + Send + Sync>(
        &self,
        workload: &Workload,
        patch: &Patch<P>,
    ) -> kube::Result<()> {
        let api = self.api(&workload.key);
        let written: kube::Result<PartialObjectMeta<DynamicObject>> = api
            .patch_metadata(&workload.key.name, &PatchParams::default(), patch)
            .with_deadline(self.deadline)
            .await;
        written.map(drop)
    }

    /// Writes the status fields that are the scheduler's, if the object still has this version: so a
    /// writer that has missed anything, another's record or a new spec, reads it again first. Gives
    /// the object's resource version afterwards.
    pub(crate) async fn write_status(
        &self,
        workload: &Workload,
        version: &str,
        status: &WorkloadStatus,
    ) -> Result<String, HubError> {
        let key = &workload.key;
        let (api, resource) = (self.api(key), key.kind.resource());
        let written = apply_status(
            &api,
            &resource,
            &key.name,
            STATUS_MANAGER,
            Some(version),
            status,
            self.deadline,
        );
        written
            .await
            .map_err(|error| HubError::from_write(key, error))
    }

    /// Why a JSON patch was not taken. One whose test fails gets a 422, and so does one that the
    /// hub's rules refuse; API servers word that as they like, so the object tells: where it is
    /// `as_tested`, it was not the test.
    async fn why(
        &self,
        workload: &Workload,
        error: kube::Error,
        as_tested: impl Fn(&DynamicObject) -> bool,
    ) -> HubError {
        let key = &workload.key;
        if !matches!(&error, kube::Error::Api(status) if status.code == 422) {
            return HubError::of(key, error);
        }
        let found = self
            .api(key)
            .get_opt(&key.name)
            .with_deadline(self.deadline)
            .await;
        match found {
            Ok(Some(object))
                if object.uid().as_ref() == Some(&workload.uid) && as_tested(&object) =>
            {
                HubError::of(key, error)
            }
            Ok(Some(_)) => HubError::Stale(key.clone()),
            Ok(None) => HubError::Gone(key.clone()),
            Err(error) => HubError::of(key, error),
        }
    }

    /// Reads an object again; none if it is gone or cannot be read now.
    pub(crate) async fn read(&self, key: &Key) -> Option<Workload> {
        match self
            .api(key)
            .get_opt(&key.name)
            .with_deadline(self.deadline)
            .await
        {
            Ok(object) => object.map(|object| Workload::read(key.kind, &object)),
            Err(error) => {
                let error = redacted_message(&error);
                debug!(%key, error, "cannot be read again");
                None
            }
        }
    }

    /// A namespace is gone or is being deleted.
    pub(crate) async fn is_namespace_going(&self, name: &str) -> kube::Result<bool> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let found = namespaces
            .get_metadata_opt(name)
            .with_deadline(self.deadline)
            .await?;
        Ok(found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()))
    }

    /// Puts our finalizer on a member, so that its deletion waits until it is drained.
    pub(crate) async fn hold_member(&self, member: &MemberCluster) -> Result<(), WriteError> {
        let members: Api<MemberCluster> = Api::all(self.client.clone());
        add_finalizer(&members, &member.metadata, MEMBER_FINALIZER, self.deadline).await
    }

    /// Takes our finalizer off a member: its object may go.
    pub(crate) async fn release_member(&self, member: &MemberCluster) -> Result<(), WriteError> {
        let members: Api<MemberCluster> = Api::all(self.client.clone());
        remove_finalizer(&members, &member.metadata, MEMBER_FINALIZER, self.deadline).await
    }

    /// Writes the status of a move, if it is as it was seen.
    pub(crate) async fn write_move_status(
        &self,
        object: &WorkloadMove,
        status: &WorkloadMoveStatus,
    ) -> Result<(), WriteError> {
        let (moves, name) = (self.moves(object), object.name_any());
        let written = apply_status(
            &moves,
            &(),
            &name,
            STATUS_MANAGER,
            object.metadata.resource_version.as_deref(),
            status,
            self.deadline,
        );
        written.await.map(drop)
    }

    /// Creates a move, unless there is one of its name.
    pub(crate) async fn create_move(&self, object: &WorkloadMove) -> Result<(), WriteError> {
        let (moves, params) = (self.moves(object), PostParams::default());
        let created = moves.create(&params, object);
        match created.with_deadline(self.deadline).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            created => Ok(created.map(drop)?),
        }
    }

    /// Deletes a move, if it is the one that was seen.
    pub(crate) async fn delete_move(&self, object: &WorkloadMove) -> Result<(), WriteError> {
        let params = only_of(object.metadata.uid.clone());
        let moves = self.moves(object);
        let name = object.name_any();
        let deleted = moves
            .delete(&name, &params)
            .with_deadline(self.deadline)
            .await;
        Ok(deleted.map(drop)?)
    }

    /// Puts on record what a member holds of a deleted object; gives the record as the hub has it.
    pub(crate) async fn keep_leftover(&self, leftover: &Leftover) -> Result<Leftover, WriteError> {
        let leftovers: Api<Leftover> = Api::all(self.client.clone());
        let (name, params) = (
            leftover.name_any(),
            PatchParams::apply(FIELD_MANAGER).force(),
        );
        let patch = Patch::Apply(leftover);
        let kept = leftovers.patch(&name, &params, &patch);
        Ok(kept.with_deadline(self.deadline).await?)
    }

    /// Deletes the record of what a member has left, if it is of this uid.
    pub(crate) async fn delete_leftover(&self, name: &str, uid: &str) -> Result<(), WriteError> {
        let leftovers: Api<Leftover> = Api::all(self.client.clone());
        let params = only_of(Some(uid.to_owned()));
        let deleted = leftovers.delete(name, &params);
        Ok(deleted.with_deadline(self.deadline).await.map(drop)?)
    }

    fn moves(&self, object: &WorkloadMove) -> Api<WorkloadMove> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Writes the status of a member, if it still exists; gives its version since.
    pub(crate) async fn write_member_status(
        &self,
        name: &ClusterName,
        status: &MemberClusterStatus,
    ) -> Result<Option<String>, WriteError> {
        let members: Api<MemberCluster> = Api::all(self.client.clone());
        let written = apply_status(
            &members,
            &(),
            name.as_str(),
            STATUS_MANAGER,
            None,
            status,
            self.deadline,
        );
        match written.await {
            Ok(version) => Ok(Some(version)),
            Err(WriteError::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Only the object of this uid is deleted.
fn only_of(uid: Option<String>) -> DeleteParams {
    let preconditions = Some(Preconditions {
        uid,
        resource_version: None,
    });
    DeleteParams {
        preconditions,
        ..DeleteParams::default()
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
