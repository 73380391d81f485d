//! Random autoscalers, pods and metrics.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};

use jiff::{SignedDuration, Timestamp};
use lab::simulated::Random;
use serde::Serialize;
use serde_json::{Value, json};

/// An autoscaler and its evaluations, as Kubernetes gets them.
#[derive(Debug, Serialize)]
pub(crate) struct Case {
    /// Of a `HorizontalPodAutoscaler`.
    pub(crate) spec: Value,
    pub(crate) settings: Settings,
    pub(crate) replicas: u32,
    pub(crate) evaluations: Vec<Evaluation>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    pub(crate) tolerance: f64,
    pub(crate) downscale_seconds: i64,
    #[serde(rename = "cpuInitializationSeconds")]
    pub(crate) cpu_initialization_seconds: i64,
    pub(crate) initial_readiness_seconds: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Evaluation {
    pub(crate) now: Timestamp,
    pub(crate) running: u32,
    pub(crate) pods: Vec<Value>,
    pub(crate) readings: Vec<Reading>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Reading {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pods: Option<BTreeMap<String, Sample>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) milli: i64,
    pub(crate) timestamp: Timestamp,
    pub(crate) window: i64,
}

/// The seed that is set, or a new one.
pub(crate) fn seed() -> u64 {
    match std::env::var("HPA_SEED") {
        Ok(seed) => seed.parse().expect("HPA_SEED is a number"),
        Err(_) => RandomState::new().hash_one(()),
    }
}

pub(crate) fn all(seed: u64, single: usize, series: usize, evaluations: usize) -> Vec<Case> {
    let mut random = Random::new(seed, "cases");
    let single = (0..single).map(|_| 1);
    let lengths = single.chain((0..series).map(|_| evaluations));
    lengths.map(|length| case(&mut random, length)).collect()
}

impl Case {
    /// What kind of metric stands at a place.
    pub(crate) fn label(&self, place: usize) -> String {
        let metric = &self.spec["metrics"][place];
        let kind = metric["type"].as_str().unwrap();
        let part = metric
            .as_object()
            .unwrap()
            .values()
            .find(|part| part.is_object());
        let target = part.unwrap()["target"]["type"].as_str().unwrap();
        format!("proposal: {kind} {target}")
    }

