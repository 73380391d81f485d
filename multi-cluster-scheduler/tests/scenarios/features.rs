//! Services, jobs, dependencies, overrides, and clusters that come and go.

use anyhow::{Context as _, Result, ensure};
use lab::e2e::{MEMBERS, World, eventually, holds};
use lab::scenarios;
use serde_json::json;

use crate::main_job::deployment;

scenarios!(
    a_service_follows_its_deployment,
    jobs_finish_fail_and_leave,
    dependencies_go_along_and_leave_with_the_last_owner,
    a_dependency_that_is_absent_is_said_unless_it_is_optional,
    overrides_and_totals,
    contexts_come_and_go,
    members_by_kubefed_and_by_secret,
    a_plugin_that_hangs_delays_its_own_member_alone,
    a_missing_input_falls_back_and_says_so,
);

async fn a_service_follows_its_deployment(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    world.apply(&json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterService",
        "metadata": { "name": "hello", "annotations": { "io.cilium/global-service": "true", "external-dns.alpha.kubernetes.io/hostname": "hello.example" } },
        "spec": { "selector": { "app": "hello" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    })).await?;
    world
        .until_condition("mcs/hello", "Placed", "False", "DeploymentNotFound")
        .await?;
    world
        .apply(&deployment(
            "hello",
            &json!({ "clusters": ["cluster1", "cluster2"] }),
        ))
        .await?;
    until_services(world, [true, true, false]).await?;
    let service = world.get("cluster2", "service/hello").await?;
    for (name, value) in [
        ("io.cilium/global-service", "true"),
        ("service.cilium.io/global", "true"),
        ("external-dns.alpha.kubernetes.io/hostname", "hello.example"),
    ] {
        ensure!(
            service["metadata"]["annotations"][name] == value,
            "{}",
            service["metadata"]
        );
    }
    world
        .patch(
            "mcd/hello",
            &json!({ "spec": { "clusters": ["cluster2", "cluster3"] } }),
        )
        .await?;
    until_services(world, [false, true, true]).await?;
    world
        .patch("mcs/hello", &json!({ "spec": { "locations": "cluster1" } }))
        .await?;
    until_services(world, [true, false, false]).await?;
    world.delete("mcs/hello").await?;
    until_services(world, [false, false, false]).await
}

async fn until_services(world: &World, wanted: [bool; 3]) -> Result<()> {
    eventually(&format!("services {wanted:?}"), async || {
        let mut now = [false; 3];
        for (member, there) in MEMBERS.iter().zip(&mut now) {
            *there = !world.get(member, "service/hello").await?.is_null();
        }
        Ok(if now == wanted {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        })
    })
    .await
}

async fn jobs_finish_fail_and_leave(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let job = |name: &str, annotations: serde_json::Value| {
        json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterJob", "metadata": { "name": name },
            "spec": {
                "numberOfLocations": 2, "placementPolicy": "first_fit", "replicas": 2, "backoffLimit": 0,
                "template": { "metadata": { "annotations": annotations }, "spec": { "containers": [{ "name": "pi", "image": "pi:1" }] } },
            },
        })
    };
    world.apply(&job("good", json!({}))).await?;
    world
        .apply(&job("bad", json!({ "fogguru.eu/lab-fails": "true" })))
        .await?;
    world
        .until_condition("mcj/good", "Complete", "True", "JobComplete")
        .await?;
    let message = world
        .until_condition("mcj/bad", "Failed", "True", "JobFailed")
        .await?;
    ensure!(
        message.contains("cluster1") && message.contains("cluster2"),
        "{message}"
    );
    let status = world.get("cluster0", "mcj/good").await?["status"].clone();
    ensure!(
        status["succeeded"] == 4 && status["clusters"] == "cluster1,cluster2",
        "{status}"
    );
    for name in ["mcj/good", "mcj/bad"] {
        world.delete(name).await?;
        world.until_gone(name).await?;
    }
    for member in MEMBERS {
        let left = world.left_on(member).await?;
        ensure!(left.is_empty(), "{member} still has {left}");
    }
    Ok(())
}

