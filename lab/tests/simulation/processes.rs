//! Schedulers that die, and that take over from each other.

use std::time::Duration;

use federation::api::{ANNOTATION_OWNER, FIELD_MANAGER, LABEL_OWNER};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use lab::simulation::{Error, HUB, Reach, World, run};
use serde_json::json;
use tokio::time::sleep;

use crate::{hello, placed, three_members};

/// Replicas of the example that members are told to run.
async fn told(world: &World) -> Result<i32, Error> {
    let mut sum = 0;
    for name in world.members.keys() {
        let client = world.member_client(name).ok_or("no such member")?;
        let api: Api<Deployment> = Api::namespaced(client, "default");
        let found = api.get_opt("hello").await?;
        let replicas = found.and_then(|found| found.spec?.replicas);
        sum += replicas.unwrap_or(0);
    }
    Ok(sum)
}

#[test]
fn an_example_is_placed_wherever_the_scheduler_dies() {
    for point in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144] {
        let (status, told, trace) = run(async {
            let world = World::start(1, three_members()).await?;
            let scheduler = world.scheduler(&[])?;
            scheduler.kill_at(point, Duration::from_secs(3));
            world.apply(&hello()).await?;
            sleep(Duration::from_mins(2)).await;
            let trace = world.trace.text();
            Ok::<_, Error>((placed(&world).await?, told(&world).await?, trace))
        })
        .unwrap()
        .unwrap();
        assert_eq!(trace.matches("is down for 3s").count(), 1, "{point}");
        assert!(status.contains("AllPlaced"), "{point}: {status}");
        assert_eq!(told, 6, "{point}");
    }
}

#[test]
fn another_copy_leads_when_the_leader_does_not_reach_the_hub() {
    let (before, after, status) = run(async {
        let world = World::start(1, three_members()).await?;
        let leases: Api<Lease> = Api::namespaced(world.hub_client(), "mck8s-system");
        let holder = async || -> Result<String, Error> {
            let lease = leases.get("multi-cluster-scheduler").await?;
            let spec = lease.spec.ok_or("an empty lease")?;
            Ok(spec.holder_identity.ok_or("nobody leads")?)
        };
        for copy in ["a", "b"] {
            world.copy_of_scheduler(copy, &[])?;
        }
        sleep(Duration::from_secs(30)).await;
        let before = holder().await?;
        world.network.partition(&before, HUB, Reach::Silent);
        sleep(Duration::from_mins(1)).await;
        world.apply(&hello()).await?;
        sleep(Duration::from_mins(1)).await;
        Ok::<_, Error>((before, holder().await?, placed(&world).await?))
    })
    .unwrap()
    .unwrap();
    assert_ne!(before, after);
    assert!(status.contains("AllPlaced"), "{status}");
}

/// The fields that the scheduler holds of a Deployment.
fn held(live: &Deployment) -> Option<String> {
    let entries = live.metadata.managed_fields.iter().flatten();
    let ours = |name: &Option<String>| name.as_deref() == Some(FIELD_MANAGER);
    let mut entries = entries.filter(|entry| ours(&entry.manager));
    entries
        .next()?
        .fields_v1
        .as_ref()
        .map(|fields| fields.0.to_string())
}

/// It leaves every field ours, so no other manager seems to have changed anything. (The scheduler's
/// own writes name the version that they replace, so a late one is refused.)
#[test]
fn a_write_of_ours_that_comes_late_is_put_right() {
    let (same_fields, told) = run(async {
        let world = World::start(1, three_members()).await?;
        world.scheduler(&[])?;
        world.apply(&hello()).await?;
        sleep(Duration::from_mins(1)).await;
        let client = world.member_client("cluster1").ok_or("no cluster1")?;
        let api: Api<Deployment> = Api::namespaced(client, "default");
        let live = api.get("hello").await?;
        let mut spec = hello()["spec"].clone();
        spec["template"]["metadata"]["labels"][LABEL_OWNER] = json!(live.labels()[LABEL_OWNER]);
        let late = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "hello", "namespace": "default", "labels": live.labels(),
                "annotations": { ANNOTATION_OWNER: live.annotations()[ANNOTATION_OWNER] },
            },
            "spec": { "replicas": 0, "selector": spec["selector"], "template": spec["template"] },
        });
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let late: Deployment = serde_json::from_value(late)?;
        let written = api.replace("hello", &params, &late).await?;
        sleep(Duration::from_mins(1)).await;
        Ok::<_, Error>((held(&live) == held(&written), told(&world).await?))
    })
    .unwrap()
    .unwrap();
    assert!(same_fields, "the write is not like the scheduler's own");
    assert_eq!(told, 6);
}
