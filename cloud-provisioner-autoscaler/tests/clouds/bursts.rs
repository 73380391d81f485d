//! What fits nowhere gets a cluster, which goes when it is idle.

use std::collections::BTreeMap;
use std::time::Duration;

use federation::api::CloudPhase;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, api::DynamicObject};
use lab::simulation::{CLOUD_NAMESPACE, CloudOptions, Reach};
use serde_json::json;

use crate::fixture::{Scene, play};

pub fn is_gone(scene: &Scene) -> bool {
    scene.cloud.machines().is_empty()
}

/// Objects of Cluster API and copies of kubeconfigs that are left on the hub.
pub async fn left(scene: &Scene) -> Vec<String> {
    let mut names = Vec::new();
    for (group, version, kind) in [
        ("cluster.x-k8s.io", "v1beta2", "Cluster"),
        ("cluster.x-k8s.io", "v1beta2", "MachineDeployment"),
        (
            "bootstrap.cluster.x-k8s.io",
            "v1beta2",
            "KubeadmConfigTemplate",
        ),
        (
            "infrastructure.cluster.x-k8s.io",
            "v1beta1",
            "OpenStackMachineTemplate",
        ),
        ("", "v1", "Secret"),
    ] {
        let kind = GroupVersionKind::gvk(group, version, kind);
        let api: Api<DynamicObject> =
            Api::all_with(scene.world.hub_client(), &ApiResource::from_gvk(&kind));
        let ours = ListParams::default().labels("fogguru.eu/cloud-cluster");
        let list = api.list(&ours).await.unwrap();
        let name = |one: DynamicObject| format!("{}/{}", kind.kind, one.metadata.name.unwrap());
        names.extend(list.into_iter().map(name));
    }
    names
}

#[test]
fn what_does_not_fit_bursts_and_what_is_idle_goes() {
    play(async {
        let scene = Scene::begin(1, CloudOptions::default()).await;
        scene.provision(&json!({})).await;
        // Eight fit, four on each.
        scene.deploy("web", 8).await;
        scene.pass(120).await;
        assert!(is_gone(&scene));
        let (ready, reason, _) = scene.condition("Ready").await;
        assert_eq!((ready.as_str(), reason.as_str()), ("True", "Served"));

        scene.deploy("web", 9).await;
        let seconds = scene
            .until("a cluster is being made", 40, async |scene| !is_gone(scene))
            .await;
        // After the delay, and at once then: the cloud looks each second.
        assert!((30..=33).contains(&seconds), "{seconds} s");
        let status = scene.provisioner().await.status.unwrap();
        assert_eq!(status.phase, CloudPhase::Provisioning);
        assert_eq!((status.cluster_count, status.nodes), (1, 1), "{status:?}");
        scene
            .until("all nine run", 600, async |scene| {
                let (unplaced, placed) = scene.placed("web").await;
                unplaced == 0 && placed.values().sum::<u32>() == 9
            })
            .await;
        let (_, placed) = scene.placed("web").await;
        let wanted = [("cloud1", 1), ("cluster1", 4), ("cluster2", 4)];
        let wanted = wanted.map(|(name, replicas)| (name.to_owned(), replicas));
        assert_eq!(placed, BTreeMap::from(wanted));
        assert_eq!(
            scene.cloud.machines(),
            BTreeMap::from([("cloud1".to_owned(), 1)])
        );
        scene.pass(60).await;
        let status = scene.provisioner().await.status.unwrap();
        assert_eq!(status.phase, CloudPhase::Running, "{status:?}");
        assert!(scene.members().await["cloud1"].spec.upcoming.is_empty());

        scene.deploy("web", 8).await;
        let seconds = scene
            .until("the cloud is given back", 2000, async |scene| {
                is_gone(scene)
            })
            .await;
        // 21 minutes without work, and the time that deletion takes.
        assert!((1260..1400).contains(&seconds), "{seconds} s");
        scene.pass(60).await;
        assert_eq!(left(&scene).await, Vec::<String>::new());
        assert!(!scene.members().await.contains_key("cloud1"));
        let status = scene.provisioner().await.status.unwrap();
        assert_eq!(status.phase, CloudPhase::Idle);
        assert_eq!((status.cluster_count, status.nodes), (0, 0));
        assert_eq!(
            scene.events().await,
            [
                "ScalingUp",
                "ClusterRegistered",
                "Deprovisioning",
                "ClusterDeleted"
            ]
        );
    });
}

