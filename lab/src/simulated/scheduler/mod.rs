//! The pod scheduler: binds pods that wait to nodes that have room.

mod fit;
mod peers;
mod room;
mod waiting;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::capacity::shape_of_template;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use kube::ResourceExt as _;
use kube::api::PostParams;
use placement::PodShape;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing::debug;

use super::cache::ObjectKey;
use super::context::{Context, whole};
use super::nodes::as_placed;
use super::random::Random;
use room::Room;
use waiting::Waiting;

/// The name that pods call it by, and that stands in Events.
const NAME: &str = "default-scheduler";
/// The wait after a request that failed.
const RETRY: Duration = Duration::from_secs(1);

/// The pod scheduler.
pub(crate) struct Scheduler {
    context: Arc<Context>,
    state: Mutex<State>,
    /// A pod is ready to be decided.
    ready: Notify,
}

struct State {
    room: Room,
    waiting: Waiting,
    random: Random,
}

/// What was decided for a pod.
struct Decision {
    key: ObjectKey,
    uid: String,
    /// The node, or why there is none.
    outcome: Result<String, String>,
}

impl Scheduler {
    pub(crate) fn new(context: Arc<Context>, random: Random) -> Arc<Self> {
        let scheduler = Arc::new(Self {
            context,
            state: Mutex::new(State {
                room: Room::default(),
                waiting: Waiting::default(),
                random,
            }),
            ready: Notify::new(),
        });
        let this = Arc::downgrade(&scheduler);
        scheduler.context.nodes.on_change(move |before, after| {
            if let Some(this) = this.upgrade() {
                this.node_changed(before.map(|node| &**node), after.map(|node| &**node));
            }
        });
        let this = Arc::downgrade(&scheduler);
        scheduler.context.pods.on_change(move |before, after| {
            if let Some(this) = this.upgrade() {
                this.pod_changed(before.map(|pod| &**pod), after.map(|pod| &**pod));
            }
        });
        scheduler
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn node_changed(&self, before: Option<&Node>, after: Option<&Node>) {
        let mut state = self.state();
        match (before, after) {
            (_, Some(node)) => {
                let node = as_placed(node);
                let name = node.name.clone();
                if state.room.set_node(node) {
                    state.wake(&name);
                }
            }
            (Some(node), None) => state.room.remove_node(&node.name_any()),
            (None, None) => {}
        }
        drop(state);
        self.ready.notify_one();
    }

    fn pod_changed(&self, before: Option<&Pod>, after: Option<&Pod>) {
        let mut state = self.state();
        // A pod of the same name may be another one.
        let uid = |pod: &Pod| pod.uid().unwrap_or_default();
        if let Some(gone) = before.filter(|gone| after.map(uid) != Some(uid(gone))) {
            state.waiting.remove(&ObjectKey::of(gone));
            state.release(&uid(gone));
        }
        if let Some(pod) = after {
            state.pod_is(pod, &uid(pod));
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Does what a scheduler does.
    pub(crate) async fn run(self: Arc<Self>) {
        self.context.synced().await;
        loop {
            let next = self.state().decide();
            let Some(decision) = next else {
                self.ready.notified().await;
                continue;
            };
            if let Err(error) = self.carry_out(&decision).await {
                debug!(pod = %decision.key, %error, "will try again");
                tokio::time::sleep(RETRY).await;
                self.decide_again(&decision);
            }
        }
    }

    /// Forgets a decision that could not be carried out.
    fn decide_again(&self, decision: &Decision) {
        let pod = self.context.pods.get(&decision.key);
        let mut state = self.state();
        state.release(&decision.uid);
        state.waiting.remove(&decision.key);
        if let Some(pod) = pod.filter(|pod| pod.uid().as_ref() == Some(&decision.uid)) {
            state.pod_is(&pod, &decision.uid);
        }
    }

    async fn carry_out(&self, decision: &Decision) -> kube::Result<()> {
        let Some(pod) = self.context.pods.get(&decision.key) else {
            return Ok(());
        };
        let done = match &decision.outcome {
            Ok(node) => self.bind(&pod, node).await,
            Err(why) => self.explain(&pod, why).await,
        };
        match done {
            // It went meanwhile, or somebody else has bound it; its watch event says so.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            other => other,
        }
    }

    async fn bind(&self, pod: &Pod, node: &str) -> kube::Result<()> {
        let key = ObjectKey::of(pod);
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": { "namespace": key.namespace, "name": key.name, "uid": pod.uid() },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node },
        });
        let api = self.context.api::<Pod>(&key.namespace);
        let params = PostParams::default();
        let _done: Value = api
            .create_subresource("binding", &key.name, &params, &binding)
            .await?;
        let message = format!("Successfully assigned {key} to {node}");
        self.context
            .recorder
            .normal(NAME, pod, "Scheduled", message);
        Ok(())
    }

    /// Writes why a pod waits, unless that is what it says already.
    async fn explain(&self, pod: &Pod, why: &str) -> kube::Result<()> {
        let status = pod.status.as_ref();
        let mut conditions = status
            .and_then(|s| s.conditions.clone())
            .unwrap_or_default();
        let known = conditions
            .iter()
            .position(|one| one.type_ == "PodScheduled");
        let known = known.map(|index| conditions.remove(index));
        let says =
            |one: &PodCondition| one.status == "False" && one.message.as_deref() == Some(why);
        if known.as_ref().is_some_and(says) {
            return Ok(());
        }
        let since = known.filter(|one| one.status == "False");
        let since = since.and_then(|one| one.last_transition_time);
        conditions.push(PodCondition {
            type_: "PodScheduled".to_owned(),
            status: "False".to_owned(),
            reason: Some("Unschedulable".to_owned()),
            message: Some(why.to_owned()),
            observed_generation: pod.metadata.generation,
            last_transition_time: since.or_else(|| Some(whole(self.context.now()))),
            last_probe_time: None,
        });
        let patch = json!({
            "metadata": { "uid": pod.uid() },
            "status": { "conditions": conditions },
        });
        let key = ObjectKey::of(pod);
        self.context
            .merge_status(&self.context.pods, &key, &patch)
            .await?;
        let recorder = &self.context.recorder;
        recorder.warning(NAME, pod, "FailedScheduling", why.to_owned());
        Ok(())
    }
}

impl State {
    /// Takes in a pod as it is now.
    fn pod_is(&mut self, pod: &Pod, uid: &str) {
        let key = ObjectKey::of(pod);
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) {
            self.waiting.remove(&key);
            self.release(uid);
        } else if let Some(node) = node.filter(|node| !node.is_empty()) {
            self.waiting.remove(&key);
            if self.room.node_of(uid) != Some(node) {
                self.room.hold(uid, node, &shape(pod));
                self.wake_near();
            }
        } else if pod.metadata.deletion_timestamp.is_some() {
            self.waiting.remove(&key);
        } else if is_ours(pod) && self.room.node_of(uid).is_none() && !self.waiting.knows(&key) {
            let priority = pod.spec.as_ref().and_then(|spec| spec.priority);
            self.waiting
                .add(key, uid, priority.unwrap_or(0), shape(pod));
        }
    }

