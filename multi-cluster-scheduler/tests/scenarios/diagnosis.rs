//! Said as it is: a status that others wipe, and fights with other writers on members.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::e2e::{World, condition, eventually, holds};
use lab::scenarios;
use serde_json::{Value, json};

use crate::main_job::deployment;

scenarios!(
    a_status_that_is_wiped_is_written_again,
    a_fight_with_another_writer_backs_off_and_names_it,
    a_deployment_that_others_delete_is_not_made_again_at_full_speed,
    a_fight_over_a_dependency_backs_off_and_names_it,
    retained_replicas_are_left_to_a_members_own_writer,
    another_retained_field_is_left_to_a_members_own_writer,
);

/// The status, less what only the order of writes changes.
fn essence(status: &Value) -> Value {
    let transition = |kind: &str| condition(&json!({ "status": status }), kind);
    json!([
        status["replicas"],
        status["readyReplicas"],
        status["clusters"],
        status["decision"]["sequence"],
        transition("Available"),
        transition("Placed"),
    ])
}

async fn a_status_that_is_wiped_is_written_again(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    world
        .apply(&deployment("hello", &json!({ "clusters": ["cluster1"] })))
        .await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    let before = world.get("cluster0", "mcd/hello").await?["status"].clone();
    let copy = world.get("cluster1", "deployment/hello").await?;
    let namespace = world.namespace();
    let emptied = json!({ "status": { "replicas": 0, "placements": null, "conditions": null } });
    for patch in [json!({ "status": null }), emptied] {
        let patch = patch.to_string();
        let wipe = [
            "patch",
            "mcd/hello",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        world
            .kubectl(&[&["-n", &namespace][..], &wipe].concat())
            .await?;
        eventually("the status is written again", async || {
            let now = world.get("cluster0", "mcd/hello").await?["status"].clone();
            let (now, before) = (essence(&now), essence(&before));
            Ok(holds(now == before, || {
                format!("{now} instead of {before}")
            }))
        })
        .await?;
    }
    let now = world.get("cluster1", "deployment/hello").await?;
    for field in ["uid", "generation"] {
        ensure!(
            now["metadata"][field] == copy["metadata"][field],
            "{field} of the copy changed"
        );
    }
    // A status that is wiped does not stand in the way of the next decision.
    world
        .patch("mcd/hello", &json!({ "spec": { "replicas": 3 } }))
        .await?;
    world.until_replicas("hello", [Some(3), None, None]).await
}

/// Does something to an object on `cluster1` whenever the operator has undone it, until that was five
/// times; how long it took.
async fn fight(
    world: &World,
    object: &str,
    is_ours: impl Fn(&Value) -> bool,
    undo: &[&str],
) -> Result<Duration> {
    let started = Instant::now();
    let mut times = 0;
    eventually("five times put back", async || {
        if is_ours(&world.get("cluster1", object).await?) {
            world.on("cluster1", undo).await?;
            times += 1;
        }
        Ok(holds(times == 5, || format!("{times} times")))
    })
    .await?;
    Ok(started.elapsed())
}

async fn a_fight_with_another_writer_backs_off_and_names_it(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    world
        .apply(&deployment("hello", &json!({ "clusters": ["cluster1"] })))
        .await?;
    world.until_replicas("hello", [Some(2), None, None]).await?;
    let namespace = world.namespace();
    let patch = r#"{"spec":{"replicas":1}}"#;
    let undo = [
        "-n",
        &namespace,
        "patch",
        "deployment/hello",
        "--type=merge",
        "--field-manager=local-scaler",
        "-p",
        patch,
    ];
    let is_ours = |now: &Value| now["spec"]["replicas"] == 2;
    let took = fight(world, "deployment/hello", is_ours, &undo).await?;
    // Put back at once, and after 1, 2 and 4 seconds.
    ensure!(took > Duration::from_secs(6), "five times within {took:?}");
    let message = world
        .until_condition("mcd/hello", "Conflict", "True", "Contested")
        .await?;
    for words in [
        "cluster1",
        "local-scaler sets spec.replicas",
        "spec.retain: [replicas]",
    ] {
        ensure!(message.contains(words), "{message}");
    }
    let status = world.get("cluster0", "mcd/hello").await?["status"].clone();
    let problem = status["placements"][0]["problem"].as_str();
    ensure!(
        problem.is_some_and(|problem| problem.contains("local-scaler")),
        "{status}"
    );

    // What the message says helps.
    world
        .patch("mcd/hello", &json!({ "spec": { "retain": ["replicas"] } }))
        .await?;
    world
        .patch(
            "mcd/hello",
            &json!({ "spec": { "template": { "metadata": { "labels": { "version": "2" } } } } }),
        )
        .await?;
    eventually("the change arrives, and the replicas stay", async || {
        let now = world.get("cluster1", "deployment/hello").await?;
        let spec = &now["spec"];
        let arrived = spec["template"]["metadata"]["labels"]["version"] == "2";
        Ok(holds(arrived && spec["replicas"] == 1, || spec.to_string()))
    })
    .await
}

async fn a_deployment_that_others_delete_is_not_made_again_at_full_speed(
    world: &World,
) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    world
        .apply(&deployment("hello", &json!({ "clusters": ["cluster1"] })))
        .await?;
    world.until_replicas("hello", [Some(2), None, None]).await?;
    let namespace = world.namespace();
    let undo = ["-n", &namespace, "delete", "deployment/hello"];
    let is_ours = |now: &Value| !now.is_null();
    let took = fight(world, "deployment/hello", is_ours, &undo).await?;
    ensure!(took > Duration::from_secs(6), "five times within {took:?}");
    let message = world
        .until_condition("mcd/hello", "Conflict", "True", "Contested")
        .await?;
    ensure!(message.contains("another client deletes"), "{message}");
    Ok(())
}