#[test]
fn a_cluster_grows_by_what_does_not_fit_there() {
    play(async {
        let scene = Scene::begin(2, CloudOptions::default()).await;
        scene.provision(&json!({ "maxNodes": 3 })).await;
        scene.deploy("web", 9).await;
        let runs = async |scene: &Scene, name: &str, replicas: u32| {
            let (unplaced, placed) = scene.placed(name).await;
            unplaced == 0 && placed.values().sum::<u32>() == replicas
        };
        scene
            .until("nine run", 900, async |scene| runs(scene, "web", 9).await)
            .await;
        scene.deploy("more", 4).await;
        scene
            .until("four more run", 600, async |scene| {
                runs(scene, "more", 4).await
            })
            .await;
        let status = scene.provisioner().await.status.unwrap();
        assert_eq!(status.cluster_count, 1);
        assert!(status.nodes <= 3, "{status:?}");

        // Beyond the limit nothing is made, and that is said.
        scene.deploy("much", 60).await;
        scene.pass(300).await;
        let (settled, reason, message) = scene.condition("Settled").await;
        assert_eq!((settled.as_str(), reason.as_str()), ("False", "NotCovered"));
        assert!(
            message.contains("default/much") && message.contains("maxNodes"),
            "{message}"
        );
        let machines: usize = scene.cloud.machines().values().sum();
        assert!(machines <= 3, "{machines} machines");
    });
}

#[test]
fn a_control_plane_that_never_comes_is_given_up_and_tried_with_another_flavor() {
    play(async {
        let never = CloudOptions {
            control_plane: None,
            ..CloudOptions::default()
        };
        let scene = Scene::begin(3, never).await;
        scene.provision(&json!({})).await;
        scene.deploy("web", 10).await;
        scene
            .until("a cluster is being made", 60, async |scene| !is_gone(scene))
            .await;
        scene.pass(60).await;
        let (_, reason, message) = scene.condition("Settled").await;
        assert_eq!(reason, "InProgress");
        assert!(message.contains("ControlPlaneInitialized"), "{message}");
        let flavor = scene.provisioner().await.status.unwrap().flavors;
        scene
            .until("it is given up", 1000, async |scene| is_gone(scene))
            .await;
        scene
            .cloud
            .change(|cloud| cloud.control_plane = Some(Duration::from_mins(3)));
        scene
            .until("another one serves", 900, async |scene| {
                let (unplaced, placed) = scene.placed("web").await;
                unplaced == 0 && placed.values().sum::<u32>() == 10
            })
            .await;
        let status = scene.provisioner().await.status.unwrap();
        assert_ne!(status.flavors, flavor);
        assert!(
            scene
                .events()
                .await
                .contains(&"ProvisionTimedOut".to_owned())
        );
    });
}

#[test]
fn machines_that_never_come_hold_no_place_of_others() {
    play(async {
        let mut few = CloudOptions::default();
        few.flavors.remove("k8s.medium");
        let scene = Scene::begin(4, few).await;
        let flavors = ["k8s.medium", "k8s.large"].map(|name| {
            let cores = if name == "k8s.medium" { "4" } else { "8" };
            json!({ "name": name, "capacity": { "cpu": cores, "memory": "32Gi" } })
        });
        let fields = json!({
            "flavors": flavors, "provisionTimeout": "10m", "maxNodes": 1, "expander": "MostPods",
        });
        scene.provision(&fields).await;
        scene.deploy("web", 9).await;
        scene
            .until("they run on the other flavor", 3000, async |scene| {
                let (unplaced, placed) = scene.placed("web").await;
                unplaced == 0 && placed.values().sum::<u32>() == 9
            })
            .await;
        let status = scene.provisioner().await.status.unwrap();
        assert_eq!(status.flavors.as_deref(), Some("k8s.large"), "{status:?}");
    });
}

#[test]
fn a_provisioner_that_is_deleted_leaves_nothing_behind() {
    play(async {
        let scene = Scene::begin(5, CloudOptions::default()).await;
        scene.provision(&json!({})).await;
        scene.deploy("web", 10).await;
        scene
            .until("all run", 900, async |scene| {
                let (unplaced, placed) = scene.placed("web").await;
                unplaced == 0 && placed.values().sum::<u32>() == 10
            })
            .await;
        let api: Api<federation::api::CloudProvisioner> = Api::all(scene.world.hub_client());
        api.delete("burst", &DeleteParams::default()).await.unwrap();
        let is_there = async || api.get_opt("burst").await.unwrap().is_some();
        scene.pass(5).await;
        assert!(is_there().await, "it goes before its cluster");
        scene
            .until("it is gone", 600, async |_| !is_there().await)
            .await;
        assert!(is_gone(&scene));
        assert_eq!(left(&scene).await, Vec::<String>::new());
        assert!(!scene.members().await.contains_key("cloud1"));
    });
}

