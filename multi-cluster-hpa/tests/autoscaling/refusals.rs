//! What cannot be scaled is left alone, and the condition says what to do.

use federation::api::MemberCluster;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::fixture::{AUTOSCALER, Beginning, DEPLOYMENT, Scene, condition, play, replicas, yaml};

#[test]
fn a_field_that_a_person_owns_stays_as_it_is() {
    play(async {
        let scene = Scene::begin(Beginning::default()).await;
        let mut deployment = yaml(DEPLOYMENT);
        deployment["spec"]["clusterReplicas"] = json!([{ "cluster": "cluster2", "replicas": 3 }]);
        scene.apply(&deployment).await;
        scene.apply(&yaml(AUTOSCALER)).await;
        scene.until(25, 0).await;
        assert_eq!(scene.wanted().await, replicas(&[("cluster2", 3)]));
        let status = scene.status().await;
        let (able, reason, message) = condition(&status, "AbleToScale");
        assert_eq!(
            (able.as_str(), reason.as_str()),
            ("False", "FieldConflict"),
            "{status}"
        );
        assert!(
            message.contains("scenario") && message.contains("remove clusterReplicas from"),
            "{message}"
        );
        assert_eq!(scene.events("FieldConflict").await.len(), 1);

        // The person gives it up.
        scene.apply(&yaml(DEPLOYMENT)).await;
        scene.until(30, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 6), ("cluster3", 2)])
        );
        assert_eq!(condition(&scene.status().await, "AbleToScale").0, "True");
    });
}

#[test]
fn two_autoscalers_of_one_target_are_refused() {
    play(async {
        let scene = Scene::with_examples(Beginning::default()).await;
        let mut second = yaml(AUTOSCALER);
        second["metadata"]["name"] = "second".into();
        scene.apply(&second).await;
        scene.until(25, 0).await;
        assert!(scene.wanted().await.is_empty());
        for (name, other) in [("hello", "second"), ("second", "hello")] {
            let status = scene.status_of(name).await;
            let (able, reason, message) = condition(&status, "AbleToScale");
            assert_eq!(
                (able.as_str(), reason.as_str()),
                ("False", "AmbiguousTarget")
            );
            assert!(message.contains(&format!("target of {other}")), "{message}");
        }
        let api = scene.api("MultiClusterHorizontalPodAutoscaler");
        api.delete("second", &DeleteParams::default())
            .await
            .unwrap();
        scene.until(30, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 6), ("cluster3", 2)])
        );
        assert_eq!(condition(&scene.status().await, "AbleToScale").0, "True");
    });
}

#[test]
fn a_target_that_is_missing_or_divides_by_itself_is_said() {
    play(async {
        let scene = Scene::begin(Beginning::default()).await;
        scene.apply(&yaml(AUTOSCALER)).await;
        scene.until(1, 0).await;
        let (_, reason, message) = condition(&scene.status().await, "AbleToScale");
        assert_eq!(reason, "FailedGetScale");
        assert!(
            message.contains("no MultiClusterDeployment default/hello"),
            "{message}"
        );

        let mut deployment = yaml(DEPLOYMENT);
        deployment["spec"]["replicaScheduling"] = "Total".into();
        scene.apply(&deployment).await;
        scene.until(25, 0).await;
        let (_, reason, message) = condition(&scene.status().await, "AbleToScale");
        assert_eq!(reason, "ReplicaSchedulingMismatch");
        assert!(message.contains("write PerLocation there"), "{message}");
        assert!(scene.wanted().await.is_empty());
    });
}

/// The pods of a cluster that has two names count once.
#[test]
fn a_cluster_with_two_names_is_one() {
    play(async {
        let scene = Scene::with_examples(Beginning::default()).await;
        scene.until(5, 0).await;
        let before = scene.status().await;
        assert_eq!(before["currentReplicas"], 4, "{before}");
        let members: Api<MemberCluster> = Api::all(scene.world.hub_client());
        let cluster = members.get("cluster2").await.unwrap();
        let copy = MemberCluster::new("copy", cluster.spec);
        let created = members.create(&PostParams::default(), &copy).await;
        created.unwrap();
        scene.until(8, 0).await;
        let copy = members.get("copy").await.unwrap();
        let (_, reason, _) = condition(&json!(copy.status), "Ready");
        assert_eq!(reason, "DuplicateCluster");
        let after = scene.status().await;
        assert_eq!(after["currentReplicas"], 4, "{after}");
        assert_eq!(after["currentMetrics"], before["currentMetrics"]);
    });
}

#[test]
fn zero_replicas_turn_scaling_off() {
    play(async {
        let scene = Scene::with_examples(Beginning::default()).await;
        scene.until(5, 0).await;
        let zero = json!({ "spec": { "replicas": 0 } });
        let api = scene.api("MultiClusterDeployment");
        let patch = Patch::Merge(&zero);
        api.patch("hello", &PatchParams::default(), &patch)
            .await
            .unwrap();
        scene.until(8, 0).await;
        let (active, reason, _) = condition(&scene.status().await, "ScalingActive");
        assert_eq!(
            (active.as_str(), reason.as_str()),
            ("False", "ScalingDisabled")
        );
        assert!(scene.wanted().await.is_empty());
    });
}

#[test]
fn with_scope_global_a_person_who_owns_the_replicas_keeps_them() {
    play(async {
        let scene = Scene::begin(Beginning::default()).await;
        let mut deployment = yaml(DEPLOYMENT);
        deployment["spec"]["replicaScheduling"] = "Total".into();
        scene.apply(&deployment).await;
        let mut autoscaler = yaml(AUTOSCALER);
        autoscaler["spec"]["scope"] = "Global".into();
        scene.apply(&autoscaler).await;
        scene.until(25, 0).await;
        let object = scene.get("MultiClusterDeployment", "hello").await;
        assert_eq!(object["spec"]["replicas"], 2);
        let (_, reason, message) = condition(&scene.status().await, "AbleToScale");
        assert_eq!(reason, "FieldConflict", "{message}");
        assert!(message.contains("remove replicas from"), "{message}");
    });
}

#[test]
fn what_the_original_left_can_be_deleted() {
    play(async {
        let scene = Scene::begin(Beginning::default()).await;
        let mut autoscaler = yaml(AUTOSCALER);
        autoscaler["metadata"]["finalizers"] = json!(["kopf.zalando.org/KopfFinalizerMarker"]);
        scene.apply(&autoscaler).await;
        scene.until(1, 0).await;
        let api = scene.api("MultiClusterHorizontalPodAutoscaler");
        api.delete("hello", &DeleteParams::default()).await.unwrap();
        assert!(api.get_opt("hello").await.unwrap().is_none());
    });
}
