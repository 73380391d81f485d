//! The members as the hub knows them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use federation::api::{LABEL_SOURCE, MemberCluster};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

/// How often the hub is asked whether all members are ready.
const INTERVAL: Duration = Duration::from_millis(20);
/// After this it goes on without those that are not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes an object for each member, with its region, as the scheduler would have it by its context
/// a little later.
pub(crate) async fn announce(
    hub: &Client,
    regions: &BTreeMap<String, Option<String>>,
) -> Result<()> {
    let api: Api<MemberCluster> = Api::all(hub.clone());
    for (name, region) in regions {
        let object = json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster",
            "metadata": { "name": name, "labels": { LABEL_SOURCE: "kubeconfig" } },
            "spec": { "access": { "context": name }, "region": region },
        });
        let params = PatchParams::apply("mck8s-up").force();
        let applied = api.patch(name, &params, &Patch::Apply(&object)).await;
        applied.with_context(|| format!("MemberCluster {name}"))?;
    }
    Ok(())
}

/// Waits until the scheduler finds all of them ready.
pub(crate) async fn until_ready(hub: &Client, members: &BTreeMap<String, Option<String>>) {
    let api: Api<MemberCluster> = Api::all(hub.clone());
    let end = Instant::now() + PATIENCE;
    loop {
        let listed = api.list(&ListParams::default()).await;
        let listed = listed.map(|list| list.items).unwrap_or_default();
        let ready = listed.iter().filter(|member| is_ready(member));
        let ready: Vec<String> = ready.map(ResourceExt::name_any).collect();
        let missing = members.keys().filter(|name| !ready.contains(name));
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        if missing.is_empty() {
            return;
        }
        if Instant::now() >= end {
            println!("Not ready after {PATIENCE:?}: {}.", missing.join(", "));
            return;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn is_ready(member: &MemberCluster) -> bool {
    let status = member.status.as_ref();
    let mut conditions = status.iter().flat_map(|status| &status.conditions);
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
