//! A hub whose admission policies refuse what the scheduler writes. On real control planes only: the
//! embedded one has no policies.

use anyhow::{Context as _, Result, ensure};
use lab::e2e::{Operator, World, eventually};
use lab::scenarios;
use serde_json::json;

use crate::main_job::deployment;

scenarios!(
    a_finalizer_that_a_policy_refuses_is_said_and_comes_when_it_may,
    a_status_that_a_policy_refuses_is_said_by_an_event,
);

async fn a_finalizer_that_a_policy_refuses_is_said_and_comes_when_it_may(
    world: &World,
) -> Result<()> {
    let operator = world.operator(&[]).await?;
    let rule = "!has(object.metadata.finalizers) || object.metadata.finalizers.size() == 0";
    let played = async {
        let attempt = ["-p", r#"{"metadata":{"finalizers":["probe.example/it"]}}"#];
        policy(
            world,
            "no-finalizers",
            "multiclusterdeployments",
            rule,
            &attempt,
        )
        .await?;
        world
            .apply(&deployment("web", &json!({ "clusters": ["cluster1"] })))
            .await?;
        let message = world
            .until_condition("mcd/web", "Progressing", "False", "Rejected")
            .await?;
        ensure!(message.contains("this hub wants none"), "{message}");
        until_event(world, "web").await?;
        ensure!(
            world.replicas("web").await? == [None; 3],
            "no finalizer, no copies"
        );
        few_rounds(&operator).await
    };
    let played = played.await;
    lift(world, "no-finalizers").await?;
    played?;
    world
        .until_condition("mcd/web", "Progressing", "False", "Complete")
        .await?;
    Ok(())
}

async fn a_status_that_a_policy_refuses_is_said_by_an_event(world: &World) -> Result<()> {
    let operator = world.operator(&[]).await?;
    let played = async {
        let attempt = [
            "--subresource=status",
            "-p",
            r#"{"status":{"selector":"probe"}}"#,
        ];
        policy(
            world,
            "no-status",
            "multiclusterdeployments/status",
            "false",
            &attempt,
        )
        .await?;
        world
            .apply(&deployment("web", &json!({ "clusters": ["cluster1"] })))
            .await?;
        until_event(world, "web").await?;
        ensure!(
            world.replicas("web").await? == [None; 3],
            "no record, no copies"
        );
        few_rounds(&operator).await
    };
    let played = played.await;
    lift(world, "no-status").await?;
    played?;
    world
        .until_condition("mcd/web", "Progressing", "False", "Complete")
        .await?;
    Ok(())
}

/// A policy for the scenario's namespace, once it is in force.
async fn policy(
    world: &World,
    name: &str,
    resource: &str,
    rule: &str,
    attempt: &[&str],
) -> Result<()> {
    let namespace = world.namespace();
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
                "resourceRules": [{ "apiGroups": ["fogguru.eu"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": [resource] }],
            },
            "validations": [{ "expression": rule, "message": "this hub wants none" }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": name },
        "spec": { "policyName": name, "validationActions": ["Deny"] },
    });
    let both = json!({ "apiVersion": "v1", "kind": "List", "items": [policy, binding] });
    world
        .lab
        .kubectl_with_input(&["apply", "-f", "-"], &both.to_string())
        .await?;
    // A write of the same kind shows when it is in force.
    world
        .apply(&deployment(
            "probe",
            &json!({ "replicas": 0, "clusters": ["cluster1"] }),
        ))
        .await?;
    eventually(&format!("{name} is in force"), async || {
        let mut patch = vec![
            "-n",
            &namespace,
            "patch",
            "mcd",
            "probe",
            "--dry-run=server",
            "--type=merge",
        ];
        patch.extend(attempt);
        let output = world.lab.kubectl(&patch).await?;
        let met = output.stderr.contains("this hub wants none");
        Ok(if met { Ok(()) } else { Err(output.stdout) })
    })
    .await
}

async fn lift(world: &World, name: &str) -> Result<()> {
    for kind in [
        "validatingadmissionpolicybinding",
        "validatingadmissionpolicy",
    ] {
        world.kubectl(&["delete", kind, name]).await?;
    }
    Ok(())
}

async fn until_event(world: &World, name: &str) -> Result<()> {
    let namespace = world.namespace();
    let selector = format!("reason=Rejected,involvedObject.name={name}");
    eventually("an Event repeats the hub's words", async || {
        let arguments = [
            "-n",
            &namespace,
            "get",
            "events",
            "--field-selector",
            &selector,
            "-o",
            "json",
        ];
        let found = world.kubectl(&arguments).await?;
        let met = found.contains("this hub wants none");
        Ok(if met { Ok(()) } else { Err(found) })
    })
    .await
}

/// The hub did not get the same write over and over.
async fn few_rounds(operator: &Operator) -> Result<()> {
    let metrics = operator.get("/metrics").await?;
    let line = metrics
        .lines()
        .find(|line| line.starts_with(r#"mck8s_scheduler_reconcile_errors_total{step="rejected"}"#))
        .with_context(|| format!("no refusals in {metrics}"))?;
    let rounds: f64 = line.rsplit(' ').next().unwrap_or_default().parse()?;
    ensure!(rounds <= 20.0, "{rounds} rounds");
    Ok(())
}
