//! The rights that the manifests give suffice.

use anyhow::{Result, ensure};
use lab::e2e::{World, eventually, holds, repository};
use lab::scenarios;
use serde_json::{Value, json};

use crate::main_job::deployment;

scenarios!(the_shipped_rights_on_a_member_suffice);

/// A member that is reached as docs/operations.md says: by the token of the account that the
/// manifest makes there.
async fn the_shipped_rights_on_a_member_suffice(world: &World) -> Result<()> {
    let _operator = world.operator(&["--member-contexts=cluster2"]).await?;
    let manifest = repository().join("manifests/controllers/02_member_access.yaml");
    world
        .on("cluster1", &["apply", "-f", &manifest.to_string_lossy()])
        .await?;
    let token = ["-n", "mck8s-system", "create", "token", "mck8s-hub"];
    let token = world.on("cluster1", &token).await?;
    let admin = ["config", "view", "--minify", "--raw", "-o", "json"];
    let admin: Value = serde_json::from_str(&world.on("cluster1", &admin).await?)?;
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "edge",
        "clusters": [{ "name": "edge", "cluster": admin["clusters"][0]["cluster"] }],
        "users": [{ "name": "edge", "user": { "token": token.trim() } }],
        "contexts": [{ "name": "edge", "context": { "cluster": "edge", "user": "edge" } }],
    });
    // The namespace of access is there with the lease.
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "edge", "namespace": "mck8s-system" },
        "stringData": { "kubeconfig": kubeconfig.to_string() },
    });
    let applied = world
        .lab
        .kubectl_with_input(&["apply", "-f", "-"], &secret.to_string())
        .await?;
    ensure!(applied.success(), "{}", applied.stderr);
    let member = json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster", "metadata": { "name": "edge" },
        "spec": { "access": { "secretRef": { "namespace": "mck8s-system", "name": "edge" } } },
    });
    world.apply(&member).await?;
    world
        .until_condition("mcl/edge", "Ready", "True", "Synced")
        .await?;

    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "immutable": true, "stringData": { "k": "v" } });
    world.apply(&secret).await?;
    let fields = json!({ "clusters": ["edge"], "template": { "spec": { "imagePullSecrets": [{ "name": "s" }] } } });
    world.apply(&deployment("one", &fields)).await?;
    world.until_replicas("one", [Some(2), None, None]).await?;
    world
        .patch(
            "mcd/one",
            &json!({ "spec": { "replicas": 3, "strategy": { "type": "Recreate" } } }),
        )
        .await?;
    world.until_replicas("one", [Some(3), None, None]).await?;
    world
        .until_condition("mcd/one", "Progressing", "False", "Complete")
        .await?;
    let namespace = world.namespace();
    world
        .kubectl(&["delete", "namespace", &namespace, "--wait=false"])
        .await?;
    eventually("the member lacks the namespace", async || {
        let find = [
            "get",
            "namespace",
            &namespace,
            "--ignore-not-found",
            "-o",
            "name",
        ];
        let found = world.on("cluster1", &find).await?;
        Ok(holds(found.trim().is_empty(), || found.clone()))
    })
    .await?;
    world.kubectl(&["delete", "mcl", "edge"]).await?;
    Ok(())
}
