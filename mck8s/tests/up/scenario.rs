//! `mck8s up --scenario`.

use std::fs;

use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::Value;

use crate::harness::{Up, folder, until};

/// What a cluster has of a list of shares.
fn share<'a>(list: &'a Value, cluster: &str) -> &'a Value {
    let mut list = list.as_array().into_iter().flatten();
    list.find(|one| one["cluster"] == cluster)
        .unwrap_or(&Value::Null)
}

#[tokio::test]
async fn replicas_grow_where_a_flash_crowd_comes() {
    let up = Up::start(&folder("crowd"), &["--scenario=flash-crowd"]);
    let deployments = up.deployments().await;
    let autoscalers = up.ours("MultiClusterHorizontalPodAutoscaler").await;
    until("more replicas on edge", async || {
        let autoscaler = autoscalers.get("web").await.map_err(|e| e.to_string())?;
        let deployment = deployments.get("web").await.map_err(|e| e.to_string())?;
        let status = &deployment.data["status"];
        let wanted = |cluster| {
            let wanted = &deployment.data["spec"]["clusterReplicas"];
            share(wanted, cluster)["replicas"].as_i64().unwrap_or(0)
        };
        let ready = share(&status["placements"], "edge")["ready"].as_i64();
        let grown = wanted("edge") >= 8 && ready.unwrap_or(0) >= 8 && wanted("metro") < 4;
        let told = autoscaler.data["status"]["currentReplicas"].as_i64() >= Some(8);
        let seen = || format!("{} {status}", autoscaler.data["status"]);
        (grown && told).then_some(()).ok_or_else(seen)
    })
    .await;
    let said = up.said();
    let event = "== 9 times as many requests for default/web";
    assert!(said.contains(event), "{said}");
    assert!(
        said.contains("Autoscaler default/web: target web"),
        "{said}"
    );
    up.stop();
}

/// The second member is cut off, and both operators die; then all is well again.
const ROUGH: &str = "
clusters: 2
defaults: {nodes: 1}
events:
  - {at: 1s, cut: cluster2}
  - {at: 1s, kill: {operator: multi-cluster-hpa, down: 1s}}
  - {at: 2s, kill: {down: 1s}}
  - at: 2s
    apply:
      apiVersion: fogguru.eu/v1
      kind: MultiClusterDeployment
      metadata: {name: hello}
      spec:
        numberOfLocations: 1
        placementPolicy: first_fit
        replicas: 2
        selector: {matchLabels: {app: hello}}
        template:
          metadata: {labels: {app: hello}}
          spec: {containers: [{name: hello, image: 'hello:1'}]}
  - {at: 40s, open: cluster2}
  - {at: 42s, slow: {cluster: cluster1, roundTrip: 60s}}
";

#[tokio::test]
async fn a_scenario_of_a_file_cuts_members_off_and_kills_operators() {
    let folder = folder("rough");
    let file = folder.with_extension("yaml");
    fs::write(&file, ROUGH).unwrap();
    let up = Up::start(&folder, &["--scenario", &file.display().to_string()]);
    let members = up.ours("MemberCluster").await;
    let until_member = async |name: &str, wanted: &str| {
        until(&format!("{name} {wanted}"), async || {
            let member = members.get(name).await.map_err(|e| e.to_string())?;
            let conditions = member.data["status"]["conditions"].as_array().cloned();
            let mut conditions = conditions.into_iter().flatten();
            let ready = conditions.find(|one| one["type"] == "Ready");
            let ready = ready.unwrap_or_default()["status"].clone();
            (ready == wanted).then_some(()).ok_or(ready.to_string())
        })
        .await;
    };
    // The scheduler that says so is another one than the one that was killed.
    until_member("cluster2", "False").await;
    until_member("cluster1", "True").await;
    until("two ready replicas", async || {
        let hello = up.deployments().await.get("hello").await;
        let status = hello.map_err(|e| e.to_string())?.data["status"].clone();
        let ready = status["readyReplicas"] == 2 && status["clusters"] == "cluster1";
        ready.then_some(()).ok_or_else(|| status.to_string())
    })
    .await;
    // People reach it all the while: only the operators' way is cut.
    assert!(
        up.client("cluster2")
            .await
            .apiserver_version()
            .await
            .is_ok()
    );
    until_member("cluster2", "True").await;
    // Answers that come after a minute come too late.
    until_member("cluster1", "False").await;
    let said = up.said();
    for event in [
        "== cluster2 is cut off",
        "== multi-cluster-hpa dies, and is down for 1s",
        "== multi-cluster-scheduler dies, and is down for 1s",
        "== apply MultiClusterDeployment hello",
        "== cluster2 can be reached again",
        "== the way to cluster1 takes",
    ] {
        assert!(said.contains(event), "no {event}: {said}");
    }
    up.stop();

    // Nothing of it is kept.
    let up = Up::start(&folder, &["--members=1"]);
    assert_eq!(up.on_member("cluster1").await, []);
    let members = up.ours("MemberCluster").await;
    let listed = members.list(&ListParams::default()).await.unwrap();
    let names: Vec<_> = listed.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["cluster1"]);
    up.stop();
}

#[tokio::test]
async fn an_event_that_cannot_be_ends_it_and_says_where_it_stands() {
    let folder = folder("impossible");
    let file = folder.with_extension("yaml");
    let text = "clusters: 1\nevents:\n- {at: 0s, loseNode: {cluster: cluster1, node: node9}}";
    fs::write(&file, text).unwrap();
    let mut up = Up::start(&folder, &["--scenario", &file.display().to_string()]);
    assert!(!up.process.wait().unwrap().success());
    let said = up.said();
    for part in ["impossible.yaml, line 3", "write one of cluster1-node1"] {
        assert!(said.contains(part), "{said}");
    }
}
