//! Our rule: the autoscaler's own decision, with its defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::api::ReplicaScheduling;
use jiff::{SignedDuration, Timestamp};
use multi_cluster_hpa::behavior::{Behavior, Bounds};
use multi_cluster_hpa::calculator::{
    Container, Phase, Pod as Counted, PodKey, Readiness, Sample as Measured,
};
use multi_cluster_hpa::decision::{
    Defaults, Distribution, History, Kind, Layout, Metric, Reading, Scaling, Scope, Snapshot,
    Target, Wanted, decide,
};

use super::replay::{Pod, Replicas, Rule, Sample, Seen};

/// The autoscaler's decision.
pub(super) struct Ours {
    snapshot: Snapshot,
    history: History,
}

impl Ours {
    /// With this target of CPU in percent, these bounds of the sum, and `spec.behavior`.
    pub(super) fn new(target: i32, bounds: Bounds, behavior: Option<Behavior>) -> Self {
        let snapshot = Snapshot {
            now: Timestamp::UNIX_EPOCH,
            defaults: Defaults::default(),
            scaling: Scaling {
                bounds,
                zero_is_allowed: false,
                min_per_cluster: 1,
                scope: Scope::PerCluster,
                distribution: Distribution::Load,
                behavior,
            },
            replica_scheduling: ReplicaScheduling::PerLocation,
            replicas: 1,
            layout: Layout::default(),
            pods: Vec::new(),
            unknown: BTreeMap::new(),
            metrics: vec![Metric {
                kind: Kind::Resource {
                    resource: "cpu".to_owned(),
                },
                target: Target::Utilization(target),
                reading: Reading::Failed(String::new()),
            }],
            traffic: None,
        };
        Self {
            snapshot,
            history: History::default(),
        }
    }
}

impl Rule for Ours {
    const INTERVAL: u64 = 15;

    fn decide(&mut self, seen: &Seen) -> Replicas {
        let snapshot = &mut self.snapshot;
        snapshot.now = at(seen.now);
        let mut samples = BTreeMap::new();
        snapshot.pods.clear();
        for (cluster, pods) in &seen.clusters {
            let count = u32::try_from(pods.len()).unwrap_or(u32::MAX);
            snapshot.layout.wanted.insert(cluster.clone(), count);
            for pod in pods {
                let key = PodKey {
                    cluster: cluster.clone(),
                    name: format!("pod-{:06}", pod.number),
                };
                samples.extend(pod.sample.map(|sample| (key.clone(), measured(sample))));
                snapshot.pods.push(Arc::new(counted(key, pod)));
            }
        }
        let layout = &mut snapshot.layout;
        layout.placed.clone_from(&layout.wanted);
        for metric in &mut snapshot.metrics {
            metric.reading = Reading::Pods(samples.clone());
        }
        let decision = decide(snapshot, &mut self.history);
        let behavior = snapshot.scaling.behavior.as_ref();
        match decision.wanted.clone() {
            Some(Wanted::PerCluster(wanted)) => {
                self.history.scaled(&decision, snapshot.now, behavior);
                wanted
            }
            _ => snapshot.layout.wanted.clone(),
        }
    }
}

fn at(second: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second.cast_signed())
}

fn measured(sample: Sample) -> Measured {
    Measured {
        milli: (sample.cores * 1000.0).ceil() as i64,
        timestamp: at(sample.at),
        window: SignedDuration::from_secs(Sample::WINDOW.cast_signed()),
    }
}

fn counted(key: PodKey, pod: &Pod) -> Counted {
    Counted {
        key,
        created: at(pod.created),
        phase: if pod.ready.is_some() {
            Phase::Running
        } else {
            Phase::Pending
        },
        deleting: false,
        started: Some(at(pod.created)),
        readiness: Some(Readiness {
            ready: Some(pod.ready.is_some()),
            since: at(pod.ready.unwrap_or(pod.created)),
        }),
        containers: vec![Container {
            name: "main".to_owned(),
            requests: BTreeMap::from([("cpu".to_owned(), 1000)]),
        }],
        requests: None,
    }
}
