//! Clusters that are no simulated members of the process.

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{DynamicObject, ObjectMeta, PostParams};
use kube::config::Kubeconfig;
use serde_json::json;

use crate::harness::{Up, folder, until};

/// The other cluster is the `cluster1` of another process: it answers, and at the same path as the
/// `cluster1` of this one.
#[tokio::test]
async fn a_cluster_outside_the_process_is_refused_with_the_truth() {
    let (ours, others) = (folder("ours"), folder("others"));
    let up = Up::start(&ours, &["--members=1", "--nodes=1"]);
    let other = Up::start(&others, &["--members=1", "--nodes=1"]);
    let address = other.config("cluster1").await.cluster_url;
    let mut kubeconfig = Kubeconfig::read_from(others.join("kubeconfig")).unwrap();
    kubeconfig.current_context = Some("cluster1".to_owned());

    let client = up.client("hub").await;
    let metadata = |name: &str| ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = Namespace {
        metadata: metadata("mck8s-system"),
        ..Namespace::default()
    };
    // It may be there already.
    drop(namespaces.create(&PostParams::default(), &namespace).await);
    let secrets: Api<Secret> = Api::namespaced(client, "mck8s-system");
    let text = serde_json::to_string(&kubeconfig).unwrap();
    let secret = Secret {
        metadata: metadata("real"),
        string_data: Some([("kubeconfig".to_owned(), text)].into()),
        ..Secret::default()
    };
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let members = up.ours("MemberCluster").await;
    let member: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster", "metadata": { "name": "real" },
        "spec": { "access": { "secretRef": { "namespace": "mck8s-system", "name": "real" } } },
    }))
    .unwrap();
    members
        .create(&PostParams::default(), &member)
        .await
        .unwrap();
    let server = address.authority().unwrap().to_string();
    until("refusal that says why", async || {
        let status = members.get("real").await.unwrap().data["status"].clone();
        let conditions = status["conditions"].as_array().into_iter();
        let ready = conditions.flatten().find(|one| one["type"] == "Ready");
        let ready = ready.cloned().unwrap_or_default();
        let message = ready["message"].as_str().unwrap_or_default();
        let says = message.contains("mck8s up serves its own simulated members only")
            && message.contains(&server);
        (says && ready["status"] == "False")
            .then_some(())
            .ok_or_else(|| status.to_string())
    })
    .await;
    up.stop();
    other.stop();
}
