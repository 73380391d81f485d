//! The Deployment controller: rolls from one template to the next, and keeps the history.

mod family;
mod rollout;
mod sets;
mod status;
mod strategy;

use std::sync::Arc;
use std::time::Duration;

use federation::operator::queue::{Priority, WorkQueue};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use kube::ResourceExt as _;
use serde_json::json;

use super::cache::{ObjectKey, controller, controller_key};
use super::claim::selects;
use super::context::{BURST, Context, queue, work};
use super::pods::has_ended;
use family::{Family, REVISION, as_set, size};
use rollout::{Resize, Strategy, Wanted};
use status::Draft;
use strategy::wanted;

/// What stands in Events.
const SOURCE: &str = "deployment-controller";

/// The Deployment controller.
pub(crate) struct Deployments {
    context: Arc<Context>,
    queue: WorkQueue<ObjectKey>,
}

/// A Deployment that is being looked at.
struct Look<'a> {
    key: &'a ObjectKey,
    deployment: &'a Deployment,
    spec: &'a DeploymentSpec,
    uid: String,
    wanted: Wanted,
}

impl Deployments {
    pub(crate) fn new(context: Arc<Context>) -> Arc<Self> {
        let queue = queue();
        let own = queue.clone();
        context.deployments.on_change(move |before, after| {
            let Some(deployment) = after else { return };
            if before.is_none_or(|before| asks_for_work(before, deployment)) {
                own.renew(ObjectKey::of(&**deployment), Priority::High);
            }
        });
        let (sets, deployments) = (queue.clone(), context.deployments.clone());
        context.replica_sets.on_change(move |before, after| {
            for set in before.into_iter().chain(after) {
                if let Some(key) = controller_key(&**set, "Deployment") {
                    sets.add_after(key, BURST);
                }
            }
            // One that nobody controls may be for a Deployment to take.
            let Some(set) = after.filter(|set| controller(&***set).is_none()) else {
                return;
            };
            for deployment in deployments.all() {
                let spec = deployment.spec.as_ref();
                if deployment.namespace() == set.namespace()
                    && spec.is_some_and(|spec| selects(&spec.selector, &**set))
                {
                    sets.add_after(ObjectKey::of(&*deployment), BURST);
                }
            }
        });
        let (pods, replica_sets) = (queue.clone(), context.replica_sets.clone());
        context.pods.on_change(move |before, after| {
            // Only the end of a pod matters here: recreation waits for the last.
            let Some(pod) = after
                .or(before)
                .filter(|pod| after.is_none() || has_ended(pod))
            else {
                return;
            };
            let set = controller_key(&**pod, "ReplicaSet").and_then(|key| replica_sets.get(&key));
            if let Some(key) = set.and_then(|set| controller_key(&*set, "Deployment")) {
                pods.add_after(key, BURST);
            }
        });
        Arc::new(Self { context, queue })
    }

    /// Does what a Deployment controller does.
    pub(crate) async fn run(self: Arc<Self>) {
        self.context.synced().await;
        let queue = self.queue.clone();
        work("deployments", queue, |key| {
            let this = Arc::clone(&self);
            async move { this.look(&key).await }
        })
        .await;
    }

    async fn look(&self, key: &ObjectKey) -> kube::Result<Option<Duration>> {
        let Some(deployment) = self.context.deployments.get(key) else {
            return Ok(None);
        };
        let (Some(uid), Some(spec)) = (deployment.uid(), deployment.spec.as_ref()) else {
            return Ok(None);
        };
        let look = Look {
            key,
            deployment: &deployment,
            spec,
            uid,
            wanted: wanted(spec),
        };
        let sets = &self.context.replica_sets;
        self.context
            .claim(sets, &*deployment, &spec.selector)
            .await?;
        let mut draft = Draft::new(&deployment, self.context.now());
        let family = self.family(&look);
        if deployment.metadata.deletion_timestamp.is_some() {
            return self.report(&look, draft, false).await;
        }
        let paused = spec.paused == Some(true);
        draft.note_pause(paused);
        if paused || is_scaled(&family, look.wanted) {
            self.scale(&look, &mut draft, paused).await?;
            return self.report(&look, draft, false).await;
        }
        let outcome = match look.wanted.strategy {
            Strategy::RollingUpdate { .. } => self.roll(&look, &mut draft).await,
            Strategy::Recreate => self.recreate(&look, &mut draft).await,
        };
        if let Err(error) = outcome {
            // What is known of the failure belongs into the status all the same.
            self.report(&look, draft, true).await?;
            return Err(error);
        }
        self.report(&look, draft, true).await
    }

