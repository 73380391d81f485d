//! The operators in virtual time.

// Everything here is test code, also what is in no test function.
#![allow(clippy::unwrap_used)]

mod processes;
mod returning;
mod scenarios;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
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

fn deployments(world: &World) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("fogguru.eu", "v1", "MultiClusterDeployment");
    let resource = ApiResource::from_gvk(&kind);
    Api::namespaced_with(world.hub_client(), "default", &resource)
}

async fn placed(world: &World) -> Result<String, Error> {
    let list = deployments(world).list(&ListParams::default()).await?;
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

/// A job on one cluster, of so many pods that run so many seconds.
fn job(replicas: u32, seconds: u32) -> Value {
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterJob",
        "metadata": { "name": "sum", "namespace": "default" },
        "spec": {
            "clusters": ["cluster1"], "placementPolicy": "cluster_affinity", "replicas": replicas,
            "template": {
                "metadata": { "annotations": { lab::simulated::RUN_SECONDS: seconds.to_string() } },
                "spec": { "containers": [{ "name": "sum", "image": "sum:1" }] },
            },
        },
    })
}

fn jobs(world: &World, member: &str) -> Result<Api<Job>, Error> {
    let client = world.member_client(member).ok_or("no member")?;
    Ok(Api::namespaced(client, "default"))
}

/// The same job as new, as the scheduler made it.
fn made_anew(mut job: Job) -> Job {
    // What the API server adds for the selector that it makes.
    let template = job
        .spec
        .as_mut()
        .and_then(|spec| spec.template.metadata.as_mut());
    let labels = template.and_then(|metadata| metadata.labels.as_mut());
    if let Some(labels) = labels {
        labels
            .retain(|label, _| !label.ends_with("controller-uid") && !label.ends_with("job-name"));
    }
    Job {
        metadata: ObjectMeta {
            name: job.metadata.name,
            labels: job.metadata.labels,
            ..ObjectMeta::default()
        },
        spec: job.spec.map(|spec| JobSpec {
            selector: None,
            ..spec
        }),
        status: None,
    }
}

/// Whether it is complete.
fn is_complete(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| &status.conditions);
    conditions.flatten().any(|one| one.type_ == "Complete")
}

/// A copy that was on its way when a member left is on it when it is back, and its job has ended.
#[test]
fn what_a_member_brings_back_of_an_ended_job_goes() {
    let left = run(async {
        let world = World::start(1, three_members()).await?;
        let (here, there) = (jobs(&world, "cluster1")?, jobs(&world, "cluster2")?);
        let _scheduler = world.scheduler(&[])?;
        world.apply(&job(1, 5)).await?;
        tokio::time::sleep(Duration::from_mins(1)).await;
        let made = here.get("sum").await?;
        assert!(is_complete(&made), "the job has ended");
        world.deregister("cluster2").await?;
        there
            .create(&PostParams::default(), &made_anew(made))
            .await?;
        world.register("cluster2").await?;
        tokio::time::sleep(Duration::from_mins(1)).await;
        let left = (here.get_opt("sum").await?, there.get_opt("sum").await?);
        Ok::<_, Error>((left.0.is_some(), left.1.is_some()))
    });
    assert_eq!(left.unwrap().unwrap(), (true, false));
}

/// What came of a Job of so many pods that a member brings back when it shall run three, for so many
/// seconds each: its completions, and whether it was made anew.
fn brought_back(pods: i32, seconds: u32) -> (Option<i32>, bool) {
    let found = run(async {
        let world = World::start(1, three_members()).await?;
        let here = jobs(&world, "cluster1")?;
        let scheduler = world.scheduler(&[])?;
        world.apply(&job(3, seconds)).await?;
        tokio::time::sleep(Duration::from_secs(10)).await;
        scheduler.kill();
        let mut other = made_anew(here.get("sum").await?);
        if let Some(spec) = &mut other.spec {
            (spec.parallelism, spec.completions) = (Some(pods), Some(pods));
        }
        here.delete("sum", &DeleteParams::background()).await?;
        let other = here.create(&PostParams::default(), &other).await?;
        tokio::time::sleep(Duration::from_mins(1)).await;
        let _scheduler = world.scheduler(&[])?;
        tokio::time::sleep(Duration::from_mins(1)).await;
        let now = here.get("sum").await?;
        let again = now.metadata.uid != other.metadata.uid;
        Ok::<_, Error>((now.spec.and_then(|spec| spec.completions), again))
    });
    found.unwrap().unwrap()
}

#[test]
fn a_job_that_was_made_for_another_share_is_made_anew() {
    assert_eq!(brought_back(1, 600), (Some(3), true));
    assert_eq!(brought_back(5, 600), (Some(3), true));
}

#[test]
fn a_job_that_has_done_its_share_is_not_made_anew() {
    assert_eq!(brought_back(5, 30), (Some(5), false));
    // It has ended, with less.
    assert_eq!(brought_back(1, 30), (Some(3), true));
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
