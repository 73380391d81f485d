//! The real lab itself: up, work, faults, down.
//!
//! Takes the binaries from where `lab::real::Binaries` finds or builds them.
//! Where they can't be had this is not run; in CI that is a failure.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{Api, PostParams};
use lab::real::{Binaries, Error, Lab, Options};

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_goes_up_works_and_goes_down() {
    if !available() {
        return;
    }
    let started = Instant::now();
    let lab = Lab::up(Options::uniform(directory("works"), 1, 2))
        .await
        .unwrap();
    println!("up in {:.1?}", started.elapsed());

    let again = Lab::up(Options::uniform(directory("works"), 1, 2)).await;
    assert!(
        matches!(again, Err(Error::AlreadyRunning { .. })),
        "{again:?}"
    );

    let nodes = lab
        .kubectl(&["--context", "cluster1", "get", "nodes", "-o", "name"])
        .await
        .unwrap();
    assert!(nodes.success(), "{}", nodes.stderr);
    assert_eq!(nodes.stdout, "node/cluster1-node1\nnode/cluster1-node2\n");

    let member = lab.client("cluster1").await.unwrap();
    let deployments: Api<Deployment> = Api::default_namespaced(member.clone());
    deployments
        .create(&PostParams::default(), &deployment("web", 3))
        .await
        .unwrap();
    until("3 available replicas", async || {
        available_replicas(&member, "web").await == 3
    })
    .await;

    // A member that was away comes back as it was.
    let cluster = lab.cluster("cluster1").unwrap();
    cluster.stop().await.unwrap();
    assert!(
        deployments
            .list(&kube::api::ListParams::default())
            .await
            .is_err()
    );
    cluster.start().await.unwrap();
    let member = lab.client("cluster1").await.unwrap();
    assert_eq!(available_replicas(&member, "web").await, 3);

    // Another process can use it, and ends it.
    let status = Lab::attach(directory("works")).unwrap().status().await;
    assert!(status.iter().all(|cluster| cluster.ready), "{status:?}");
    let pids = pids(&lab);
    assert!(pids.len() >= 8, "{pids:?}");
    lab.down().await.unwrap();
    assert!(pids.iter().all(|&pid| !runs(pid)), "{pids:?}");
    assert!(matches!(
        Lab::attach(directory("works")),
        Err(Error::NotRunning { .. })
    ));
}

async fn available_replicas(client: &Client, name: &str) -> i32 {
    Api::<Deployment>::default_namespaced(client.clone())
        .get(name)
        .await
        .unwrap()
        .status
        .and_then(|status| status.available_replicas)
        .unwrap_or_default()
}

fn deployment(name: &str, replicas: i32) -> Deployment {
    serde_json::from_value(serde_json::json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "example.org/web:1" }] },
            },
        },
    }))
    .unwrap()
}

/// Waits for a state, with a deadline.
async fn until(what: &str, mut seen: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !seen().await {
        assert!(Instant::now() < deadline, "{what} not seen in time");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The lab's processes, from its own record.
fn pids(lab: &Lab) -> Vec<u64> {
    let record = std::fs::read_to_string(lab.directory().join("lab.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let clusters = record["clusters"].as_object().unwrap().values();
    clusters
        .flat_map(|cluster| cluster["processes"].as_object().unwrap().values())
        .map(|process| process["pid"].as_u64().unwrap())
        .collect()
}

fn runs(pid: u64) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}

/// The same directory in every run, so that a run clears up what a killed one
/// before it left.
fn directory(test: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("real")
        .join(test)
}

fn available() -> bool {
    match Binaries::ensure() {
        Ok(_) => true,
        Err(error) if std::env::var_os("CI").is_some() => panic!("{error}"),
        Err(error) => {
            println!("not run: {error}");
            false
        }
    }
}
