//! Our answers to the same cases.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::api::ReplicaScheduling;
use jiff::SignedDuration;
use multi_cluster_hpa::behavior::{Behavior, Bounds};
use multi_cluster_hpa::calculator::{Pod, PodKey, Sample};
use multi_cluster_hpa::decision::{
    Decision, Defaults, Distribution, History, Layout, Metric, Reading, Scaling, Scope, Snapshot,
    decide,
};

use crate::cases::{self, Case, Evaluation};

const CLUSTER: &str = "cluster1";

/// Decides a case as one number, and for one location.
pub(crate) struct Ours {
    defaults: Defaults,
    scaling: Scaling,
    metrics: Vec<Metric>,
    histories: [History; 2],
}

impl Ours {
    pub(crate) fn new(case: &Case) -> Self {
        let seconds = SignedDuration::from_secs;
        let settings = &case.settings;
        let number = |field: &str| u32::try_from(case.spec[field].as_u64().unwrap()).unwrap();
        let behavior = serde_json::from_value(case.spec["behavior"].clone()).unwrap();
        let behavior: Option<_> = behavior;
        let metrics = case.spec["metrics"].as_array().unwrap().iter();
        Self {
            defaults: Defaults {
                tolerance: settings.tolerance,
                downscale_stabilization: seconds(settings.downscale_seconds),
                cpu_initialization_period: seconds(settings.cpu_initialization_seconds),
                initial_readiness_delay: seconds(settings.initial_readiness_seconds),
            },
            scaling: Scaling {
                bounds: Bounds {
                    min: number("minReplicas"),
                    max: number("maxReplicas"),
                },
                zero_is_allowed: false,
                min_per_cluster: 0,
                scope: Scope::Global,
                distribution: Distribution::Load,
                behavior: behavior.map(|behavior| Behavior::read(&behavior).unwrap()),
            },
            metrics: metrics
                .map(|metric| Metric::read(&serde_json::from_value(metric.clone()).unwrap()))
                .map(Result::unwrap)
                .collect(),
            histories: Default::default(),
        }
    }

    pub(crate) fn decide(&mut self, current: u32, evaluation: &Evaluation) -> [Decision; 2] {
        let pods = evaluation.pods.iter();
        let pods = pods.map(|pod| serde_json::from_value(pod.clone()).unwrap());
        let pods = pods.map(|pod| Arc::new(Pod::read(CLUSTER, &pod).unwrap()));
        let mut metrics = self.metrics.clone();
        for (metric, reading) in metrics.iter_mut().zip(&evaluation.readings) {
            metric.reading = read(reading);
        }
        let here = BTreeMap::from([(CLUSTER.to_owned(), current)]);
        let mut snapshot = Snapshot {
            now: evaluation.now,
            defaults: self.defaults,
            scaling: self.scaling.clone(),
            replica_scheduling: ReplicaScheduling::Total,
            replicas: current,
            layout: Layout {
                wanted: here.clone(),
                placed: here,
                has_stale_entries: false,
            },
            pods: pods.collect(),
            unknown: BTreeMap::new(),
            metrics,
            traffic: None,
        };
        let [global, location] = &mut self.histories;
        let behavior = self.scaling.behavior.as_ref();
        let decide = |snapshot: &Snapshot, history: &mut History| {
            let decision = decide(snapshot, history);
            if decision.wanted.is_some() {
                history.scaled(&decision, snapshot.now, behavior);
            }
            decision
        };
        let first = decide(&snapshot, global);
        snapshot.scaling.scope = Scope::PerCluster;
        snapshot.replica_scheduling = ReplicaScheduling::PerLocation;
        [first, decide(&snapshot, location)]
    }
}

/// The conditions as Kubernetes writes them, by type.
pub(crate) fn conditions(decision: &Decision) -> BTreeMap<String, String> {
    let conditions = decision.conditions.iter();
    let text = |status| if status { "True" } else { "False" };
    conditions
        .map(|one| {
            let value = format!("{} {}", text(one.status), one.reason);
            (one.kind.name().to_owned(), value)
        })
        .collect()
}

fn read(reading: &cases::Reading) -> Reading {
    match (&reading.pods, reading.value) {
        (Some(samples), _) => {
            let samples = samples.iter().map(|(pod, sample)| {
                let key = PodKey {
                    cluster: CLUSTER.to_owned(),
                    name: pod.clone(),
                };
                let sample = Sample {
                    milli: sample.milli,
                    timestamp: sample.timestamp,
                    window: SignedDuration::from_secs(sample.window),
                };
                (key, sample)
            });
            Reading::Pods(samples.collect())
        }
        (None, Some(milli)) => Reading::Total(milli),
        (None, None) => Reading::Failed("it cannot be read".to_owned()),
    }
}