    /// A pod gives its room back, and those that wait for it may try again.
    fn release(&mut self, uid: &str) {
        let repels = self.room.repels(uid);
        if let Some(node) = self.room.release(uid) {
            self.wake(&node);
            self.wake_those(|shape| repels || peers::bind(shape));
        }
    }

    /// There may be more room for pods that must be near others, or spread with them.
    fn wake_near(&mut self) {
        self.wake_those(peers::moves);
    }

    fn wake_those(&mut self, may_fit: impl Fn(&PodShape) -> bool) {
        let parked = self.waiting.parked();
        let waking = parked.filter(|(_, shape)| may_fit(shape));
        let waking: Vec<_> = waking.map(|(key, _)| key).collect();
        for key in waking {
            self.waiting.retry(&key);
        }
    }

    /// There may be more room on a node.
    fn wake(&mut self, node: &str) {
        for key in self.room.fitting(node, self.waiting.parked()) {
            self.waiting.retry(&key);
        }
    }

    /// Decides for the next pod that is ready. Room that was chosen is taken at once.
    fn decide(&mut self) -> Option<Decision> {
        let (key, uid, shape) = self.waiting.next()?;
        let outcome = self.room.choose(&shape, &mut self.random);
        match &outcome {
            Ok(node) => {
                self.waiting.remove(&key);
                self.room.hold(&uid, node, &shape);
                self.wake_near();
            }
            Err(_) => self.waiting.park(&key),
        }
        Some(Decision { key, uid, outcome })
    }
}

/// Whether a pod is for this scheduler, and nothing holds it back.
fn is_ours(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| {
        let gates = spec.scheduling_gates.as_deref().unwrap_or_default();
        let scheduler = spec.scheduler_name.as_deref().unwrap_or(NAME);
        scheduler == NAME && gates.is_empty()
    })
}

/// What a pod needs. The API server has checked what it says.
fn shape(pod: &Pod) -> PodShape {
    let template = json!({ "metadata": { "labels": pod.metadata.labels }, "spec": pod.spec });
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    shape_of_template(&template, namespace).unwrap_or_default()
}
