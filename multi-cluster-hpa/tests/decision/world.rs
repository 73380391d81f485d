//! Clusters with pods and their load.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::api::ReplicaScheduling;
use jiff::{SignedDuration, Timestamp};
use multi_cluster_hpa::behavior::Bounds;
use multi_cluster_hpa::calculator::{Container, Phase, Pod, PodKey, Readiness, Sample};
use multi_cluster_hpa::decision::{
    Condition, ConditionKind, Decision, Defaults, Distribution, History, Kind, Layout, Metric,
    Reading, Scaling, Scope, Snapshot, Target, Wanted, decide,
};

/// A snapshot that is easy to make. Every pod requests a core, and the target is half of it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    pub(crate) history: History,
}

impl World {
    /// Locations with the replicas that are wanted, all at home; no pods yet.
    pub(crate) fn new(locations: &[(&str, u32)]) -> Self {
        let wanted: BTreeMap<_, _> = locations
            .iter()
            .map(|(name, wanted)| ((*name).to_owned(), *wanted))
            .collect();
        let snapshot = Snapshot {
            now: "2026-03-02T08:00:00Z".parse().unwrap(),
            defaults: Defaults::default(),
            scaling: Scaling {
                bounds: Bounds { min: 1, max: 100 },
                zero_is_allowed: false,
                min_per_cluster: 1,
                scope: Scope::PerCluster,
                distribution: Distribution::Load,
                behavior: None,
            },
            replica_scheduling: ReplicaScheduling::PerLocation,
            replicas: 1,
            layout: Layout {
                placed: wanted.clone(),
                wanted,
                has_stale_entries: false,
            },
            pods: Vec::new(),
            unknown: BTreeMap::new(),
            metrics: vec![cpu()],
            traffic: None,
        };
        Self {
            snapshot,
            history: History::default(),
        }
    }

    /// The same as one number for all clusters.
    pub(crate) fn global(replicas: u32) -> Self {
        let mut world = Self::new(&[]);
        world.snapshot.scaling.scope = Scope::Global;
        world.snapshot.replica_scheduling = ReplicaScheduling::Total;
        world.snapshot.replicas = replicas;
        world
    }

    /// Pods that are ready since long, each with this usage in percent of a core.
    pub(crate) fn run(mut self, cluster: &str, count: u32, percent: i64) -> Self {
        for _ in 0..count {
            self.add(cluster, Some(percent));
        }
        self
    }

    /// A ready pod; without a usage it has no sample.
    pub(crate) fn add(&mut self, cluster: &str, percent: Option<i64>) {
        let number = self.snapshot.pods.len();
        let later = SignedDuration::from_secs(i64::try_from(number).unwrap());
        let age = SignedDuration::from_hours(2) - later;
        let pod = pod(
            cluster,
            &format!("pod-{number:04}"),
            self.snapshot.now - age,
        );
        let sample = percent.map(|percent| Sample {
            milli: percent * 10,
            timestamp: self.snapshot.now,
            window: SignedDuration::from_secs(30),
        });
        let key = pod.key.clone();
        self.snapshot.pods.push(Arc::new(pod));
        if let Reading::Pods(samples) = &mut self.snapshot.metrics[0].reading {
            samples.extend(sample.map(|sample| (key, sample)));
        }
    }

    pub(crate) fn bounds(mut self, min: u32, max: u32) -> Self {
        self.snapshot.scaling.bounds = Bounds { min, max };
        self
    }

    pub(crate) fn floor(mut self, min_per_cluster: u32) -> Self {
        self.snapshot.scaling.min_per_cluster = min_per_cluster;
        self
    }

    /// Replicas that are to run on a cluster.
    pub(crate) fn placed(mut self, cluster: &str, replicas: u32) -> Self {
        let placed = &mut self.snapshot.layout.placed;
        placed.insert(cluster.to_owned(), replicas);
        self
    }

    /// A cluster that does not answer.
    pub(crate) fn unknown(mut self, cluster: &str) -> Self {
        let why = "no answer".to_owned();
        self.snapshot.unknown.insert(cluster.to_owned(), why);
        self
    }

