//! A simulated cluster at work.

use std::sync::Arc;

use federation::operator::clock::SharedClock;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{EvictParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::context::Context;
use super::deployment::Deployments;
use super::events::Recorder;
use super::job::Jobs;
use super::kubelet::Kubelet;
use super::load::Metrics;
use super::nodes::{self, Heartbeat, Lifecycle, Lost};
use super::options::{NodeGroup, Options};
use super::random::Random;
use super::replica_set::ReplicaSets;
use super::scheduler::Scheduler;

/// A simulated cluster at work: the controllers, the scheduler and the kubelets that play against
/// its API server. Dropped, they stop; the objects stay as they are.
pub struct Cluster {
    context: Arc<Context>,
    lost: Lost,
    lifecycle: Arc<Lifecycle>,
    kubelet: Arc<Kubelet>,
    _stop: DropGuard,
}

impl Cluster {
    /// Starts the cluster of this name at the API server behind `client`, and makes its nodes.
    /// Nodes from an earlier run on the same store become what the options say now, and go if
    /// they do not name them any more; those that were added later stay.
    ///
    /// All that is drawn depends on `seed` and the name alone. Time passes as tokio's does; `clock`
    /// only says what time of day it is. The error is that of the first request that failed.
    pub async fn start(
        name: &str,
        client: Client,
        options: Options,
        seed: u64,
        clock: SharedClock,
    ) -> kube::Result<Self> {
        let options = Arc::new(options);
        let random = |part: &str| Random::new(seed, &format!("{name}/{part}"));
        let mut tasks: Vec<BoxFuture<'static, ()>> = Vec::new();
        let recorder = if options.events {
            let (recorder, writer) = Recorder::new(client.clone(), Arc::clone(&clock));
            tasks.push(Box::pin(writer.run()));
            recorder
        } else {
            Recorder::silent(Arc::clone(&clock))
        };
        let context = Arc::new(Context::new(name.to_owned(), client, clock, recorder));
        let lost = Lost::default();
        let shared = || Arc::clone(&context);
        let lifecycle = Lifecycle::new(shared(), lost.clone(), options.node_grace);
        let scheduler = Scheduler::new(shared(), random("scheduler"));
        let kubelet = Kubelet::new(
            shared(),
            Arc::clone(&options),
            lost.clone(),
            random("kubelet"),
        );
        let replica_sets = ReplicaSets::new(shared());
        let deployments = Deployments::new(shared());
        let jobs = Jobs::new(shared());
        tasks.extend(context.follow());
        tasks.push(Box::pin(deployments.run()));
        tasks.push(Box::pin(replica_sets.run()));
        tasks.push(Box::pin(jobs.run()));
        tasks.push(Box::pin(Arc::clone(&lifecycle).run()));
        tasks.push(Box::pin(scheduler.run()));
        tasks.push(Box::pin(Arc::clone(&kubelet).run()));
        if let Some(interval) = options.heartbeat {
            let heartbeat = Heartbeat {
                context: shared(),
                lost: lost.clone(),
                interval,
            };
            tasks.push(Box::pin(heartbeat.run()));
        }
        // Before anything looks at them.
        nodes::settle(&context, &options.nodes).await?;
        let stop = CancellationToken::new();
        for task in tasks {
            tokio::spawn(stop.clone().run_until_cancelled_owned(task));
        }
        Ok(Self {
            context,
            lost,
            lifecycle,
            kubelet,
            _stop: stop.drop_guard(),
        })
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.context.cluster
    }

    /// The pods as the cluster's controllers know them.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.context.pods.all()
    }

    /// The nodes as the cluster's controllers know them.
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.context.nodes.all()
    }

    /// Lets metrics follow this cluster's pods and nodes.
    pub fn feed(&self, metrics: &Metrics) {
        metrics.follow(&self.context.pods, &self.context.nodes);
    }

    /// Makes nodes, numbered after those of the group that are there. Gives their names.
    pub async fn add_nodes(&self, group: &NodeGroup) -> kube::Result<Vec<String>> {
        nodes::create(&self.context, group).await
    }

    /// A node's machine fails: its kubelet is not heard of any more. After its grace it counts as
    /// not ready, and its pods go when they tolerate that no longer.
    pub fn lose_node(&self, name: &str) {
        if self.lost.insert(name) {
            self.lifecycle.look_at(name);
        }
    }

    /// A lost node is back, with the pods that it had.
    pub fn return_node(&self, name: &str) {
        if self.lost.remove(name) {
            self.lifecycle.look_at(name);
            self.kubelet.look_at(name);
        }
    }

    /// A node takes nothing new, or does again.
    pub async fn cordon(&self, name: &str, cordoned: bool) -> kube::Result<()> {
        let api: Api<Node> = Api::all(self.context.client.clone());
        let patch = Patch::Merge(json!({ "spec": { "unschedulable": cordoned } }));
        api.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Cordons a node and evicts its pods, as `kubectl drain` does it once. Pods that a budget
    /// protects stay; gives their names.
    pub async fn drain(&self, name: &str) -> kube::Result<Vec<String>> {
        self.cordon(name, true).await?;
        let mut kept = Vec::new();
        for pod in self.pods() {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            if node != Some(name) {
                continue;
            }
            let namespace = pod.namespace().unwrap_or_default();
            let api = self.context.api::<Pod>(&namespace);
            match api.evict(&pod.name_any(), &EvictParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 429 => kept.push(pod.name_any()),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => drop(other?),
            }
        }
        Ok(kept)
    }
}
