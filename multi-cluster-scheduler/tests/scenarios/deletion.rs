//! What is deleted on members, and what never is.

use anyhow::{Result, ensure};
use lab::e2e::{MEMBERS, World, eventually, holds};
use lab::scenarios;
use serde_json::{Value, json};

use crate::main_job::deployment;

scenarios!(
    copies_go_with_their_owner_whatever_they_are,
    a_move_leaves_nothing_behind,
    nothing_of_others_goes_with_a_namespace,
    a_namespace_goes_once_a_member_that_was_away_is_cleared,
    a_namespace_goes_also_where_the_last_of_ours_left_before,
    orphans_stay_without_our_labels,
);

/// What a template may name whose removal cannot be written as an update.
fn dependencies() -> Vec<Value> {
    let metadata = |name: &str| json!({ "name": name });
    // {"auths":{}} and two texts; what they say matters to nobody here.
    vec![
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata("pull"), "type": "kubernetes.io/dockerconfigjson",
            "data": { ".dockerconfigjson": "eyJhdXRocyI6e319" } }),
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata("tls"), "type": "kubernetes.io/tls",
            "data": { "tls.crt": "Y3J0", "tls.key": "a2V5" } }),
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata("fixed"), "immutable": true, "data": { "a": "YQ==" } }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("fixed"), "immutable": true, "data": { "a": "a" } }),
        json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata("data"),
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } }),
    ]
}

/// Fields of a deployment without replicas (nothing uses the claim) that names all of them.
fn naming_all(cluster: &str) -> Value {
    json!({
        "clusters": [cluster], "replicas": 0,
        "template": { "spec": {
            "imagePullSecrets": [{ "name": "pull" }],
            "volumes": [
                { "name": "a", "secret": { "secretName": "tls" } }, { "name": "b", "secret": { "secretName": "fixed" } },
                { "name": "c", "configMap": { "name": "fixed" } }, { "name": "d", "persistentVolumeClaim": { "claimName": "data" } },
            ],
        } },
    })
}

async fn until_held(world: &World, member: &str, wanted: usize) -> Result<()> {
    eventually(&format!("{member} holds {wanted} of ours"), async || {
        let left = world.left_on(member).await?;
        Ok(holds(left.lines().count() == wanted, || left.clone()))
    })
    .await
}

async fn apply_all(world: &World, objects: &[Value]) -> Result<()> {
    for object in objects {
        world.apply(object).await?;
    }
    Ok(())
}

async fn copies_go_with_their_owner_whatever_they_are(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    apply_all(world, &dependencies()).await?;
    for name in ["one", "two"] {
        world
            .apply(&deployment(name, &naming_all("cluster1")))
            .await?;
    }
    until_held(world, "cluster1", 7).await?;
    world.delete("mcd/one").await?;
    world.until_gone("mcd/one").await?;
    // The other owner's.
    until_held(world, "cluster1", 6).await?;
    world.delete("mcd/two").await?;
    world.until_gone("mcd/two").await?;
    until_held(world, "cluster1", 0).await
}

/// But claims: a move never deletes data.
async fn a_move_leaves_nothing_behind(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    apply_all(world, &dependencies()).await?;
    world
        .apply(&deployment("one", &naming_all("cluster1")))
        .await?;
    until_held(world, "cluster1", 6).await?;
    world
        .patch("mcd/one", &json!({ "spec": { "clusters": ["cluster2"] } }))
        .await?;
    until_held(world, "cluster2", 6).await?;
    eventually("cluster1 holds the claim alone", async || {
        let left = world.left_on("cluster1").await?;
        let met = left.trim() == "persistentvolumeclaim/data";
        Ok(holds(met, || left.clone()))
    })
    .await?;
    world.delete("mcd/one").await?;
    world.until_gone("mcd/one").await?;
    for member in ["cluster1", "cluster2"] {
        until_held(world, member, 0).await?;
    }
    Ok(())
}

async fn namespaces_of(world: &World, member: &str) -> Result<Vec<Value>> {
    let names = world
        .on(member, &["get", "namespaces", "-o", "json"])
        .await?;
    let names: Value = serde_json::from_str(&names)?;
    Ok(names["items"].as_array().cloned().unwrap_or_default())
}

async fn namespace_on(world: &World, member: &str) -> Result<Option<Value>> {
    let name = world.namespace();
    let all = namespaces_of(world, member).await?;
    Ok(all.into_iter().find(|one| one["metadata"]["name"] == *name))
}

