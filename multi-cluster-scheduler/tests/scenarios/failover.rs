//! Which members are failed over, and which are not.

use anyhow::{Result, ensure};
use lab::e2e::{World, eventually, holds};
use lab::scenarios;
use serde_json::json;

use crate::main_job::deployment;

scenarios!(
    members_that_are_silent_at_once_are_not_failed_over,
    members_are_lost_one_after_the_other_and_never_the_last,
    a_member_that_cannot_be_listed_evacuates_nothing,
);

/// Those that need a storage that can be taken away.
pub(crate) mod real {
    use super::a_member_whose_etcd_is_dead_gets_nothing_new_and_is_failed_over;

    lab::scenarios!(a_member_whose_etcd_is_dead_gets_nothing_new_and_is_failed_over);
}

/// The first two clusters.
async fn two_of_three(world: &World) -> Result<()> {
    let two = json!({ "numberOfLocations": 2, "placementPolicy": "first_fit" });
    world.apply(&deployment("hello", &two)).await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    world
        .until_replicas("hello", [Some(2), Some(2), None])
        .await
}

async fn until_elsewhere(world: &World) -> Result<()> {
    eventually("the replicas of the other run on cluster3", async || {
        let found = world.get("cluster3", "deployment/hello").await?;
        let status = &found["status"];
        Ok(holds(status["availableReplicas"] == 2, || {
            status.to_string()
        }))
    })
    .await
}

async fn members_that_are_silent_at_once_are_not_failed_over(world: &World) -> Result<()> {
    let operator = world.operator(&["--cluster-toleration=3s"]).await?;
    two_of_three(world).await?;
    let (second, third) = (
        world.lab.cluster("cluster2")?,
        world.lab.cluster("cluster3")?,
    );
    let (stopped, also) = tokio::join!(second.stop(), third.stop());
    stopped.and(also)?;
    for member in ["membercluster/cluster2", "membercluster/cluster3"] {
        let message = world
            .until_condition(member, "FailedOver", "False", "Suspended")
            .await?;
        ensure!(message.contains("2 of 3"), "{message}");
    }
    let metrics = operator.get("/metrics").await?;
    ensure!(
        metrics.contains("mck8s_scheduler_failover_suspended 1"),
        "{metrics}"
    );
    let status = world.get("cluster0", "mcd/hello").await?["status"].clone();
    ensure!(
        status["clusters"] == "cluster1,cluster2"
            && status["unplacedReplicas"].as_u64().unwrap_or(0) == 0,
        "{status}"
    );
    // One of three may go.
    third.start().await?;
    until_elsewhere(world).await?;
    world
        .until_condition(
            "membercluster/cluster2",
            "FailedOver",
            "True",
            "TolerationExceeded",
        )
        .await?;
    second.start().await?;
    world
        .until_replicas("hello", [Some(2), None, Some(2)])
        .await?;
    eventually("nothing is said of what is over", async || {
        let found = world.get("cluster0", "membercluster/cluster2").await?;
        let condition = lab::e2e::condition(&found, "FailedOver");
        Ok(holds(condition.is_null(), || condition.to_string()))
    })
    .await
}

/// One a minute, and all of them may be silent: the first goes, the second waits, and what the last
/// one has stays although it is silent, too.
async fn members_are_lost_one_after_the_other_and_never_the_last(world: &World) -> Result<()> {
    let flags = [
        "--cluster-toleration=3s",
        "--failover-rate=1",
        "--unhealthy-cluster-threshold=100",
    ];
    let _operator = world.operator(&flags).await?;
    two_of_three(world).await?;
    let members = ["cluster1", "cluster2", "cluster3"];
    let members = members.map(|name| world.lab.cluster(name));
    let [first, second, third] = members;
    let (first, second, third) = (first?, second?, third?);
    first.stop().await?;
    let failed_over = async |name: &str, status: &str, reason: &str| {
        let member = format!("membercluster/{name}");
        world
            .until_condition(&member, "FailedOver", status, reason)
            .await
    };
    failed_over("cluster1", "True", "TolerationExceeded").await?;
    until_elsewhere(world).await?;
    second.stop().await?;
    let message = failed_over("cluster2", "False", "RateLimited").await?;
    ensure!(message.contains("--failover-rate=1"), "{message}");
    third.stop().await?;
    failed_over("cluster3", "False", "Suspended").await?;
    let status = world.get("cluster0", "mcd/hello").await?["status"].clone();
    let placements = status["placements"].as_array().into_iter().flatten();
    let staying = placements.filter(|one| one["leaving"].as_u64().unwrap_or(0) == 0);
    let staying: Vec<_> = staying
        .map(|one| (one["cluster"].as_str(), one["replicas"].as_u64()))
        .collect();
    let wanted = [(Some("cluster2"), Some(2)), (Some("cluster3"), Some(2))];
    ensure!(staying == wanted, "{status}");
    // The record stays as it is while nobody answers, and what is back is served again.
    third.start().await?;
    second.start().await?;
    first.start().await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    Ok(())
}

