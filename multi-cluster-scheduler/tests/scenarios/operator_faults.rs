//! What goes wrong with the operator itself: races, kills, copies and pauses. After each: nothing
//! lost, nothing twice, and the status true.

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::ApiResource;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use lab::e2e::{MEMBERS, World, condition, eventually};
use lab::scenarios;
use serde_json::{Value, json};

use crate::main_job::{deployment, everywhere};

/// More deployments than a member is brought at the same time.
const BURST: usize = 40;

scenarios!(
    two_deployments_for_the_last_slot,
    killed_between_two_members,
    told_to_stop_it_delivers_first_what_is_on_record,
    two_copies_and_a_takeover,
    a_suspended_leader_does_not_write,
    deleted_while_they_are_being_placed,
);

async fn two_deployments_for_the_last_slot(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let node = world
        .on(
            "cluster1",
            &["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"],
        )
        .await?;
    world
        .on(
            "cluster1",
            &["label", "node", &node, "slot=last", "--overwrite"],
        )
        .await?;
    let fields = json!({
        "replicas": 1, "placementPolicy": "worst_fit",
        "template": { "spec": {
            "nodeSelector": { "slot": "last" },
            "containers": [{ "name": "hello", "image": "hello:1", "resources": { "requests": { "cpu": "3" } } }],
        } },
    });
    let both = json!({ "apiVersion": "v1", "kind": "List", "items": [deployment("first", &fields), deployment("second", &fields)] });
    world.apply(&both).await?;
    let mut loser = "";
    eventually("one is placed and one is not", async || {
        let placed = |object: &Value| object["status"]["replicas"].as_u64().unwrap_or(0);
        let (first, second) = (
            world.get("cluster0", "mcd/first").await?,
            world.get("cluster0", "mcd/second").await?,
        );
        loser = if placed(&first) == 1 {
            "second"
        } else {
            "first"
        };
        let waiting = [&first, &second]
            .iter()
            .any(|one| condition(one, "Placed")["reason"] == "InsufficientCapacity");
        Ok(if placed(&first) + placed(&second) == 1 && waiting {
            Ok(())
        } else {
            Err(format!("{} {}", first["status"], second["status"]))
        })
    })
    .await?;
    let winner = if loser == "first" { "second" } else { "first" };
    world
        .until_condition(
            &format!("mcd/{winner}"),
            "Available",
            "True",
            "AllAvailable",
        )
        .await?;
    world
        .until_condition(
            &format!("mcd/{loser}"),
            "Placed",
            "False",
            "InsufficientCapacity",
        )
        .await?;
    world.delete(&format!("mcd/{winner}")).await?;
    world
        .until_condition(&format!("mcd/{loser}"), "Available", "True", "AllAvailable")
        .await?;
    world
        .on("cluster1", &["label", "node", &node, "slot-"])
        .await?;
    Ok(())
}

async fn killed_between_two_members(world: &World) -> Result<()> {
    let operator = world.operator(&["--probe-interval=30s"]).await?;
    let away = world.lab.cluster("cluster3")?;
    away.pause();
    world.apply(&deployment("hello", &everywhere())).await?;
    eventually("two of three members are written", async || {
        let mut now = [None; 2];
        for (member, replicas) in MEMBERS.iter().zip(&mut now) {
            *replicas = world.get(member, "deployment/hello").await?["spec"]["replicas"].as_u64();
        }
        Ok(if now == [Some(2); 2] {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        })
    })
    .await?;
    operator.kill()?;
    away.resume();
    let _again = world.operator(&[]).await?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    let first = world.get("cluster1", "deployment/hello").await?;
    ensure!(
        first["metadata"]["generation"] == 1,
        "what was there was written again: {}",
        first["metadata"]
    );
    let status = world.get("cluster0", "mcd/hello").await?["status"].clone();
    ensure!(
        status["replicas"] == 6 && status["decision"]["sequence"] == 1,
        "{status}"
    );
    Ok(())
}

/// A member is slow, so what is on record waits to be delivered to it. Stopped meanwhile, the
/// scheduler delivers that, and nothing else.
async fn told_to_stop_it_delivers_first_what_is_on_record(world: &World) -> Result<()> {
    let operator = world
        .operator(&["--deadline=60s", "--probe-interval=60s"])
        .await?;
    let slow = world.lab.cluster("cluster3")?;
    slow.pause();
    let burst: Vec<Value> = (0..BURST)
        .map(|number| deployment(&format!("burst-{number}"), &everywhere()))
        .collect();
    let burst = json!({ "apiVersion": "v1", "kind": "List", "items": burst });
    world.apply(&burst).await?;
    eventually("all are on record", async || {
        let found = recorded(world).await?.len();
        let all = found == BURST * MEMBERS.len();
        Ok(all.then_some(()).ok_or_else(|| format!("{found}")))
    })
    .await?;
    // The signal is sent first.
    let (ended, ()) = futures::join!(operator.stop(), async { slow.resume() });
    let ended = ended?;
    ensure!(ended.success(), "{ended}");

    let recorded = recorded(world).await?;
    let mut delivered = Vec::new();
    for member in MEMBERS {
        let namespace = world.namespace();
        let names = "jsonpath={range .items[*]}{.metadata.name}{' '}{end}";
        let found = world
            .on(
                member,
                &["-n", &namespace, "get", "deployments", "-o", names],
            )
            .await?;
        delivered
            .extend((found.split_whitespace()).map(|name| (name.to_owned(), member.to_owned())));
    }
    delivered.sort();
    ensure!(
        delivered == recorded,
        "on record:\n{recorded:?}\non the members:\n{delivered:?}"
    );

    Ok(())
}

