//! Writes to the hub. Each is conditional: on the object's uid, and for a status on the sequence of
//! the last assignment seen, so that a writer that has missed one is refused.

use std::fmt::Debug;
use std::sync::Arc;

use federation::api::{ANNOTATION_ASSIGNMENT, FINALIZER, KOPF_FINALIZER, WorkloadStatus};
use federation::members::Deadlined as _;
use federation::operator::queue::Priority;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;
use tracing::debug;

use crate::decide::Assignment;
use crate::scheduler::Scheduler;
use crate::status_guard::StatusGuard;
use crate::workload::{Key, Workload};

/// Why a write to the hub did not happen.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// What was known of the object is not true any more; it is read again.
    #[error("{0} changed meanwhile")]
    Stale(Key),
    /// The object is gone.
    #[error("{0} is gone")]
    Gone(Key),
    /// The hub refused or did not answer.
    #[error("the hub: {0}")]
    Api(#[source] Box<kube::Error>),
}

impl HubError {
    fn of(key: &Key, error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 404 => Self::Gone(key.clone()),
            // 422 is what a JSON patch whose test fails gets.
            kube::Error::Api(status) if matches!(status.code, 409 | 422) => {
                Self::Stale(key.clone())
            }
            _ => Self::Api(Box::new(error)),
        }
    }

    /// The object has to be read again.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Stale(_) | Self::Gone(_))
    }
}

impl Scheduler {
    pub(crate) fn hub_api(&self, key: &Key) -> Api<DynamicObject> {
        Api::namespaced_with(self.hub.clone(), &key.namespace, &key.kind.resource())
    }

    /// Puts our finalizer on, and the assignment on record, in one write: before a member is
    /// touched, both must be there, the one to go on after a crash, the other to clear the members
    /// if the object is deleted meanwhile. Takes the original's finalizer off.
    pub(crate) async fn hold(
        &self,
        workload: &Arc<Workload>,
        assignment: &Assignment,
    ) -> Result<(), HubError> {
        let others = workload
            .finalizers
            .iter()
            .filter(|one| one.as_str() != KOPF_FINALIZER && one.as_str() != FINALIZER);
        let finalizers: Vec<&str> = others.map(String::as_str).chain([FINALIZER]).collect();
        // What was said of each cluster is for the status; it would only make the object larger.
        let mut record = assignment.clone();
        record.decision.clusters.clear();
        let record = json!({ "uid": workload.uid, "assignment": record }).to_string();
        let patch = Patch::Merge(json!({
            "metadata": {
                "uid": workload.uid,
                "resourceVersion": workload.resource_version,
                "finalizers": finalizers,
                "annotations": { ANNOTATION_ASSIGNMENT: record },
            },
        }));
        self.patch_metadata(workload, &patch).await
    }

    /// Takes our finalizer off (and the original's): the object may go.
    pub(crate) async fn let_go(&self, workload: &Arc<Workload>) -> Result<(), HubError> {
        let kept = workload
            .finalizers
            .iter()
            .filter(|one| *one != FINALIZER && *one != KOPF_FINALIZER);
        match self
            .replace_finalizers(workload, kept.cloned().collect())
            .await
        {
            Err(HubError::Gone(_)) => Ok(()),
            result => result,
        }
    }

    async fn replace_finalizers(
        &self,
        workload: &Arc<Workload>,
        finalizers: Vec<String>,
    ) -> Result<(), HubError> {
        let patch = json_patch(json!([
            { "op": "test", "path": "/metadata/uid", "value": workload.uid },
            { "op": "test", "path": "/metadata/finalizers", "value": workload.finalizers },
            { "op": "replace", "path": "/metadata/finalizers", "value": finalizers },
        ]));
        self.patch_metadata(workload, &Patch::<()>::Json(patch))
            .await
    }

    async fn patch_metadata<P: Serialize + Debug + Send + Sync>(
        &self,
        workload: &Workload,
        patch: &Patch<P>,
    ) -> Result<(), HubError> {
        let api = self.hub_api(&workload.key);
        let written: kube::Result<PartialObjectMeta<DynamicObject>> = api
            .patch_metadata(&workload.key.name, &PatchParams::default(), patch)
            .within(self.options.deadline)
            .await;
        written
            .map(drop)
            .map_err(|error| HubError::of(&workload.key, error))
    }

    /// Writes a status, if the hub's last assignment is the one with the sequence `seen`; the version
    /// that the object has then.
    pub(crate) async fn write_status(
        &self,
        workload: &Arc<Workload>,
        seen: i64,
        status: &WorkloadStatus,
    ) -> Result<u64, HubError> {
        let patch = json_patch(json!([
            { "op": "test", "path": "/metadata/uid", "value": workload.uid },
            { "op": "test", "path": "/status/decision/sequence", "value": seen },
            { "op": "replace", "path": "/status", "value": status },
        ]));
        let api = self.hub_api(&workload.key);
        let written = api
            .patch_status(
                &workload.key.name,
                &PatchParams::default(),
                &Patch::<()>::Json(patch),
            )
            .within(self.options.deadline)
            .await;
        written
            .map(|object| Workload::read(workload.key.kind, &object).version())
            .map_err(|error| HubError::of(&workload.key, error))
    }

    /// Reads an object again and takes the hub's assignment for the true one.
    pub(crate) async fn refresh(&self, key: &Key) {
        match self
            .hub_api(key)
            .get_opt(&key.name)
            .within(self.options.deadline)
            .await
        {
            Ok(Some(object)) => {
                let workload = Workload::read(key.kind, &object);
                let mut state = self.state();
                if let Some(tracked) = state.workloads.get_mut(key)
                    && tracked.workload.uid == workload.uid
                {
                    // The watch will tell what is known by then, and not be heeded.
                    self.queue.add(key.clone(), Priority::High);
                    let recorded = crate::state::assignment_of(&workload);
                    let on_hub = workload.status.decision.as_ref();
                    let on_hub = on_hub.map_or(0, |decision| decision.sequence);
                    let known = tracked.recorded;
                    if on_hub >= known || recorded.decision.sequence > known {
                        tracked.recorded = recorded.decision.sequence;
                        tracked.assignment = recorded;
                        tracked.reported = workload.status.clone();
                        tracked.guard = StatusGuard::default();
                    } else {
                        // It was wiped or replaced by an older one: ours stands.
                        let (version, now) = (workload.version(), Instant::now());
                        (tracked.guard).seen(version, &workload.status, &tracked.reported, now);
                    }
                    tracked.workload = Arc::new(workload);
                }
            }
            // The watch will say so.
            Ok(None) => {}
            Err(error) => debug!(%key, %error, "cannot be read again"),
        }
    }
}

fn json_patch(operations: serde_json::Value) -> json_patch::Patch {
    // The operations above are of this form; an empty patch changes nothing.
    serde_json::from_value(operations).unwrap_or_default()
}
