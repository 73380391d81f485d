use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1 as core;

use super::*;

fn now() -> Timestamp {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn settings() -> Settings {
    Settings {
        now: now(),
        cpu_initialization_period: SignedDuration::from_mins(5),
        initial_readiness_delay: SignedDuration::from_secs(30),
        tolerances: Tolerances { up: 0.1, down: 0.1 },
    }
}

/// A pod that requests a core and has been ready for an hour.
fn pod() -> Pod {
    Pod {
        key: PodKey {
            cluster: "cluster1".to_owned(),
            name: "app-1".to_owned(),
        },
        created: ago(3600),
        phase: Phase::Running,
        deleting: false,
        started: Some(ago(3600)),
        readiness: Some(Readiness {
            ready: Some(true),
            since: ago(3590),
        }),
        containers: vec![container("main", 1000)],
        requests: None,
    }
}

fn container(name: &str, cpu: i64) -> Container {
    Container {
        name: name.to_owned(),
        requests: BTreeMap::from([("cpu".to_owned(), cpu)]),
    }
}

fn sample(milli: i64) -> Sample {
    Sample {
        milli,
        timestamp: now(),
        window: SignedDuration::from_secs(30),
    }
}

/// CPU at half of the request: replicas for pods and their usage.
fn half(pods: &[(Pod, Option<i64>)]) -> Result<u32, Error> {
    let measured: Vec<_> = pods
        .iter()
        .map(|(pod, milli)| Measured {
            pod,
            sample: milli.map(sample),
        })
        .collect();
    let current = u32::try_from(pods.len()).unwrap();
    utilization(&measured, "cpu", None, 50, current, &settings()).map(|one| one.replicas)
}

#[test]
fn within_the_tolerance_nothing_changes() {
    let two = |milli| half(&[(pod(), Some(milli)), (pod(), Some(milli))]);
    assert_eq!(two(450), Ok(2));
    assert_eq!(two(550), Ok(2));
    assert_eq!(two(560), Ok(3));
    assert_eq!(two(250), Ok(1));
}

#[test]
fn a_missing_sample_makes_a_change_smaller() {
    // (2 × 900 + 0) / 3 is 60 %; without the third, four would be asked for.
    let up = [(pod(), Some(900)), (pod(), Some(900)), (pod(), None)];
    assert_eq!(half(&up), Ok(4));
    // (100 + 100 + 1000) / 3 is 40 %.
    let down = [(pod(), Some(100)), (pod(), Some(100)), (pod(), None)];
    assert_eq!(half(&down), Ok(3));
}

#[test]
fn what_would_turn_round_stays() {
    let pods = [(pod(), Some(100)), (pod(), None), (pod(), None)];
    assert_eq!(half(&pods), Ok(3), "the missing ones might be busy");
    let pods = [(pod(), Some(600)), (pod(), None), (pod(), None)];
    assert_eq!(half(&pods), Ok(3), "the missing ones might be idle");
}

#[test]
fn a_scale_up_waits_for_pods_that_start() {
    let pending = Pod {
        phase: Phase::Pending,
        ..pod()
    };
    let pods = [(pod(), Some(1000)), (pending.clone(), None)];
    assert_eq!(half(&pods), Ok(2), "1000 over two");
    assert_eq!(half(&[(pod(), Some(200)), (pending, None)]), Ok(1));
}

#[test]
fn what_ends_does_not_count() {
    let deleting = Pod {
        deleting: true,
        ..pod()
    };
    let failed = Pod {
        phase: Phase::Failed,
        ..pod()
    };
    let pods = [(pod(), Some(1000)), (deleting, Some(0)), (failed, Some(0))];
    assert_eq!(half(&pods), Ok(2));
}

#[test]
fn the_cpu_of_a_pod_that_starts_says_nothing() {
    let ready = |ready, started, since| Pod {
        started: Some(ago(started)),
        readiness: Some(Readiness {
            ready: Some(ready),
            since: ago(since),
        }),
        ..pod()
    };
    let counts = |pod: Pod| half(&[(pod, Some(1000))]) == Ok(2);
    // The window of 30 s must lie after the pod became ready.
    assert!(counts(ready(true, 299, 30)));
    assert!(!counts(ready(true, 299, 29)));
    assert!(!counts(ready(false, 299, 299)));
    // Five minutes after its start.
    assert!(counts(ready(true, 300, 29)));
    assert!(counts(ready(false, 300, 270)), "it was ready once");
    assert!(!counts(ready(false, 300, 271)), "it never was");
    assert!(!counts(Pod {
        readiness: None,
        ..pod()
    }));
    assert!(!counts(Pod {
        started: None,
        ..pod()
    }));
}

#[test]
fn other_metrics_count_for_every_running_pod() {
    let unready = Pod {
        readiness: None,
        ..pod()
    };
    let measured = [Measured {
        pod: &unready,
        sample: Some(sample(3000)),
    }];
    let proposal = average_usage(&measured, None, 1000, 1, &settings()).unwrap();
    assert_eq!((proposal.replicas, proposal.milli), (3, 3000));
    let proposal = average_usage(&measured, Some("memory"), 1000, 1, &settings());
    assert_eq!(proposal.unwrap().replicas, 3);
    assert_eq!(
        average_usage(&measured, Some("cpu"), 1000, 1, &settings()),
        Err(Error::NoSamples)
    );
}

#[test]
fn what_cannot_be_computed_says_why() {
    assert_eq!(half(&[]), Err(Error::NoPods));
    assert_eq!(half(&[(pod(), None)]), Err(Error::NoSamples));
    let without = Pod {
        containers: vec![container("main", 1000), Container::default()],
        ..pod()
    };
    let error = half(&[(without, Some(1))]).unwrap_err().to_string();
    assert!(
        error.contains("Pod app-1") && error.contains("resources.requests"),
        "{error}"
    );
    let zero = Pod {
        containers: vec![container("main", 0)],
        ..pod()
    };
    assert_eq!(half(&[(zero, Some(1))]), Err(Error::NoRequests));
}

#[test]
fn a_container_is_measured_by_its_own_request() {
    let two = Pod {
        containers: vec![container("main", 1000), container("proxy", 100)],
        ..pod()
    };
    let measured = [Measured {
        pod: &two,
        sample: Some(sample(100)),
    }];
    let proxy = utilization(&measured, "cpu", Some("proxy"), 50, 1, &settings()).unwrap();
    assert_eq!((proxy.replicas, proxy.utilization), (2, Some(100)));
}

#[test]
fn a_value_is_shared_by_the_ready_pods() {
    let pods = [pod(), pod()];
    let pods: Vec<_> = pods.iter().collect();
    let replicas = |milli, current| value(&pods, milli, 1000, current, &settings());
    assert_eq!(replicas(3000, 2).unwrap().replicas, 6);
    assert_eq!(replicas(1050, 2).unwrap().replicas, 2);
    assert_eq!(
        replicas(3000, 0).unwrap().replicas,
        3,
        "from zero, the ratio"
    );
    assert_eq!(value(&[], 3000, 1000, 2, &settings()), Err(Error::NoPods));
}

#[test]
fn an_average_value_is_shared_by_the_running_pods() {
    let average = |milli, running| average_value(milli, 1000, running, &settings());
    let proposal = average(5001, 2);
    assert_eq!((proposal.replicas, proposal.milli), (6, 2501));
    assert_eq!(average(2100, 2).replicas, 2);
    assert_eq!(average(0, 0).replicas, 0);
    assert_eq!(average(3000, 0).replicas, 3);
    assert_eq!(average(i64::MAX, 1).replicas, u32::MAX);
}

#[test]
fn a_pod_is_read_as_kubernetes_adds_its_requests_up() {
    let read = |spec: serde_json::Value| {
        let pod: core::Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "app-1", "creationTimestamp": now()},
            "spec": spec,
        }))
        .unwrap();
        Pod::read("cluster1", &pod)
    };
    let requests = |cpu: &str| serde_json::json!({"requests": {"cpu": cpu}});
    let containers = serde_json::json!([{"name": "main", "resources": requests("1")}]);
    let init = serde_json::json!([
        {"name": "proxy", "restartPolicy": "Always", "resources": requests("100m")},
        {"name": "init", "resources": requests("3")},
    ]);
    let pod = read(serde_json::json!({"containers": containers, "initContainers": init})).unwrap();
    let names: Vec<_> = pod.containers.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["main", "proxy"]);
    assert_eq!((pod.requests, pod.phase), (None, Phase::Pending));

    let memory = serde_json::json!({"requests": {"memory": "1Gi"}});
    let pod = read(serde_json::json!({
        "containers": containers, "initContainers": init, "resources": memory,
        "overhead": {"cpu": "10m"},
    }));
    let whole = pod.unwrap().requests.unwrap();
    assert_eq!(
        whole["cpu"], 3110,
        "the init container beside the sidecar, and overhead"
    );
    assert_eq!(whole["memory"], 1024 * 1024 * 1024 * 1000);

    let bad = serde_json::json!([{"name": "main", "resources": requests("one")}]);
    let error = read(serde_json::json!({"containers": bad}))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Pod app-1") && error.contains("\"one\""),
        "{error}"
    );
}
