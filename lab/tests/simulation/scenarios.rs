//! Scenarios of files, in virtual time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::scenario::play;
use lab::simulated::Scenario;
use lab::simulation::{Error, SimulatedEnvironment, World, run};

use crate::placed;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../manifests/scenarios")
        .join(name)
}

/// Plays a scenario to its end. Gives what was said, and the statuses then.
fn play_it(scenario: &Scenario) -> Result<(Vec<String>, String), Error> {
    run(async {
        let world = World::of(1, scenario.clusters.clone()).await?;
        let environment = SimulatedEnvironment::open(&world)?;
        let mut said = Vec::new();
        let say = |at: Duration, what: &str| said.push(format!("{} {what}", at.as_secs() / 60));
        play(scenario, &environment, say).await?;
        Ok((said, placed(&world).await?))
    })?
}

#[test]
fn a_lost_cluster_is_replaced_and_gets_its_share_again_when_it_is_back() {
    let mut scenario = Scenario::read(&file("cluster-loss.yaml")).unwrap();
    let lost = {
        let mut lost = scenario.clone();
        lost.events.truncate(2);
        lost.ends = Duration::from_mins(30);
        lost
    };
    let (said, status) = play_it(&lost).unwrap();
    assert_eq!(
        said,
        ["0 apply MultiClusterDeployment web", "10 cluster1 fails"]
    );
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let away = |name| -> u64 {
        let shares = status["placements"].as_array().unwrap().iter();
        let of_cluster = shares.filter(|one| one["cluster"] == name);
        of_cluster
            .map(|one| one["available"].as_u64().unwrap())
            .sum()
    };
    assert_eq!(away("cluster2") + away("cluster3"), 6, "{status}");

    scenario.ends = Duration::from_mins(90);
    let (said, status) = play_it(&scenario).unwrap();
    assert_eq!(said.last().unwrap(), "70 cluster1 is back");
    assert!(status.contains("\"readyReplicas\":6"), "{status}");
    assert!(!status.contains("\"leaving\""), "{status}");
}

#[test]
fn every_example_can_be_read_and_one_has_every_kind_of_event() {
    let mut files = std::fs::read_dir(file("")).unwrap().collect::<Vec<_>>();
    assert!(files.len() >= 3);
    for found in files.drain(..) {
        Scenario::read(&found.unwrap().path()).unwrap();
    }
    let rough = Scenario::read(&file("rough-day.yaml")).unwrap();
    let (said, statuses) = play_it(&rough).unwrap();
    assert_eq!(said.len(), rough.events.len());
    assert_eq!(statuses, "", "what was deleted is gone");
}

#[test]
fn an_event_that_cannot_be_says_where_it_stands() {
    let text = "events:\n- {at: 1m, loseNode: {cluster: cluster1, node: cluster1-node9}}";
    let scenario = Scenario::parse(text, Path::new("day.yaml")).unwrap();
    let error = play_it(&scenario).unwrap_err().to_string();
    assert!(error.starts_with("day.yaml, line 2: "), "{error}");
    assert!(error.contains("write one of cluster1-node1"), "{error}");
}
