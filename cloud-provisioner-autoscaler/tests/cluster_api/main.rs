//! The provisioner beside a real Cluster API: a hub and members that are processes, the scheduler and the
//! provisioner as processes, and Cluster API with its provider of clusters in memory.
//!
//! What serves a cluster in memory is no API server that workloads could be delivered to (it has no
//! server-side apply, and not even the namespace `kube-system`). So once the cluster has joined the
//! federation, a real control plane takes its place in the copy of its kubeconfig: the cloud's machines
//! are Cluster API's, and what they would run runs there.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use lab::e2e::{self, Program, Suite, World, eventually, holds};
use lab::real::ClusterApi;
use lab::scenarios;
use serde_json::{Value, json};

scenarios!(a_burst_and_its_end);

/// The namespace of the objects.
const CLOUD: &str = "mck8s-cloud";
/// The member that stands for the cloud's.
const STAND_IN: &str = "cluster2";

fn main() -> ExitCode {
    let usual = [
        "--lease-duration=3s",
        "--lease-renew=1s",
        "--deadline=5s",
        "--scan-interval=1s",
    ];
    e2e::main(&Suite {
        operator: Program {
            path: env!("CARGO_BIN_EXE_cloud-provisioner-autoscaler").into(),
            arguments: usual.map(str::to_owned).into(),
            account: "cloud-provisioner-autoscaler",
        },
        directory: env!("CARGO_TARGET_TMPDIR").into(),
        metrics: false,
        // The provider for OpenStack is not among those that are started.
        needs_all_rights: false,
        embedded: Vec::new(),
        real: all(),
    })
}

/// Of seven replicas, five fit; a cluster is made for two, serves them, is idle, and goes.
async fn a_burst_and_its_end(world: &World) -> Result<()> {
    let api = ClusterApi::start(&world.lab).await?;
    let class = api.class();
    let class = class.to_string_lossy();
    world.kubectl(&["-n", CLOUD, "apply", "-f", &class]).await?;
    let _scheduler = world.scheduler(&["--member-contexts=cluster1"]).await?;
    let _operator = world.operator(&[]).await?;
    let flavor = json!({
        "name": "node", "capacity": { "cpu": 4, "memory": "16Gi" }, "pricePerHour": "0.25",
    });
    world
        .apply(&json!({
            "apiVersion": "fogguru.eu/v1", "kind": "CloudProvisioner", "metadata": { "name": "burst" },
            "spec": {
                "cloudClusterName": "cloud1", "clusterClass": { "name": "in-memory" },
                "flavors": [flavor], "scaleUpDelay": "2s", "deprovisionDelay": "5s",
                "drainTimeout": "30s",
            },
        }))
        .await?;
    deploy(world, 7).await?;
    until_status(world, "a cluster is being made", |status| {
        status["phase"] == "Provisioning" && status["nodes"] == 2 && status["costPerHour"] == "0.75"
    })
    .await?;
    eventually("the cluster joins the federation", async || {
        let found = world.get("cluster0", "membercluster/cloud1").await?;
        let is_cloud = found["spec"]["role"] == "Cloud";
        Ok(holds(is_cloud, || found.to_string()))
    })
    .await?;
    stand_in(world).await?;
    world
        .until_condition("membercluster/cloud1", "Ready", "True", "Synced")
        .await?;
    eventually("the others run in the cloud", async || {
        let found = world.get(STAND_IN, "deployment/web").await?;
        let available = &found["status"]["availableReplicas"];
        Ok(holds(*available == 2, || found["status"].to_string()))
    })
    .await?;
    until_status(world, "all machines are ready", |status| {
        status["phase"] == "Running" && status["clusters"][0]["pools"][0]["ready"] == 2
    })
    .await?;
    let machines = in_cloud(world, "machines").await?;
    let machines = machines["items"].as_array().context("a list")?.len();
    ensure!(machines == 3, "{machines} machines");

    deploy(world, 5).await?;
    until_status(world, "nothing is left", |status| {
        status["phase"] == "Idle" && status["clusterCount"] == 0
    })
    .await?;
    world.until_gone("membercluster/cloud1").await?;
    for kind in [
        "clusters",
        "machinedeployments",
        "machines",
        "kubeadmcontrolplanes",
        "secrets",
    ] {
        let left = in_cloud(world, kind).await?["items"].clone();
        let is_empty = left.as_array().is_none_or(Vec::is_empty);
        ensure!(is_empty, "{kind}: {left}");
    }
    let copies = world
        .kubectl(&["-n", "mck8s-system", "get", "secrets", "-o", "name"])
        .await?;
    ensure!(!copies.contains("cloud1"), "{copies}");
    world
        .kubectl(&["delete", "cloudprovisioner", "burst"])
        .await?;
    Ok(())
}

async fn deploy(world: &World, replicas: u32) -> Result<()> {
    let requests = json!({ "cpu": "3" });
    world
        .apply(&json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
            "metadata": { "name": "web" },
            "spec": {
                "replicas": replicas, "clusters": ["cluster1"],
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{
                        "name": "main", "image": "main:1", "resources": { "requests": requests },
                    }] },
                },
            },
        }))
        .await
}

/// An object of the cloud's namespace, or a list of them; null where there is none.
async fn in_cloud(world: &World, object: &str) -> Result<Value> {
    let get = [
        "-n",
        CLOUD,
        "get",
        object,
        "-o",
        "json",
        "--ignore-not-found",
    ];
    let text = world.kubectl(&get).await?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// A real control plane takes the place of the one in memory, in the copy that the scheduler reads.
async fn stand_in(world: &World) -> Result<()> {
    let patch = json!({ "stringData": { "value": world.kubeconfig_of_member(STAND_IN).await? } });
    let patch = patch.to_string();
    let arguments = [
        "-n",
        CLOUD,
        "patch",
        "secret",
        "cloud1-kubeconfig",
        "--type=merge",
        "-p",
        &patch,
    ];
    world.kubectl(&arguments).await?;
    Ok(())
}

async fn until_status(world: &World, what: &str, is_met: impl Fn(&Value) -> bool) -> Result<()> {
    eventually(what, async || {
        let found = world.get("cluster0", "cloudprovisioner/burst").await?;
        Ok(holds(is_met(&found["status"]), || {
            found["status"].to_string()
        }))
    })
    .await
}
