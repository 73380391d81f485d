//! A delivery makes the member hold exactly what is wanted: what a changed object becomes there is
//! what a new one is.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::ApiResource;
use kube::{Api, Client, ResourceExt as _};
use lab::e2e::{World, eventually, holds};
use lab::scenarios;
use serde_json::{Value, json};

use crate::templates::{NAMED, Random, spec};

scenarios!(a_changed_template_is_held_as_a_new_one_is);

/// Pairs of templates, and how many are worked on at the same time.
const PAIRS: usize = 500;
const BATCH: usize = 100;
/// Where the pairs run.
const MEMBER: &str = "cluster1";

fn resource() -> ApiResource {
    ApiResource {
        group: "fogguru.eu".into(),
        version: "v1".into(),
        api_version: "fogguru.eu/v1".into(),
        kind: "MultiClusterDeployment".into(),
        plural: "multiclusterdeployments".into(),
    }
}

/// What is drawn begins with it. It is printed; `MCK8S_TEST_SEED` gives another.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("MCK8S_TEST_SEED").ok();
    let seed = given.and_then(|text| text.parse().ok()).unwrap_or(11);
    println!("MCK8S_TEST_SEED={seed}");
    seed
}

async fn a_changed_template_is_held_as_a_new_one_is(world: &World) -> Result<()> {
    let seed = seed();
    let _operator = world.operator(&[]).await?;
    named_objects(world).await?;
    let namespace = world.namespace();
    let hub = world.lab.client("cluster0").await?;
    let member = world.lab.client(MEMBER).await?;
    let objects: Api<DynamicObject> = Api::namespaced_with(hub.clone(), &namespace, &resource());
    let mut random = Random::new(seed);
    let (mut refused, mut wrong) = (Vec::new(), Vec::new());
    for first in (0..PAIRS).step_by(BATCH) {
        let pairs: Vec<(Value, Value)> = (0..BATCH)
            .map(|_| (spec(&mut random), spec(&mut random)))
            .collect();
        for (number, (before, _)) in pairs.iter().enumerate() {
            create(&objects, &format!("changed-{number}"), before).await?;
        }
        until_settled(&objects, BATCH).await?;
        for (number, (_, after)) in pairs.iter().enumerate() {
            replace(&objects, &format!("changed-{number}"), after).await?;
            create(&objects, &format!("new-{number}"), after).await?;
        }
        until_settled(&objects, 2 * BATCH).await?;
        let held = held(&member, &namespace).await?;
        let reasons = reasons(&objects).await?;
        for (number, (before, after)) in pairs.iter().enumerate() {
            let (changed, new) = (format!("changed-{number}"), format!("new-{number}"));
            if reasons.get(&new).map(String::as_str) != Some("Complete") {
                refused.push(format!("{:?}: {after}", reasons.get(&new)));
                continue;
            }
            let (is, should) = (held.get(&changed), held.get(&new));
            if is != should || reasons.get(&changed) != reasons.get(&new) {
                wrong.push(format!(
                    "pair {} ({:?}): from {before} to {after}: differs in {}",
                    first + number,
                    reasons.get(&changed),
                    difference(is, should)
                ));
            }
        }
        objects
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await?;
        eventually("all pairs are gone", async || {
            let left = objects.list_metadata(&ListParams::default()).await?.items;
            Ok(holds(left.is_empty(), || left.len().to_string()))
        })
        .await?;
    }
    ensure!(
        wrong.is_empty(),
        "{} of {PAIRS} pairs, with seed {seed}:\n{}",
        wrong.len(),
        wrong.iter().take(3).cloned().collect::<Vec<_>>().join("\n")
    );
    ensure!(
        refused.is_empty(),
        "the generator makes templates that a Deployment refuses, {} of {PAIRS}, with seed {seed}:\n{}",
        refused.len(),
        refused
            .iter()
            .take(3)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    Ok(())
}

/// What the templates name.
pub(crate) async fn named_objects(world: &World) -> Result<()> {
    for number in 0..NAMED {
        let metadata = |prefix: &str| json!({ "name": format!("{prefix}-{number}") });
        for object in [
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("cm"), "data": { "k": "v" } }),
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata("s"), "stringData": { "k": "v" } }),
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("sa") }),
            json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata("pvc"),
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } }),
        ] {
            world.apply(&object).await?;
        }
    }
    Ok(())
}

