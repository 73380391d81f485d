//! Operators die at any point, and nothing is made twice or left behind.

use std::env;
use std::time::Duration;

use lab::simulated::Random;
use lab::simulation::CloudOptions;
use serde_json::json;

use crate::bursts::{is_gone, left};
use crate::fixture::{Scene, play};

/// Workers, at most.
const MOST: u32 = 4;

/// `CLOUD_SEEDS=FIRST..LAST` plays other stories than those of every run.
fn seeds() -> std::ops::Range<u64> {
    let given = env::var("CLOUD_SEEDS").ok();
    let given = given.and_then(|text| {
        let (first, last) = text.split_once("..")?;
        Some(first.parse().ok()?..last.parse().ok()?)
    });
    given.unwrap_or(0..16)
}

#[test]
fn operators_that_die_make_nothing_twice_and_leave_nothing_behind() {
    for seed in seeds() {
        println!("CLOUD_SEEDS={seed}..{}", seed + 1);
        play(story(seed));
    }
}

/// A burst that grows, shrinks and ends, while the operators are killed every few seconds.
async fn story(seed: u64) {
    let mut random = Random::new(seed, "kills");
    let mut below = move |end: u64| random.draw() % end;
    let options = CloudOptions {
        control_plane: Some(Duration::from_secs(20 + below(200))),
        machine: Duration::from_secs(1 + below(120)),
        deletion: Duration::from_secs(1 + below(60)),
        ..CloudOptions::default()
    };
    let scene = Scene::begin(seed, options).await;
    let expanders = ["LeastWaste", "Priority", "MostPods"];
    let expander = expanders[below(3) as usize];
    let fields = json!({
        "maxNodes": MOST, "scaleUpDelay": "10s", "deprovisionDelay": "5m",
        "expander": expander,
    });
    scene.provision(&fields).await;
    for (replicas, seconds) in [(9, 400), (13, 400), (10, 200)] {
        scene.deploy("web", replicas).await;
        let mut left = seconds;
        while left > 0 {
            let wait = (1 + below(8)).min(left);
            left -= wait;
            for _ in 0..wait {
                scene.pass(1).await;
                check(&scene);
            }
            let operator = if below(3) == 0 {
                &scene.scheduler
            } else {
                &scene.provisioner
            };
            operator.kill_at(1 + below(60), Duration::from_millis(below(3000)));
        }
        // A quiet while: what was interrupted is finished.
        let wanted = replicas;
        scene
            .until("all run", 900, async |scene| {
                check(scene);
                let (unplaced, placed) = scene.placed("web").await;
                unplaced == 0 && placed.values().sum::<u32>() >= wanted
            })
            .await;
    }
    scene.deploy("web", 4).await;
    let mut waited = 0;
    while !is_gone(&scene) {
        scene.pass(1).await;
        waited += 1;
        assert!(waited < 3000, "the cloud is not given back");
        if waited % 11 == 0 {
            let point = 1 + below(60);
            scene.provisioner.kill_at(point, Duration::from_secs(1));
        }
    }
    scene.pass(120).await;
    assert_eq!(left(&scene).await, Vec::<String>::new());
    assert!(!scene.members().await.contains_key("cloud1"));
}

/// What must hold at any time.
fn check(scene: &Scene) {
    let machines = scene.cloud.machines();
    assert!(
        machines.len() <= 1,
        "two clusters for one need: {machines:?}"
    );
    let count: usize = machines.values().sum();
    assert!(count <= MOST as usize, "more than the limit: {machines:?}");
}
