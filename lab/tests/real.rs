//! The lab of processes itself: up, work, faults, down.
//!
//! Takes the binaries from where `lab::real::Binaries` finds or builds them.
//! Where they can't be had this is not run; in CI that is a failure.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::{Stream, StreamExt};
use hyper::{Request, Uri};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};
use lab::real::proxy::{Fault, FaultProxy};
use lab::real::{Binaries, Cluster, Error, Flavour, Lab, Options};
use rstest::rstest;

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_goes_up_works_and_goes_down() {
    if !available(&Flavour::Kubernetes) {
        return;
    }
    let started = Instant::now();
    let mut options = Options::uniform(directory("works"), 1, 2);
    options.metrics = true;
    let lab = Lab::up(options).await.unwrap();
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

    let cluster = lab.cluster("cluster1").unwrap();
    until("the pods' simulated memory", async || {
        let nodes = ["cluster1-node1", "cluster1-node2"];
        let used: f64 = join_all(nodes.map(|node| memory_used(&cluster, node)))
            .await
            .iter()
            .sum();
        (used - 3.0 * 100.0 * 1024.0 * 1024.0).abs() < 1.0
    })
    .await;

    until("the pods' memory in kubectl top", async || {
        let top = ["--context", "cluster1", "top", "pods", "--no-headers"];
        let top = lab.kubectl(&top).await.unwrap().stdout;
        let used = |line: &&str| line.trim_end().ends_with("100Mi");
        top.lines().filter(used).count() == 3
    })
    .await;

    // A member that was away comes back as it was.
    cluster.stop().await.unwrap();
    assert!(deployments.list(&ListParams::default()).await.is_err());
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

#[rstest]
#[case::kubernetes("faults", Flavour::Kubernetes)]
#[case::embedded("faults-embedded", embedded())]
#[tokio::test(flavor = "multi_thread")]
async fn faults_are_what_they_say(#[case] name: &str, #[case] flavour: Flavour) {
    if !available(&flavour) {
        return;
    }
    let options = Options::uniform(directory(name), 1, 1).with_flavour(flavour);
    let lab = Lab::up(options).await.unwrap();
    let hub = lab.cluster("cluster0").unwrap();
    let client = impatient(&hub).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());

    // Frozen and back.
    hub.pause();
    assert!(namespaces.get("default").await.is_err());
    hub.resume();
    until("an answer after the pause", async || {
        namespaces.get("default").await.is_ok()
    })
    .await;

    // History is forgotten: an old watch has to start again.
    let old = namespaces.get("default").await.unwrap();
    let old = old.resource_version().unwrap();
    create_namespace(&client, "lost").await;
    hub.expire_history().await.unwrap();
    let watch = namespaces.watch(&WatchParams::default(), &old).await;
    assert_eq!(gone(watch).await, Some(410));

    // Restored without a backup: the same server, and nothing in it.
    hub.wipe_and_restart().await.unwrap();
    let client = lab.client("cluster0").await.unwrap();
    let names: Vec<_> = Api::<Namespace>::all(client)
        .list(&ListParams::default())
        .await
        .unwrap()
        .into_iter()
        .map(|namespace| namespace.name_any())
        .collect();
    assert!(names.contains(&"default".to_owned()) && !names.contains(&"lost".to_owned()));

    // A lost owner: what it started is cleared up by the next in its place.
    let pids = pids(&lab);
    let record = lab.directory().join("lab.json");
    let mut state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    state["owner"]["started"] = 1.into();
    std::fs::write(&record, state.to_string()).unwrap();
    std::mem::forget(lab);
    let ended = Lab::take_down(directory(name)).unwrap();
    assert_eq!(ended, pids.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_misbehaves_on_demand() {
    if !available(&Flavour::Kubernetes) {
        return;
    }
    let lab = Lab::up(Options::uniform(directory("proxy"), 0, 0))
        .await
        .unwrap();
    let pids = pids(&lab);
    let proxy = FaultProxy::start(&lab.cluster("cluster0").unwrap())
        .await
        .unwrap();
    let servers = BTreeMap::from([("cluster0".to_owned(), proxy.url())]);
    let path = lab
        .kubeconfig_through("kubeconfig-proxy", &servers)
        .unwrap();
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.default_retry = false;
    config.read_timeout = Some(Duration::from_secs(2));
    config.reset_reader_on_write = true;
    let client = Client::try_from(config).unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.get("default").await.unwrap();

    proxy.set(Fault::Status(500));
    assert_eq!(code(namespaces.get("default").await), Some(500));
    proxy.set(Fault::TooManyRequests {
        retry_after: Duration::from_secs(1),
    });
    assert_eq!(code(namespaces.get("default").await), Some(429));
    proxy.set(Fault::Hang);
    assert_eq!(code(namespaces.get("default").await), None);
    proxy.set(Fault::None);
    namespaces.get("default").await.unwrap();

    // A watch streams through, and is cut.
    let watch = namespaces
        .watch(&WatchParams::default(), "0")
        .await
        .unwrap();
    let mut watch = std::pin::pin!(watch);
    assert!(watch.next().await.unwrap().is_ok());
    proxy.set(Fault::Cut);
    until("the end of the watch", async || {
        !matches!(watch.next().await, Some(Ok(_)))
    })
    .await;
    assert_eq!(code(namespaces.get("default").await), None);

    // Dropping the lab, as a panicking test does, leaves nothing behind.
    drop(lab);
    assert!(pids.iter().all(|&pid| !runs(pid)), "{pids:?}");
}

/// The HTTP status of a refusal; none for anything else.
fn code<T>(result: Result<T, kube::Error>) -> Option<u16> {
    match result {
        Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

/// The status that a watch was refused with or ended with.
async fn gone<T>(
    watch: Result<impl Stream<Item = Result<WatchEvent<T>, kube::Error>>, kube::Error>,
) -> Option<u16> {
    match watch {
        Ok(stream) => match std::pin::pin!(stream).next().await {
            Some(Ok(WatchEvent::Error(status))) => Some(status.code),
            _ => None,
        },
        refused => code(refused),
    }
}

async fn impatient(cluster: &Cluster) -> Client {
    let mut config = cluster.config().await.unwrap();
    config.default_retry = false;
    // Bounds the TLS handshake as well, which is where a frozen server hangs.
    config.connect_timeout = Some(Duration::from_secs(2));
    config.read_timeout = Some(Duration::from_secs(2));
    config.reset_reader_on_write = true;
    Client::try_from(config).unwrap()
}

async fn create_namespace(client: &Client, name: &str) {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    Api::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
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

/// What the pods of a node use, from KWOK's metrics.
async fn memory_used(cluster: &Cluster, node: &str) -> f64 {
    let url: Uri = cluster.metrics_url(node).unwrap().parse().unwrap();
    let request = Request::get(url.path()).body(Vec::new()).unwrap();
    let base = format!("http://{}", url.authority().unwrap());
    let client = Client::try_from(Config::new(base.parse().unwrap())).unwrap();
    let page = client.request_text(request).await.unwrap();
    page.lines()
        .filter(|line| line.starts_with("container_memory_working_set_bytes"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

fn deployment(name: &str, replicas: i32) -> Deployment {
    serde_json::from_value(serde_json::json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": {
                    "labels": { "app": name },
                    "annotations": { "kwok.x-k8s.io/usage-memory": "100Mi" },
                },
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

/// The embedded control plane, with simulated members.
fn embedded() -> Flavour {
    Flavour::Embedded {
        program: env!("CARGO_BIN_EXE_lab-cluster").into(),
    }
}

fn available(flavour: &Flavour) -> bool {
    match Binaries::ensure_only(flavour.programs()) {
        Ok(_) => true,
        Err(error) if lab::is_ci() => panic!("{error}"),
        Err(error) => {
            println!("not run: {error}");
            false
        }
    }
}
