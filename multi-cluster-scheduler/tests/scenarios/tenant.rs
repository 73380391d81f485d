//! A person who may edit the objects of one namespace, and nothing else: whatever they write,
//! nothing outside of it is read, run, moved, stalled or starved.

use anyhow::{Result, ensure};
use lab::e2e::{Tenant, World, eventually};
use lab::scenarios;
use serde_json::{Value, json};

use crate::main_job::deployment;

scenarios!(a_tenant_reaches_nothing_of_others);

async fn a_tenant_reaches_nothing_of_others(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let tenant = Tenant::new(world).await?;
    let played = attacks(world, &tenant).await;
    let cleared = tenant.clear().await;
    played.and(cleared)
}

async fn attacks(world: &World, tenant: &Tenant<'_>) -> Result<()> {
    // What is others': a deployment with a Secret, on two clusters; the third takes nothing new.
    world
        .apply(&json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "keys" }, "stringData": { "key": "hunter2" } }))
        .await?;
    let reads_keys = json!({ "spec": { "containers": [{
        "name": "hello", "image": "hello:1",
        "envFrom": [{ "secretRef": { "name": "keys" } }],
    }] } });
    let fields = json!({ "clusters": ["cluster1", "cluster2"], "template": reads_keys });
    world.apply(&deployment("victim", &fields)).await?;
    world
        .until_condition("mcd/victim", "Progressing", "False", "Complete")
        .await?;
    let before = copies(world).await?;
    let uid = world.get("cluster0", "mcd/victim").await?["metadata"]["uid"].clone();
    let uid = uid.as_str().unwrap_or_default();
    world
        .kubectl(&[
            "patch",
            "mcl",
            "cluster3",
            "--type=merge",
            "-p",
            r#"{"spec":{"unschedulable":true}}"#,
        ])
        .await?;

    // The status is not theirs to write, neither here nor there.
    tenant
        .create(&deployment("forged", &json!({ "clusters": ["cluster1"] })))
        .await?;
    let patch = [
        "patch",
        "mcd",
        "forged",
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"replicas":9}}"#,
    ];
    let (let_in, said) = tenant.kubectl(&patch, "").await?;
    ensure!(!let_in && said.contains("forbidden"), "{said}");
    let victims = world.namespace();
    let (let_in, said) = tenant.kubectl(&["-n", &victims, "get", "mcd"], "").await?;
    ensure!(!let_in && said.contains("forbidden"), "{said}");

    for object in objects(uid) {
        tenant.create(&object).await?;
    }
    // The record, forged with the object's true uid.
    let own = tenant.get("cluster0", "mcd/forged").await?["metadata"]["uid"].clone();
    let record = json!({ "uid": own, "assignment": {
        "decision": { "sequence": 50, "key": "k", "cursor": u64::MAX - 1 }, "policy": "worst_fit",
        "placements": [{ "cluster": "cluster3", "replicas": 2, "location": true, "why": "forged" }],
        "unplaced": 0, "fallback": null, "obstacle": null,
    } });
    let annotation = format!("fogguru.eu/assignment={record}");
    let (done, said) = tenant
        .kubectl(
            &["annotate", "--overwrite", "mcd", "forged", &annotation],
            "",
        )
        .await?;
    ensure!(done, "{said}");

    // What is theirs is served as it is, or refused with words.
    tenant
        .until("mcd/forged", "Progressing", "Complete")
        .await?;
    tenant.until("mcd/doubles", "Placed", "InvalidSpec").await?;
    tenant
        .until("mcd/no-template", "Placed", "InvalidSpec")
        .await?;
    tenant
        .until("mcd/labelled", "Progressing", "Complete")
        .await?;
    tenant.until("mcd/huge", "Progressing", "Complete").await?;
    tenant
        .until("mcd/other-secret", "Progressing", "DependencyMissing")
        .await?;
    tenant
        .until("mcs/victim", "Placed", "DeploymentNotFound")
        .await?;
    let forged = tenant.get("cluster0", "mcd/forged").await?["status"].clone();
    ensure!(
        forged["clusters"] == "cluster1" && !forged["placements"].to_string().contains("forged"),
        "{forged}"
    );
    let there = tenant.get("cluster3", "deployments").await?["items"].clone();
    ensure!(there.as_array().is_none_or(Vec::is_empty), "{there}");
    for member in ["cluster1", "cluster2"] {
        let secret = tenant.get(member, "secret/keys").await?;
        ensure!(secret.is_null(), "{member} has {secret}");
    }

    // Others are served as before, at once, and each position of round_robin in their own order.
    for name in ["new-1", "new-2"] {
        let fields = json!({ "placementPolicy": "round_robin" });
        world.apply(&deployment(name, &fields)).await?;
        world
            .until_condition(&format!("mcd/{name}"), "Progressing", "False", "Complete")
            .await?;
    }
    let (one, other) = (
        world.replicas("new-1").await?,
        world.replicas("new-2").await?,
    );
    ensure!(one != other, "both went to {one:?}");
    let after = copies(world).await?;
    ensure!(before == after, "before: {before:?}, after: {after:?}");

    // What the tenant deletes takes nothing of others along.
    let (done, said) = tenant
        .kubectl(&["delete", "mcd", "labelled", "forged", "--wait=false"], "")
        .await?;
    ensure!(done, "{said}");
    eventually("labelled is gone from the members", async || {
        let found = tenant.get("cluster1", "deployment/labelled").await?;
        Ok(if found.is_null() {
            Ok(())
        } else {
            Err(found["metadata"].to_string())
        })
    })
    .await?;
    // A move is of what is in its namespace.
    let steal = json!({
        "apiVersion": "fogguru.eu/v1", "kind": "WorkloadMove", "metadata": { "name": "steal" },
        "spec": { "workload": { "name": "victim" }, "from": "cluster1", "to": "cluster2" },
    });
    tenant.create(&steal).await?;
    tenant.until("move/steal", "Succeeded", "NotFound").await?;
    let after = copies(world).await?;
    ensure!(before == after, "before: {before:?}, after: {after:?}");
    // Who is said to own what is theirs goes all the same.
    world.delete("mcd/victim").await?;
    world.until_gone("mcd/victim").await
}

