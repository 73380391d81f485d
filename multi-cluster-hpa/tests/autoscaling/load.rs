//! Replicas follow the load.

use kube::api::DeleteParams;
use serde_json::json;

use crate::fixture::{AUTOSCALER, Beginning, DEPLOYMENT, Scene, condition, play, replicas, yaml};

#[test]
fn replicas_grow_where_the_load_is_and_shrink_after_it() {
    play(async {
        let scene = Scene::with_examples(Beginning::default()).await;
        scene.until(9, 0).await;
        assert_eq!(
            scene.placed().await,
            replicas(&[("cluster2", 2), ("cluster3", 2)])
        );

        scene.until(25, 0).await;
        let crowded = replicas(&[("cluster2", 6), ("cluster3", 2)]);
        assert_eq!(scene.wanted().await, crowded);
        assert_eq!(scene.placed().await, crowded);
        let status = scene.status().await;
        assert_eq!(status["currentReplicas"], 8, "{status}");
        assert_eq!(status["desiredReplicas"], 8);
        assert_eq!(status["observedGeneration"], 1);
        // Over all pods: six at 50 % and two at 37 %.
        assert_eq!(status["metrics"], "cpu: 46%/50%");
        assert_eq!(
            status["currentMetrics"][0]["resource"]["current"]["averageUtilization"],
            46
        );
        let here = &status["clusters"][0];
        assert_eq!(
            (&here["cluster"], &here["desired"]),
            (&json!("cluster2"), &json!(6))
        );
        assert_eq!(here["metrics"], "cpu: 50%/50%, asks for 6");
        assert_eq!(condition(&status, "AbleToScale").0, "True");
        assert_eq!(condition(&status, "ScalingActive").1, "ValidMetricFound");
        let news = scene.events("SuccessfulRescale").await;
        assert!(
            news.iter()
                .any(|one| one.contains("cluster2 2 → ") && one.contains("cpu above target")),
            "{news:?}"
        );

        // Until twenty to one, and five minutes more for the highest proposal to be forgotten.
        scene.until(41, 0).await;
        assert_eq!(scene.wanted().await, crowded);
        scene.until(50, 0).await;
        let quiet = replicas(&[("cluster2", 2), ("cluster3", 2)]);
        assert_eq!(scene.wanted().await, quiet);
        assert_eq!(scene.placed().await, quiet);
    });
}

#[test]
fn what_a_full_cluster_cannot_hold_is_the_schedulers_matter() {
    play(async {
        let beginning = Beginning {
            nodes: [("cluster2", 1)].into(),
            ..Beginning::default()
        };
        let scene = Scene::with_examples(beginning).await;
        scene.until(30, 0).await;
        // The numbers are as with room; where the pods are is another matter.
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 6), ("cluster3", 2)])
        );
        let placed = scene.placed().await;
        assert_eq!(placed["cluster2"], 4, "{placed:?}");
        assert_eq!(placed.values().sum::<u64>(), 8);
        scene.until(60, 0).await;
        let quiet = replicas(&[("cluster2", 2), ("cluster3", 2)]);
        assert_eq!(scene.wanted().await, quiet);
        assert_eq!(scene.placed().await, quiet);
    });
}

#[test]
fn a_location_that_is_taken_out_of_the_deployment_is_scaled_no_more() {
    play(async {
        let scene = Scene::with_examples(Beginning::default()).await;
        scene.until(25, 0).await;
        let mut deployment = yaml(DEPLOYMENT);
        deployment["spec"]["locations"] = "cluster2".into();
        scene.apply(&deployment).await;
        scene.until(30, 0).await;
        let there = replicas(&[("cluster2", 6)]);
        assert_eq!(scene.wanted().await, there, "{}", scene.status().await);
        assert_eq!(scene.placed().await, there);
    });
}

