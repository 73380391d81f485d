//! From a step of a load to the patched deployment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::watcher::{Config, Event, watcher};
use lab::simulated::Random;
use statrs::statistics::{Data, OrderStatistics as _};
use tokio::task::JoinHandle;

use super::federation::{Federation, names, replicas, workload};
use crate::bench::Figure;

/// The time between two evaluations, which is the default.
pub(super) const INTERVAL: Duration = Duration::from_secs(15);
/// A step makes a load so many pods on target.
const STEP: f64 = 4.0;
/// How long the last one may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Steps of loads, each of another workload, and when each was answered.
pub(super) struct Reactions {
    /// By workload: the cluster, when its load stepped, and when its deployment wanted more there.
    steps: Arc<Mutex<BTreeMap<String, Step>>>,
    watching: JoinHandle<()>,
}

struct Step {
    cluster: String,
    begun: Instant,
    took: Option<Duration>,
}

impl Drop for Reactions {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Reactions {
    /// Watches the deployments from now on.
    pub(super) fn watch(federation: &Federation) -> Self {
        let steps: Arc<Mutex<BTreeMap<String, Step>>> = Arc::default();
        let api = federation.api("MultiClusterDeployment");
        let shared = Arc::clone(&steps);
        let watching = tokio::spawn(async move {
            let mut events = std::pin::pin!(watcher(api, Config::default()));
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(object)) = event {
                    note(&mut lock(&shared), &object);
                }
            }
        });
        Self { steps, watching }
    }

    /// Lets the load of one workload after the other step up, at random moments of the interval, so
    /// far apart on average.
    pub(super) async fn step_up(
        &self,
        federation: &Federation,
        workloads: impl Iterator<Item = usize>,
        apart: Duration,
    ) {
        let mut random = Random::new(1, "steps");
        let clusters: Vec<_> = names().collect();
        for number in workloads {
            tokio::time::sleep(apart.mul_f64(2.0 * random.fraction())).await;
            let name = workload(number);
            let Some(cluster) = clusters.get(random.below(clusters.len())) else {
                continue;
            };
            let step = Step {
                cluster: cluster.clone(),
                begun: Instant::now(),
                took: None,
            };
            lock(&self.steps).insert(name.clone(), step);
            federation.loads.set(&name, cluster, STEP);
        }
    }

    /// How long each took, when all have been answered.
    pub(super) async fn all(&self) -> Result<Vec<Duration>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let took: Option<Vec<_>> = lock(&self.steps).values().map(|step| step.took).collect();
            if let Some(took) = took {
                return Ok(took);
            }
            if Instant::now() > deadline {
                let steps = lock(&self.steps);
                let open = steps.iter().find(|(_, step)| step.took.is_none());
                let open = open.map(|(name, step)| format!("{name} in {}", step.cluster));
                return None.with_context(|| format!("no answer to a step of {open:?}"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn lock(steps: &Mutex<BTreeMap<String, Step>>) -> MutexGuard<'_, BTreeMap<String, Step>> {
    steps.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(steps: &mut BTreeMap<String, Step>, deployment: &DynamicObject) {
    for ((name, cluster), wanted) in replicas(deployment) {
        if let Some(step) = steps.get_mut(&name)
            && step.cluster == cluster
            && step.took.is_none()
            && wanted > 1
        {
            step.took = Some(step.begun.elapsed());
        }
    }
}

/// Steps with as many autoscalers as there are now.
pub(super) fn figure(autoscalers: usize, took: &[Duration]) -> Figure {
    let seconds: Vec<f64> = took.iter().map(Duration::as_secs_f64).collect();
    let most = seconds.iter().copied().fold(0.0, f64::max);
    let target = INTERVAL + Duration::from_secs(1);
    Figure {
        name: format!(
            "from a step of the load to the patched deployment, {autoscalers} autoscalers over 10 clusters, {} steps",
            seconds.len()
        ),
        measured: format!(
            "P50 {:.1} s; at most {most:.2} s",
            Data::new(seconds).median()
        ),
        target: format!("at most {} s", target.as_secs()),
        met: most <= target.as_secs_f64(),
    }
}
