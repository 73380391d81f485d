//! Services, Jobs and dependencies: what a changed one becomes on a member, and when it leaves.

use anyhow::{Result, ensure};
use lab::e2e::{World, condition, eventually, holds};
use lab::scenarios;
use serde_json::{Map, Value, json};

use crate::main_job::deployment;

scenarios!(
    a_changed_service_is_held_as_a_new_one_is,
    a_changed_job_is_held_as_a_new_one_is,
    dependencies_follow_the_hub_and_leave_with_their_last_owner,
    a_token_of_the_hub_never_reaches_a_member,
);

/// Specs of Services that differ in what a server defaults, allocates or forbids to change.
fn services() -> Vec<Value> {
    let port = json!([{ "port": 80, "targetPort": 8080 }]);
    let two = json!([{ "name": "tcp", "port": 53, "protocol": "TCP" }, { "name": "udp", "port": 53, "protocol": "UDP" }]);
    let affinity = json!({ "clientIP": { "timeoutSeconds": 60 } });
    vec![
        json!({ "ports": port }),
        json!({ "ports": two }),
        json!({ "ports": port, "clusterIP": "None" }),
        json!({ "ports": port, "clusterIP": "None", "publishNotReadyAddresses": true }),
        json!({ "ports": port, "type": "NodePort" }),
        json!({ "ports": two, "type": "NodePort", "externalTrafficPolicy": "Local" }),
        json!({ "ports": port, "type": "LoadBalancer", "externalTrafficPolicy": "Local" }),
        json!({ "ports": port, "type": "LoadBalancer", "loadBalancerClass": "example.com/one", "allocateLoadBalancerNodePorts": false }),
        json!({ "type": "ExternalName", "externalName": "a.example" }),
        json!({ "ports": port, "sessionAffinity": "ClientIP", "sessionAffinityConfig": affinity, "internalTrafficPolicy": "Local" }),
    ]
}

fn service(name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["locations"] = json!("cluster1");
    spec["selector"] = json!({ "app": "x" });
    json!({ "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterService", "metadata": { "name": name }, "spec": spec })
}

/// Without what a server chooses for each.
fn essence(service: &Value) -> Value {
    let mut spec = service["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("healthCheckNodePort");
        for field in ["clusterIP", "clusterIPs"] {
            let is_allocated = !fields
                .get(field)
                .is_some_and(|value| value.to_string().contains("None"));
            if is_allocated && fields.contains_key(field) {
                fields.insert(field.to_owned(), json!("allocated"));
            }
        }
    }
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        if !port["nodePort"].is_null() {
            port["nodePort"] = json!("allocated");
        }
    }
    spec
}

