//! A whole day of load, with all that may go wrong on it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lab::simulated::{Crowd, Curve};
use lab::simulation::{Metering, Reach};
use serde_json::Value;

use crate::fixture::{AUTOSCALER, Beginning, DEPLOYMENT, Scene, condition, play, yaml};

/// Requests a second that a replica serves with half of its CPU, which is the target.
const EACH: f64 = 100.0;
/// Where the deployment runs.
const LOCATIONS: [&str; 2] = ["cluster2", "cluster3"];

/// 75 requests a second at two in the morning, 225 at two in the afternoon; then four times as many
/// come to cluster2 for an hour.
fn requests() -> Curve {
    Curve {
        base: 150.0,
        swing: 0.5,
        peak_hour: 14.0,
        shares: BTreeMap::from([("cluster1".to_owned(), 0.0)]),
        crowds: vec![Crowd {
            at: at(13, 30),
            lasts: Duration::from_hours(1),
            times: 4.0,
            clusters: vec!["cluster2".to_owned()],
        }],
        noise: 0.03,
    }
}

fn at(hour: i64, minute: i64) -> Timestamp {
    let midnight: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    midnight + SignedDuration::from_mins(60 * hour + minute)
}

/// What is wrong at a minute of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// No member's metrics server knows anything.
    NoMetrics,
    /// They repeat what they measured last.
    OldMetrics,
    /// Nothing comes back from cluster3.
    LostCluster,
}

/// Ten minutes each; the cluster for four, at the peak and in the middle of the crowd. That is longer
/// than the scheduler waits for it, so its replicas run elsewhere for a while; nobody asks for less
/// because of it, as the window of five minutes has not passed.
fn trouble(minute: i64) -> Trouble {
    match minute {
        540..550 => Trouble::NoMetrics,
        660..670 => Trouble::OldMetrics,
        840..844 => Trouble::LostCluster,
        _ => Trouble::None,
    }
}

fn set(scene: &Scene, trouble: Trouble) {
    let metering = match trouble {
        Trouble::NoMetrics => Metering::Lost,
        Trouble::OldMetrics => Metering::Stuck,
        _ => Metering::Works,
    };
    for member in scene.world.members.values() {
        member.metrics_server.set(metering);
    }
    let reach = match trouble {
        Trouble::LostCluster => Reach::Silent,
        _ => Reach::Open,
    };
    scene.world.network.set_reach("cluster3", reach);
}

/// What is seen at a minute of the day.
struct Minute {
    wanted: BTreeMap<String, u64>,
    status: Value,
}

impl Minute {
    async fn look(scene: &Scene) -> Self {
        Self {
            wanted: scene.wanted().await,
            status: scene.status().await,
        }
    }

    /// How far the requests of a location are above what its replicas are for: 1 is on target.
    fn ratio(&self, location: &str, requests: &Curve, minute: i64) -> f64 {
        let rate = requests.rate("default/hello", location, 1, at(0, minute));
        rate / (EACH * self.wanted[location] as f64)
    }
}

#[test]
fn a_day_with_a_crowd_a_lost_cluster_and_metrics_that_fail() {
    play(async {
        let requests = requests();
        let beginning = Beginning {
            requests: Some(requests.clone()),
            ..Beginning::default()
        };
        let scene = Scene::begin(beginning).await;
        scene.apply(&yaml(DEPLOYMENT)).await;
        let mut autoscaler = yaml(AUTOSCALER);
        autoscaler["spec"]["maxReplicas"] = 16.into();
        scene.apply(&autoscaler).await;
        // The first pods start.
        scene.until(10, 0).await;
        let mut before = Minute::look(&scene).await;
        let mut above = 0;
        for minute in 11..24 * 60 {
            if trouble(minute) != trouble(minute - 1) {
                set(&scene, trouble(minute));
            }
            if minute == 20 * 60 {
                scene.clock.jump(3600);
            }
            scene.until(minute, 30).await;
            let now = Minute::look(&scene).await;
            let told = format!(
                "minute {minute}: {:?} after {:?}, {}",
                now.wanted, before.wanted, now.status
            );
            let sum: u64 = now.wanted.values().sum();
            assert!((2..=16).contains(&sum), "{told}");
            // Metrics are stale after two minutes, and a round more.
            let blind = |minute| {
                trouble(minute) == Trouble::NoMetrics
                    || (trouble(minute) == Trouble::OldMetrics
                        && trouble(minute - 3) == Trouble::OldMetrics)
            };
            if blind(minute) && blind(minute - 1) {
                assert_eq!(now.wanted, before.wanted, "{told}");
                let (active, reason, _) = condition(&now.status, "ScalingActive");
                assert_eq!(
                    (active.as_str(), reason.as_str()),
                    ("False", "FailedGetResourceMetric"),
                    "{told}"
                );
            }
            if trouble(minute) == Trouble::LostCluster {
                assert_eq!(now.wanted["cluster3"], before.wanted["cluster3"], "{told}");
            }
            // Half an hour after the last trouble, nothing asks for more than the tolerance and the
            // noise leave.
            let calm = (minute - 30..=minute).all(|minute| trouble(minute) == Trouble::None);
            for location in LOCATIONS {
                let ratio = now.ratio(location, &requests, minute);
                above += u32::from(ratio > 1.1);
                let comes = (13 * 60 + 30..13 * 60 + 45).contains(&minute);
                assert!(!calm || comes || ratio < 1.25, "{ratio}: {told}");
            }
            before = now;
        }
        // Near the low point of the day, one replica is enough for each.
        assert_eq!(before.wanted.values().sum::<u64>(), 2, "{}", before.status);
        assert!(above < 60, "{above} minutes of a location above its target");
    });
}
