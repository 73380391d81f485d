//! The `ReplicaSet` controller: keeps as many pods as each `ReplicaSet` says.

mod plan;
mod status;

use std::sync::Arc;
use std::time::Duration;

use federation::operator::queue::{Priority, WorkQueue};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

use super::cache::{ObjectKey, controller, controller_key};
use super::claim::selects;
use super::context::{BURST, Context, queue, until, work};
use super::pods::{available_from, is_active, is_terminating_namespace, phase};
use super::pods::{ready_since, said};
use plan::{Candidate, Change, Phase, change, least_missed};
use status::{Counts, next_status};

/// What stands in Events.
const SOURCE: &str = "replicaset-controller";
/// Says which pods to delete before others.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `ReplicaSet` controller.
pub(crate) struct ReplicaSets {
    context: Arc<Context>,
    queue: WorkQueue<ObjectKey>,
}

impl ReplicaSets {
    pub(crate) fn new(context: Arc<Context>) -> Arc<Self> {
        let queue = queue();
        let sets = queue.clone();
        context.replica_sets.on_change(move |before, after| {
            let Some(set) = after else { return };
            // A status is our own doing, and asks for nothing.
            if before.is_none_or(|before| before.metadata.generation != set.metadata.generation) {
                sets.renew(ObjectKey::of(&**set), Priority::High);
            }
        });
        let (pods, replica_sets) = (queue.clone(), context.replica_sets.clone());
        context.pods.on_change(move |before, after| {
            for pod in before.into_iter().chain(after) {
                if let Some(key) = controller_key(&**pod, "ReplicaSet") {
                    pods.add_after(key, BURST);
                }
            }
            // One that nobody controls may be for a ReplicaSet to take.
            let Some(pod) = after.filter(|pod| controller(&***pod).is_none()) else {
                return;
            };
            for set in replica_sets.all() {
                let spec = set.spec.as_ref();
                if set.namespace() == pod.namespace()
                    && spec.is_some_and(|spec| selects(&spec.selector, &**pod))
                {
                    pods.add_after(ObjectKey::of(&*set), BURST);
                }
            }
        });
        Arc::new(Self { context, queue })
    }

    /// Does what a `ReplicaSet` controller does.
    pub(crate) async fn run(self: Arc<Self>) {
        self.context.synced().await;
        let queue = self.queue.clone();
        work("replicasets", queue, |key| {
            let this = Arc::clone(&self);
            async move { this.look(&key).await }
        })
        .await;
    }

    async fn look(&self, key: &ObjectKey) -> kube::Result<Option<Duration>> {
        let Some(set) = self.context.replica_sets.get(key) else {
            return Ok(None);
        };
        let (Some(uid), Some(spec)) = (set.uid(), set.spec.as_ref()) else {
            return Ok(None);
        };
        let all = &self.context.pods;
        self.context.claim(all, &*set, &spec.selector).await?;
        let pods = all.owned_by(&uid);
        let active: Vec<Arc<Pod>> = pods.iter().filter(|pod| is_active(pod)).cloned().collect();
        let resized = match set.metadata.deletion_timestamp {
            Some(_) => Ok(false),
            None => self.bring_to_size(&set, spec, &active).await,
        };
        if matches!(resized, Ok(true)) {
            // The pods that were made or deleted bring the ReplicaSet back here.
            return Ok(None);
        }
        let failed = resized.err();
        let next = self.report(key, &set, &active, failed.as_ref()).await?;
        match failed {
            // Nothing can be made there any more, and it is not worth trying.
            Some(error) if is_terminating_namespace(&error) => Ok(None),
            Some(error) => Err(error),
            None => Ok(next),
        }
    }

    /// Makes or deletes pods. Says whether there was anything to do.
    async fn bring_to_size(
        &self,
        set: &ReplicaSet,
        spec: &ReplicaSetSpec,
        active: &[Arc<Pod>],
    ) -> kube::Result<bool> {
        match change(active.len(), spec.replicas.unwrap_or(1)) {
            Change::Nothing => Ok(false),
            Change::Create(count) => {
                let Some(template) = &spec.template else {
                    return Ok(false);
                };
                self.context
                    .create_pods(SOURCE, template, set, count)
                    .await?;
                Ok(true)
            }
            Change::Delete(count) => {
                let candidates: Vec<Candidate> = active.iter().map(|pod| candidate(pod)).collect();
                let related = self.related(set);
                let nodes = related.iter().filter_map(|pod| node_of(pod));
                for index in least_missed(&candidates, nodes, count, self.context.now()) {
                    if let Some(pod) = active.get(index) {
                        self.context.delete_pod(SOURCE, pod, set).await?;
                    }
                }
                Ok(true)
            }
        }
    }

    /// The active pods of all `ReplicaSets` of the same owner.
    fn related(&self, set: &ReplicaSet) -> Vec<Arc<Pod>> {
        let siblings = match controller(set) {
            Some(owner) => self.context.replica_sets.owned_by(owner),
            None => vec![Arc::new(set.clone())],
        };
        let pods = siblings.iter().filter_map(|one| one.uid());
        let pods = pods.flat_map(|uid| self.context.pods.owned_by(&uid));
        pods.filter(|pod| is_active(pod)).collect()
    }

    /// Writes the status if it has changed. Gives the time until a ready pod becomes available.
    async fn report(
        &self,
        key: &ObjectKey,
        set: &ReplicaSet,
        active: &[Arc<Pod>],
        failed: Option<&kube::Error>,
    ) -> kube::Result<Option<Duration>> {
        let now = self.context.now();
        let min_ready = set
            .spec
            .as_ref()
            .and_then(|spec| spec.min_ready_seconds)
            .unwrap_or(0);
        let from: Vec<_> = active
            .iter()
            .filter_map(|pod| available_from(pod, min_ready))
            .collect();
        let counts = Counts {
            replicas: active.len(),
            fully_labeled: active
                .iter()
                .filter(|pod| status::is_fully_labeled(set, pod))
                .count(),
            ready: from.len(),
            available: from.iter().filter(|from| **from <= now).count(),
        };
        let failed = failed.map(said);
        let next = next_status(set, counts, failed.as_deref(), now);
        if set.status.as_ref() != Some(&next) {
            let patch = json!({
                "metadata": { "uid": set.uid() },
                "status": status::as_patch(&next),
            });
            self.context
                .merge_status(&self.context.replica_sets, key, &patch)
                .await?;
        }
        let later = from.into_iter().filter(|from| *from > now).min();
        Ok(later.map(|from| until(now, from)))
    }
}

fn candidate(pod: &Pod) -> Candidate {
    let cost = pod.annotations().get(DELETION_COST);
    let statuses = pod
        .status
        .as_ref()
        .and_then(|s| s.container_statuses.as_deref());
    let restarts = statuses
        .unwrap_or_default()
        .iter()
        .map(|one| one.restart_count);
    Candidate {
        node: node_of(pod).map(str::to_owned),
        phase: match phase(pod) {
            "Pending" => Phase::Pending,
            "Running" => Phase::Running,
            _ => Phase::Unknown,
        },
        ready: ready_since(pod),
        cost: cost.and_then(|cost| cost.parse().ok()).unwrap_or(0),
        restarts: restarts.max().unwrap_or(0),
        created: pod
            .creation_timestamp()
            .map_or(jiff::Timestamp::MIN, |time| time.0),
        uid: pod.uid().unwrap_or_default(),
    }
}

fn node_of(pod: &Pod) -> Option<&str> {
    let node = pod.spec.as_ref()?.node_name.as_deref();
    node.filter(|node| !node.is_empty())
}