/// The namespaces of two members go with the hub's; on the third the local team works, too.
async fn nothing_of_others_goes_with_a_namespace(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let namespace = world.namespace();
    let everywhere = json!({ "clusters": MEMBERS, "overflow": "None" });
    world.apply(&deployment("one", &everywhere)).await?;
    world.apply(&deployment("two", &everywhere)).await?;
    for name in ["one", "two"] {
        world.until_replicas(name, [Some(2); 3]).await?;
    }
    let team = ["-n", &namespace, "create"];
    let map = ["configmap", "team-data", "--from-literal=precious=1"];
    world
        .on("cluster3", &[&team[..], &map[..]].concat())
        .await?;
    let local = ["deployment", "local-db", "--image=postgres"];
    world
        .on("cluster3", &[&team[..], &local[..]].concat())
        .await?;

    world
        .kubectl(&["delete", "namespace", &namespace, "--wait=false"])
        .await?;
    world.until_gone("mcd/one").await?;
    world.until_gone("mcd/two").await?;
    for member in ["cluster1", "cluster2"] {
        eventually(&format!("{member} lacks the namespace"), async || {
            let found = namespace_on(world, member).await?;
            Ok(holds(found.is_none(), || format!("{found:?}")))
        })
        .await?;
    }
    eventually(
        "the namespace that others use has no label of ours",
        async || {
            let found = namespace_on(world, "cluster3").await?.unwrap_or_default();
            let labels = found["metadata"]["labels"].to_string();
            let met = found["status"]["phase"] == "Active" && !labels.contains("fogguru");
            Ok(holds(met, || found.to_string()))
        },
    )
    .await?;
    until_held(world, "cluster3", 0).await?;
    for object in ["configmap/team-data", "deployment/local-db"] {
        let found = world.get("cluster3", object).await?;
        let stays = found["metadata"]["deletionTimestamp"].is_null() && !found.is_null();
        ensure!(stays, "{object}: {found}");
    }
    eventually("an Event on the member says why", async || {
        let events = world
            .kubectl(&[
                "get",
                "events",
                "-A",
                "--field-selector=reason=NamespaceKept",
                "-o",
                "json",
            ])
            .await?;
        let met = ["cluster3", "team-data", "local-db", &namespace]
            .iter()
            .all(|word| events.contains(*word));
        Ok(holds(met, || events.clone()))
    })
    .await
}

async fn a_namespace_goes_once_a_member_that_was_away_is_cleared(world: &World) -> Result<()> {
    let _operator = world.operator(&["--deletion-grace=2s"]).await?;
    let namespace = world.namespace();
    let there = json!({ "clusters": ["cluster2"], "overflow": "None" });
    world.apply(&deployment("one", &there)).await?;
    world.until_replicas("one", [None, Some(2), None]).await?;
    world.lab.cluster("cluster2")?.stop().await?;
    world
        .kubectl(&["delete", "namespace", &namespace, "--wait=false"])
        .await?;
    world.until_gone("mcd/one").await?;
    world.lab.cluster("cluster2")?.start().await?;
    eventually("cluster2 lacks the namespace", async || {
        let found = namespace_on(world, "cluster2").await?;
        Ok(holds(found.is_none(), || format!("{found:?}")))
    })
    .await
}

async fn a_namespace_goes_also_where_the_last_of_ours_left_before(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let namespace = world.namespace();
    let there = json!({ "clusters": ["cluster2"], "overflow": "None" });
    world.apply(&deployment("one", &there)).await?;
    world.until_replicas("one", [None, Some(2), None]).await?;
    world.delete("mcd/one").await?;
    world.until_gone("mcd/one").await?;
    let found = namespace_on(world, "cluster2").await?;
    ensure!(found.is_some(), "it stays while the hub's is there");
    world
        .kubectl(&["delete", "namespace", &namespace, "--wait=false"])
        .await?;
    eventually("cluster2 lacks the namespace", async || {
        let found = namespace_on(world, "cluster2").await?;
        Ok(holds(found.is_none(), || format!("{found:?}")))
    })
    .await
}

