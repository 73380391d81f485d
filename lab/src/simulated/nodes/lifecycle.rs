//! The node controller: what becomes of a node that is lost, comes back, is cordoned or deleted,
//! and of the pods on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use federation::operator::queue::{Priority, WorkQueue};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Toleration};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::Lost;
use super::conditions::{corrected_taints, healthy, is_ready, unknown};
use crate::simulated::cache::ObjectKey;
use crate::simulated::context::{Context, after, queue, seconds, until, whole, work};

/// How long a pod may stay on a node that does not exist before it is deleted by force.
const QUARANTINE: Duration = Duration::from_secs(40);

/// The node controller.
pub(crate) struct Lifecycle {
    context: Arc<Context>,
    lost: Lost,
    /// From the loss of a node until it counts as not ready.
    grace: Duration,
    queue: WorkQueue<ObjectKey>,
    /// Since when nodes are lost or deleted.
    since: Mutex<BTreeMap<String, Timestamp>>,
}

impl Lifecycle {
    pub(crate) fn new(context: Arc<Context>, lost: Lost, grace: Duration) -> Arc<Self> {
        let controller = Arc::new(Self {
            context,
            lost,
            grace,
            queue: queue(),
            since: Mutex::default(),
        });
        let nodes = controller.queue.clone();
        controller.context.nodes.on_change(move |before, after| {
            if let Some(node) = after.or(before) {
                nodes.renew(ObjectKey::of(&**node), Priority::High);
            }
        });
        let pods = controller.queue.clone();
        let nodes = controller.context.nodes.clone();
        controller.context.pods.on_change(move |_, after| {
            // Only pods on nodes that are in trouble are of interest, and those are few.
            let Some(name) = after.and_then(|pod| node_of(pod)) else {
                return;
            };
            let key = node_key(name);
            if nodes
                .get(&key)
                .is_none_or(|node| !evicting(&node).is_empty())
            {
                pods.renew(key, Priority::Low);
            }
        });
        controller
    }

    /// A node's kubelet is lost or back: to be looked at.
    pub(crate) fn look_at(&self, node: &str) {
        self.queue.renew(node_key(node), Priority::High);
    }

    /// Does what a node controller does.
    pub(crate) async fn run(self: Arc<Self>) {
        self.context.synced().await;
        let queue = self.queue.clone();
        work("nodes", queue, |key| {
            let this = Arc::clone(&self);
            async move { this.look(&key).await }
        })
        .await;
    }

    async fn look(&self, key: &ObjectKey) -> kube::Result<Option<Duration>> {
        let Some(node) = self.context.nodes.get(key) else {
            // The next machine of that name is another one.
            self.lost.remove(&key.name);
            return self.collect(&key.name).await;
        };
        if self.lost.contains(&key.name) {
            let left = self.left(&key.name, self.grace);
            if !left.is_zero() {
                return Ok(Some(left));
            }
            if is_ready(&node) {
                self.mark_pods(&key.name).await?;
                // The change brings the node back here.
                self.write_conditions(&node, false).await?;
                return Ok(None);
            }
        } else {
            self.since().remove(&key.name);
            if !is_ready(&node) {
                self.write_conditions(&node, true).await?;
                return Ok(None);
            }
        }
        if let Some(taints) = corrected_taints(&node, self.context.now()) {
            // The version, because somebody else may add a taint at the same time.
            let patch = json!({
                "metadata": { "resourceVersion": node.resource_version() },
                "spec": { "taints": taints },
            });
            let patch = Patch::Merge(patch);
            let params = PatchParams::default();
            let node = self.api().patch(&key.name, &params, &patch).await?;
            self.context.nodes.observe(node);
            return Ok(None);
        }
        self.evict(&node).await
    }

    /// What is left of a span that began when this was first asked.
    fn left(&self, node: &str, span: Duration) -> Duration {
        let now = self.context.now();
        let since = *self.since().entry(node.to_owned()).or_insert(now);
        until(now, after(since, span))
    }