    /// Whether a metric is one value, compared as an average.
    pub(crate) fn is_average_of_value(&self, place: usize) -> bool {
        let label = self.label(place);
        label.ends_with("External AverageValue") || label.ends_with("Object AverageValue")
    }
}

fn case(random: &mut Random, evaluations: usize) -> Case {
    let metrics = metrics(random);
    let min = pick(random, &[0, 1, 1, 2, 3]);
    let max = min.max(1) + random.below(20);
    let mut spec = json!({
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
        "minReplicas": min,
        "maxReplicas": max,
        "metrics": metrics.iter().map(|metric| &metric.spec).collect::<Vec<_>>(),
    });
    if random.happens(0.6) {
        spec["behavior"] = behavior(random);
    }
    let replicas = match random.below(10) {
        0 => random.below(30),
        1 => 0,
        _ => min + random.below(max - min + 1),
    };
    let settings = Settings {
        tolerance: pick(random, &[0.1, 0.1, 0.0, 0.25]),
        downscale_seconds: pick(random, &[300, 60, 0]),
        cpu_initialization_seconds: pick(random, &[300, 120]),
        initial_readiness_seconds: pick(random, &[30, 10]),
    };
    let template = Template::random(random);
    let interval = pick(random, &[15, 30, 60]);
    let mut level = pick(random, &LEVELS);
    let evaluations = (0..evaluations).map(|step| {
        if random.happens(0.3) {
            level = pick(random, &LEVELS);
        }
        // Windows and periods are multiples of 5 s, times of pods whole seconds. No two times are so
        // far apart, so that whether a limit itself still counts is never asked: the two programs'
        // clocks could not agree on it.
        let step = i64::try_from(step).unwrap();
        let now = start() + SignedDuration::from_millis(1000 * interval * step + 100 * step + 50);
        evaluation(random, &template, &metrics, now, replicas, level)
    });
    let evaluations = evaluations.collect();
    Case {
        spec,
        settings,
        replicas: u32::try_from(replicas).unwrap(),
        evaluations,
    }
}

fn start() -> Timestamp {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

/// Usage as part of the target.
const LEVELS: [f64; 10] = [0.0, 0.2, 0.5, 0.8, 0.92, 1.0, 1.05, 1.3, 2.0, 8.0];

/// A metric, and what a pod on target has of it.
struct Metric {
    spec: Value,
    per_pod: bool,
    /// A value is this much for each pod.
    average: bool,
    on_target: f64,
}

fn metrics(random: &mut Random) -> Vec<Metric> {
    let mut kinds = [
        "cpu", "memory", "main", "sidecar", "pods", "object", "external",
    ]
    .to_vec();
    (0..=random.below(3))
        .map(|_| {
            let kind = kinds.remove(random.below(kinds.len()));
            metric(random, kind)
        })
        .collect()
}

fn metric(random: &mut Random, kind: &str) -> Metric {
    let average = random.happens(0.5);
    let milli = 1000 * (1 + random.below(500));
    let quantity = format!("{milli}m");
    let percent = 20 + 5 * random.below(30);
    let resource = if average {
        json!({"type": "AverageValue", "averageValue": quantity})
    } else {
        json!({"type": "Utilization", "averageUtilization": percent})
    };
    let value = if average {
        json!({"type": "AverageValue", "averageValue": quantity})
    } else {
        json!({"type": "Value", "value": quantity})
    };
    let identity = json!({"name": kind});
    let (spec, per_pod) = match kind {
        "cpu" | "memory" => (
            json!({"type": "Resource", "resource": {"name": kind, "target": resource}}),
            true,
        ),
        "main" | "sidecar" => {
            let part = json!({"name": "cpu", "container": kind, "target": resource});
            (
                json!({"type": "ContainerResource", "containerResource": part}),
                true,
            )
        }
        "pods" => {
            let target = json!({"type": "AverageValue", "averageValue": quantity});
            let part = json!({"metric": identity, "target": target});
            (json!({"type": "Pods", "pods": part}), true)
        }
        "object" => {
            let object = json!({"apiVersion": "v1", "kind": "Service", "name": "app"});
            let part = json!({"metric": identity, "describedObject": object, "target": value});
            (json!({"type": "Object", "object": part}), false)
        }
        _ => {
            let part = json!({"metric": identity, "target": value});
            (json!({"type": "External", "external": part}), false)
        }
    };
    let on_target = if per_pod && kind != "pods" && !average {
        1000.0 * percent as f64 / 100.0
    } else {
        milli as f64
    };
    Metric {
        spec,
        per_pod,
        average,
        on_target,
    }
}

fn behavior(random: &mut Random) -> Value {
    let mut behavior = json!({});
    for direction in ["scaleUp", "scaleDown"] {
        if random.happens(0.8) {
            behavior[direction] = rules(random);
        }
    }
    behavior
}

fn rules(random: &mut Random) -> Value {
    let mut rules = json!({});
    if random.happens(0.6) {
        rules["stabilizationWindowSeconds"] = pick(random, &[0, 0, 30, 60, 90, 300, 600]).into();
    }
    if random.happens(0.5) {
        rules["selectPolicy"] = pick(random, &["Max", "Min", "Min", "Disabled"]).into();
    }
    if random.happens(0.3) {
        rules["tolerance"] = pick(random, &["0", "50m", "0.2", "1"]).into();
    }
    if random.happens(0.7) {
        let policies = (0..=random.below(3)).map(|_| {
            json!({
                "type": pick(random, &["Pods", "Percent"]),
                "value": pick(random, &[1, 2, 4, 10, 50, 100]),
                "periodSeconds": pick(random, &[15, 30, 60, 120, 300]),
            })
        });
        rules["policies"] = policies.collect();
    }
    rules
}

/// What the pods of a case have in common.
struct Template {
    spec: Value,
}

impl Template {
    fn random(random: &mut Random) -> Self {
        let requests = |random: &mut Random| {
            let mut requests = json!({});
            for resource in ["cpu", "memory"] {
                if !random.happens(0.04) {
                    requests[resource] = pick(random, &["1", "500m", "250m", "1500m", "0"]).into();
                }
            }
            json!({"requests": requests})
        };
        let mut spec = json!({
            "containers": [{"name": "main", "resources": requests(random)}],
        });
        if random.happens(0.4) {
            let init = json!({"name": "init", "resources": requests(random)});
            let sidecar = json!({
                "name": "sidecar", "restartPolicy": "Always", "resources": requests(random),
            });
            spec["initContainers"] = json!([init, sidecar]);
        }
        if random.happens(0.3) {
            let resource = pick(random, &["cpu", "memory", "hugepages-2Mi"]);
            spec["resources"] = json!({"requests": {resource: "2"}});
            if random.happens(0.5) {
                spec["containers"][0]["resources"] = json!({});
            }
        }
        if random.happens(0.1) {
            spec["overhead"] = json!({"cpu": "100m"});
        }
        Self { spec }
    }
}

fn evaluation(
    random: &mut Random,
    template: &Template,
    metrics: &[Metric],
    now: Timestamp,
    replicas: usize,
    level: f64,
) -> Evaluation {
    let count = match random.below(12) {
        0 => 0,
        1 => random.below(12),
        _ => replicas.min(8) + random.below(2),
    };
    // A cluster where all is well, and one where little is.
    let trouble = pick(random, &[0.0, 0.05, 0.3]);
    let pods: Vec<_> = (0..count)
        .map(|number| pod(random, template, now, number, trouble))
        .collect();
    let readings = metrics.iter().map(|metric| {
        if random.happens(0.05) {
            return Reading::default();
        }
        let mut usage = |spread: f64| {
            let noise = 1.0 + spread * (random.fraction() - 0.5);
            (metric.on_target * level * noise) as i64
        };
        if metric.per_pod {
            let samples = pods.iter().map(|pod| {
                let milli = usage(0.5);
                let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
                (name, milli)
            });
            let samples: Vec<_> = samples.collect();
            let samples = samples.into_iter().filter_map(|(name, milli)| {
                let sample = Sample {
                    milli,
                    timestamp: start() + since(now) - seconds(random, 90),
                    window: pick(random, &[10, 15, 30, 60]),
                };
                (!random.happens(trouble)).then_some((name, sample))
            });
            Reading {
                pods: Some(samples.collect()),
                value: None,
            }
        } else {
            let pods = i64::try_from(if metric.average { replicas } else { 1 }).unwrap();
            Reading {
                pods: None,
                value: Some(usage(0.1) * pods),
            }
        }
    });
    let readings = readings.collect();
    let running = pods.iter().filter(|pod| is_running(pod)).count();
    Evaluation {
        now,
        running: u32::try_from(running).unwrap(),
        pods,
        readings,
    }
}

/// Whether a `ReplicaSet` counts it among its replicas.
fn is_running(pod: &Value) -> bool {
    let ended = ["Failed", "Succeeded"].contains(&pod["status"]["phase"].as_str().unwrap());
    !ended && pod["metadata"]["deletionTimestamp"].is_null()
}

/// From the start, in whole seconds.
fn since(now: Timestamp) -> SignedDuration {
    SignedDuration::from_secs(now.duration_since(start()).as_secs())
}

fn seconds(random: &mut Random, below: usize) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(random.below(below)).unwrap())
}

