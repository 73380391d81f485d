//! Services, Jobs and dependencies: what a changed one becomes on a member, and when it leaves.

use anyhow::{Result, bail, ensure};
use lab::e2e::{Operator, World, condition, eventually, holds};
use lab::scenarios;
use serde_json::{Map, Value, json};

use crate::changes::{named_objects, seed};
use crate::main_job::deployment;
use crate::templates::{Random, job_fields, job_template};

scenarios!(
    a_changed_service_is_held_as_a_new_one_is,
    a_changed_job_is_held_as_a_new_one_is,
    dependencies_follow_the_hub_and_leave_with_their_last_owner,
    a_claim_is_not_made_again_for_its_content,
    a_token_of_the_hub_never_reaches_a_member,
);

/// Pairs of Jobs.
const JOBS: usize = 40;

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

fn job(name: &str, size: &Value, fields: &Value, template: &Value) -> Value {
    let mut spec = fields.clone();
    for (field, value) in size.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    spec["clusters"] = json!(["cluster1"]);
    spec["template"] = template.clone();
    json!({ "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterJob", "metadata": { "name": name }, "spec": spec })
}

/// Without what a server generates for each.
fn essence_of_job(job: &Value) -> Value {
    let mut spec = job["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("selector");
    }
    let generated = ["controller-uid", "job-name", "fogguru.eu/"];
    let labels = spec.pointer_mut("/template/metadata/labels");
    if let Some(labels) = labels.and_then(Value::as_object_mut) {
        labels.retain(|label, _| !generated.iter().any(|part| label.contains(part)));
    }
    spec
}

/// Waits until the status of each changed Job answers its spec, and `Progressing` is as wanted.
async fn until_jobs(world: &World, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
    eventually(what, async || {
        let jobs = list(world, "cluster0", "mcj").await?;
        let mut changed = jobs.iter().filter(|(name, _)| name.starts_with("changed"));
        let other = changed.find(|(_, job)| {
            job["status"]["observedGeneration"] != job["metadata"]["generation"]
                || !wanted(&condition(job, "Progressing"))
        });
        Ok(holds(other.is_none(), || {
            let other = other.map(|(name, job)| format!("{name}: {}", job["status"]));
            other.unwrap_or_default()
        }))
    })
    .await
}

async fn a_changed_job_is_held_as_a_new_one_is(world: &World) -> Result<()> {
    let mut random = Random::new(seed());
    let _operator = world.operator(&[]).await?;
    named_objects(world).await?;
    let sizes = [
        json!({}),
        json!({ "replicas": 2 }),
        json!({ "parallelism": 1, "completions": 3 }),
    ];
    let size = |number: usize| &sizes[number % sizes.len()];
    let drawn: Vec<[Value; 3]> = (0..JOBS)
        .map(|_| {
            let template = job_template(&mut random);
            [template, job_fields(&mut random), job_fields(&mut random)]
        })
        .collect();
    // The Jobs with the fields before or after, and a template of their own or the next one's.
    let jobs = |kind: &str, fields: usize, next: usize| -> Vec<Value> {
        let numbered = drawn.iter().enumerate();
        let made = numbered.map(|(number, of)| {
            let [template, ..] = &drawn[(number + next) % JOBS];
            job(
                &format!("{kind}-{number}"),
                size(number),
                &of[fields],
                template,
            )
        });
        made.collect()
    };
    let (before, after) = (1, 2);
    create_all(
        world,
        [jobs("changed", before, 0), jobs("new", after, 0)].concat(),
    )
    .await?;
    eventually("all Jobs are there", async || {
        let held = list(world, "cluster1", "jobs").await?;
        let hub = list(world, "cluster0", "mcj").await?;
        let lacking = hub.iter().find(|(name, _)| !held.contains_key(*name));
        Ok(holds(lacking.is_none() && hub.len() == 2 * JOBS, || {
            format!("{} of {}: {lacking:?}", held.len(), hub.len())
        }))
    })
    .await?;
    let made = list(world, "cluster1", "jobs").await?;

    replace_all(world, jobs("changed", after, 0)).await?;
    eventually("each changed Job is as a new one", async || {
        let held = list(world, "cluster1", "jobs").await?;
        let pairs = (0..JOBS).map(|number| {
            let of = |kind: &str| held.get(&format!("{kind}-{number}"));
            let essence = |kind: &str| of(kind).map(essence_of_job).unwrap_or_default();
            (essence("changed"), essence("new"))
        });
        let wrong: Vec<_> = pairs.filter(|(is, should)| is != should).collect();
        Ok(holds(wrong.is_empty(), || {
            format!("{} are not, as {:?}", wrong.len(), wrong.first())
        }))
    })
    .await?;
    let changed = list(world, "cluster1", "jobs").await?;

    // The template of a Job cannot be changed: it stays what it is, and that is said.
    replace_all(world, jobs("changed", after, 1)).await?;
    until_jobs(world, "each other template is refused", |progressing| {
        let message = progressing["message"].as_str().unwrap_or_default();
        progressing["status"] == "False"
            && progressing["reason"] == "Rejected"
            && message.contains("cluster1")
            && message.contains("spec.template")
    })
    .await?;
    let held = list(world, "cluster1", "jobs").await?;
    ensure!(held.len() == changed.len(), "{} are left", held.len());
    for (name, job) in &held {
        let (is, should) = (essence_of_job(job), essence_of_job(&changed[name]));
        ensure!(is == should, "{name}: is {is}, should be {should}");
        ensure!(
            job["metadata"]["uid"] == made[name]["metadata"]["uid"],
            "{name} was made again"
        );
    }
    replace_all(world, jobs("changed", after, 0)).await?;
    until_jobs(world, "each template of its own is taken", |progressing| {
        progressing["reason"].is_string() && progressing["reason"] != "Rejected"
    })
    .await
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
        object["spec"]["accessModes"],
        object["spec"]["resources"]["requests"],
        labels,
    ])
}