async fn list(world: &World, cluster: &str, kind: &str) -> Result<Map<String, Value>> {
    let namespace = world.namespace();
    let text = world
        .on(cluster, &["-n", &namespace, "get", kind, "-o", "json"])
        .await?;
    let list: Value = serde_json::from_str(&text)?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    Ok(items
        .into_iter()
        .map(|item| {
            (
                item["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                item,
            )
        })
        .collect())
}

async fn replace_all(world: &World, objects: Vec<Value>) -> Result<()> {
    let namespace = world.namespace();
    let all = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
    let arguments = ["-n", &namespace, "replace", "--force=false", "-f", "-"];
    let output = world.lab.kubectl_with_input(&arguments, &all).await?;
    ensure!(output.success(), "{}", output.stderr);
    Ok(())
}

async fn create_all(world: &World, objects: Vec<Value>) -> Result<()> {
    let namespace = world.namespace();
    let all = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
    let arguments = ["-n", &namespace, "create", "-f", "-"];
    let output = world.lab.kubectl_with_input(&arguments, &all).await?;
    ensure!(output.success(), "{}", output.stderr);
    Ok(())
}

async fn until_complete(world: &World, kind: &str, count: usize) -> Result<()> {
    eventually(&format!("{count} of {kind} are complete"), async || {
        let objects = list(world, "cluster0", kind).await?;
        let is_done = |object: &&Value| {
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
                && condition(object, "Progressing")["reason"] == "Complete"
        };
        let done = objects.values().filter(is_done).count();
        let waiting = objects.values().find(|object| !is_done(object));
        Ok(holds(done == count, || {
            format!(
                "{done}; {}",
                waiting
                    .map(|one| one["status"].to_string())
                    .unwrap_or_default()
            )
        }))
    })
    .await
}

async fn a_changed_service_is_held_as_a_new_one_is(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let specs = services();
    let pairs: Vec<(usize, usize)> = (0..specs.len())
        .flat_map(|from| (0..specs.len()).map(move |to| (from, to)))
        .collect();
    let name = |(from, to): (usize, usize)| format!("changed-{from}-{to}");
    let before = pairs
        .iter()
        .map(|pair| service(&name(*pair), &specs[pair.0]));
    create_all(world, before.collect()).await?;
    let new = specs.iter().enumerate();
    let new = new.map(|(to, spec)| service(&format!("new-{to}"), spec));
    create_all(world, new.collect()).await?;
    let count = pairs.len() + specs.len();
    until_complete(world, "mcs", count).await?;
    let after = pairs
        .iter()
        .map(|pair| service(&name(*pair), &specs[pair.1]));
    replace_all(world, after.collect()).await?;
    until_complete(world, "mcs", count).await?;
    let held = list(world, "cluster1", "services").await?;
    for pair in pairs {
        let (is, should) = (&held[&name(pair)], &held[&format!("new-{}", pair.1)]);
        let (is, should) = (essence(is), essence(should));
        ensure!(is == should, "{pair:?}: is {is}, should be {should}");
    }
    Ok(())
}

async fn a_changed_job_is_held_as_a_new_one_is(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let job = |name: &str, fields: &Value| {
        let mut spec = fields.clone();
        spec["clusters"] = json!(["cluster1"]);
        spec["replicas"] = json!(1);
        // No node takes it, so it does not end.
        spec["template"] = json!({ "spec": {
            "containers": [{ "name": "c", "image": "i" }], "schedulerName": "none", "restartPolicy": "Never",
        } });
        json!({ "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterJob", "metadata": { "name": name }, "spec": spec })
    };
    let specs = [
        json!({}),
        json!({ "backoffLimit": 3 }),
        json!({ "activeDeadlineSeconds": 3600, "ttlSecondsAfterFinished": 60 }),
        json!({ "backoffLimit": 1, "activeDeadlineSeconds": 7200 }),
    ];
    let pairs: Vec<(usize, usize)> = (0..specs.len())
        .flat_map(|from| (0..specs.len()).map(move |to| (from, to)))
        .collect();
    let name = |(from, to): (usize, usize)| format!("changed-{from}-{to}");
    let changed = pairs.iter().map(|pair| job(&name(*pair), &specs[pair.0]));
    let new = specs.iter().enumerate();
    let new = new.map(|(to, spec)| job(&format!("new-{to}"), spec));
    create_all(world, changed.chain(new).collect()).await?;
    let fields = [
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
        "parallelism",
        "completions",
        "suspend",
    ];
    let essence = |job: &Value| -> Vec<Value> {
        fields
            .iter()
            .map(|field| job["spec"][*field].clone())
            .collect()
    };
    eventually("all Jobs are there", async || {
        let held = list(world, "cluster1", "jobs").await?;
        let wanted = pairs.len() + specs.len();
        Ok(holds(held.len() == wanted, || held.len().to_string()))
    })
    .await?;
    let uids = list(world, "cluster1", "jobs").await?;
    let after = pairs.iter().map(|pair| job(&name(*pair), &specs[pair.1]));
    replace_all(world, after.collect()).await?;
    eventually("each changed Job is as a new one", async || {
        let held = list(world, "cluster1", "jobs").await?;
        let wrong = pairs.iter().find(|pair| {
            let (is, should) = (&held[&name(**pair)], &held[&format!("new-{}", pair.1)]);
            essence(is) != essence(should)
        });
        Ok(holds(wrong.is_none(), || format!("{wrong:?}")))
    })
    .await?;
    let held = list(world, "cluster1", "jobs").await?;
    for (name, job) in &held {
        ensure!(
            job["metadata"]["uid"] == uids[name]["metadata"]["uid"],
            "{name} was made again"
        );
    }
    Ok(())
}

/// What a dependency is on its cluster, apart from names and what belongs to that cluster.
fn content(object: &Value) -> Value {
    let mut labels = object["metadata"]["labels"].clone();
    if let Some(labels) = labels.as_object_mut() {
        labels.retain(|label, _| !label.contains("fogguru.eu/"));
    }
    let labels = if labels == json!({}) {
        Value::Null
    } else {
        labels
    };
    json!([
        object["data"],
        object["binaryData"],
        object["type"],
        object["immutable"],
        object["imagePullSecrets"],
        object["automountServiceAccountToken"],
        labels,
    ])
}

async fn dependencies_follow_the_hub_and_leave_with_their_last_owner(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let namespace = world.namespace();
    let object = |kind: &str, fields: Value| {
        let mut object = fields;
        object["apiVersion"] = json!("v1");
        object["kind"] = json!(kind);
        object["metadata"]["name"] = json!("it");
        object
    };
    // Created, changed where that is allowed, and made again as something else.
    let lives: Vec<(&str, Vec<Value>, Value)> = vec![
        (
            "ConfigMap",
            vec![
                json!({ "data": { "a": "1" } }),
                json!({ "binaryData": { "b": "Mg==" }, "metadata": { "labels": { "team": "x" } } }),
            ],
            json!({ "data": { "a": "3" }, "immutable": true }),
        ),
        (
            "ConfigMap",
            vec![json!({ "data": { "a": "1" }, "immutable": true })],
            json!({ "data": { "a": "2" }, "immutable": true }),
        ),
        (
            "Secret",
            vec![
                json!({ "data": { "a": "MQ==" } }),
                json!({ "data": { "b": "Mg==" } }),
            ],
            json!({ "type": "kubernetes.io/tls", "data": { "tls.crt": "MQ==", "tls.key": "MQ==" } }),
        ),
        (
            "Secret",
            vec![json!({ "data": { "a": "MQ==" }, "immutable": true })],
            json!({ "type": "kubernetes.io/dockerconfigjson", "data": { ".dockerconfigjson": "e30=" } }),
        ),
        (
            "ServiceAccount",
            vec![
                json!({ "automountServiceAccountToken": false }),
                json!({ "imagePullSecrets": [{ "name": "none" }] }),
            ],
            json!({ "automountServiceAccountToken": true }),
        ),
    ];
    for (kind, states, again) in lives {
        let reference = match kind {
            "ConfigMap" => json!({ "volumes": [{ "name": "v", "configMap": { "name": "it" } }] }),
            "Secret" => json!({ "volumes": [{ "name": "v", "secret": { "secretName": "it" } }] }),
            _ => json!({ "serviceAccountName": "it" }),
        };
        let kinds = kind.to_lowercase();
        let path = format!("{kinds}/it");
        let until_same = async |what: &str| {
            eventually(
                &format!("{kind}, {what}, is on the member as on the hub"),
                async || {
                    let hub = content(&world.get("cluster0", &path).await?);
                    let member = world.get("cluster1", &path).await?;
                    let is_there = !member.is_null();
                    let member = content(&member);
                    Ok(holds(is_there && hub == member, || {
                        format!("{member} instead of {hub}")
                    }))
                },
            )
            .await
        };
        world.apply(&object(kind, states[0].clone())).await?;
        for name in ["one", "two"] {
            let fields = json!({ "clusters": ["cluster1"], "replicas": 0, "template": { "spec": reference } });
            world.apply(&deployment(name, &fields)).await?;
        }
        until_same("created").await?;
        for state in &states[1..] {
            replace_all(world, vec![object(kind, state.clone())]).await?;
            until_same("changed").await?;
        }
        world.kubectl(&["-n", &namespace, "delete", &path]).await?;
        world.apply(&object(kind, again)).await?;
        until_same("made again").await?;
        world.delete("mcd/one").await?;
        world.until_gone("mcd/one").await?;
        until_same("left by one owner").await?;
        world.delete("mcd/two").await?;
        world.until_gone("mcd/two").await?;
        let left = world.get("cluster1", &path).await?;
        ensure!(left.is_null(), "{kind} without an owner: {left}");
        world.kubectl(&["-n", &namespace, "delete", &path]).await?;
    }
    Ok(())
}

async fn a_token_of_the_hub_never_reaches_a_member(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let metadata = |extra: Value| {
        let mut metadata = json!({ "name": "token" });
        metadata["annotations"] = extra;
        metadata
    };
    world
        .apply(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "runner" } }))
        .await?;
    let annotations = json!({ "kubernetes.io/service-account.name": "runner" });
    world
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": metadata(annotations), "data": { "extra": "b2YtdGhlLWh1Yg==" },
        }))
        .await?;
    let fields = json!({ "clusters": ["cluster1"], "replicas": 0,
        "template": { "spec": { "volumes": [{ "name": "t", "secret": { "secretName": "token" } }] } } });
    world.apply(&deployment("one", &fields)).await?;
    world
        .until_condition("mcd/one", "Progressing", "False", "Complete")
        .await?;
    eventually("the member has the Secret and its account", async || {
        let account = world.get("cluster1", "serviceaccount/runner").await?;
        let secret = world.get("cluster1", "secret/token").await?;
        Ok(holds(!account.is_null() && !secret.is_null(), || {
            secret.to_string()
        }))
    })
    .await?;
    let hub = world.get("cluster0", "secret/token").await?;
    let member = world.get("cluster1", "secret/token").await?;
    ensure!(member["data"]["extra"].is_null(), "{}", member["data"]);
    let token = &member["data"]["token"];
    ensure!(
        token.is_null() || *token != hub["data"]["token"],
        "the hub's token is on the member"
    );
    Ok(())
}
