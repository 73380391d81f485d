//! Nothing is scaled on numbers that are not there.

use lab::simulation::{Metering, Reach};
use rstest::rstest;

use crate::fixture::{Beginning, Scene, condition, play, replicas};

/// From 00:35 to 00:55; the crowd leaves at 00:40.
#[rstest]
#[case(Metering::Lost)]
#[case(Metering::Stuck)]
fn without_metrics_the_number_stays_and_the_condition_says_so(#[case] metering: Metering) {
    play(async {
        let scene = Scene::with_examples(Beginning::default()).await;
        scene.until(35, 0).await;
        let crowded = replicas(&[("cluster2", 6), ("cluster3", 2)]);
        assert_eq!(scene.wanted().await, crowded);
        let before = scene.events("FailedGetResourceMetric").await;
        for member in scene.world.members.values() {
            member.metrics_server.set(metering);
        }
        scene.until(55, 0).await;
        assert_eq!(scene.wanted().await, crowded);
        let status = scene.status().await;
        let (active, reason, message) = condition(&status, "ScalingActive");
        assert_eq!(active, "False", "{status}");
        assert_eq!(reason, "FailedGetResourceMetric");
        assert!(message.contains("did not receive metrics"), "{message}");
        assert_eq!(status["metrics"], "cpu: <unknown>/50%");
        let events = scene.events("FailedGetResourceMetric").await;
        assert_eq!(events.len(), before.len() + 1, "{before:?} {events:?}");

        for member in scene.world.members.values() {
            member.metrics_server.set(Metering::Works);
        }
        scene.until(65, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 2), ("cluster3", 2)])
        );
        let status = scene.status().await;
        assert_eq!(condition(&status, "ScalingActive").0, "True");
    });
}

#[test]
fn where_one_cluster_has_no_metrics_the_others_go_on() {
    play(async {
        let scene = Scene::with_examples(Beginning::default()).await;
        scene.until(5, 0).await;
        scene.world.members["cluster3"]
            .metrics_server
            .set(Metering::Lost);
        scene.until(25, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 6), ("cluster3", 2)])
        );
        let status = scene.status().await;
        let kept = status["clusters"][1]["limitedBy"].as_str().unwrap();
        assert!(kept.contains("stays as it is"), "{kept}");
    });
}

#[test]
fn a_cluster_that_is_lost_at_the_peak_keeps_its_number() {
    play(async {
        let scene = Scene::with_examples(Beginning::default()).await;
        scene.until(25, 0).await;
        let crowded = replicas(&[("cluster2", 6), ("cluster3", 2)]);
        scene.world.network.set_reach("cluster2", Reach::Silent);
        scene.until(26, 45).await;
        assert_eq!(scene.wanted().await, crowded);
        let status = scene.status().await;
        let kept = status["clusters"][0]["limitedBy"].as_str().unwrap();
        assert!(
            kept.contains("the pods of cluster2 are not known"),
            "{kept}"
        );
        // By now the scheduler has placed its replicas elsewhere; they count for it there, and for
        // nobody else.
        scene.until(28, 0).await;
        let (wanted, placed) = (scene.wanted().await, scene.placed().await);
        assert_eq!(wanted, crowded, "{placed:?}");
        let elsewhere: u64 = (placed.iter())
            .filter(|(cluster, _)| *cluster != "cluster2")
            .map(|(_, replicas)| replicas)
            .sum();
        assert_eq!(elsewhere, 8, "{placed:?}");
        scene.until(35, 0).await;
        assert_eq!(
            scene.wanted().await["cluster3"],
            2,
            "{}",
            scene.status().await
        );
        scene.world.network.set_reach("cluster2", Reach::Open);
        scene.until(75, 0).await;
        let quiet = replicas(&[("cluster2", 2), ("cluster3", 2)]);
        assert_eq!(scene.wanted().await, quiet, "{}", scene.status().await);
        assert_eq!(scene.placed().await, quiet);
    });
}

#[test]
fn an_autoscaler_that_is_killed_goes_on_from_the_spec() {
    play(async {
        let mut scene = Scene::with_examples(Beginning::default()).await;
        scene.until(38, 0).await;
        scene.restart_the_autoscaler();
        // What runs counts as proposed: a new process does not scale down at once.
        scene.until(42, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 6), ("cluster3", 2)])
        );
        scene.until(50, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 2), ("cluster3", 2)])
        );
    });
}