    /// The `ReplicaSets` as they are now.
    fn family(&self, look: &Look<'_>) -> Family {
        let sets = self.context.replica_sets.owned_by(&look.uid);
        Family::of(&look.spec.template, sets)
    }

    /// Resizes what there is, without a step of a rollout.
    async fn scale(
        &self,
        look: &Look<'_>,
        draft: &mut Draft<'_>,
        paused: bool,
    ) -> kube::Result<()> {
        self.keep_new(look, draft).await?;
        let family = self.family(look);
        let new = family.new.as_deref().map(as_set);
        let steps = look.wanted.scale(new.as_ref(), &family.old_sets());
        self.resize(look, steps).await?;
        for set in self.family(look).all().filter(|set| size(set) > 0) {
            self.annotate_size(look, set).await?;
        }
        if paused {
            self.forget_old(look).await?;
        }
        Ok(())
    }

    async fn roll(&self, look: &Look<'_>, draft: &mut Draft<'_>) -> kube::Result<()> {
        self.keep_new(look, draft).await?;
        if self.family(look).new.is_none() {
            return self.create_new(look, draft).await;
        }
        let family = self.family(look);
        if let Some(new) = family.new.as_deref().map(as_set) {
            let steps = look.wanted.roll(&new, &family.old_sets());
            self.resize(look, steps).await?;
        }
        Ok(())
    }

    async fn recreate(&self, look: &Look<'_>, draft: &mut Draft<'_>) -> kube::Result<()> {
        self.keep_new(look, draft).await?;
        let family = self.family(look);
        let old = family.old.iter().filter(|set| size(set) > 0);
        let steps: Vec<Resize> = old.map(|set| (set.name_any(), 0)).collect();
        if !steps.is_empty() {
            return self.resize(look, steps).await;
        }
        if family.old.iter().any(|set| self.has_pods(set)) {
            return Ok(());
        }
        match &family.new {
            None => self.create_new(look, draft).await,
            Some(new) if size(new) != look.wanted.replicas => {
                let step = (new.name_any(), look.wanted.replicas);
                self.resize(look, vec![step]).await
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether pods of a `ReplicaSet` still run, or it says so.
    fn has_pods(&self, set: &ReplicaSet) -> bool {
        let says = set
            .status
            .as_ref()
            .is_some_and(|status| status.replicas > 0);
        let pods = self.context.pods.owned_by(&set.uid().unwrap_or_default());
        says || pods.iter().any(|pod| !has_ended(pod))
    }

    /// Writes the status if it has changed. Gives the time until a rollout has failed.
    async fn report(
        &self,
        look: &Look<'_>,
        mut draft: Draft<'_>,
        rolling: bool,
    ) -> kube::Result<Option<Duration>> {
        let family = self.family(look);
        draft.count(&family, &look.wanted);
        if rolling {
            draft.note_progress(&family, &look.wanted);
        }
        let complete = draft.is_complete(&look.wanted);
        let left = draft.left().filter(|_| rolling && !complete);
        let number = family
            .new
            .as_deref()
            .map(|new| new.annotations().get(REVISION));
        let number = number.flatten().filter(|number| {
            let said = look.deployment.annotations().get(REVISION);
            said != Some(number)
        });
        let annotations = number.map(|number| json!({ REVISION: number }));
        let patch = draft.patch();
        if patch.is_some() || annotations.is_some() {
            let mut body = json!({ "metadata": { "uid": look.uid } });
            if let Some(patch) = patch {
                body["status"] = patch;
            }
            if let Some(annotations) = annotations {
                body["metadata"]["annotations"] = annotations;
            }
            let deployments = &self.context.deployments;
            self.context
                .merge_status(deployments, look.key, &body)
                .await?;
        }
        if rolling && complete {
            self.forget_old(look).await?;
        }
        Ok(left)
    }
}

/// Whether a Deployment's change asks for anything: its own status does not.
fn asks_for_work(before: &Deployment, after: &Deployment) -> bool {
    let (before, after) = (&before.metadata, &after.metadata);
    before.generation != after.generation
        || before.uid != after.uid
        || before.annotations != after.annotations
        || before.deletion_timestamp != after.deletion_timestamp
}

/// Whether the Deployment's size has changed since its `ReplicaSets` were resized.
fn is_scaled(family: &Family, wanted: Wanted) -> bool {
    let mut active = family.all().filter(|set| size(set) > 0);
    active.any(|set| {
        as_set(set)
            .desired
            .is_some_and(|desired| desired != wanted.replicas)
    })
}