    fn since(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api(&self) -> Api<Node> {
        Api::all(self.context.client.clone())
    }

    async fn write_conditions(&self, node: &Node, well: bool) -> kube::Result<()> {
        let now = self.context.now();
        let conditions = if well { healthy(now) } else { unknown(now) };
        let patch = Patch::Merge(json!({ "status": { "conditions": conditions } }));
        let params = PatchParams::default();
        let name = node.name_any();
        let written = self.api().patch_status(&name, &params, &patch).await?;
        self.context.nodes.observe(written);
        if !well {
            let message = format!("Node {name} status is now: NodeNotReady");
            let recorder = &self.context.recorder;
            recorder.normal("node-controller", node, "NodeNotReady", message);
        }
        Ok(())
    }

    fn pods_on(&self, node: &str) -> Vec<Arc<Pod>> {
        let mut pods = self.context.pods.all();
        pods.retain(|pod| node_of(pod) == Some(node));
        pods
    }

    /// Nothing is known of the pods on a lost node, so they are not ready.
    async fn mark_pods(&self, node: &str) -> kube::Result<()> {
        let now = whole(self.context.now());
        for pod in self.pods_on(node) {
            let conditions = pod.status.as_ref().and_then(|s| s.conditions.clone());
            let mut conditions = conditions.unwrap_or_default();
            let ready = conditions.iter_mut().find(|one| one.type_ == "Ready");
            let Some(ready) = ready.filter(|ready| ready.status == "True") else {
                continue;
            };
            "False".clone_into(&mut ready.status);
            ready.last_transition_time = Some(now.clone());
            let patch = json!({ "status": { "conditions": conditions } });
            let key = ObjectKey::of(&*pod);
            let written = self.context.merge_status(&self.context.pods, &key, &patch);
            gone_is_fine(written.await)?;
        }
        Ok(())
    }

    /// Deletes the pods that do not tolerate the node any longer. Gives the time until the next
    /// one will not.
    async fn evict(&self, node: &Node) -> kube::Result<Option<Duration>> {
        let taints = evicting(node);
        if taints.is_empty() {
            return Ok(None);
        }
        let now = self.context.now();
        let mut next = None;
        for pod in self.pods_on(&node.name_any()) {
            if pod.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let Some(tolerated) = tolerated(&pod, &taints) else {
                continue;
            };
            let left = until(now, tolerated);
            if left.is_zero() {
                let message = format!("Marking for deletion Pod {}", ObjectKey::of(&*pod));
                let recorder = &self.context.recorder;
                recorder.normal(
                    "taint-eviction-controller",
                    &*pod,
                    "TaintManagerEviction",
                    message,
                );
                let params = DeleteParams::default();
                self.context
                    .delete(&self.context.pods, &*pod, params)
                    .await?;
            } else {
                next = next.into_iter().chain([left]).min();
            }
        }
        Ok(next)
    }

    /// Deletes by force what is bound to a node that does not exist.
    async fn collect(&self, node: &str) -> kube::Result<Option<Duration>> {
        let pods = self.pods_on(node);
        if pods.is_empty() {
            self.since().remove(node);
            return Ok(None);
        }
        let left = self.left(node, QUARANTINE);
        if !left.is_zero() {
            return Ok(Some(left));
        }
        for pod in pods {
            let params = DeleteParams::default().grace_period(0);
            self.context
                .delete(&self.context.pods, &*pod, params)
                .await?;
        }
        Ok(None)
    }
}

/// What a node's `NoExecute` taints are, and since when.
type Evicting = Vec<(placement::Taint, Timestamp)>;

fn evicting(node: &Node) -> Evicting {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref());
    let taints = taints.unwrap_or_default().iter();
    let taints = taints.filter(|taint| taint.effect == "NoExecute");
    let since = |taint: &k8s_openapi::api::core::v1::Taint| {
        taint
            .time_added
            .as_ref()
            .map_or(Timestamp::MIN, |time| time.0)
    };
    taints
        .filter_map(|taint| Some((super::taint_of(taint)?, since(taint))))
        .collect()
}

/// Until when a pod tolerates all the taints; none if for ever.
fn tolerated(pod: &Pod, taints: &Evicting) -> Option<Timestamp> {
    let tolerations = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.tolerations.as_deref());
    let tolerations = tolerations.unwrap_or_default();
    let ends = taints.iter().filter_map(|(taint, since)| {
        let mut matching = tolerations
            .iter()
            .filter(|one| covers(one, taint))
            .peekable();
        if matching.peek().is_none() {
            return Some(Timestamp::MIN);
        }
        // The shortest of the times that are given counts.
        let spans = matching.filter_map(|one| one.toleration_seconds);
        spans.min().map(|span| after(*since, seconds(span)))
    });
    ends.min()
}

fn covers(toleration: &Toleration, taint: &placement::Taint) -> bool {
    let effect = toleration
        .effect
        .as_deref()
        .filter(|effect| !effect.is_empty());
    let parsed = placement::Toleration {
        key: toleration.key.clone().filter(|key| !key.is_empty()),
        operator: match toleration.operator.as_deref() {
            Some("Exists") => placement::TolerationOperator::Exists,
            _ => placement::TolerationOperator::Equal,
        },
        value: toleration.value.clone(),
        effect: effect.and_then(federation::capacity::taint_effect),
    };
    parsed.tolerates(taint)
}

/// The node that a pod is bound to, unless it has ended.
fn node_of(pod: &Pod) -> Option<&str> {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let spec = pod.spec.as_ref()?;
    let node = spec.node_name.as_deref().filter(|node| !node.is_empty());
    node.filter(|_| !matches!(phase, Some("Succeeded" | "Failed")))
}

fn node_key(name: &str) -> ObjectKey {
    ObjectKey {
        namespace: String::new(),
        name: name.to_owned(),
    }
}

/// A pod that went meanwhile needs nothing.
fn gone_is_fine(result: kube::Result<()>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}