/// What each member has of the victim: uid and generation of the Deployment, uid of the Secret.
async fn copies(world: &World) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for member in ["cluster1", "cluster2", "cluster3"] {
        let deployment = world.get(member, "deployment/victim").await?["metadata"].clone();
        let secret = world.get(member, "secret/keys").await?;
        all.push(json!([
            deployment["uid"],
            deployment["generation"],
            secret["metadata"]["uid"],
            secret["data"]
        ]));
    }
    Ok(all)
}

/// What they try; `victim` is the uid of an object in another namespace.
fn objects(victim: &str) -> Vec<Value> {
    let with = |name: &str, fields: &Value, metadata: &Value| {
        let mut object = deployment(name, fields);
        if let (Some(all), Some(more)) = (object["metadata"].as_object_mut(), metadata.as_object())
        {
            all.extend(more.clone());
        }
        object
    };
    let one = |fields: Value| {
        let mut all = json!({ "clusters": ["cluster1"] });
        if let (Some(all), Some(fields)) = (all.as_object_mut(), fields.as_object()) {
            all.extend(fields.clone());
        }
        all
    };
    let labels = json!({
        "fogguru.eu/owner": victim,
        "fogguru.eu/hub": "another",
        format!("owner.fogguru.eu/{victim}"): "true",
    });
    let mut doubling: Vec<Value> = (0..63)
        .map(|n| json!({ "op": "copy", "from": "/metadata", "path": format!("/metadata/m{n}") }))
        .collect();
    doubling.push(
        json!({ "op": "replace", "path": "/metadata", "value": { "labels": { "app": "x" } } }),
    );
    let patched =
        |patch: Value| one(json!({ "overrides": [{ "cluster": "cluster1", "patch": patch }] }));
    let owner = json!([{ "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment", "name": "victim", "uid": victim, "blockOwnerDeletion": true, "controller": true }]);
    vec![
        with("doubles", &patched(json!(doubling)), &json!({})),
        with(
            "no-template",
            &patched(json!([{ "op": "replace", "path": "/metadata", "value": 5 }])),
            &json!({}),
        ),
        with(
            "labelled",
            &patched(json!([
                { "op": "add", "path": "/metadata/labels/fogguru.eu~1owner", "value": victim },
                { "op": "add", "path": "/metadata/namespace", "value": "kube-system" },
            ])),
            &json!({ "labels": labels, "finalizers": ["fogguru.eu/placement"] }),
        ),
        with(
            "huge",
            &one(json!({})),
            &json!({ "annotations": { "x": "a".repeat(262_084) } }),
        ),
        with(
            "kept",
            &one(json!({})),
            &json!({ "finalizers": ["tenant.example/mine"] }),
        ),
        with(
            "owned",
            &one(json!({})),
            &json!({ "ownerReferences": owner }),
        ),
        with(
            "other-secret",
            &one(
                json!({ "template": { "spec": { "containers": [{ "name": "hello", "image": "hello:1", "envFrom": [{ "secretRef": { "name": "keys" } }] }] } } }),
            ),
            &json!({}),
        ),
        json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterService", "metadata": { "name": "victim" },
            "spec": { "selector": { "app": "victim" }, "ports": [{ "port": 80 }] },
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "marked", "labels": labels },
            "stringData": { "kubeconfig": "not one" },
        }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "marked", "labels": labels } }),
    ]
}
