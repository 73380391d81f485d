//! The kubelets: one task for all nodes of a cluster. It starts the pods that are bound, runs
//! them, ends them, and removes those that are deleted.

mod life;
mod logs;
mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::operator::queue::{Priority, WorkQueue};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::DeleteParams;

use super::cache::ObjectKey;
use super::context::{Context, queue, seconds, until, work};
use super::nodes::Lost;
use super::options::Options;
use super::random::Random;
use life::{Life, Restart, Script};
pub use logs::Logs;
use status::{Addresses, report};

/// How long a pod's containers run, in seconds.
pub const RUN_SECONDS: &str = "lab.mck8s.io/run-seconds";
/// With what a pod's containers end.
pub const EXIT_CODE: &str = "lab.mck8s.io/exit-code";
/// If it is there, a pod's containers end with exit code 1. The pods of the real lab know it, too.
pub const FAILS: &str = "fogguru.eu/lab-fails";

/// All kubelets of a cluster.
pub(crate) struct Kubelet {
    context: Arc<Context>,
    options: Arc<Options>,
    lost: Lost,
    queue: WorkQueue<ObjectKey>,
    state: Mutex<State>,
}

struct State {
    random: Random,
    pods: BTreeMap<ObjectKey, Entry>,
    addresses: u32,
}

/// A pod that runs here.
struct Entry {
    uid: String,
    life: Life,
    address: String,
    /// What happened to it has been written.
    written: bool,
}

/// What is to be done for a pod now.
enum Step {
    /// Nothing until something is due, if anything is.
    Wait(Option<Duration>),
    /// Write its status.
    Report(serde_json::Value),
    /// It is at its end.
    Remove,
}

impl Kubelet {
    pub(crate) fn new(
        context: Arc<Context>,
        options: Arc<Options>,
        lost: Lost,
        random: Random,
    ) -> Arc<Self> {
        let kubelet = Arc::new(Self {
            context,
            options,
            lost,
            queue: queue(),
            state: Mutex::new(State {
                random,
                pods: BTreeMap::new(),
                addresses: 0,
            }),
        });
        let queue = kubelet.queue.clone();
        kubelet.context.pods.on_change(move |before, after| {
            let bound = |pod: &&Arc<Pod>| node_of(pod).is_some();
            if let Some(pod) = after.or(before).filter(bound) {
                queue.renew(ObjectKey::of(&**pod), Priority::High);
            }
        });
        kubelet
    }

    /// A node's kubelet is back: what happened to its pods meanwhile is to be made up for.
    pub(crate) fn look_at(&self, node: &str) {
        for pod in self.context.pods.all() {
            if node_of(&pod) == Some(node) {
                self.queue.renew(ObjectKey::of(&*pod), Priority::High);
            }
        }
    }

    /// Does what kubelets do.
    pub(crate) async fn run(self: Arc<Self>) {
        self.context.synced().await;
        let queue = self.queue.clone();
        work("kubelet", queue, |key| {
            let this = Arc::clone(&self);
            async move { this.look(&key).await }
        })
        .await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self, key: &ObjectKey) -> kube::Result<Option<Duration>> {
        let Some(pod) = self.context.pods.get(key) else {
            self.state().pods.remove(key);
            return Ok(None);
        };
        match self.step(key, &pod) {
            Step::Wait(delay) => Ok(delay),
            Step::Report(patch) => {
                let written = self.context.merge_status(&self.context.pods, key, &patch);
                match written.await {
                    // Another pod has its name by now; the watch will say so.
                    Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                    other => other?,
                }
                if let Some(entry) = self.state().pods.get_mut(key) {
                    entry.written = true;
                }
                // What comes next is seen when the change comes back from the cache, or here.
                let next = self
                    .state()
                    .pods
                    .get(key)
                    .and_then(|entry| entry.life.next());
                Ok(next.map(|next| until(self.context.now(), next)))
            }
            Step::Remove => {
                let params = DeleteParams::default().grace_period(0);
                self.context
                    .delete(&self.context.pods, &*pod, params)
                    .await?;
                self.state().pods.remove(key);
                Ok(None)
            }
        }
    }