async fn dependencies_go_along_and_leave_with_the_last_owner(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let namespace = world.namespace();
    world
        .kubectl(&[
            "-n",
            &namespace,
            "create",
            "configmap",
            "settings",
            "--from-literal=mode=one",
        ])
        .await?;
    world
        .kubectl(&[
            "-n",
            &namespace,
            "create",
            "secret",
            "generic",
            "keys",
            "--from-literal=key=k",
        ])
        .await?;
    let fields = json!({
        "clusters": ["cluster1", "cluster2"],
        "template": { "spec": { "containers": [{
            "name": "hello", "image": "hello:1",
            "envFrom": [{ "configMapRef": { "name": "settings" } }, { "secretRef": { "name": "keys" } }],
        }] } },
    });
    world.apply(&deployment("first", &fields)).await?;
    world.apply(&deployment("second", &fields)).await?;
    for name in ["mcd/first", "mcd/second"] {
        world
            .until_condition(name, "Available", "True", "AllAvailable")
            .await?;
    }
    ensure!(
        world.get("cluster2", "secret/keys").await?["data"]["key"] == "aw==",
        "the secret did not go along"
    );
    world
        .patch("configmap/settings", &json!({ "data": { "mode": "two" } }))
        .await?;
    eventually("the change follows", async || {
        let found = world.get("cluster1", "configmap/settings").await?;
        Ok(if found["data"]["mode"] == "two" {
            Ok(())
        } else {
            Err(found.to_string())
        })
    })
    .await?;
    world.delete("mcd/first").await?;
    world.until_gone("mcd/first").await?;
    ensure!(
        !world.get("cluster1", "configmap/settings").await?.is_null(),
        "it left with the first of two owners"
    );
    world
        .patch(
            "mcd/second",
            &json!({ "spec": { "clusters": ["cluster2"] } }),
        )
        .await?;
    eventually(
        "what it needs leaves the cluster that it left",
        async || {
            let left = world.left_on("cluster1").await?;
            Ok(if left.is_empty() { Ok(()) } else { Err(left) })
        },
    )
    .await?;
    world.delete("mcd/second").await?;
    world.until_gone("mcd/second").await?;
    let left = world.left_on("cluster2").await?;
    ensure!(left.is_empty(), "cluster2 still has {left}");
    Ok(())
}

async fn a_dependency_that_is_absent_is_said_unless_it_is_optional(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let fields = |optional: bool| {
        let key = |name: &str| json!({ "name": name, "key": "k", "optional": optional });
        json!({ "clusters": ["cluster1"], "template": { "spec": {
            "containers": [{
                "name": "hello", "image": "hello:1",
                "env": [
                    { "name": "A", "valueFrom": { "configMapKeyRef": key("absent") } },
                    { "name": "B", "valueFrom": { "secretKeyRef": key("absent") } },
                ],
                "envFrom": [{ "configMapRef": { "name": "absent", "optional": optional } }],
            }],
            "volumes": [{ "name": "v", "secret": { "secretName": "absent", "optional": optional } }],
        } } })
    };
    world.apply(&deployment("content", &fields(true))).await?;
    world
        .until_condition("mcd/content", "Progressing", "False", "Complete")
        .await?;
    world
        .until_condition("mcd/content", "Available", "True", "AllAvailable")
        .await?;
    world.apply(&deployment("lacking", &fields(false))).await?;
    let message = world
        .until_condition("mcd/lacking", "Progressing", "True", "DependencyMissing")
        .await?;
    let namespace = world.namespace();
    for kind in ["ConfigMap", "Secret"] {
        let words = format!("{kind} {namespace}/absent");
        ensure!(message.contains(&words), "{message}");
    }
    // Both get it as soon as there is one.
    let metadata = json!({ "name": "absent" });
    for object in [
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "k": "v" } }),
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": { "k": "v" } }),
    ] {
        world.apply(&object).await?;
    }
    world
        .until_condition("mcd/lacking", "Progressing", "False", "Complete")
        .await?;
    for object in ["configmap/absent", "secret/absent"] {
        eventually(&format!("both have {object}"), async || {
            let copy = world.get("cluster1", object).await?;
            let labels = copy["metadata"]["labels"].as_object();
            let labels = labels.into_iter().flatten();
            let owners = labels.filter(|(label, _)| label.starts_with("owner.fogguru.eu/"));
            Ok(holds(owners.count() == 2, || copy.to_string()))
        })
        .await?;
    }
    Ok(())
}