#[test]
fn without_a_cluster_api_it_says_so_at_once() {
    play(async {
        let scene = Scene::begin(6, CloudOptions::default()).await;
        let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        let api: Api<DynamicObject> =
            Api::all_with(scene.world.hub_client(), &ApiResource::from_gvk(&kind));
        api.delete("clusters.cluster.x-k8s.io", &DeleteParams::default())
            .await
            .unwrap();
        scene.pass(2).await;
        scene.provision(&json!({})).await;
        scene.pass(5).await;
        let (ready, reason, message) = scene.condition("Ready").await;
        assert_eq!(
            (ready.as_str(), reason.as_str()),
            ("False", "ClusterAPIMissing")
        );
        assert!(message.contains("clusterctl init"), "{message}");
    });
}

#[test]
fn what_cannot_be_served_is_said_and_no_credential_is_printed() {
    play(async {
        let scene = Scene::begin(7, CloudOptions::default()).await;
        scene.provision(&json!({ "scaleUpDelay": "soon" })).await;
        scene.pass(2).await;
        let (ready, reason, message) = scene.condition("Ready").await;
        assert_eq!((ready.as_str(), reason.as_str()), ("False", "InvalidSpec"));
        assert!(message.starts_with("spec.scaleUpDelay"), "{message}");

        // The original's fields, of which one is no base64.
        let original = json!({
            "apiVersion": "fogguru.eu/v1", "kind": "CloudProvisioner",
            "metadata": { "name": "original" },
            "spec": { "cloudClusterName": "cloud1", "cloudsYaml": "h%unter2", "certText": "" },
        });
        scene.apply(&original).await;
        scene.pass(2).await;
        let api: Api<federation::api::CloudProvisioner> = Api::all(scene.world.hub_client());
        let status = json!(api.get("original").await.unwrap().status).to_string();
        assert!(status.contains("spec.cloudsYaml"), "{status}");
        assert!(!status.contains("unter2"), "{status}");
    });
}

#[test]
fn nothing_is_in_the_cloud_that_has_not_been_asked_for_and_the_cloud_is_found_in_its_namespace() {
    play(async {
        let scene = Scene::begin(8, CloudOptions::default()).await;
        scene.provision(&json!({ "suspend": true })).await;
        scene.deploy("web", 20).await;
        scene.pass(600).await;
        assert!(is_gone(&scene));
        let (_, reason, _) = scene.condition("Ready").await;
        assert_eq!(reason, "Suspended");
        scene.provision(&json!({ "suspend": false })).await;
        scene
            .until("it is made", 30, async |scene| !is_gone(scene))
            .await;
        let kind = GroupVersionKind::gvk("cluster.x-k8s.io", "v1beta2", "Cluster");
        let api: Api<DynamicObject> = Api::namespaced_with(
            scene.world.hub_client(),
            CLOUD_NAMESPACE,
            &ApiResource::from_gvk(&kind),
        );
        assert!(api.get_opt("cloud1").await.unwrap().is_some());
    });
}

/// All of this long after its workers were made, when nothing of it is on its way any more.
#[test]
fn a_cluster_that_is_not_reached_keeps_its_workers() {
    play(async {
        let scene = Scene::begin(9, CloudOptions::default()).await;
        scene.provision(&json!({})).await;
        scene.deploy("web", 10).await;
        let runs = async |scene: &Scene| {
            let (unplaced, placed) = scene.placed("web").await;
            unplaced == 0 && placed.values().sum::<u32>() == 10
        };
        scene.until("all run", 900, runs).await;
        scene.pass(1200).await;
        let before = scene.cloud.machines();
        scene.world.network.set_reach("cloud1", Reach::Silent);
        scene.pass(200).await;
        // Nobody knows how many of its workers are ready; the record does.
        scene.scheduler.kill_at(1, Duration::from_secs(30));
        scene.provisioner.kill_at(1, Duration::from_secs(5));
        scene.pass(100).await;
        assert_eq!(scene.cloud.machines(), before);
        let status = scene.provisioner().await.status.unwrap();
        assert!(
            status.clusters[0].message.contains("does not reach it"),
            "{status:?}"
        );
        scene.world.network.set_reach("cloud1", Reach::Open);
        scene.until("all run again", 900, runs).await;
        assert_eq!(scene.cloud.machines(), before);
    });
}

#[test]
fn two_provisioners_buy_once_for_one_need() {
    play(async {
        let scene = Scene::begin(10, CloudOptions::default()).await;
        scene.provision(&json!({})).await;
        let mut other = crate::fixture::provisioner(&json!({ "cloudClusterName": "other1" }));
        other["metadata"]["name"] = "other".into();
        scene.apply(&other).await;
        scene.deploy("web", 10).await;
        scene
            .until("all run", 900, async |scene| {
                let machines = scene.cloud.machines();
                assert!(machines.len() <= 1, "{machines:?}");
                let (unplaced, placed) = scene.placed("web").await;
                unplaced == 0 && placed.values().sum::<u32>() == 10
            })
            .await;
    });
}

