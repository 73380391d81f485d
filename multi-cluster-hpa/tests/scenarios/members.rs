//! Ways to members.

use anyhow::{Context as _, Result, ensure};
use lab::e2e::{World, eventually, holds};
use lab::scenarios;
use serde_json::{Value, json};

use crate::monitoring::Monitoring;
use crate::scene::{autoscaler, deployment, ten_each, until_wanted};

scenarios!(
    a_plugin_that_is_slower_than_the_deadline_serves_in_the_end,
    members_by_kubefed_and_by_secret,
);

/// The autoscaler reaches cluster1 by a credential plugin that answers when it is told to.
async fn a_plugin_that_is_slower_than_the_deadline_serves_in_the_end(world: &World) -> Result<()> {
    let directory = world.lab.directory();
    let file = |name: &str| directory.join(format!("{}-{name}", world.namespace()));
    let (started, given) = (file("started"), file("credential"));
    // Of a run before this one.
    for file in [&started, &given] {
        drop(std::fs::remove_file(file));
    }
    let script = format!(
        "echo once >> {}; for i in $(seq 1200); do [ -e {given} ] && exec cat {given}; sleep 0.1; done",
        started.display(),
        given = given.display()
    );
    let view = ["config", "view", "--raw", "-o", "json"];
    let mut config: Value = serde_json::from_str(&world.kubectl(&view).await?)?;
    let token = config["users"][0]["user"]["token"].clone();
    let users = config["users"].as_array_mut().context("no users")?;
    users.push(json!({ "name": "plugin", "user": { "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
        "interactiveMode": "Never",
    } } }));
    let contexts = config["contexts"].as_array_mut().context("no contexts")?;
    for context in contexts.iter_mut().filter(|one| one["name"] == "cluster1") {
        context["context"]["user"] = "plugin".into();
    }
    let kubeconfig = file("kubeconfig");
    std::fs::write(&kubeconfig, config.to_string())?;

    let monitoring = Monitoring::start(world).await?;
    let _scheduler = world.scheduler(&[]).await?;
    let operator = world.candidate(&kubeconfig, &[&monitoring.flag(), "--deadline=1s"])?;
    monitoring.export("cluster1", "jobs_waiting 40");
    monitoring.export("cluster2", "jobs_waiting 20");
    world
        .apply(&deployment("hello", &["cluster1", "cluster2"]))
        .await?;
    let metric = ten_each("sum by (cluster_name) (jobs_waiting)");
    world.apply(&autoscaler("hello", &metric)).await?;
    // The other member does not wait for it.
    until_wanted(world, "hello", &[("cluster1", 1), ("cluster2", 2)]).await?;
    eventually("what is wrong with cluster1 is said", async || {
        let status = world.get("cluster0", "mchpa/hello").await?["status"].clone();
        let said = status["clusters"][0]["limitedBy"]
            .as_str()
            .unwrap_or_default();
        Ok(holds(
            said.contains("its credentials were not there within 1s"),
            || status.to_string(),
        ))
    })
    .await?;

    // It is not started again meanwhile: the ways are looked at every five seconds.
    eventually("it has been looked at a dozen times", async || {
        let metrics = operator.get("/metrics").await?;
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with("mck8s_hpa_evaluations_total{"));
        let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        let sum = counts.sum::<u64>();
        Ok(holds(sum >= 12, || format!("{sum} evaluations")))
    })
    .await?;

    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": { "token": token },
    });
    let partial = file("partial");
    std::fs::write(&partial, credential.to_string())?;
    std::fs::rename(&partial, &given)?;
    until_wanted(world, "hello", &[("cluster1", 4), ("cluster2", 2)]).await?;
    // One client starts it three times, for its certificates and its token; no second was made.
    let starts = std::fs::read_to_string(&started)?.lines().count();
    ensure!(starts <= 3, "it was started {starts} times");
    Ok(())
}

/// The pods of one member are read by what `KubeFed` has, those of another by a Secret.
async fn members_by_kubefed_and_by_secret(world: &World) -> Result<()> {
    let namespace = world.namespace();
    world.join_by_kubefed("cluster2").await?;
    world.make_administrator("cluster2").await?;
    world
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "cluster3" },
            "stringData": { "kubeconfig": world.kubeconfig_of_member("cluster3").await? },
        }))
        .await?;
    let access = json!({ "secretRef": { "namespace": namespace, "name": "cluster3" } });
    world
        .apply(&json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster",
            "metadata": { "name": "cluster3" }, "spec": { "access": access },
        }))
        .await?;
    let monitoring = Monitoring::start(world).await?;
    let access = format!("--access-namespaces={namespace}");
    let flags = ["--member-contexts=cluster1", &access];
    let _scheduler = world.scheduler(&flags).await?;
    let _operator = world.operator(&[&monitoring.flag(), &access]).await?;
    monitoring.export("cluster2", "jobs_waiting 30");
    monitoring.export("cluster3", "jobs_waiting 20");
    let two = ["cluster2", "cluster3"];
    world.apply(&deployment("hello", &two)).await?;
    let metric = ten_each("sum by (cluster_name) (jobs_waiting)");
    world.apply(&autoscaler("hello", &metric)).await?;
    until_wanted(world, "hello", &[("cluster2", 3), ("cluster3", 2)]).await?;
    world.delete("kubefedcluster/cluster2").await?;
    world.forget_kubefed().await
}