async fn overrides_and_totals(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    world.apply(&deployment("hello", &json!({
        "replicas": 8, "replicaScheduling": "Total", "clusters": ["cluster3", "cluster1", "cluster2"],
        "overrides": [{ "cluster": "cluster3", "patch": [{ "op": "replace", "path": "/spec/containers/0/image", "value": "hello:arm" }] }],
    }))).await?;
    world
        .until_replicas("hello", [Some(3), Some(3), Some(2)])
        .await?;
    let image =
        world.get("cluster3", "deployment/hello").await?["spec"]["template"]["spec"]["containers"]
            [0]["image"]
            .clone();
    ensure!(image == "hello:arm", "{image}");
    let namespace = world.namespace();
    world
        .kubectl(&["-n", &namespace, "scale", "mcd/hello", "--replicas=4"])
        .await?;
    world
        .until_replicas("hello", [Some(2), Some(1), Some(1)])
        .await?;
    world.apply(&deployment("twins", &json!({
        "locations": "cluster3", "clusters": ["cluster1", "cluster2"], "clusterReplicas": [{ "cluster": "cluster2", "replicas": 5 }],
    }))).await?;
    world
        .until_replicas("twins", [Some(2), Some(5), None])
        .await
}

async fn contexts_come_and_go(world: &World) -> Result<()> {
    let file = world.lab.directory().join("changing-kubeconfig");
    let whole = std::fs::read_to_string(world.lab.kubeconfig())?;
    let whole = world.as_operator(&whole).await?;
    let two = {
        let mut content: serde_json::Value = serde_json::from_str(&whole)?;
        let contexts = content["contexts"].as_array_mut().context("no contexts")?;
        contexts.retain(|context| context["name"] != "cluster3");
        content.to_string()
    };
    std::fs::write(&file, &two)?;
    let operator = world.candidate(&file, &[])?;
    operator.ready().await?;
    world
        .apply(&deployment(
            "hello",
            &json!({ "numberOfLocations": 3, "placementPolicy": "worst_fit" }),
        ))
        .await?;
    world
        .until_replicas("hello", [Some(2), Some(2), None])
        .await?;
    world
        .until_condition("mcd/hello", "Placed", "False", "InsufficientCapacity")
        .await?;
    std::fs::write(&file, &whole)?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    world
        .until_condition("mcd/hello", "Placed", "True", "AllPlaced")
        .await?;
    std::fs::write(&file, &two)?;
    until_drained_for(world, "cluster3").await
}

/// A member has left its source: what is placed there stays while there is no other room, and when
/// that is asked for no more the member is forgotten.
async fn until_drained_for(world: &World, member: &str) -> Result<()> {
    world
        .until_condition("mcd/hello", "Placed", "False", "InsufficientCapacity")
        .await?;
    let object = format!("membercluster/{member}");
    let message = world
        .until_condition(&object, "Drained", "False", "Draining")
        .await?;
    ensure!(message.contains("2 replicas of 1 objects"), "{message}");
    world
        .patch("mcd/hello", &json!({ "spec": { "numberOfLocations": 2 } }))
        .await?;
    world.until_gone(&object).await?;
    world
        .until_condition("mcd/hello", "Placed", "True", "AllPlaced")
        .await?;
    Ok(())
}