fn pod(
    random: &mut Random,
    template: &Template,
    now: Timestamp,
    number: usize,
    trouble: f64,
) -> Value {
    let phase = if random.happens(trouble) {
        pick(random, &["Pending", "Failed", "Succeeded", "Unknown"])
    } else {
        "Running"
    };
    let started = start() + since(now) - seconds(random, 600);
    let changed = started + seconds(random, 120);
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("app-{number}"),
            "creationTimestamp": started,
        },
        "spec": template.spec,
        "status": {"phase": phase},
    });
    if random.happens(trouble / 3.0) {
        pod["metadata"]["deletionTimestamp"] = json!(now);
    }
    if !random.happens(trouble / 6.0) {
        pod["status"]["startTime"] = json!(started);
    }
    if !random.happens(trouble / 6.0) {
        let ready = if random.happens(trouble) {
            pick(random, &["False", "False", "Unknown"])
        } else {
            "True"
        };
        let other = json!({"type": "Initialized", "status": "True", "lastTransitionTime": started});
        let ready = json!({"type": "Ready", "status": ready, "lastTransitionTime": changed});
        pod["status"]["conditions"] = json!([other, ready]);
    }
    pod
}

fn pick<T: Copy>(random: &mut Random, values: &[T]) -> T {
    values[random.below(values.len())]
}