fn object(name: &str, spec: &Value) -> Result<DynamicObject> {
    let mut spec = spec.clone();
    spec["replicas"] = json!(0);
    spec["clusters"] = json!([MEMBER]);
    spec["placementPolicy"] = json!("worst_fit");
    spec["selector"] = json!({ "matchLabels": { "app": "x" } });
    Ok(serde_json::from_value(json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": name }, "spec": spec,
    }))?)
}

async fn create(api: &Api<DynamicObject>, name: &str, spec: &Value) -> Result<()> {
    let made = api
        .create(&PostParams::default(), &object(name, spec)?)
        .await;
    made.with_context(|| format!("{name}: {spec}"))?;
    Ok(())
}

/// As `kubectl replace` does: whatever the version.
async fn replace(api: &Api<DynamicObject>, name: &str, spec: &Value) -> Result<()> {
    loop {
        let live = api.get(name).await?;
        let mut wanted = object(name, spec)?;
        wanted.metadata = live.metadata;
        match api.replace(name, &PostParams::default(), &wanted).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error).with_context(|| format!("{name}: {spec}")),
        }
    }
}

type ByName<T> = std::collections::BTreeMap<String, T>;

/// The reason of `Progressing` of each object whose status answers its spec.
async fn reasons(api: &Api<DynamicObject>) -> Result<ByName<String>> {
    let objects = api.list(&ListParams::default()).await?;
    let answered = objects.items.into_iter().filter_map(|object| {
        let status = &object.data["status"];
        let condition = lab::e2e::condition(&object.data, "Progressing");
        let reason = condition["reason"].as_str()?.to_owned();
        let is_current = status["observedGeneration"].as_i64() == object.metadata.generation;
        is_current.then(|| (object.name_any(), reason))
    });
    Ok(answered.collect())
}

async fn until_settled(api: &Api<DynamicObject>, count: usize) -> Result<()> {
    eventually(&format!("{count} objects are settled"), async || {
        let reasons = reasons(api).await?;
        let passing = ["RollingOut", "Retrying", "Moving"];
        let settled = |reason: &&String| !passing.contains(&reason.as_str());
        let now = reasons.values().filter(settled).count();
        Ok(holds(now == count, || {
            let waiting = reasons.iter().find(|(_, reason)| !settled(reason));
            format!("{now}; {waiting:?}")
        }))
    })
    .await
}

/// The Deployments of the member, without what differs between any two of them.
async fn held(member: &Client, namespace: &str) -> Result<ByName<Value>> {
    let api: Api<Deployment> = Api::namespaced(member.clone(), namespace);
    let mut held = ByName::new();
    for deployment in api.list(&ListParams::default()).await?.items {
        let name = deployment.name_any();
        let mut value = serde_json::to_value(&deployment)?;
        let mut kept = json!({ "spec": value["spec"].take() });
        if let Some(labels) = kept["spec"]["template"]["metadata"]["labels"].as_object_mut() {
            labels.remove("fogguru.eu/owner");
        }
        for map in ["labels", "annotations"] {
            let mut entries = value["metadata"][map].take();
            if let Some(entries) = entries.as_object_mut() {
                entries.retain(|key, _| {
                    !key.contains("fogguru.eu/") && !key.starts_with("deployment.kubernetes.io/")
                });
            }
            kept[map] = entries;
        }
        held.insert(name, kept);
    }
    Ok(held)
}

/// The first place where two values differ, and what is there.
fn difference(is: Option<&Value>, should: Option<&Value>) -> String {
    fn at(path: &str, is: &Value, should: &Value) -> Option<String> {
        match (is, should) {
            (Value::Object(a), Value::Object(b)) => a
                .keys()
                .chain(b.keys())
                .find_map(|key| at(&format!("{path}/{key}"), &is[key], &should[key])),
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
                .iter()
                .zip(b)
                .enumerate()
                .find_map(|(i, (a, b))| at(&format!("{path}/{i}"), a, b)),
            _ if is == should => None,
            _ => Some(format!("{path}: is {is}, should be {should}")),
        }
    }
    let null = Value::Null;
    at("", is.unwrap_or(&null), should.unwrap_or(&null)).unwrap_or_else(|| "nothing".to_owned())
}
