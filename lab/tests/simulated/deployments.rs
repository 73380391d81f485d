//! Deployments and their `ReplicaSets`.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use lab::simulated::Options;
use serde_json::{Value, json};

use crate::fixture::{Lab, phase};

const REVISION: &str = "deployment.kubernetes.io/revision";

fn deployment(replicas: i32) -> Value {
    json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{
                    "name": "web", "image": "nginx:1",
                    "resources": { "requests": { "cpu": "100m" } },
                }] },
            },
        },
    })
}

impl Lab {
    async fn web(&self) -> Deployment {
        self.api().get("web").await.unwrap()
    }

    async fn patch_web(&self, patch: Value) {
        let api: Api<Deployment> = self.api();
        let patch = Patch::Strategic(patch);
        api.patch("web", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    async fn new_image(&self, image: &str) {
        let containers = json!([{ "name": "web", "image": image }]);
        self.patch_web(json!({ "spec": { "template": { "spec": { "containers": containers } } } }))
            .await;
    }

    /// All `ReplicaSets`, by revision: number, wanted and actual replicas.
    async fn sets(&self) -> Vec<(String, i32, i32)> {
        let api: Api<ReplicaSet> = self.api();
        let sets = api.list(&ListParams::default()).await.unwrap();
        let mut sets: Vec<_> = sets
            .iter()
            .map(|set| {
                (
                    set.annotations()[REVISION].clone(),
                    set.spec.as_ref().unwrap().replicas.unwrap(),
                    set.status.as_ref().map_or(0, |status| status.replicas),
                )
            })
            .collect();
        sets.sort();
        sets
    }

    async fn rolled_out(&self) {
        self.until("the rollout's end", || async {
            let web = self.web().await;
            let complete = reason(&web, "Progressing") == "NewReplicaSetAvailable";
            let status = web.status.unwrap_or_default();
            let observed = status.observed_generation == web.metadata.generation;
            (complete && observed && status.unavailable_replicas.is_none()).then_some(())
        })
        .await;
    }
}

fn condition(deployment: &Deployment, kind: &str) -> DeploymentCondition {
    let conditions = deployment.status.clone().unwrap_or_default().conditions;
    let mut conditions = conditions.unwrap_or_default().into_iter();
    conditions.find(|one| one.type_ == kind).unwrap_or_default()
}

fn reason(deployment: &Deployment, kind: &str) -> String {
    condition(deployment, kind).reason.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_becomes_available() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment(3)).await;
    lab.pass(Duration::from_secs(1)).await;
    let web = lab.web().await;
    assert_eq!(condition(&web, "Available").status, "False");
    lab.pass(Duration::from_secs(2)).await;
    let web = lab.web().await;
    assert_eq!(web.annotations()[REVISION], "1");
    assert_eq!(condition(&web, "Available").status, "True");
    let progressing = condition(&web, "Progressing");
    assert_eq!(
        progressing.reason.as_deref(),
        Some("NewReplicaSetAvailable")
    );
    let message = progressing.message.unwrap();
    assert!(message.starts_with("ReplicaSet \"web-"), "{message}");
    assert!(
        message.ends_with("\" has successfully progressed."),
        "{message}"
    );
    let status = serde_json::to_value(web.status.unwrap()).unwrap();
    for (field, count) in [
        ("observedGeneration", 1),
        ("replicas", 3),
        ("updatedReplicas", 3),
        ("readyReplicas", 3),
        ("availableReplicas", 3),
    ] {
        assert_eq!(status[field], count, "{field}");
    }
    let pods = lab.pods().await;
    assert_eq!(pods.len(), 3);
    for pod in pods {
        assert_eq!(phase(&pod), "Running");
        assert!(pod.labels().contains_key("pod-template-hash"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollout_keeps_within_its_limits() {
    let lab = Lab::new().await;
    let mut web = deployment(10);
    web["spec"]["strategy"] = json!({ "rollingUpdate": { "maxSurge": 2, "maxUnavailable": 1 } });
    lab.create::<Deployment>(web).await;
    lab.rolled_out().await;
    lab.new_image("nginx:2").await;
    loop {
        lab.pass(Duration::from_millis(10)).await;
        let pods = lab.pods().await;
        let here = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        assert!(here.clone().count() <= 12);
        let running = here.filter(|pod| phase(pod) == "Running").count();
        assert!(running >= 9, "{running} run");
        let status = lab.web().await.status.unwrap();
        if status.updated_replicas == Some(10) && status.replicas == Some(10) {
            break;
        }
    }
    lab.rolled_out().await;
    assert_eq!(lab.sets().await, [("1".into(), 0, 0), ("2".into(), 10, 10)]);
    assert_eq!(lab.web().await.annotations()[REVISION], "2");
}

#[tokio::test(start_paused = true)]
async fn a_template_that_comes_back_takes_its_replica_set_again() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment(2)).await;
    lab.rolled_out().await;
    lab.new_image("nginx:2").await;
    lab.rolled_out().await;
    lab.new_image("nginx:1").await;
    lab.rolled_out().await;
    assert_eq!(lab.sets().await, [("2".into(), 0, 0), ("3".into(), 2, 2)]);
    let sets: Api<ReplicaSet> = lab.api();
    let sets = sets.list(&ListParams::default()).await.unwrap();
    let history = sets.iter().filter_map(|set| {
        set.annotations()
            .get("deployment.kubernetes.io/revision-history")
            .cloned()
    });
    assert_eq!(history.collect::<Vec<_>>(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn old_templates_are_forgotten_beyond_the_limit() {
    let lab = Lab::new().await;
    let mut web = deployment(1);
    web["spec"]["revisionHistoryLimit"] = json!(2);
    lab.create::<Deployment>(web).await;
    for image in ["nginx:2", "nginx:3", "nginx:4", "nginx:5"] {
        lab.rolled_out().await;
        lab.new_image(image).await;
    }
    lab.rolled_out().await;
    lab.pass(Duration::from_secs(5)).await;
    let revisions: Vec<_> = lab.sets().await.into_iter().map(|set| set.0).collect();
    assert_eq!(revisions, ["3", "4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_scales_and_does_not_roll() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment(2)).await;
    lab.rolled_out().await;
    lab.patch_web(json!({ "spec": { "paused": true } })).await;
    lab.new_image("nginx:2").await;
    lab.patch_web(json!({ "spec": { "replicas": 4 } })).await;
    lab.pass(Duration::from_secs(10)).await;
    assert_eq!(lab.sets().await, [("1".into(), 4, 4)]);
    assert_eq!(reason(&lab.web().await, "Progressing"), "DeploymentPaused");
    lab.patch_web(json!({ "spec": { "paused": false } })).await;
    lab.rolled_out().await;
    assert_eq!(lab.sets().await, [("1".into(), 0, 0), ("2".into(), 4, 4)]);
}

#[tokio::test(start_paused = true)]
async fn recreation_waits_for_the_last_old_pod() {
    let lab = Lab::new().await;
    let mut web = deployment(3);
    web["spec"]["strategy"] = json!({ "type": "Recreate" });
    lab.create::<Deployment>(web).await;
    lab.rolled_out().await;
    lab.new_image("nginx:2").await;
    loop {
        lab.pass(Duration::from_millis(50)).await;
        let pods = lab.pods().await;
        let images: std::collections::BTreeSet<_> = pods
            .iter()
            .map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone())
            .collect();
        assert!(images.len() <= 1, "old and new at once");
        if images
            .first()
            .is_some_and(|image| image.as_deref() == Some("nginx:2"))
        {
            break;
        }
    }
    lab.rolled_out().await;
    assert_eq!(lab.sets().await, [("1".into(), 0, 0), ("2".into(), 3, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_without_progress_fails_at_its_deadline_and_goes_on_when_there_is_room() {
    let lab = Lab::start(Options::uniform(1), 1).await;
    let mut web = deployment(6);
    web["spec"]["progressDeadlineSeconds"] = json!(60);
    web["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({ "requests": { "cpu": "1" } });
    lab.create::<Deployment>(web).await;
    lab.pass(Duration::from_secs(58)).await;
    assert_eq!(reason(&lab.web().await, "Progressing"), "ReplicaSetUpdated");
    lab.pass(Duration::from_secs(10)).await;
    let web = lab.web().await;
    assert_eq!(reason(&web, "Progressing"), "ProgressDeadlineExceeded");
    let status = web.status.unwrap();
    assert_eq!(
        (status.available_replicas, status.unavailable_replicas),
        (Some(4), Some(2))
    );
    lab.cluster
        .add_nodes(&lab::simulated::NodeGroup::default())
        .await
        .unwrap();
    lab.rolled_out().await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_deleted_or_lost_are_replaced() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment(3)).await;
    lab.rolled_out().await;
    let pods: Api<Pod> = lab.api();
    let first = lab.pods().await[0].name_any();
    pods.delete(&first, &DeleteParams::default()).await.unwrap();
    lab.pass(Duration::from_secs(5)).await;
    let names: Vec<_> = lab
        .pods()
        .await
        .iter()
        .map(kube::ResourceExt::name_any)
        .collect();
    assert_eq!(names.len(), 3);
    assert!(!names.contains(&first));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_deleted_deployment_and_nothing_is_written_of_an_idle_one() {
    let lab = Lab::start(
        Options {
            heartbeat: None,
            ..Options::default()
        },
        1,
    )
    .await;
    lab.create::<Deployment>(deployment(3)).await;
    lab.rolled_out().await;
    // Its events go after an hour.
    lab.pass(Duration::from_hours(2)).await;
    let revision = lab.store.revision();
    lab.pass(Duration::from_hours(24)).await;
    assert_eq!(lab.store.revision(), revision);
    let api: Api<Deployment> = lab.api();
    api.delete("web", &DeleteParams::default()).await.unwrap();
    lab.pass(Duration::from_secs(5)).await;
    assert!(lab.pods().await.is_empty());
    assert!(lab.sets().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn scaling_is_told() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment(1)).await;
    lab.rolled_out().await;
    lab.patch_web(json!({ "spec": { "replicas": 3 } })).await;
    lab.rolled_out().await;
    let events: Api<Event> = lab.api();
    let events = events.list(&ListParams::default()).await.unwrap();
    let mut told: Vec<_> = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some("ScalingReplicaSet"))
        .map(|event| {
            let words: Vec<_> = event.message.as_deref().unwrap().split(' ').collect();
            words[5..].join(" ")
        })
        .collect();
    told.sort();
    assert_eq!(told, ["from 0 to 1", "from 1 to 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_passed_over() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment(2)).await;
    lab.rolled_out().await;
    let api: Api<Deployment> = lab.api();
    api.delete("web", &DeleteParams::orphan()).await.unwrap();
    lab.pass(Duration::from_secs(5)).await;
    assert!(api.get_opt("web").await.unwrap().is_none());
    assert_eq!(lab.pods().await.len(), 2);
    // The next Deployment does not select it, so it has the name and stays as it is.
    let sets: Api<ReplicaSet> = lab.api();
    let name = uids(sets.clone()).await[0].0.clone();
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "app": "other" } } }));
    sets.patch(&name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    lab.create::<Deployment>(deployment(2)).await;
    lab.rolled_out().await;
    assert_eq!(lab.web().await.status.unwrap().collision_count, Some(1));
    assert_eq!(lab.pods().await.len(), 4);
}

/// The names and uids of all objects of a kind.
async fn uids<K>(api: Api<K>) -> Vec<(String, Option<String>)>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let listed = api.list(&ListParams::default()).await.unwrap();
    let listed = listed.iter();
    listed.map(|one| (one.name_any(), one.uid())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_deployment_has_left_behind_is_taken_by_the_next_and_goes_with_it() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment(2)).await;
    lab.rolled_out().await;
    let before = (
        uids::<ReplicaSet>(lab.api()).await,
        uids::<Pod>(lab.api()).await,
    );
    let api: Api<Deployment> = lab.api();
    api.delete("web", &DeleteParams::orphan()).await.unwrap();
    lab.until("the end of the Deployment", || async {
        let left = api.get_opt("web").await.unwrap();
        left.is_none().then_some(())
    })
    .await;
    lab.create::<Deployment>(deployment(2)).await;
    lab.rolled_out().await;
    let after = (
        uids::<ReplicaSet>(lab.api()).await,
        uids::<Pod>(lab.api()).await,
    );
    assert_eq!(before, after);

    api.delete("web", &DeleteParams::foreground())
        .await
        .unwrap();
    lab.until("the end of all", || async {
        let left = uids::<ReplicaSet>(lab.api()).await.len() + lab.pods().await.len();
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_not_selected_any_more_stays_and_is_replaced() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment(2)).await;
    lab.rolled_out().await;
    let name = lab.pods().await[0].name_any();
    let api: Api<Pod> = lab.api();
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "app": "debug" } } }));
    api.patch(&name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    lab.until("a pod in its place", || async {
        (lab.pods().await.len() == 3).then_some(())
    })
    .await;
    lab.rolled_out().await;
    assert!(lab.pod(&name).await.owner_references().is_empty());
}