async fn a_fight_over_a_dependency_backs_off_and_names_it(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    world
        .apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" }, "data": { "mode": "hub" },
        }))
        .await?;
    let fields = json!({ "clusters": ["cluster1"], "template": { "spec": { "containers": [{
        "name": "hello", "image": "hello:1", "envFrom": [{ "configMapRef": { "name": "settings" } }],
    }] } } });
    world.apply(&deployment("hello", &fields)).await?;
    world
        .until_condition("mcd/hello", "Progressing", "False", "Complete")
        .await?;
    let namespace = world.namespace();
    let patch = r#"{"data":{"mode":"local"}}"#;
    let undo = [
        "-n",
        &namespace,
        "patch",
        "configmap/settings",
        "--type=merge",
        "--field-manager=local-editor",
        "-p",
        patch,
    ];
    let is_ours = |now: &Value| now["data"]["mode"] == "hub";
    let took = fight(world, "configmap/settings", is_ours, &undo).await?;
    ensure!(took > Duration::from_secs(6), "five times within {took:?}");
    let message = world
        .until_condition("mcd/hello", "Conflict", "True", "Contested")
        .await?;
    let object = format!("ConfigMap {namespace}/settings");
    for words in ["cluster1", "local-editor sets data.mode", object.as_str()] {
        ensure!(message.contains(words), "{message}");
    }
    // A deployment has no field that would leave it to others.
    ensure!(!message.contains("spec.retain"), "{message}");
    eventually("the last word is the hub's", async || {
        let now = world.get("cluster1", "configmap/settings").await?;
        Ok(holds(is_ours(&now), || now.to_string()))
    })
    .await
}

fn image(tag: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "hello", "image": format!("hello:{tag}") },
    ] } } } })
}

async fn retained_replicas_are_left_to_a_members_own_writer(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let fields = json!({ "clusters": ["cluster1"], "retain": ["replicas"] });
    world.apply(&deployment("hello", &fields)).await?;
    world.until_replicas("hello", [Some(2), None, None]).await?;
    let until = async |tag: &str, replicas: u64| {
        eventually(&format!("hello:{tag} runs {replicas} times"), async || {
            let object = world.get("cluster0", "mcd/hello").await?;
            let copy = world.get("cluster1", "deployment/hello").await?;
            let image = &copy["spec"]["template"]["spec"]["containers"][0]["image"];
            let complete = condition(&object, "Progressing")["reason"] == "Complete"
                && condition(&object, "Available")["reason"] == "AllAvailable"
                && condition(&object, "Conflict")["reason"] == "NoConflict"
                && object["status"]["readyReplicas"] == replicas;
            let holding = *image == format!("hello:{tag}")
                && copy["spec"]["replicas"] == replicas
                && copy["status"]["availableReplicas"] == replicas;
            Ok(holds(complete && holding, || {
                format!("{} {}", object["status"], copy["spec"])
            }))
        })
        .await
    };
    until("1", 2).await?;
    // While nobody else sets it, it stays as it is.
    world.patch("mcd/hello", &image("2")).await?;
    until("2", 2).await?;
    let namespace = world.namespace();
    let scale = async |replicas: &str| {
        let arguments = ["-n", &namespace, "scale", "deployment/hello", replicas];
        world.on("cluster1", &arguments).await
    };
    scale("--replicas=4").await?;
    until("2", 4).await?;
    world.patch("mcd/hello", &image("3")).await?;
    until("3", 4).await?;
    scale("--replicas=1").await?;
    until("3", 1).await?;
    // Without it the share counts again.
    world
        .patch("mcd/hello", &json!({ "spec": { "retain": null } }))
        .await?;
    until("3", 2).await
}

async fn another_retained_field_is_left_to_a_members_own_writer(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let fields =
        json!({ "clusters": ["cluster1"], "minReadySeconds": 1, "retain": ["minReadySeconds"] });
    world.apply(&deployment("hello", &fields)).await?;
    let until = async |tag: &str, seconds: u64| {
        let what = format!("hello:{tag} is available after {seconds} seconds");
        eventually(&what, async || {
            let object = world.get("cluster0", "mcd/hello").await?;
            let copy = world.get("cluster1", "deployment/hello").await?;
            let image = &copy["spec"]["template"]["spec"]["containers"][0]["image"];
            let complete = condition(&object, "Progressing")["reason"] == "Complete"
                && condition(&object, "Available")["reason"] == "AllAvailable"
                && condition(&object, "Conflict")["reason"] == "NoConflict";
            let holding = *image == format!("hello:{tag}")
                && copy["spec"]["minReadySeconds"] == seconds
                && copy["spec"]["replicas"] == 2;
            Ok(holds(complete && holding, || {
                format!("{} {}", object["status"], copy["spec"])
            }))
        })
        .await
    };
    until("1", 1).await?;
    // While no one else sets it, it stays as it is.
    world.patch("mcd/hello", &image("2")).await?;
    until("2", 1).await?;
    let namespace = world.namespace();
    let arguments = [
        "-n",
        &namespace,
        "patch",
        "deployment/hello",
        "--type=merge",
        "--field-manager=local-team",
        "-p",
        r#"{"spec":{"minReadySeconds":2}}"#,
    ];
    world.on("cluster1", &arguments).await?;
    until("2", 2).await?;
    world.patch("mcd/hello", &image("3")).await?;
    until("3", 2).await?;
    // Without it the hub's value counts again.
    world
        .patch("mcd/hello", &json!({ "spec": { "retain": null } }))
        .await?;
    until("3", 1).await
}
