//! The members as the hub knows them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use federation::api::{LABEL_SOURCE, MemberCluster};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::time::Instant;

use crate::operators::Operators;
use crate::stdout;

/// How often it is asked whether all is ready.
const INTERVAL: Duration = Duration::from_millis(20);
/// After this it goes on without those that are not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes an object for each member, with its region, as the scheduler would have it by its context
/// a little later. Those of members that are not started any more go.
pub(crate) async fn announce(
    hub: &Client,
    regions: &BTreeMap<String, Option<String>>,
) -> Result<()> {
    let api: Api<MemberCluster> = Api::all(hub.clone());
    let ours = ListParams::default().labels(&format!("{LABEL_SOURCE}=kubeconfig"));
    for known in api.list(&ours).await?.items {
        let name = known.name_any();
        if !regions.contains_key(&name) {
            remove(&api, &name)
                .await
                .with_context(|| format!("MemberCluster {name}"))?;
        }
    }
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

/// Removes a member that is not started any more: it cannot be drained, and nothing runs there.
async fn remove(api: &Api<MemberCluster>, name: &str) -> kube::Result<()> {
    api.delete(name, &DeleteParams::default()).await?;
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    match api
        .patch_metadata(name, &PatchParams::default(), &patch)
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        patched => patched.map(drop),
    }
}

/// Waits until the operators know what the members hold.
pub(crate) async fn until_ready(operators: &Operators) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !operators.are_ready() {
        if Instant::now() >= end {
            return stdout::print("The operators do not know all members yet; see the table.\n");
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(())
}
