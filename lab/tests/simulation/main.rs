//! The operators in virtual time.

mod processes;
mod scenarios;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use lab::simulated::Options;
use lab::simulation::{Error, Length, World, run, tell};
use serde_json::{Value, json};

/// A deployment that asks for three clusters with the most room.
fn hello() -> Value {
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": "hello", "namespace": "default" },
        "spec": {
            "numberOfLocations": 3, "placementPolicy": "worst_fit", "replicas": 2,
            "selector": { "matchLabels": { "app": "hello" } },
            "template": {
                "metadata": { "labels": { "app": "hello" } },
                "spec": { "containers": [{ "name": "hello", "image": "hello:1",
                    "resources": { "requests": { "cpu": "1", "memory": "1Gi" } } }] },
            },
        },
    })
}

fn three_members() -> BTreeMap<String, Options> {
    (1..=3)
        .map(|number| (format!("cluster{number}"), Options::uniform(5)))
        .collect()
}

async fn placed(world: &World) -> Result<String, Error> {
    let kind = GroupVersionKind::gvk("fogguru.eu", "v1", "MultiClusterDeployment");
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = Api::namespaced_with(world.hub_client(), "default", &resource);
    let list = api.list(&ListParams::default()).await?;
    Ok(list
        .items
        .iter()
        .map(|one| one.data["status"].to_string())
        .collect())
}

#[test]
fn an_example_is_placed() {
    let status = run(async {
        let world = World::start(1, three_members()).await?;
        let _scheduler = world.scheduler(&[])?;
        world.apply(&hello()).await?;
        tokio::time::sleep(Duration::from_mins(1)).await;
        placed(&world).await
    });
    let status = status.unwrap().unwrap();
    assert!(status.contains("AllPlaced"), "{status}");
}

/// A copy that was on its way when a member left is on it when it is back, and its job has ended.
#[test]
fn what_a_member_brings_back_of_an_ended_job_goes() {
    let job = json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterJob",
        "metadata": { "name": "sum", "namespace": "default" },
        "spec": {
            "clusters": ["cluster1"], "placementPolicy": "cluster_affinity", "replicas": 1,
            "template": {
                "metadata": { "annotations": { lab::simulated::RUN_SECONDS: "5" } },
                "spec": { "containers": [{ "name": "sum", "image": "sum:1" }] },
            },
        },
    });
    let left = run(async {
        let world = World::start(1, three_members()).await?;
        let jobs = |member: &str| -> Option<Api<Job>> {
            let client = world.member_client(member)?;
            Some(Api::namespaced(client, "default"))
        };
        let (here, there) = jobs("cluster1").zip(jobs("cluster2")).ok_or("no member")?;
        let _scheduler = world.scheduler(&[])?;
        world.apply(&job).await?;
        tokio::time::sleep(Duration::from_mins(1)).await;
        let made = here.get("sum").await?;
        let conditions = made.status.and_then(|status| status.conditions);
        let ended = conditions
            .into_iter()
            .flatten()
            .any(|one| one.type_ == "Complete");
        assert!(ended, "the job has ended");
        world.deregister("cluster2").await?;
        let mut late = here.get("sum").await?;
        late.metadata = ObjectMeta {
            name: late.metadata.name,
            labels: late.metadata.labels,
            ..ObjectMeta::default()
        };
        late.spec = late.spec.map(|spec| JobSpec {
            selector: None,
            template: PodTemplateSpec {
                metadata: None,
                ..spec.template
            },
            ..spec
        });
        there.create(&PostParams::default(), &late).await?;
        world.register("cluster2").await?;
        tokio::time::sleep(Duration::from_mins(1)).await;
        let left = (here.get_opt("sum").await?, there.get_opt("sum").await?);
        Ok::<_, Error>((left.0.is_some(), left.1.is_some()))
    });
    assert_eq!(left.unwrap().unwrap(), (true, false));
}

/// A few short ones, of every kind: `cargo xtask soak` tells many.
#[test]
fn stories_end_well() {
    let length = Length {
        steps: 10,
        ..Length::default()
    };
    for seed in 0..4 {
        let ending = run(tell(seed, length)).unwrap().unwrap();
        let violations = ending.violations.join("\n");
        assert!(violations.is_empty(), "{}\n{violations}", ending.trace);
    }
}

/// In another process, because much that must not count differs there: addresses, hashes, times.
#[test]
fn a_seed_tells_the_same_story_in_every_process() {
    const TOLD: &str = "STORY_TOLD";
    let length = Length {
        steps: 10,
        ..Length::default()
    };
    if std::env::var_os(TOLD).is_some() {
        print!("{}", run(tell(3, length)).unwrap().unwrap().trace);
        return;
    }
    let told = || {
        let program = std::env::current_exe().unwrap();
        let name = "a_seed_tells_the_same_story_in_every_process";
        let output = std::process::Command::new(program)
            .args(["--exact", name, "--nocapture"])
            .env(TOLD, "1")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // The last lines are the test runner's, and tell how long it took.
        text.lines()
            .filter(|line| line.starts_with(' '))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (first, second) = (told(), told());
    assert!(first.lines().count() > 100, "{first}");
    let differs = first.lines().zip(second.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None);
    assert_eq!(first.len(), second.len());
}
