//! Other shapes than the default: a configuration, another start with other members, other
//! addresses.

use std::path::Path;

use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::harness::{Up, deployment, folder, until};

async fn nodes(up: &Up, context: &str) -> Vec<(String, String)> {
    let api: Api<Node> = Api::all(up.client(context).await);
    let nodes = api.list(&ListParams::default()).await.unwrap();
    let nodes = nodes.iter().map(|node| {
        let allocatable = node.status.as_ref().unwrap().allocatable.as_ref().unwrap();
        (node.name_any(), allocatable["cpu"].0.clone())
    });
    nodes.collect()
}

/// Waits until it is placed on these clusters, ready, and for this reason.
async fn until_placed(up: &Up, name: &str, clusters: &str) {
    let api = up.deployments().await;
    until("ready replicas", async || {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        let status = &object.data["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let placed = conditions
            .into_iter()
            .any(|one| one["reason"] == "AllPlaced");
        let ready = status["readyReplicas"] == 4 && status["clusters"] == clusters && placed;
        ready.then_some(()).ok_or_else(|| status.to_string())
    })
    .await;
}

#[tokio::test]
async fn a_configuration_shapes_the_clusters_and_what_policies_know() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/clusters/sites.yaml");
    let config = format!("--config={}", file.display());
    let up = Up::start(&folder("config"), &[&config]);
    let api = up.deployments().await;
    let rennes = ["1", "2", "3"].map(|number| (format!("rennes-node{number}"), "2".to_owned()));
    assert_eq!(nodes(&up, "rennes").await, rennes);
    assert_eq!(nodes(&up, "paris").await.len(), 9);
    let members = up.ours("MemberCluster").await;
    let region = members.get("nantes").await.unwrap().data["spec"]["region"].clone();
    assert_eq!(region, "loire");
    // The round-trip times are those of the file.
    let mut near = deployment("near", "nearest");
    near.data["spec"]["origin"] = json!("nantes");
    api.create(&PostParams::default(), &near).await.unwrap();
    until_placed(&up, "near", "nantes,rennes").await;
    // Traffic is known: nothing falls back to another policy.
    let busy = deployment("busy", "most_traffic");
    api.create(&PostParams::default(), &busy).await.unwrap();
    until_placed(&up, "busy", "nantes,paris").await;
    up.stop();
}

#[tokio::test]
async fn another_start_with_other_members_and_nodes() {
    let folder = folder("other");
    let up = Up::start(&folder, &["--members=3", "--nodes=2"]);
    let api = up.deployments().await;
    let hello = deployment("hello", "first_fit");
    api.create(&PostParams::default(), &hello).await.unwrap();
    until_placed(&up, "hello", "cluster1,cluster2").await;
    up.stop();

    // Without the second, and with another third node: what ran there runs elsewhere.
    let up = Up::start(&folder, &["--members=1", "--nodes=3", "--cpu=2"]);
    assert_eq!(
        nodes(&up, "cluster1").await,
        ["1", "2", "3"].map(|number| (format!("cluster1-node{number}"), "2".to_owned()))
    );
    let members = up.ours("MemberCluster").await;
    until("one member", async || {
        let listed = members.list(&ListParams::default()).await;
        let listed = listed.map_err(|error| error.to_string())?;
        let names: Vec<_> = listed.iter().map(ResourceExt::name_any).collect();
        let one = names == ["cluster1"];
        one.then_some(()).ok_or_else(|| format!("{names:?}"))
    })
    .await;
    up.stop();

    // All are back; nothing is left of an object that is deleted then.
    let up = Up::start(&folder, &["--members=3", "--nodes=2"]);
    assert_eq!(nodes(&up, "cluster1").await.len(), 2);
    until_placed(&up, "hello", "cluster1,cluster2").await;
    let api = up.deployments().await;
    api.delete("hello", &DeleteParams::default()).await.unwrap();
    until("nothing on the members", async || {
        let mut left = up.on_member("cluster1").await;
        left.extend(up.on_member("cluster2").await);
        left.is_empty()
            .then_some(())
            .ok_or_else(|| format!("{left:?}"))
    })
    .await;
    up.stop();
}

#[tokio::test]
async fn other_machines_need_the_token_and_find_a_certificate_for_the_name() {
    let folder = folder("outside");
    let up = Up::start(&folder, &["--members=1", "--listen=0.0.0.0:0"]);
    let mut config = up.config("hub").await;
    // This machine reaches it as before.
    assert!(
        config
            .cluster_url
            .to_string()
            .starts_with("https://127.0.0.1:")
    );
    let version = Client::try_from(config.clone())
        .unwrap()
        .apiserver_version()
        .await;
    assert_eq!(version.unwrap().major, "1");
    let mut anonymous = config.clone();
    anonymous.auth_info = kube::config::AuthInfo::default();
    let refused = Client::try_from(anonymous).unwrap().list_api_groups().await;
    assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 401));
    // Another name of this machine, which the certificate does not cover.
    let elsewhere = |config: &kube::Config| {
        let url = config
            .cluster_url
            .to_string()
            .replace("127.0.0.1", "127.0.0.2");
        url.parse().unwrap()
    };
    config.cluster_url = elsewhere(&config);
    let refused = Client::try_from(config).unwrap().list_api_groups().await;
    assert!(
        format!("{refused:?}").contains("NotValidForName"),
        "{refused:?}"
    );
    up.stop();

    let arguments = ["--members=1", "--listen=0.0.0.0:0", "--tls-san=127.0.0.2"];
    let up = Up::start(&folder, &arguments);
    let mut config = up.config("hub").await;
    config.cluster_url = elsewhere(&config);
    let groups = Client::try_from(config).unwrap().list_api_groups().await;
    assert!(
        groups
            .unwrap()
            .groups
            .iter()
            .any(|group| group.name == "fogguru.eu")
    );
    up.stop();
}