/// One member that `KubeFed` has joined, with credentials that lack a right at first; one whose
/// kubeconfig is in a Secret.
async fn members_by_kubefed_and_by_secret(world: &World) -> Result<()> {
    let namespace = world.namespace();
    world.join_by_kubefed("cluster2").await?;
    let access = format!("--access-namespaces={namespace}");
    let _operator = world
        .operator(&["--member-contexts=cluster1", &access])
        .await?;
    let message = world
        .until_condition("membercluster/cluster2", "Ready", "False", "Forbidden")
        .await?;
    ensure!(message.contains("cannot get resource"), "{message}");
    world.make_administrator("cluster2").await?;
    world
        .until_condition("membercluster/cluster2", "Ready", "True", "Synced")
        .await?;

    world
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "cluster3" },
            "stringData": { "kubeconfig": world.kubeconfig_of_member("cluster3").await? },
        }))
        .await?;
    world.apply(&json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster", "metadata": { "name": "cluster3" },
        "spec": { "access": { "secretRef": { "namespace": namespace, "name": "cluster3" } } },
    })).await?;
    world
        .apply(&deployment(
            "hello",
            &json!({ "numberOfLocations": 3, "placementPolicy": "worst_fit" }),
        ))
        .await?;
    world.until_replicas("hello", [Some(2); 3]).await?;

    world.delete("kubefedcluster/cluster2").await?;
    until_drained_for(world, "cluster2").await?;
    let members = world
        .kubectl(&["get", "memberclusters", "-o", "name"])
        .await?;
    ensure!(
        members.lines().count() == 2 && !members.contains("cluster2"),
        "{members}"
    );
    world.forget_kubefed().await
}

/// A kubeconfig's plugin that gives the credentials late: it is started once, nobody else waits for
/// it, and what it gives is used.
async fn a_plugin_that_hangs_delays_its_own_member_alone(world: &World) -> Result<()> {
    let token = world.account_of_hub("cluster3").await?;
    world.make_administrator("cluster3").await?;
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": { "token": token },
    });

    let directory = world.lab.directory();
    let (started, given) = (
        directory.join("plugin-started"),
        directory.join("credential"),
    );
    for file in [&started, &given] {
        drop(std::fs::remove_file(file));
    }
    let view = ["config", "view", "--raw", "-o", "json"];
    let mut config: serde_json::Value = serde_json::from_str(&world.kubectl(&view).await?)?;
    let script = format!(
        "echo once >> {}; for i in $(seq 600); do [ -e {file} ] && exec cat {file}; sleep 0.1; done",
        started.display(),
        file = given.display()
    );
    let contexts = config["contexts"].as_array_mut().context("no contexts")?;
    for context in contexts.iter_mut().filter(|one| one["name"] == "cluster3") {
        context["context"]["user"] = json!("plugin");
    }
    let users = config["users"].as_array_mut().context("no users")?;
    users.push(json!({ "name": "plugin", "user": { "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "sh", "args": ["-c", script],
    } } }));
    let file = directory.join("plugin-kubeconfig");
    std::fs::write(&file, config.to_string())?;

    let operator = world.candidate(&file, &[])?;
    operator.ready().await?;
    let wanted = json!({ "numberOfLocations": 3, "placementPolicy": "worst_fit" });
    world.apply(&deployment("hello", &wanted)).await?;
    world
        .until_replicas("hello", [Some(2), Some(2), None])
        .await?;
    let message = world
        .until_condition("membercluster/cluster3", "Ready", "False", "Unreachable")
        .await?;
    ensure!(message.contains("credentials were not there"), "{message}");
    // As a whole, because the plugin looks for it all the time.
    let draft = directory.join("credential-draft");
    std::fs::write(&draft, credential.to_string())?;
    std::fs::rename(&draft, &given)?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    // One client starts it three times, for its certificates and its token; no second was made.
    let starts = std::fs::read_to_string(&started)?.lines().count();
    ensure!(starts <= 3, "started {starts} times");
    Ok(())
}

async fn a_missing_input_falls_back_and_says_so(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    // The original's default policy, without Prometheus.
    world
        .apply(&deployment("hello", &json!({ "numberOfLocations": 3 })))
        .await?;
    let message = world
        .until_condition("mcd/hello", "Placed", "True", "PlacedByFallback")
        .await?;
    ensure!(
        message.contains("most_traffic has no traffic; worst_fit decided instead"),
        "{message}"
    );
    world.until_replicas("hello", [Some(2); 3]).await
}