/// The deployments that the hub has a placement of, with the member.
async fn recorded(world: &World) -> Result<Vec<(String, String)>> {
    let list = world.get("cluster0", "mcd").await?;
    let mut recorded = Vec::new();
    for object in list["items"].as_array().into_iter().flatten() {
        for placement in object["status"]["placements"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            recorded.push((
                text(&object["metadata"]["name"]),
                text(&placement["cluster"]),
            ));
        }
    }
    recorded.sort();
    Ok(recorded)
}

async fn two_copies_and_a_takeover(world: &World) -> Result<()> {
    let first = world.operator(&["--identity=first"]).await?;
    // Once it leads it is to stay, also while the hub is busy.
    let patient = ["--identity=second", "--lease-duration=15s"];
    let second = world.another(&patient).await?;
    world.apply(&deployment("hello", &everywhere())).await?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    ensure!(
        !second.get("/readyz").await?.starts_with("HTTP/1.1 200"),
        "a copy without the lease says that it is ready"
    );
    first.kill()?;
    second.ready().await?;
    world
        .patch("mcd/hello", &json!({ "spec": { "replicas": 3 } }))
        .await?;
    world.until_replicas("hello", [Some(3); 3]).await
}

async fn a_suspended_leader_does_not_write(world: &World) -> Result<()> {
    let mut first = world.operator(&["--identity=first"]).await?;
    world.apply(&deployment("hello", &everywhere())).await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    first.suspend()?;
    let second = world.operator(&["--identity=second"]).await?;
    // It will find this change when it goes on, and must leave it to the other.
    world
        .patch("mcd/hello", &json!({ "spec": { "replicas": 3 } }))
        .await?;
    world.until_replicas("hello", [Some(3); 3]).await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    let before = world.get("cluster0", "mcd/hello").await?;
    first.resume()?;
    let ended = first.ended().await?;
    ensure!(
        !ended.success(),
        "a leader that lost its lease ended as if all were well"
    );
    let after = world.get("cluster0", "mcd/hello").await?;
    ensure!(
        before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"],
        "it wrote: {}",
        after["metadata"]
    );
    world
        .patch("mcd/hello", &json!({ "spec": { "replicas": 1 } }))
        .await?;
    world.until_replicas("hello", [Some(1); 3]).await?;
    drop(second);
    Ok(())
}

/// Objects that are deleted as soon as the last member has got them: what is under way then must
/// not be taken for what comes after.
async fn deleted_while_they_are_being_placed(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let resource = ApiResource {
        group: "fogguru.eu".to_owned(),
        version: "v1".to_owned(),
        api_version: "fogguru.eu/v1".to_owned(),
        kind: "MultiClusterDeployment".to_owned(),
        plural: "multiclusterdeployments".to_owned(),
    };
    let namespace = world.namespace();
    let hub = world.lab.client("cluster0").await?;
    let objects: Api<DynamicObject> = Api::namespaced_with(hub, &namespace, &resource);
    let member = world.lab.client("cluster3").await?;
    let copies: Api<Deployment> = Api::namespaced(member, &namespace);
    for number in 0..60 {
        let name = format!("short-{number}");
        let object = serde_json::from_value(deployment(&name, &everywhere()))?;
        objects.create(&PostParams::default(), &object).await?;
        // Some are deleted while they are decided, most while they are delivered.
        if number % 4 > 0 {
            await_condition(copies.clone(), &name, |copy: Option<&Deployment>| {
                copy.is_some()
            })
            .await?;
        }
        objects.delete(&name, &DeleteParams::default()).await?;
    }
    eventually("all have left the hub", async || {
        let left = objects.list(&ListParams::default()).await?;
        let names: Vec<_> = left.iter().map(ResourceExt::name_any).collect();
        Ok(names
            .is_empty()
            .then_some(())
            .ok_or_else(|| names.join(", ")))
    })
    .await?;
    for member in MEMBERS {
        let left = world.left_on(member).await?;
        ensure!(left.is_empty(), "{member} still has {left}");
    }
    Ok(())
}
