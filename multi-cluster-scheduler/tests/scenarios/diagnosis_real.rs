//! What real members say of objects that they do not take, and of pods that do not run. Simulated
//! members have neither admission plugins nor volumes.

use anyhow::{Result, ensure};
use lab::e2e::{MEMBERS, World, eventually, holds};
use lab::scenarios;
use serde_json::{Value, json};

use crate::main_job::deployment;

scenarios!(
    why_pods_are_not_made_is_told,
    why_pods_do_not_run_is_told,
    answers_are_named_by_what_they_are,
    what_a_member_cannot_schedule_goes_elsewhere,
);

async fn apply_on(world: &World, member: &str, object: &Value) -> Result<()> {
    let namespace = world.namespace();
    let arguments = ["--context", member, "-n", &namespace, "apply", "-f", "-"];
    let text = object.to_string();
    let output = world.lab.kubectl_with_input(&arguments, &text).await?;
    ensure!(output.success(), "{}", output.stderr);
    Ok(())
}

async fn problem(world: &World, name: &str) -> Result<String> {
    let found = world.get("cluster0", &format!("mcd/{name}")).await?;
    let problem = found["status"]["placements"][0]["problem"].as_str();
    Ok(problem.unwrap_or_default().to_owned())
}

async fn why_pods_are_not_made_is_told(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let fields = json!({
        "clusters": ["cluster1"], "progressDeadlineSeconds": 8,
        "template": { "spec": { "priorityClassName": "gold" } },
    });
    world.apply(&deployment("hello", &fields)).await?;
    let why = "no PriorityClass with name gold";
    let message = world
        .until_condition("mcd/hello", "Progressing", "True", "ReplicaFailure")
        .await?;
    ensure!(
        message.starts_with("cluster1: ") && message.contains(why),
        "{message}"
    );
    ensure!(problem(world, "hello").await?.contains(why));
    let message = world
        .until_condition(
            "mcd/hello",
            "Progressing",
            "False",
            "ProgressDeadlineExceeded",
        )
        .await?;
    ensure!(message.contains(why), "{message}");
    world
        .patch(
            "mcd/hello",
            &json!({ "spec": { "template": { "spec": { "priorityClassName": null } } } }),
        )
        .await?;
    world
        .until_condition("mcd/hello", "Progressing", "False", "Complete")
        .await?;
    // The member says so a moment after the pods are there.
    eventually("nothing is wrong any more", async || {
        let problem = problem(world, "hello").await?;
        Ok(holds(problem.is_empty(), || problem))
    })
    .await?;
    Ok(())
}

async fn why_pods_do_not_run_is_told(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    world
        .apply(&deployment("hello", &json!({ "clusters": ["cluster1"] })))
        .await?;
    world
        .until_condition("mcd/hello", "Progressing", "False", "Complete")
        .await?;
    let namespace = world.namespace();
    let pods = ["-n", &namespace, "get", "pods", "-o", "name"];
    let pods = world.on("cluster1", &pods).await?;
    let waiting =
        json!({ "reason": "ImagePullBackOff", "message": "Back-off pulling image \"hello:1\"" });
    let status = json!({ "status": {
        "containerStatuses": [{
            "name": "hello", "image": "hello:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": waiting },
        }],
        "conditions": [{ "type": "Ready", "status": "False" }],
    } })
    .to_string();
    for pod in pods.lines() {
        let patch = [
            "-n",
            &namespace,
            "patch",
            pod,
            "--subresource=status",
            "-p",
            &status,
        ];
        world.on("cluster1", &patch).await?;
    }
    let why = "2 pods: ImagePullBackOff: Back-off pulling image \"hello:1\"";
    eventually("the pods' trouble is told", async || {
        let found = problem(world, "hello").await?;
        Ok(holds(found.contains(why), || found))
    })
    .await?;
    let message = world
        .until_condition("mcd/hello", "Progressing", "True", "RollingOut")
        .await?;
    ensure!(message.contains(why), "{message}");
    Ok(())
}

