//! The original's finalizer: it left one on every object that it served, and nobody else takes it
//! off, so that such an object could never be deleted.

use federation::api::{KOPF_FINALIZER, MultiClusterHorizontalPodAutoscaler as Autoscaler};
use federation::members::Deadlined as _;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::operator::Operator;
use crate::state::Key;

/// An object's finalizers, where the original's is among them, and the revision that has them.
#[derive(Clone)]
pub(crate) struct Finalizers {
    pub(crate) all: Vec<String>,
    pub(crate) revision: Option<String>,
}

impl Finalizers {
    /// None where the original's is not among them.
    pub(crate) fn of(object: &kube::api::DynamicObject) -> Option<Self> {
        let all = object.metadata.finalizers.clone().unwrap_or_default();
        let is_there = all.iter().any(|one| one == KOPF_FINALIZER);
        is_there.then(|| Self {
            all,
            revision: object.metadata.resource_version.clone(),
        })
    }
}

impl Operator {
    /// Takes the original's finalizer off; if the object has changed meanwhile, its next revision
    /// brings us here again.
    pub(crate) async fn take_off(&self, key: &Key, held: Finalizers) -> kube::Result<()> {
        let others = held.all.into_iter().filter(|one| one != KOPF_FINALIZER);
        let others: Vec<_> = others.collect();
        let patch =
            json!({ "metadata": { "finalizers": others, "resourceVersion": held.revision } });
        let api: Api<Autoscaler> = Api::namespaced(self.hub.clone(), &key.namespace);
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let answer = api
            .patch_metadata(&key.name, &params, &patch)
            .within(self.options.deadline)
            .await;
        match answer {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            answer => answer.map(drop),
        }
    }
}