    fn step(&self, key: &ObjectKey, pod: &Pod) -> Step {
        let Some(node) = node_of(pod) else {
            return Step::Wait(None);
        };
        if self.lost.contains(node) {
            return Step::Wait(None);
        }
        let now = self.context.now();
        let mut state = self.state();
        let State {
            random,
            pods,
            addresses,
        } = &mut *state;
        let uid = pod.uid().unwrap_or_default();
        if pods.get(key).is_none_or(|entry| entry.uid != uid) {
            let Some(entry) = self.begin(pod, random, addresses) else {
                // It had ended before these kubelets began.
                return remove_if_deleted(pod);
            };
            pods.insert(key.clone(), entry);
        }
        let Some(entry) = pods.get_mut(key) else {
            return Step::Wait(None);
        };
        if pod.metadata.deletion_timestamp.is_some() {
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
            let gone = entry.life.gone(seconds(grace), &self.options, random, now);
            let left = until(now, gone);
            return if left.is_zero() {
                Step::Remove
            } else {
                Step::Wait(Some(left))
            };
        }
        if entry.life.advance(&self.options, random, now) {
            entry.written = false;
        }
        if entry.written && is_reported(pod, &entry.life) {
            let next = entry.life.next();
            return Step::Wait(next.map(|next| until(now, next)));
        }
        let host = self.context.nodes.get(&ObjectKey {
            namespace: String::new(),
            name: node.to_owned(),
        });
        let addresses = Addresses {
            pod: &entry.address,
            host: host.as_deref().and_then(node_ip),
        };
        Step::Report(report(pod, &entry.life, &addresses, now))
    }

    /// A pod that is new here; none if it has ended already.
    fn begin(&self, pod: &Pod, random: &mut Random, addresses: &mut u32) -> Option<Entry> {
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let (script, now) = (script(pod), self.context.now());
        let life = match phase {
            Some("Succeeded" | "Failed") => return None,
            Some("Running") => Life::resume(script, &self.options, random, now),
            _ => Life::begin(script, &self.options, random, now),
        };
        let known = status.and_then(|status| status.pod_ip.clone());
        // They come round after 16 million pods.
        *addresses = (*addresses + 1) & 0x00ff_ffff;
        let [_, a, b, c] = addresses.to_be_bytes();
        Some(Entry {
            uid: pod.uid().unwrap_or_default(),
            // While it starts there is nothing to say that the API server has not said.
            written: phase != Some("Running"),
            address: known.unwrap_or_else(|| format!("10.{a}.{b}.{c}")),
            life,
        })
    }
}

/// Whether the pod's readiness is what the kubelet last said: the node controller changes it while
/// a node is lost.
fn is_reported(pod: &Pod, life: &Life) -> bool {
    let running = matches!(life.stage, life::Stage::Running { .. });
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    let ready = conditions.find(|one| one.type_ == "Ready");
    !running || ready.is_some_and(|ready| ready.status == "True")
}

fn remove_if_deleted(pod: &Pod) -> Step {
    match pod.metadata.deletion_timestamp {
        Some(_) => Step::Remove,
        None => Step::Wait(None),
    }
}

/// The node that a pod is bound to.
fn node_of(pod: &Pod) -> Option<&str> {
    let node = pod.spec.as_ref()?.node_name.as_deref();
    node.filter(|node| !node.is_empty())
}

fn node_ip(node: &k8s_openapi::api::core::v1::Node) -> Option<&str> {
    let addresses = node.status.as_ref()?.addresses.as_deref()?;
    let internal = addresses.iter().find(|one| one.type_ == "InternalIP")?;
    Some(&internal.address)
}

/// What a pod says of how it runs. An annotation that is no number counts as none.
fn script(pod: &Pod) -> Script {
    let annotation = |key: &str| pod.annotations().get(key).map(String::as_str);
    let exit = annotation(EXIT_CODE).and_then(|text| text.parse().ok());
    let run = annotation(RUN_SECONDS).and_then(|text| text.parse::<f64>().ok());
    let policy = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref());
    Script {
        restart: match policy {
            Some("Never") => Restart::Never,
            Some("OnFailure") => Restart::OnFailure,
            _ => Restart::Always,
        },
        run: run.and_then(|run| Duration::try_from_secs_f64(run).ok()),
        exit: exit.or(annotation(FAILS).map(|_| 1)),
    }
}