/// A quota on the first member, a policy on the second, a webhook that is not there on the third.
async fn refuse_deployments(world: &World) -> Result<()> {
    let namespace = world.namespace();
    for member in MEMBERS {
        world
            .on(member, &["create", "namespace", &namespace])
            .await?;
    }
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "none" },
        "spec": { "hard": { "count/deployments.apps": "0" } },
    });
    apply_on(world, "cluster1", &quota).await?;
    let here = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
    let rules = |versions: Value| {
        json!([{
            "apiGroups": ["apps"], "apiVersions": versions, "operations": ["CREATE"], "resources": ["deployments"],
        }])
    };
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": namespace },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": rules(json!(["v1"])) },
            "validations": [{ "expression": "false", "message": "not on this cluster" }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": namespace },
        "spec": {
            "policyName": namespace, "validationActions": ["Deny"],
            "matchResources": { "namespaceSelector": here },
        },
    });
    apply_on(world, "cluster2", &policy).await?;
    apply_on(world, "cluster2", &binding).await?;
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": namespace },
        "webhooks": [{
            "name": "silent.example.org", "failurePolicy": "Fail", "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "timeoutSeconds": 1, "namespaceSelector": here,
            "clientConfig": { "url": "https://127.0.0.1:1/validate" }, "rules": rules(json!(["v1"])),
        }],
    });
    apply_on(world, "cluster3", &webhook).await?;
    eventually("the quota and the policy are in force", async || {
        let refused = async |member: &str| {
            let arguments = [
                "--context",
                member,
                "-n",
                &namespace,
                "create",
                "deployment",
                "probe",
            ];
            let probe = ["--image=probe", "--dry-run=server"];
            let arguments = [&arguments[..], &probe].concat();
            anyhow::Ok(world.lab.kubectl(&arguments).await?.stderr)
        };
        let said = [refused("cluster1").await?, refused("cluster2").await?];
        let force = said[0].contains("exceeded quota") && said[1].contains("not on this cluster");
        Ok(holds(force, || said.join("; ")))
    })
    .await
}

async fn answers_are_named_by_what_they_are(world: &World) -> Result<()> {
    refuse_deployments(world).await?;
    let namespace = world.namespace();
    let _operator = world.operator(&[]).await?;
    for (member, status, reason, words) in [
        (
            "cluster1",
            "False",
            "QuotaExceeded",
            "count/deployments.apps",
        ),
        (
            "cluster2",
            "False",
            "AdmissionDenied",
            "not on this cluster",
        ),
        ("cluster3", "True", "WebhookFailed", "silent.example.org"),
    ] {
        let fields = json!({ "clusters": [member], "overflow": "None" });
        world.apply(&deployment(member, &fields)).await?;
        let name = format!("mcd/{member}");
        let message = world
            .until_condition(&name, "Progressing", status, reason)
            .await?;
        ensure!(
            message.starts_with(member) && message.contains(words),
            "{message}"
        );
    }
    let kinds =
        "validatingadmissionpolicy,validatingadmissionpolicybinding,validatingwebhookconfiguration";
    for member in ["cluster2", "cluster3"] {
        world
            .on(member, &["delete", kinds, &namespace, "--ignore-not-found"])
            .await?;
    }
    // What passes is tried again without a change on the hub.
    world
        .until_condition("mcd/cluster3", "Progressing", "False", "Complete")
        .await?;
    Ok(())
}

/// A runtime class that one member has no nodes for: by requests there is room.
async fn what_a_member_cannot_schedule_goes_elsewhere(world: &World) -> Result<()> {
    let class = world.namespace();
    for member in MEMBERS {
        let nowhere = json!({ "nodeSelector": { "runtime": "special" } });
        let mut runtime = json!({
            "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": { "name": class },
            "handler": "special",
        });
        if member == "cluster1" {
            runtime["scheduling"] = nowhere;
        }
        apply_on(world, member, &runtime).await?;
    }
    let _operator = world.operator(&["--unschedulable-after=3s"]).await?;
    let template = json!({ "spec": { "runtimeClassName": class } });
    let fields = json!({ "clusters": ["cluster1"], "template": template, "overflow": "None" });
    world.apply(&deployment("stays", &fields)).await?;
    let fields = json!({ "clusters": ["cluster1"], "template": template });
    world.apply(&deployment("hello", &fields)).await?;
    eventually("both run on the next cluster", async || {
        let found = world.get("cluster0", "mcd/hello").await?["status"].clone();
        let shares = found["placements"].as_array().cloned().unwrap_or_default();
        let shares: Vec<_> = (shares.iter())
            .map(|one| (one["cluster"].as_str(), one["replicas"].as_u64()))
            .collect();
        let moved = shares == [(Some("cluster1"), Some(0)), (Some("cluster2"), Some(2))];
        Ok(holds(moved && found["readyReplicas"] == 2, || {
            found.to_string()
        }))
    })
    .await?;
    world
        .until_replicas("hello", [Some(0), Some(2), None])
        .await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    // The pods that waited may be ending still, and are told before.
    eventually("the limit is told", async || {
        let told = problem(world, "hello").await?;
        let is_told =
            told.contains("its scheduler could not place more") && told.contains("Unschedulable");
        Ok(holds(is_told, || told))
    })
    .await?;
    // What may go nowhere else stays, and says why.
    ensure!(world.replicas("stays").await? == [Some(2), None, None]);
    let message = world
        .until_condition("mcd/stays", "Progressing", "True", "RollingOut")
        .await?;
    ensure!(
        message.contains("cluster1: 2 pods: Unschedulable"),
        "{message}"
    );
    for member in MEMBERS {
        world
            .on(member, &["delete", "runtimeclass", &class])
            .await?;
    }
    Ok(())
}
