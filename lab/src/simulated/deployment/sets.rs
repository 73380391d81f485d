//! The Deployment controller's writes to `ReplicaSet`s.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::family::{self, DESIRED, MOST, make, missing_annotations, revision, size};
use super::rollout::Resize;
use super::status::Draft;
use super::{Deployments, Look, SOURCE};
use crate::simulated::cache::ObjectKey;
use crate::simulated::pods::said;

impl Deployments {
    /// Keeps the annotations of the present template's `ReplicaSet` as they should be.
    pub(super) async fn keep_new(
        &self,
        look: &Look<'_>,
        draft: &mut Draft<'_>,
    ) -> kube::Result<()> {
        let family = self.family(look);
        let Some(new) = &family.new else {
            return Ok(());
        };
        let annotations = missing_annotations(look.deployment, new, family.next_revision());
        let min_ready = look.spec.min_ready_seconds.unwrap_or(0);
        let has = new
            .spec
            .as_ref()
            .and_then(|spec| spec.min_ready_seconds)
            .unwrap_or(0);
        if !annotations.is_empty() || min_ready != has {
            let patch = json!({
                "metadata": { "annotations": annotations },
                "spec": { "minReadySeconds": min_ready },
            });
            self.patch_set(new, &patch).await?;
        }
        if draft.has_deadline() && draft.condition("Progressing").is_none() {
            let message = format!("Found new replica set {:?}", new.name_any());
            draft.progressing("True", "FoundNewReplicaSet", message);
        }
        Ok(())
    }

    pub(super) async fn create_new(
        &self,
        look: &Look<'_>,
        draft: &mut Draft<'_>,
    ) -> kube::Result<()> {
        let family = self.family(look);
        let mut set = make(look.deployment, look.spec, draft.status.collision_count);
        let replicas = look.wanted.new_size(&family.old_sets(), 0);
        let mut annotations = missing_annotations(look.deployment, &set, family.next_revision());
        annotations.extend(size_annotations(look));
        set.metadata.annotations = Some(annotations);
        if let Some(spec) = &mut set.spec {
            spec.replicas = Some(replicas);
        }
        let name = set.name_any();
        match self.context.create(&self.context.replica_sets, &set).await {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                // Ours would be in the family: it is another template of the same hash.
                let collisions = draft.status.collision_count.unwrap_or(0);
                draft.status.collision_count = Some(collisions.saturating_add(1));
                return Err(kube::Error::Api(status));
            }
            Err(error) => {
                let message = format!(
                    "Failed to create new replica set {name:?}: {}",
                    said(&error)
                );
                let reason = "ReplicaSetCreateError";
                if draft.has_deadline() {
                    draft.progressing("False", reason, message.clone());
                }
                let recorder = &self.context.recorder;
                recorder.warning(SOURCE, look.deployment, reason, message);
                return Err(error);
            }
        }
        if replicas > 0 {
            self.tell_scaled(look, &name, 0, replicas);
        }
        if draft.has_deadline() {
            let message = format!("Created new replica set {name:?}");
            draft.progressing("True", "NewReplicaSetCreated", message);
        }
        Ok(())
    }

    pub(super) async fn resize(&self, look: &Look<'_>, steps: Vec<Resize>) -> kube::Result<()> {
        for (name, to) in steps {
            let key = ObjectKey {
                namespace: look.key.namespace.clone(),
                name,
            };
            let Some(set) = self.context.replica_sets.get(&key) else {
                continue;
            };
            let from = size(&set);
            let patch = json!({
                "metadata": { "annotations": size_annotations(look) },
                "spec": { "replicas": to },
            });
            self.patch_set(&set, &patch).await?;
            if from != to {
                self.tell_scaled(look, &key.name, from, to);
            }
        }
        Ok(())
    }

    pub(super) async fn annotate_size(
        &self,
        look: &Look<'_>,
        set: &ReplicaSet,
    ) -> kube::Result<()> {
        let wanted = size_annotations(look);
        let same = |key: &str| set.annotations().get(key) == wanted.get(key);
        if same(DESIRED) && same(MOST) {
            return Ok(());
        }
        let patch = json!({ "metadata": { "annotations": wanted } });
        self.patch_set(set, &patch).await
    }

    async fn patch_set(&self, set: &ReplicaSet, patch: &Value) -> kube::Result<()> {
        let key = ObjectKey::of(set);
        self.context
            .merge(&self.context.replica_sets, &key, patch)
            .await
    }

    fn tell_scaled(&self, look: &Look<'_>, set: &str, from: i32, to: i32) {
        let way = if from < to { "up" } else { "down" };
        let message = format!("Scaled {way} replica set {set} from {from} to {to}");
        let recorder = &self.context.recorder;
        recorder.normal(SOURCE, look.deployment, "ScalingReplicaSet", message);
    }

    /// Deletes the oldest of the empty `ReplicaSets` that are too many to remember.
    pub(super) async fn forget_old(&self, look: &Look<'_>) -> kube::Result<()> {
        let limit = look.spec.revision_history_limit.unwrap_or(10);
        let Ok(limit) = usize::try_from(limit) else {
            return Ok(());
        };
        if limit == i32::MAX as usize {
            return Ok(());
        }
        let mut old = self.family(look).old;
        old.retain(|set| set.metadata.deletion_timestamp.is_none());
        old.sort_by_cached_key(|set| (revision(set), set.name_any()));
        let surplus = old.len().saturating_sub(limit);
        for set in old.iter().take(surplus).filter(|set| is_idle(set)) {
            let sets = &self.context.replica_sets;
            self.context
                .delete(sets, &**set, DeleteParams::background())
                .await?;
        }
        Ok(())
    }
}

/// What a `ReplicaSet` says of the size that it was resized for.
fn size_annotations(look: &Look<'_>) -> BTreeMap<String, String> {
    family::size_annotations(look.wanted.replicas, look.wanted.surge())
}

/// Neither has nor shall have pods, and has seen that itself.
fn is_idle(set: &ReplicaSet) -> bool {
    let status = set.status.as_ref();
    let empty = status.is_none_or(|status| status.replicas == 0);
    let seen = status.and_then(|status| status.observed_generation);
    size(set) == 0 && empty && seen >= set.metadata.generation
}
