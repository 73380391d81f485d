//! Fifty members at once: every one is served, a drain empties one, a restart changes nothing.

use std::collections::BTreeMap;

use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::harness::{Up, deployment, folder, until};

const MEMBERS: usize = 50;
const PAIRS: usize = 40;
/// One member is left over.
const LOCATIONS: usize = MEMBERS - 1;

/// A deployment with one replica in each of so many clusters.
fn spread_over(name: &str, locations: usize) -> DynamicObject {
    let mut object = deployment(name, "worst_fit");
    object.data["spec"]["numberOfLocations"] = json!(locations);
    object.data["spec"]["replicas"] = json!(1);
    object
}

fn ready(object: &DynamicObject) -> u64 {
    object.data["status"]["readyReplicas"].as_u64().unwrap_or(0)
}

/// Waits until every deployment has so many ready replicas.
async fn until_ready(api: &Api<DynamicObject>) {
    until("all are ready", async || {
        let found = api.list(&ListParams::default()).await;
        let found = found.map_err(|error| error.to_string())?;
        let wanted = |one: &DynamicObject| match one.name_any().as_str() {
            "everywhere" => LOCATIONS as u64,
            _ => 2,
        };
        let mut missing = found.items.iter().filter(|one| ready(one) != wanted(one));
        match missing.next() {
            None if found.items.len() == PAIRS + 1 => Ok(()),
            None => Err(format!("{} objects", found.items.len())),
            Some(one) => Err(format!("{}: {}", one.name_any(), one.data["status"])),
        }
    })
    .await;
}

/// The uids of the Deployments on each member, by member and name.
async fn deployments(up: &Up) -> BTreeMap<(String, String), String> {
    let kind = GroupVersionKind::gvk("apps", "v1", "Deployment");
    let resource = ApiResource::from_gvk(&kind);
    let mut all = BTreeMap::new();
    for number in 1..=MEMBERS {
        let member = format!("cluster{number}");
        let api: Api<DynamicObject> =
            Api::namespaced_with(up.client(&member).await, "default", &resource);
        for one in api.list(&ListParams::default()).await.unwrap() {
            all.insert((member.clone(), one.name_any()), one.uid().unwrap());
        }
    }
    all
}

fn condition<'a>(object: &'a DynamicObject, kind: &str) -> Option<&'a Value> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    conditions.iter().find(|one| one["type"] == kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_members_are_served_and_one_of_them_is_drained() {
    let folder = folder("fifty");
    let flags = ["--members=50", "--nodes=2"];
    let up = Up::start(&folder, &flags);
    let api = up.deployments().await;
    let params = PostParams::default();
    let everywhere = spread_over("everywhere", LOCATIONS);
    api.create(&params, &everywhere).await.unwrap();
    for number in 0..PAIRS {
        let pair = spread_over(&format!("pair{number}"), 2);
        api.create(&params, &pair).await.unwrap();
    }
    until_ready(&api).await;
    let before = deployments(&up).await;
    assert_eq!(before.len(), LOCATIONS + 2 * PAIRS);
    let (drained, _) = before.keys().next().unwrap();

    let members = up.ours("MemberCluster").await;
    let taint = json!({ "spec": { "taints": [{ "key": "maintenance", "effect": "NoExecute" }] } });
    let patch = Patch::Merge(&taint);
    members
        .patch(drained, &PatchParams::default(), &patch)
        .await
        .unwrap();
    until("a drained member", async || {
        let found = members.get(drained).await.unwrap();
        // As `kubectl wait` does it: a condition that has not seen the taint says nothing of it.
        let is_current =
            |one: &Value| one["observedGeneration"].as_i64() == found.metadata.generation;
        match condition(&found, "Drained") {
            Some(drained) if drained["status"] == "True" && is_current(drained) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    until_ready(&api).await;
    let after = deployments(&up).await;
    assert_eq!(after.len(), LOCATIONS + 2 * PAIRS);
    assert!(after.keys().all(|(member, _)| member != drained));

    up.stop();
    let up = Up::start(&folder, &flags);
    let api = up.deployments().await;
    until_ready(&api).await;
    assert_eq!(deployments(&up).await, after, "made again or moved");
    up.stop();
}