/// A role that is a release old: the member answers, and one kind cannot be listed.
async fn a_member_that_cannot_be_listed_evacuates_nothing(world: &World) -> Result<()> {
    let namespace = world.namespace();
    let on2 = async |arguments: &[&str]| world.on("cluster2", arguments).await;
    on2(&["create", "namespace", &namespace]).await?;
    on2(&["-n", &namespace, "create", "serviceaccount", "hub"]).await?;
    let rule = |groups: &str, resources: &str| json!({ "apiGroups": [groups], "resources": [resources], "verbs": ["*"] });
    let role = |with_jobs: bool| {
        let mut rules = vec![rule("", "*"), rule("apps", "*")];
        rules.extend(with_jobs.then(|| rule("batch", "*")));
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "hub" }, "rules": rules })
    };
    let apply = async |object: &serde_json::Value| {
        let arguments = ["--context", "cluster2", "apply", "-f", "-"];
        let output = world
            .lab
            .kubectl_with_input(&arguments, &object.to_string())
            .await?;
        ensure!(output.success(), "{}", output.stderr);
        Ok(())
    };
    apply(&role(true)).await?;
    let account = format!("--serviceaccount={namespace}:hub");
    on2(&[
        "create",
        "clusterrolebinding",
        "hub-old",
        "--clusterrole=hub",
        &account,
    ])
    .await?;
    let token = on2(&["-n", &namespace, "create", "token", "hub"]).await?;
    let view = on2(&["config", "view", "--raw", "--minify", "-o", "json"]).await?;
    let mut config: serde_json::Value = serde_json::from_str(&view)?;
    config["users"][0]["user"] = json!({ "token": token.trim() });
    world
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "cluster2" },
            "stringData": { "kubeconfig": config.to_string() },
        }))
        .await?;
    world.apply(&json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster", "metadata": { "name": "cluster2" },
        "spec": { "access": { "secretRef": { "namespace": namespace, "name": "cluster2" } } },
    })).await?;
    let access = format!("--access-namespaces={}", world.namespace());
    let flags = [
        "--member-contexts=cluster1,cluster3",
        "--cluster-toleration=3s",
        access.as_str(),
    ];
    let operator = world.operator(&flags).await?;
    two_of_three(world).await?;
    operator.stop().await?;

    apply(&role(false)).await?;
    let _operator = world.operator(&flags).await?;
    world
        .until_condition("membercluster/cluster2", "Ready", "False", "Forbidden")
        .await?;
    // Something that is decided well after the toleration: it goes elsewhere.
    let since = tokio::time::Instant::now();
    eventually("the toleration is over", async || {
        Ok(holds(since.elapsed().as_secs() > 8, || {
            format!("{:?}", since.elapsed())
        }))
    })
    .await?;
    let named = json!({ "clusters": ["cluster2"], "overflow": "None" });
    world.apply(&deployment("named", &named)).await?;
    world
        .until_condition("mcd/named", "Placed", "False", "NoEligibleCluster")
        .await?;
    ensure!(
        world.replicas("hello").await? == [Some(2), Some(2), None],
        "{:?}",
        world.replicas("hello").await?
    );
    let member = world.get("cluster0", "membercluster/cluster2").await?;
    ensure!(
        lab::e2e::condition(&member, "FailedOver").is_null(),
        "{member}"
    );
    apply(&role(true)).await?;
    world
        .until_condition("membercluster/cluster2", "Ready", "True", "Synced")
        .await?;
    on2(&["delete", "clusterrolebinding", "hub-old"]).await?;
    Ok(())
}

async fn a_member_whose_etcd_is_dead_gets_nothing_new_and_is_failed_over(
    world: &World,
) -> Result<()> {
    let _operator = world.operator(&["--cluster-toleration=3s"]).await?;
    two_of_three(world).await?;
    world.lab.cluster("cluster2")?.stop_storage().await?;
    world
        .until_condition("membercluster/cluster2", "Ready", "False", "Unreachable")
        .await?;
    let version = world.on("cluster2", &["get", "--raw", "/version"]).await?;
    ensure!(version.contains("gitVersion"), "{version}");
    until_elsewhere(world).await?;
    world
        .until_condition(
            "membercluster/cluster2",
            "FailedOver",
            "True",
            "TolerationExceeded",
        )
        .await?;
    world.lab.cluster("cluster2")?.start().await?;
    world
        .until_replicas("hello", [Some(2), None, Some(2)])
        .await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    Ok(())
}