async fn orphans_stay_without_our_labels(world: &World) -> Result<()> {
    let operator = world.operator(&[]).await?;
    let namespace = world.namespace();
    apply_all(world, &dependencies()).await?;
    let mut preserved = naming_all("cluster1");
    preserved["preserveOnDeletion"] = json!(true);
    world.apply(&deployment("kept", &preserved)).await?;
    world
        .apply(&deployment("left", &json!({ "clusters": ["cluster1"] })))
        .await?;
    let containers = json!([{ "name": "pi", "image": "pi:1" }]);
    apply_all(
        world,
        &[
            json!({
                "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterJob", "metadata": { "name": "kept" },
                "spec": {
                    "clusters": ["cluster1"], "replicas": 1, "preserveOnDeletion": true,
                    "template": { "spec": { "containers": containers } },
                },
            }),
            json!({
                "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterService", "metadata": { "name": "kept" },
                "spec": {
                    "clusters": ["cluster1"], "preserveOnDeletion": true,
                    "selector": { "app": "kept" }, "ports": [{ "port": 80 }],
                },
            }),
        ],
    )
    .await?;
    until_held(world, "cluster1", 9).await?;
    let uid = world.get("cluster1", "deployment/left").await?["metadata"]["uid"].clone();
    world
        .kubectl(&[
            "-n",
            &namespace,
            "delete",
            "mcd/left",
            "--cascade=orphan",
            "--wait=false",
        ])
        .await?;
    world.until_gone("mcd/left").await?;
    for kind in ["mcd", "mcj", "mcs"] {
        let object = format!("{kind}/kept");
        world.delete(&object).await?;
        world.until_gone(&object).await?;
    }
    until_held(world, "cluster1", 0).await?;
    for object in [
        "deployment/left",
        "deployment/kept",
        "job/kept",
        "service/kept",
        "secret/pull",
        "secret/tls",
        "secret/fixed",
        "configmap/fixed",
        "pvc/data",
    ] {
        let found = world.get("cluster1", object).await?;
        let metadata = &found["metadata"];
        ensure!(
            !found.is_null() && metadata["deletionTimestamp"].is_null(),
            "{object}: {found}"
        );
        let mut labels = metadata["labels"].clone();
        if let Some(labels) = labels.as_object_mut().filter(|_| object == "job/kept") {
            // Kubernetes gives a Job without labels those of its pods.
            labels.remove("fogguru.eu/owner");
        }
        let ours = labels.to_string() + &metadata["annotations"].to_string();
        ensure!(!ours.contains("fogguru.eu/"), "{object}: {ours}");
    }
    let left = world.get("cluster1", "deployment/left").await?;
    ensure!(
        left["metadata"]["uid"] == uid && left["spec"]["replicas"] == 2,
        "{left}"
    );
    drop(operator);
    Ok(())
}

/// Real control planes alone serve `ValidatingAdmissionPolicy`.
pub(crate) mod real {
    use anyhow::{Result, ensure};
    use lab::e2e::{World, eventually, holds};
    use lab::scenarios;
    use serde_json::json;

    use super::until_held;
    use crate::main_job::deployment;

    scenarios!(a_deletion_that_a_member_refuses_says_so_and_waits);

    async fn a_deletion_that_a_member_refuses_says_so_and_waits(world: &World) -> Result<()> {
        let _operator = world.operator(&["--deletion-grace=1s"]).await?;
        let namespace = world.namespace();
        world
            .apply(&deployment("one", &json!({ "clusters": ["cluster1"] })))
            .await?;
        world.until_replicas("one", [Some(2), None, None]).await?;
        let policy = json!({ "apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
                "metadata": { "name": "keep" },
                "spec": {
                    "failurePolicy": "Fail",
                    "matchConstraints": { "resourceRules": [{
                        "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["deployments"],
                    }] },
                    "validations": [{ "expression": "false", "message": "it is kept here" }],
                },
            },
            {
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": { "name": "keep" },
                "spec": {
                    "policyName": "keep", "validationActions": ["Deny"],
                    "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } } },
                },
            },
        ] });
        let applied = world
            .lab
            .kubectl_with_input(
                &["--context", "cluster1", "apply", "-f", "-"],
                &policy.to_string(),
            )
            .await?;
        ensure!(applied.success(), "{}", applied.stderr);
        let delete = [
            "-n",
            &namespace,
            "delete",
            "deployment",
            "one",
            "--dry-run=server",
        ];
        eventually("the policy is in force", async || {
            let refused = world.on("cluster1", &delete).await.err();
            Ok(holds(refused.is_some(), || "not yet".to_owned()))
        })
        .await?;
        world.delete("mcd/one").await?;
        let message = world
            .until_condition("mcd/one", "Progressing", "True", "WaitingForMember")
            .await?;
        let promises = message.contains("grace") || message.contains("finalizer");
        ensure!(
            message.contains("it is kept here") && !promises,
            "{message}"
        );
        let kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy";
        world.on("cluster1", &["delete", kinds, "keep"]).await?;
        world.until_gone("mcd/one").await?;
        until_held(world, "cluster1", 0).await
    }
}
