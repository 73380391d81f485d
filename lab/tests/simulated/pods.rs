//! Pods that nobody controls: the pod scheduler and the kubelets.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use lab::simulated::{EXIT_CODE, Options, RUN_SECONDS};
use serde_json::{Value, json};

use crate::fixture::{Lab, condition, node_of, phase};

fn pod(name: &str, cpu: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "containers": [{
            "name": "web", "image": "nginx",
            "resources": { "requests": { "cpu": cpu } },
        }] },
    })
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_runs_and_is_removed_when_it_is_deleted() {
    let lab = Lab::new().await;
    lab.create::<Pod>(pod("web", "1")).await;
    lab.pass(Duration::from_secs(1)).await;
    let bound = lab.pod("web").await;
    assert!(node_of(&bound).unwrap().starts_with("c1-node"));
    assert_eq!(phase(&bound), "Pending");
    lab.pass(Duration::from_millis(1500)).await;
    let running = lab.pod("web").await;
    assert_eq!(phase(&running), "Running");
    assert_eq!(condition(&running, "Ready").0, "True");
    assert_eq!(condition(&running, "PodScheduled").0, "True");
    let status = running.status.unwrap();
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"));
    assert!(status.host_ip.unwrap().starts_with("172.16.0."));
    let container = &status.container_statuses.unwrap()[0];
    assert_eq!((container.ready, container.restart_count), (true, 0));
    let pods: Api<Pod> = lab.api();
    pods.delete("web", &DeleteParams::default()).await.unwrap();
    assert!(lab.pod("web").await.metadata.deletion_timestamp.is_some());
    lab.pass(Duration::from_millis(1200)).await;
    assert!(pods.get_opt("web").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn pods_spread_and_what_does_not_fit_waits_until_there_is_room() {
    let lab = Lab::start(Options::uniform(3), 1).await;
    for name in ["a", "b", "c"] {
        lab.create::<Pod>(pod(name, "3")).await;
    }
    lab.pass(Duration::from_secs(5)).await;
    let pods = lab.pods().await;
    let nodes: BTreeSet<_> = pods.iter().filter_map(node_of).collect();
    assert_eq!(nodes.len(), 3, "one on each node");
    lab.create::<Pod>(pod("late", "2")).await;
    lab.pass(Duration::from_secs(1)).await;
    let late = lab.pod("late").await;
    assert_eq!(
        condition(&late, "PodScheduled"),
        ("False".into(), "Unschedulable".into())
    );
    let conditions = late.status.unwrap().conditions.unwrap();
    assert_eq!(
        conditions[0].message.as_deref(),
        Some(
            "0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate, \
             preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
        )
    );
    let b = lab.pod("b").await;
    let pods: Api<Pod> = lab.api();
    pods.delete("b", &DeleteParams::default()).await.unwrap();
    lab.pass(Duration::from_secs(4)).await;
    let late = lab.pod("late").await;
    assert_eq!(node_of(&late), node_of(&b));
    assert_eq!(phase(&late), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_nothing_happens_to_is_not_written() {
    let lab = Lab::start(
        Options {
            heartbeat: None,
            ..Options::default()
        },
        1,
    )
    .await;
    lab.create::<Pod>(pod("web", "1")).await;
    lab.create::<Pod>(pod("huge", "100")).await;
    // Its events go after an hour.
    lab.pass(Duration::from_hours(2)).await;
    let revision = lab.store.revision();
    lab.pass(Duration::from_hours(24)).await;
    assert_eq!(lab.store.revision(), revision);
}

#[tokio::test(start_paused = true)]
async fn a_pod_ends_as_its_annotations_say() {
    let lab = Lab::new().await;
    for (name, exit) in [("good", "0"), ("bad", "3")] {
        let mut pod = pod(name, "1");
        pod["spec"]["restartPolicy"] = json!("Never");
        pod["metadata"]["annotations"] = json!({ RUN_SECONDS: "30", EXIT_CODE: exit });
        lab.create::<Pod>(pod).await;
    }
    lab.pass(Duration::from_secs(31)).await;
    assert_eq!(phase(&lab.pod("good").await), "Running");
    lab.pass(Duration::from_secs(2)).await;
    assert_eq!(phase(&lab.pod("good").await), "Succeeded");
    let bad = lab.pod("bad").await;
    assert_eq!(phase(&bad), "Failed");
    let status = &bad.status.unwrap().container_statuses.unwrap()[0];
    let state = status.state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!(
        (state.exit_code, state.reason.as_deref()),
        (3, Some("Error"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_container_that_crashes_is_started_anew() {
    let lab = Lab::new().await;
    let mut crashing = pod("crashing", "1");
    crashing["metadata"]["annotations"] = json!({ RUN_SECONDS: "10", EXIT_CODE: "1" });
    lab.create::<Pod>(crashing).await;
    // Starts at 2, crashes at 12 and at 22, then waits for 10 s.
    lab.pass(Duration::from_secs(25)).await;
    let pod = lab.pod("crashing").await;
    assert_eq!(
        condition(&pod, "Ready"),
        ("False".into(), "ContainersNotReady".into())
    );
    let status = &pod.status.unwrap().container_statuses.unwrap()[0];
    let waiting = status.state.as_ref().unwrap().waiting.as_ref().unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CrashLoopBackOff"));
    assert_eq!(status.restart_count, 1);
    lab.pass(Duration::from_secs(10)).await;
    let pod = lab.pod("crashing").await;
    assert_eq!(condition(&pod, "Ready").0, "True");
    assert_eq!(
        pod.status.unwrap().container_statuses.unwrap()[0].restart_count,
        2
    );
}

#[tokio::test(start_paused = true)]
async fn people_can_read_what_happened() {
    let lab = Lab::new().await;
    lab.create::<Pod>(pod("web", "1")).await;
    lab.create::<Pod>(pod("huge", "100")).await;
    lab.pass(Duration::from_secs(1)).await;
    let events: Api<Event> = lab.api();
    let events = events.list(&ListParams::default()).await.unwrap();
    let mut seen: Vec<_> = events
        .iter()
        .map(|event| {
            let about = event.involved_object.name.clone().unwrap();
            (
                about,
                event.reason.clone().unwrap(),
                event.type_.clone().unwrap(),
            )
        })
        .collect();
    seen.sort();
    let wanted = [
        ("huge", "FailedScheduling", "Warning"),
        ("web", "Scheduled", "Normal"),
    ];
    assert_eq!(seen, wanted.map(|(a, b, c)| (a.into(), b.into(), c.into())));
}

/// The same seed gives the same objects to the last byte, another seed others.
#[tokio::test(start_paused = true)]
async fn a_run_can_be_repeated() {
    async fn run(seed: u64) -> Vec<Value> {
        let lab = Lab::start(Options::default(), seed).await;
        for number in 0..20 {
            lab.create::<Pod>(pod(&format!("p{number}"), "700m")).await;
        }
        lab.pass(Duration::from_mins(10)).await;
        let pods = lab.pods().await;
        pods.iter()
            .map(|pod| serde_json::to_value(pod).unwrap())
            .collect()
    }
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}