/// Deletes an object of the hub. No controller there takes off what protects a claim.
async fn delete_on_hub(world: &World, object: &str) -> Result<()> {
    let namespace = world.namespace();
    world
        .patch(object, &json!({ "metadata": { "finalizers": null } }))
        .await?;
    world.kubectl(&["-n", &namespace, "delete", object]).await?;
    Ok(())
}

async fn dependencies_follow_the_hub_and_leave_with_their_last_owner(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let object = |kind: &str, fields: Value| {
        let mut object = fields;
        object["apiVersion"] = json!("v1");
        object["kind"] = json!(kind);
        object["metadata"]["name"] = json!("it");
        object
    };
    let claimed = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
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
        (
            "PersistentVolumeClaim",
            vec![
                json!({ "spec": claimed }),
                json!({ "spec": claimed, "metadata": { "labels": { "team": "x" } } }),
            ],
            json!({ "spec": claimed, "metadata": { "labels": { "team": "y" } } }),
        ),
    ];
    for (kind, states, again) in lives {
        let reference = match kind {
            "ConfigMap" => json!({ "volumes": [{ "name": "v", "configMap": { "name": "it" } }] }),
            "Secret" => json!({ "volumes": [{ "name": "v", "secret": { "secretName": "it" } }] }),
            "PersistentVolumeClaim" => {
                json!({ "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "it" } }] })
            }
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
        let uid = async || -> Result<Value> {
            let copy = world.get("cluster1", &path).await?;
            Ok(copy["metadata"]["uid"].clone())
        };
        let before = uid().await?;
        // A claim is never deleted while it has an owner, though the hub has none for a while.
        let stays = kind == "PersistentVolumeClaim";
        delete_on_hub(world, &path).await?;
        if stays {
            world
                .until_condition("mcd/one", "Progressing", "True", "DependencyMissing")
                .await?;
        }
        world.apply(&object(kind, again)).await?;
        until_same("made again").await?;
        ensure!(!stays || uid().await? == before, "{kind} was made again");
        world.delete("mcd/one").await?;
        world.until_gone("mcd/one").await?;
        until_same("left by one owner").await?;
        world.delete("mcd/two").await?;
        world.until_gone("mcd/two").await?;
        eventually(&format!("{kind} leaves with its last owner"), async || {
            let left = world.get("cluster1", &path).await?;
            Ok(holds(left.is_null(), || left.to_string()))
        })
        .await?;
        delete_on_hub(world, &path).await?;
    }
    Ok(())
}

async fn a_claim_is_not_made_again_for_its_content(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let claim = |size: &str| {
        json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "data" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": size } } } })
    };
    world.apply(&claim("1Gi")).await?;
    let volume = json!({ "name": "v", "persistentVolumeClaim": { "claimName": "data" } });
    let fields = json!({ "clusters": ["cluster1"], "replicas": 0, "template": { "spec": { "volumes": [volume] } } });
    world.apply(&deployment("one", &fields)).await?;
    world
        .until_condition("mcd/one", "Progressing", "False", "Complete")
        .await?;
    let before = world.get("cluster1", "pvc/data").await?;
    ensure!(!before.is_null(), "the claim did not go along");
    let check = async || -> Result<()> {
        let now = world.get("cluster1", "pvc/data").await?;
        let metadata = &now["metadata"];
        ensure!(
            metadata["uid"] == before["metadata"]["uid"]
                && metadata["deletionTimestamp"].is_null()
                && now["spec"] == before["spec"],
            "{now} instead of {before}"
        );
        Ok(())
    };
    delete_on_hub(world, "pvc/data").await?;
    world
        .until_condition("mcd/one", "Progressing", "True", "DependencyMissing")
        .await?;
    check().await?;
    world.apply(&claim("2Gi")).await?;
    let message = world
        .until_condition("mcd/one", "Progressing", "False", "Rejected")
        .await?;
    for words in ["cluster1", "PersistentVolumeClaim", "immutable"] {
        ensure!(message.contains(words), "{message}");
    }
    check().await
}

/// What says of a token's Secret which account it is for.
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// How often the operator has put something back on `cluster1`.
async fn put_back(operator: &Operator) -> Result<u64> {
    let metrics = operator.get("/metrics").await?;
    let name = r#"mck8s_scheduler_put_back_total{cluster="cluster1"} "#;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    Ok(value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0))
}

async fn a_token_of_the_hub_never_reaches_a_member(world: &World) -> Result<()> {
    let operator = world.operator(&[]).await?;
    world
        .apply(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "runner" } }))
        .await?;
    let account = world.get("cluster0", "serviceaccount/runner").await?;
    let Some(uid_on_hub) = account["metadata"]["uid"].as_str() else {
        bail!("the account has no uid: {account}");
    };
    // As the token controller of a hub fills it in.
    let annotations =
        json!({ "kubernetes.io/service-account.name": "runner", ACCOUNT_UID: uid_on_hub });
    world
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": { "name": "token", "annotations": annotations },
            "data": { "extra": "b2YtdGhlLWh1Yg==", "token": "b2YtdGhlLWh1Yg==" },
        }))
        .await?;
    let fields = json!({ "clusters": ["cluster1"], "replicas": 0,
        "template": { "spec": { "volumes": [{ "name": "t", "secret": { "secretName": "token" } }] } } });
    world.apply(&deployment("one", &fields)).await?;
    world
        .until_condition("mcd/one", "Progressing", "False", "Complete")
        .await?;
    let until_filled = async |team: &Value| {
        eventually("the member fills the Secret in", async || {
            let account = world.get("cluster1", "serviceaccount/runner").await?;
            let secret = world.get("cluster1", "secret/token").await?;
            let (uid, metadata) = (&account["metadata"]["uid"], &secret["metadata"]);
            let is_filled = !uid.is_null()
                && metadata["annotations"][ACCOUNT_UID] == *uid
                && metadata["labels"]["team"] == *team
                && !secret["data"]["token"].is_null();
            Ok(holds(is_filled, || format!("{secret} of {account}")))
        })
        .await
    };
    until_filled(&Value::Null).await?;
    // What the member filled in is not undone by a change, and no change undoes ours.
    world
        .patch(
            "secret/token",
            &json!({ "metadata": { "labels": { "team": "x" } } }),
        )
        .await?;
    until_filled(&json!("x")).await?;
    let hub = world.get("cluster0", "secret/token").await?;
    let member = world.get("cluster1", "secret/token").await?;
    ensure!(member["data"]["extra"].is_null(), "{}", member["data"]);
    ensure!(
        member["data"]["token"] != hub["data"]["token"],
        "the hub's token is on the member"
    );
    ensure!(
        !member.to_string().contains(uid_on_hub),
        "the uid of the hub's account is on the member: {member}"
    );
    let times = put_back(&operator).await?;
    ensure!(times == 0, "put back {times} times");
    Ok(())
}
