//! What goes wrong at members. After each: nothing lost, nothing twice, and the status true.

use lab::e2e::{MEMBERS, World, eventually};
use lab::scenarios;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::real::proxy::{Fault, FaultProxy};
use serde_json::{Value, json};

use crate::main_job::{deployment, everywhere};

scenarios!(
    a_template_that_members_refuse,
    a_foreign_object_of_the_same_name,
    a_missing_namespace_is_made_and_goes_with_the_hubs,
    a_member_that_is_down_hangs_or_answers_with_errors,
    deletion_while_a_member_is_away,
    a_change_by_hand_is_put_back,
    cordon_and_taints,
    a_lost_member_is_replaced_and_comes_back,
);

fn image(tag: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "hello", "image": format!("hello:{tag}") }] } } } })
}

async fn until_images(world: &World, wanted: [&str; 3]) -> Result<()> {
    eventually(&format!("images {wanted:?}"), async || {
        let mut now = Vec::new();
        for (member, _) in MEMBERS
            .iter()
            .zip(wanted)
            .filter(|(_, image)| !image.is_empty())
        {
            let found = world.get(member, "deployment/hello").await?;
            now.push(
                found["spec"]["template"]["spec"]["containers"][0]["image"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
        let wanted: Vec<_> = wanted
            .iter()
            .filter(|image| !image.is_empty())
            .map(|tag| format!("hello:{tag}"))
            .collect();
        Ok(if now == wanted {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        })
    })
    .await
}

async fn a_template_that_members_refuse(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let mut fields = everywhere();
    fields["template"] = json!({ "spec": { "restartPolicy": "OnFailure" } });
    world.apply(&deployment("refused", &fields)).await?;
    let message = world
        .until_condition("mcd/refused", "Progressing", "False", "Rejected")
        .await?;
    ensure!(
        message.contains("cluster1") && message.contains("restartPolicy"),
        "{message}"
    );
    world.apply(&deployment("good", &everywhere())).await?;
    world
        .until_condition("mcd/good", "Available", "True", "AllAvailable")
        .await?;
    world
        .patch(
            "mcd/refused",
            &json!({ "spec": { "template": { "spec": { "restartPolicy": "Always" } } } }),
        )
        .await?;
    world
        .until_condition("mcd/refused", "Available", "True", "AllAvailable")
        .await?;
    Ok(())
}

async fn a_foreign_object_of_the_same_name(world: &World) -> Result<()> {
    let namespace = world.namespace();
    world
        .on("cluster2", &["create", "namespace", &namespace])
        .await?;
    world
        .on(
            "cluster2",
            &[
                "-n",
                &namespace,
                "create",
                "deployment",
                "hello",
                "--image=foreign:1",
            ],
        )
        .await?;
    world
        .on(
            "cluster2",
            &[
                "-n",
                &namespace,
                "wait",
                "--for=condition=Available",
                "deployment/hello",
            ],
        )
        .await?;
    let before = world.get("cluster2", "deployment/hello").await?;
    let _operator = world.operator(&[]).await?;
    world.apply(&deployment("hello", &everywhere())).await?;
    let message = world
        .until_condition("mcd/hello", "Conflict", "True", "ForeignObject")
        .await?;
    ensure!(message.contains("cluster2"), "{message}");
    eventually("the others are served", async || {
        let now = world.replicas("hello").await?;
        Ok(if now == [Some(2), Some(1), Some(2)] {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        })
    })
    .await?;
    let after = world.get("cluster2", "deployment/hello").await?;
    ensure!(
        before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"],
        "the foreign object was written"
    );
    world
        .on(
            "cluster2",
            &["-n", &namespace, "delete", "deployment", "hello"],
        )
        .await?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    world
        .until_condition("mcd/hello", "Conflict", "False", "NoConflict")
        .await?;
    Ok(())
}

async fn a_missing_namespace_is_made_and_goes_with_the_hubs(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let namespace = world.namespace();
    world.apply(&deployment("hello", &everywhere())).await?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    let hub = world
        .kubectl(&[
            "get",
            "namespace",
            "kube-system",
            "-o",
            "jsonpath={.metadata.uid}",
        ])
        .await?;
    let label = world
        .on(
            "cluster1",
            &[
                "get",
                "namespace",
                &namespace,
                "-o",
                r"jsonpath={.metadata.labels.fogguru\.eu/hub}",
            ],
        )
        .await?;
    ensure!(
        label == hub,
        "the namespace carries {label:?}, the hub is {hub:?}"
    );
    world
        .kubectl(&["delete", "namespace", &namespace, "--wait=false"])
        .await?;
    for member in MEMBERS {
        eventually(&format!("the namespace leaves {member}"), async || {
            let found = world
                .on(
                    member,
                    &[
                        "get",
                        "namespace",
                        &namespace,
                        "--ignore-not-found",
                        "-o",
                        "name",
                    ],
                )
                .await?;
            Ok(if found.is_empty() { Ok(()) } else { Err(found) })
        })
        .await?;
    }
    Ok(())
}

async fn a_member_that_is_down_hangs_or_answers_with_errors(world: &World) -> Result<()> {
    let proxy = FaultProxy::start(&*world.lab.cluster("cluster2")?).await?;
    let servers = BTreeMap::from([("cluster2".to_owned(), proxy.url())]);
    let kubeconfig = world.lab.kubeconfig_through("through-proxy", &servers)?;
    let through = std::fs::read_to_string(&kubeconfig)?;
    world.write_as_operator(&kubeconfig, &through).await?;
    let operator = world.candidate(&kubeconfig, &[])?;
    operator.ready().await?;
    world.apply(&deployment("hello", &everywhere())).await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    let faults = [
        ("1", Fault::Status(500)),
        (
            "2",
            Fault::TooManyRequests {
                retry_after: Duration::from_secs(1),
            },
        ),
        ("3", Fault::Hang),
        ("4", Fault::Cut),
    ];
    for (tag, fault) in faults {
        proxy.set(fault);
        world.patch("mcd/hello", &image(tag)).await?;
        until_images(world, [tag, "", tag]).await?;
        world
            .until_condition("mcd/hello", "Available", "False", "MemberUnreachable")
            .await?;
        proxy.set(Fault::None);
        until_images(world, [tag, tag, tag]).await?;
        world
            .until_condition("mcd/hello", "Available", "True", "AllAvailable")
            .await?;
    }
    world.lab.cluster("cluster3")?.stop().await?;
    world.patch("mcd/hello", &image("5")).await?;
    until_images(world, ["5", "5", ""]).await?;
    world
        .until_condition("mcd/hello", "Available", "False", "MemberUnreachable")
        .await?;
    world.lab.cluster("cluster3")?.start().await?;
    until_images(world, ["5", "5", "5"]).await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    ensure!(
        world.replicas("hello").await? == [Some(2); 3],
        "replicas were lost or doubled"
    );
    Ok(())
}

async fn deletion_while_a_member_is_away(world: &World) -> Result<()> {
    let _operator = world.operator(&["--deletion-grace=8s"]).await?;
    world.apply(&deployment("hello", &everywhere())).await?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    let away = world.lab.cluster("cluster2")?;
    away.stop().await?;
    world
        .until_condition("mcd/hello", "Available", "False", "MemberUnreachable")
        .await?;
    world.delete("mcd/hello").await?;
    let message = world
        .until_condition("mcd/hello", "Progressing", "True", "WaitingForMember")
        .await?;
    ensure!(message.contains("cluster2"), "{message}");
    world.until_gone("mcd/hello").await?;
    let leftovers = format!(
        "jsonpath={{.items[?(@.spec.object.namespace=='{}')].spec}}",
        world.namespace()
    );
    let leftovers = ["get", "leftovers", "-o", &leftovers];
    let recorded = world.kubectl(&leftovers).await?;
    ensure!(
        recorded.contains(r#""member":"cluster2""#) && recorded.contains(r#""name":"hello""#),
        "on record: {recorded:?}"
    );
    for member in ["cluster1", "cluster3"] {
        let left = world.left_on(member).await?;
        ensure!(left.is_empty(), "{member} still has {left}");
    }
    away.start().await?;
    eventually("what was left is collected", async || {
        let left = world.left_on("cluster2").await?;
        let recorded = world.kubectl(&leftovers).await?;
        Ok(if left.is_empty() && recorded.is_empty() {
            Ok(())
        } else {
            Err(format!("{left} {recorded}"))
        })
    })
    .await
}

async fn a_change_by_hand_is_put_back(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let namespace = world.namespace();
    world.apply(&deployment("hello", &everywhere())).await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    world
        .on(
            "cluster1",
            &[
                "-n",
                &namespace,
                "scale",
                "deployment/hello",
                "--replicas=7",
            ],
        )
        .await?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    world
        .on(
            "cluster2",
            &[
                "-n",
                &namespace,
                "set",
                "image",
                "deployment/hello",
                "hello=other:1",
            ],
        )
        .await?;
    until_images(world, ["1", "1", "1"]).await?;
    world
        .on(
            "cluster3",
            &["-n", &namespace, "delete", "deployment/hello"],
        )
        .await?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    Ok(())
}

async fn cordon_and_taints(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let cluster = async |name: &str, patch: Value| {
        world
            .kubectl(&[
                "patch",
                "membercluster",
                name,
                "--type=merge",
                "-p",
                &patch.to_string(),
            ])
            .await
    };
    cluster("cluster1", json!({ "spec": { "unschedulable": true } })).await?;
    cluster("cluster2", json!({ "spec": { "taints": [{ "key": "edge", "value": "yes", "effect": "NoSchedule" }] } })).await?;
    eventually("the scheduler has seen both", async || {
        let seen = world.kubectl(&["get", "memberclusters", "-o", "jsonpath={range .items[*]}{.metadata.generation}={.status.observedGeneration} {end}"]).await?;
        let all = seen.split_whitespace().all(|pair| pair.split_once('=').is_some_and(|(a, b)| a == b));
        Ok(if all { Ok(()) } else { Err(seen) })
    })
    .await?;
    let any = json!({ "numberOfLocations": 3, "placementPolicy": "first_fit" });
    world.apply(&deployment("hello", &any)).await?;
    world.until_replicas("hello", [None, None, Some(2)]).await?;
    world
        .until_condition("mcd/hello", "Placed", "False", "InsufficientCapacity")
        .await?;
    let said =
        world.get("cluster0", "mcd/hello").await?["status"]["decision"]["clusters"].to_string();
    ensure!(
        said.contains("cordoned") && said.contains("taint edge=yes:NoSchedule is not tolerated"),
        "{said}"
    );
    let mut tolerant = any.clone();
    tolerant["tolerations"] = json!([{ "key": "edge", "operator": "Exists" }]);
    world.apply(&deployment("tolerant", &tolerant)).await?;
    world
        .until_replicas("tolerant", [None, Some(2), Some(2)])
        .await?;
    // Room appears: what waits is placed by itself.
    cluster("cluster1", json!({ "spec": { "unschedulable": false } })).await?;
    world
        .until_replicas("hello", [Some(2), None, Some(2)])
        .await?;
    // One that is evacuated keeps what has no other place, and is left when there is one.
    cluster(
        "cluster3",
        json!({ "spec": { "taints": [{ "key": "broken", "effect": "NoExecute" }] } }),
    )
    .await?;
    let why = "stays until its replacements elsewhere are ready";
    eventually("its replicas are about to leave", async || {
        let status = world.get("cluster0", "mcd/hello").await?["status"].clone();
        let leaving =
            status["placements"][1]["leaving"] == 2 && status["placements"][1]["why"] == why;
        Ok(if leaving {
            Ok(())
        } else {
            Err(status.to_string())
        })
    })
    .await?;
    world
        .until_replicas("hello", [Some(2), None, Some(2)])
        .await?;
    cluster("cluster2", json!({ "spec": { "taints": [] } })).await?;
    world
        .until_replicas("hello", [Some(2), Some(2), None])
        .await?;
    Ok(())
}

async fn a_lost_member_is_replaced_and_comes_back(world: &World) -> Result<()> {
    let _operator = world.operator(&["--cluster-toleration=3s"]).await?;
    world
        .apply(&deployment(
            "hello",
            &json!({ "numberOfLocations": 2, "placementPolicy": "first_fit" }),
        ))
        .await?;
    world
        .until_replicas("hello", [Some(2), Some(2), None])
        .await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    let lost = world.lab.cluster("cluster2")?;
    lost.stop().await?;
    eventually("its replicas run elsewhere", async || {
        let found = world.get("cluster3", "deployment/hello").await?;
        Ok(if found["status"]["availableReplicas"] == 2 {
            Ok(())
        } else {
            Err(found["status"].to_string())
        })
    })
    .await?;
    let status = world.get("cluster0", "mcd/hello").await?["status"].clone();
    ensure!(status["replicas"] == 4, "{status}");
    lost.start().await?;
    world
        .until_replicas("hello", [Some(2), None, Some(2)])
        .await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    Ok(())
}