/// A flavor that promises four cores, of which the machines have two.
#[test]
fn machines_that_take_nothing_are_not_made_again_and_again() {
    play(async {
        let mut less = CloudOptions::default();
        less.flavors.insert("k8s.medium".to_owned(), (2, 8));
        let scene = Scene::begin(11, less).await;
        let flavor = json!({ "name": "k8s.medium", "capacity": { "cpu": 4, "memory": "16Gi" } });
        scene.provision(&json!({ "flavors": [flavor] })).await;
        let mut large = crate::fixture::deployment("large", 4);
        let container = &mut large["spec"]["template"]["spec"]["containers"][0];
        container["resources"]["requests"]["cpu"] = "3".into();
        scene.apply(&large).await;
        scene.pass(3600).await;
        let machines: usize = scene.cloud.machines().values().sum();
        assert!(machines <= 4, "{machines} machines");
        let (_, reason, message) = scene.condition("Settled").await;
        assert_eq!(reason, "NotCovered");
        assert!(message.contains("have taken none"), "{message}");
    });
}

#[test]
fn a_cluster_of_somebody_else_stays_as_it_is() {
    play(async {
        let scene = Scene::begin(12, CloudOptions::default()).await;
        let theirs = json!({
            "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
            "metadata": { "name": "cloud1", "namespace": CLOUD_NAMESPACE },
            "spec": { "paused": true },
        });
        scene.apply(&theirs).await;
        scene.provision(&json!({})).await;
        scene.deploy("web", 10).await;
        scene.pass(300).await;
        let (ready, reason, message) = scene.condition("Ready").await;
        assert_eq!((ready.as_str(), reason.as_str()), ("False", "NameTaken"));
        assert!(message.contains("cloudClusterName"), "{message}");
        assert_eq!(scene.provisioner().await.status.unwrap().cluster_count, 0);
        assert_eq!(left(&scene).await, Vec::<String>::new());
    });
}

/// Without its record nothing is known of a cluster: it is not taken for gone.
#[test]
fn a_cluster_without_its_record_is_neither_cleared_up_nor_forgotten() {
    play(async {
        let scene = Scene::begin(13, CloudOptions::default()).await;
        scene.provision(&json!({})).await;
        scene.deploy("web", 10).await;
        scene
            .until("a cluster is being made", 60, async |scene| !is_gone(scene))
            .await;
        scene.pass(20).await;
        let kind = GroupVersionKind::gvk("cluster.x-k8s.io", "v1beta2", "Cluster");
        let api: Api<DynamicObject> = Api::namespaced_with(
            scene.world.hub_client(),
            CLOUD_NAMESPACE,
            &ApiResource::from_gvk(&kind),
        );
        let patch = json!({ "metadata": { "annotations": { "fogguru.eu/design": "?" } } });
        let patch = Patch::Merge(&patch);
        let params = PatchParams::default();
        api.patch("cloud1", &params, &patch).await.unwrap();
        scene.pass(60).await;
        let (_, reason, message) = scene.condition("Ready").await;
        assert_eq!(reason, "RecordUnreadable");
        assert!(message.contains("Cluster cloud1"), "{message}");
        let names = left(&scene).await;
        assert!(
            names
                .iter()
                .any(|name| name.starts_with("OpenStackMachineTemplate/")),
            "{names:?}"
        );
        let provisioners: Api<federation::api::CloudProvisioner> =
            Api::all(scene.world.hub_client());
        let params = DeleteParams::default();
        provisioners.delete("burst", &params).await.unwrap();
        scene.pass(120).await;
        assert!(provisioners.get_opt("burst").await.unwrap().is_some());
        api.delete("cloud1", &params).await.unwrap();
        scene
            .until("all is gone", 600, async |_| {
                provisioners.get_opt("burst").await.unwrap().is_none()
            })
            .await;
        assert_eq!(left(&scene).await, Vec::<String>::new());
    });
}

#[test]
fn a_provisioner_whose_spec_is_wrong_can_be_deleted() {
    play(async {
        let scene = Scene::begin(14, CloudOptions::default()).await;
        scene.provision(&json!({})).await;
        scene.deploy("web", 10).await;
        scene
            .until("a cluster is being made", 60, async |scene| !is_gone(scene))
            .await;
        scene.provision(&json!({ "scaleUpDelay": "soon" })).await;
        let api: Api<federation::api::CloudProvisioner> = Api::all(scene.world.hub_client());
        api.delete("burst", &DeleteParams::default()).await.unwrap();
        scene
            .until("it is gone", 900, async |_| {
                api.get_opt("burst").await.unwrap().is_none()
            })
            .await;
        assert!(is_gone(&scene));
        assert_eq!(left(&scene).await, Vec::<String>::new());
    });
}
