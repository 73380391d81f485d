//! What a Deployment takes is taken, and runs on the members as a Deployment's template does.

use anyhow::{Result, ensure};
use lab::e2e::{World, eventually, holds};
use lab::scenarios;
use serde_json::{Value, json};

use crate::main_job::deployment;

scenarios!(
    nulls_and_numbers_reach_the_members_as_a_deployment_reads_them,
    a_field_newer_than_the_hub_goes_by_an_override,
    a_job_of_no_completions_is_complete_at_once,
    names_that_members_refuse_are_refused
);

/// A template as a chart leaves it.
fn template(app: &str) -> Value {
    json!({
        "metadata": {
            "creationTimestamp": null,
            "labels": { "app": app, "team": null },
            "annotations": null,
        },
        "spec": {
            "nodeSelector": null, "affinity": { "nodeAffinity": null }, "tolerations": [],
            "initContainers": null, "imagePullSecrets": null, "securityContext": {},
            "volumes": [{ "name": "scratch", "emptyDir": { "sizeLimit": 1_000_000_000 } }],
            "containers": [{
                "name": "c", "image": "i:1", "command": null, "args": ["a", null],
                "env": [{ "name": "EMPTY", "value": null }], "ports": null,
                "resources": {
                    "requests": { "cpu": 0.25, "memory": 67_108_864 }, "limits": { "cpu": 0.5 },
                },
                "livenessProbe": null, "lifecycle": null,
            }],
        },
    })
}

async fn nulls_and_numbers_reach_the_members_as_a_deployment_reads_them(
    world: &World,
) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let mut fields = json!({
        "locations": "cluster1", "replicas": null, "strategy": null, "policyParameters": null,
        "clusterReplicas": null, "tolerations": null, "clusterSelector": null, "origin": null,
    });
    fields["selector"] =
        json!({ "matchLabels": { "app": "left-empty" }, "matchExpressions": null });
    fields["template"] = template("left-empty");
    let object = deployment("left-empty", &fields);
    let refused = world
        .refused_by(&["apply", "--server-side"], &object)
        .await?;
    ensure!(refused.is_empty(), "{refused}");
    world
        .until_replicas("left-empty", [Some(1), None, None])
        .await?;
    let plain = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "plain" },
        "spec": {
            "replicas": 0, "selector": { "matchLabels": { "app": "left-empty" } },
            "template": template("left-empty"),
        },
    });
    let refused = world
        .refused_by(&["--context", "cluster1", "create"], &plain)
        .await?;
    ensure!(refused.is_empty(), "{refused}");
    let of = async |name: &str| -> Result<Value> {
        let object = world.get("cluster1", &format!("deployment/{name}")).await?;
        Ok(object["spec"]["template"].clone())
    };
    let (ours, plain) = (of("left-empty").await?, of("plain").await?);
    ensure!(ours["spec"] == plain["spec"], "{ours}\n{plain}");
    let container = &ours["spec"]["containers"][0];
    ensure!(
        container["resources"]["requests"] == json!({ "cpu": "250m", "memory": "67108864" }),
        "{container}"
    );
    ensure!(
        ours["metadata"]["labels"]["team"] == "",
        "{}",
        ours["metadata"]
    );
    Ok(())
}

async fn a_field_newer_than_the_hub_goes_by_an_override(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    // No release knows it: the member's answer shows that it got there.
    let overrides = json!([{
        "cluster": "cluster1",
        "patch": [{ "op": "add", "path": "/spec/fieldOfTomorrow", "value": { "a": 1 } }],
    }]);
    let object = deployment(
        "newer",
        &json!({ "locations": "cluster1", "overrides": overrides }),
    );
    world.apply(&object).await?;
    eventually("the member has judged the field", async || {
        let object = world.get("cluster0", "mcd/newer").await?;
        let conditions = object["status"]["conditions"].to_string();
        Ok(holds(conditions.contains("fieldOfTomorrow"), || conditions))
    })
    .await
}

async fn a_job_of_no_completions_is_complete_at_once(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    for (name, fields) in [
        ("none", json!({ "replicas": 0 })),
        ("queue", json!({ "parallelism": 2, "completions": 0 })),
    ] {
        let mut object = json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterJob",
            "metadata": { "name": name },
            "spec": {
                "locations": "cluster1",
                "template": { "spec": { "containers": [{ "name": "c", "image": "i:1" }] } },
            },
        });
        for (field, value) in fields.as_object().into_iter().flatten() {
            object["spec"][field] = value.clone();
        }
        world.apply(&object).await?;
        let job = format!("mcj/{name}");
        world
            .until_condition(&job, "Complete", "True", "JobComplete")
            .await?;
        world
            .until_condition(&job, "Progressing", "False", "Complete")
            .await?;
    }
    Ok(())
}

async fn names_that_members_refuse_are_refused(world: &World) -> Result<()> {
    let long = "a".repeat(64);
    let job = |name: &str| {
        json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterJob",
            "metadata": { "name": name },
            "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "i:1" }] } } },
        })
    };
    let service = |name: &str| {
        json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterService",
            "metadata": { "name": name }, "spec": { "ports": [{ "port": 80 }] },
        })
    };
    for (object, words) in [
        (job(&long), "too long for a Job"),
        (service(&long), "not one that a Service may have"),
        (service("1svc"), "not one that a Service may have"),
        (service("my.svc"), "not one that a Service may have"),
    ] {
        let refused = world.refused(&object).await?;
        ensure!(
            refused.contains(words),
            "{refused:?} does not say {words:?}"
        );
    }
    for object in [
        job(&long[..63]),
        job("my.job"),
        service(&long[..63]),
        deployment(
            &format!("{long}.{long}"),
            &json!({ "selector": { "matchLabels": { "app": "x" } }, "template": { "metadata": { "labels": { "app": "x" } } } }),
        ),
    ] {
        world.apply(&object).await?;
    }
    Ok(())
}