    /// Another metric instead of the CPU.
    pub(crate) fn metric(mut self, metric: Metric) -> Self {
        self.snapshot.metrics = vec![metric];
        self
    }

    /// One more metric.
    pub(crate) fn and_metric(mut self, metric: Metric) -> Self {
        self.snapshot.metrics.push(metric);
        self
    }

    pub(crate) fn traffic(mut self, traffic: &[(&str, f64)]) -> Self {
        self.snapshot.scaling.distribution = Distribution::Traffic;
        let traffic = traffic.iter();
        let traffic = traffic.map(|(name, value)| ((*name).to_owned(), *value));
        self.snapshot.traffic = Some(traffic.collect());
        self
    }

    /// Decides, and carries it out at once, but for the pods.
    pub(crate) fn step(&mut self) -> Decision {
        let decision = decide(&self.snapshot, &mut self.history);
        let behavior = self.snapshot.scaling.behavior.as_ref();
        match &decision.wanted {
            None => return decision,
            Some(Wanted::Total(replicas)) => self.snapshot.replicas = *replicas,
            Some(Wanted::PerCluster(wanted)) => {
                self.snapshot.layout.wanted.clone_from(wanted);
                self.snapshot.layout.placed.clone_from(wanted);
            }
        }
        self.history.scaled(&decision, self.snapshot.now, behavior);
        decision
    }

    /// The decision now.
    pub(crate) fn decide(mut self) -> Decision {
        self.step()
    }

    /// The decision when nothing recent holds it back.
    pub(crate) fn decide_at_once(mut self) -> Decision {
        self.snapshot.defaults.downscale_stabilization = SignedDuration::ZERO;
        self.wait(SignedDuration::ZERO);
        self.step();
        self.wait(SignedDuration::from_secs(1));
        self.step()
    }

    pub(crate) fn wait(&mut self, time: SignedDuration) {
        self.snapshot.now += time;
    }
}

/// CPU at half of the request, nothing read.
pub(crate) fn cpu() -> Metric {
    Metric {
        kind: Kind::Resource {
            resource: "cpu".to_owned(),
        },
        target: Target::Utilization(50),
        reading: Reading::Pods(BTreeMap::new()),
    }
}

pub(crate) fn external(target: Target, reading: Reading) -> Metric {
    Metric {
        kind: Kind::External {
            metric: "queue".to_owned(),
        },
        target,
        reading,
    }
}

pub(crate) fn by_cluster(values: &[(&str, i64)]) -> Reading {
    let values = values.iter();
    let values = values.map(|(name, value)| ((*name).to_owned(), *value));
    Reading::ByCluster(values.collect())
}

pub(crate) fn pod(cluster: &str, name: &str, created: Timestamp) -> Pod {
    Pod {
        key: PodKey {
            cluster: cluster.to_owned(),
            name: name.to_owned(),
        },
        created,
        phase: Phase::Running,
        deleting: false,
        started: Some(created),
        readiness: Some(Readiness {
            ready: Some(true),
            since: created,
        }),
        containers: vec![Container {
            name: "main".to_owned(),
            requests: BTreeMap::from([("cpu".to_owned(), 1000)]),
        }],
        requests: None,
    }
}

/// Replicas by cluster as the decision leaves them.
pub(crate) fn desired(decision: &Decision) -> Vec<(&str, u32)> {
    let locations = decision.locations.iter();
    locations
        .map(|one| (one.cluster.as_str(), one.desired))
        .collect()
}

pub(crate) fn condition(decision: &Decision, kind: ConditionKind) -> &Condition {
    let mut conditions = decision.conditions.iter();
    conditions.find(|one| one.kind == kind).unwrap()
}

/// Its status and reason.
pub(crate) fn state(decision: &Decision, kind: ConditionKind) -> (bool, &'static str) {
    let condition = condition(decision, kind);
    (condition.status, condition.reason)
}