#[test]
fn a_deployment_that_is_made_anew_does_not_inherit_the_load_of_the_former() {
    play(async {
        let scene = Scene::with_examples(Beginning::default()).await;
        scene.until(38, 0).await;
        assert_eq!(scene.wanted().await["cluster2"], 6);
        let deployments = scene.api("MultiClusterDeployment");
        deployments
            .delete("hello", &DeleteParams::default())
            .await
            .unwrap();
        // The crowd has gone.
        scene.until(41, 0).await;
        scene.apply(&yaml(DEPLOYMENT)).await;
        scene.until(45, 0).await;
        assert!(scene.wanted().await.is_empty(), "{}", scene.status().await);
        let quiet = replicas(&[("cluster2", 2), ("cluster3", 2)]);
        assert_eq!(scene.placed().await, quiet);
    });
}

#[test]
fn the_maximum_holds_for_all_clusters_together() {
    play(async {
        let scene = Scene::begin(Beginning::default()).await;
        scene.apply(&yaml(DEPLOYMENT)).await;
        let mut autoscaler = yaml(AUTOSCALER);
        autoscaler["spec"]["maxReplicas"] = 6.into();
        scene.apply(&autoscaler).await;
        scene.until(25, 0).await;
        let wanted = scene.wanted().await;
        assert_eq!(wanted.values().sum::<u64>(), 6, "{wanted:?}");
        assert!(wanted["cluster2"] >= 4, "{wanted:?}");
        let status = scene.status().await;
        let (limited, reason, _) = condition(&status, "ScalingLimited");
        assert_eq!(
            (limited.as_str(), reason.as_str()),
            ("True", "TooManyReplicas")
        );
    });
}

#[test]
fn a_schedule_raises_the_minimum_for_its_time() {
    play(async {
        let scene = Scene::begin(Beginning::default()).await;
        scene.apply(&yaml(DEPLOYMENT)).await;
        let mut autoscaler = yaml(AUTOSCALER);
        autoscaler["spec"]["schedules"] =
            json!([{ "schedule": "5 0 * * *", "duration": "4m", "minReplicas": 8 }]);
        scene.apply(&autoscaler).await;
        scene.until(4, 30).await;
        assert_eq!(scene.placed().await.values().sum::<u64>(), 4);
        scene.until(8, 0).await;
        assert_eq!(
            scene.placed().await,
            replicas(&[("cluster2", 4), ("cluster3", 4)])
        );
    });
}

#[test]
fn with_scope_global_the_deployment_divides_one_number() {
    play(async {
        let scene = Scene::begin(Beginning::default()).await;
        let mut deployment = yaml(DEPLOYMENT);
        deployment["spec"]["replicaScheduling"] = "Total".into();
        deployment["spec"]
            .as_object_mut()
            .unwrap()
            .remove("replicas");
        scene.apply(&deployment).await;
        let mut autoscaler = yaml(AUTOSCALER);
        autoscaler["spec"]["scope"] = "Global".into();
        scene.apply(&autoscaler).await;
        scene.until(25, 0).await;
        // 600 and 150 requests a second; a replica is for 100, and 10 % more or less is well. The
        // deployment divides evenly, so that each cluster's pods are not on target, but all together
        // are.
        let object = scene.get("MultiClusterDeployment", "hello").await;
        assert_eq!(object["spec"]["replicas"], 7, "{}", scene.status().await);
        assert_eq!(
            scene.placed().await,
            replicas(&[("cluster2", 4), ("cluster3", 3)])
        );
        assert!(scene.wanted().await.is_empty());
    });
}

#[test]
fn the_same_seed_scales_at_the_same_moments() {
    let trace = || {
        play(async {
            let scene = Scene::with_examples(Beginning::default()).await;
            scene.until(20, 0).await;
            scene.world.trace.text()
        })
    };
    let (first, second) = (trace(), trace());
    let differs = first.lines().zip(second.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None);
    assert!(first.contains("autoscaler PATCH"), "{first}");
}
