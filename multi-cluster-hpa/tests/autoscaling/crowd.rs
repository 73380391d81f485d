//! The scenario that newcomers watch, to its end.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kube::Api;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use lab::scenario::play as perform;
use lab::simulated::Scenario;
use lab::simulation::{SimulatedEnvironment, World};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::fixture::play;

/// Replicas of `web` by cluster: wanted there, and ready there.
#[derive(Clone, Debug, Default)]
struct Seen {
    wanted: BTreeMap<String, u64>,
    ready: BTreeMap<String, u64>,
}

/// What is seen at these seconds of a scenario.
fn seen_at(scenario: &Scenario, seconds: &[u64]) -> Vec<Seen> {
    play(async {
        let world = World::of(0, scenario.clusters.clone()).await.unwrap();
        let environment = SimulatedEnvironment::open(&world).unwrap();
        let kind = GroupVersionKind::gvk("fogguru.eu", "v1", "MultiClusterDeployment");
        let resource = ApiResource::from_gvk(&kind);
        let api = Api::namespaced_with(world.hub_client(), "default", &resource);
        let looking = async {
            let (start, mut seen) = (Instant::now(), Vec::new());
            for second in seconds {
                sleep_until(start + Duration::from_secs(*second)).await;
                seen.push(look(&api).await);
            }
            seen
        };
        let (played, seen) = futures::join!(perform(scenario, &environment, |_, _| ()), looking);
        played.unwrap();
        seen
    })
}

async fn look(api: &Api<DynamicObject>) -> Seen {
    let web = api.get("web").await.unwrap();
    let by_cluster = |list: &Value, field: &str| {
        let list = list.as_array().into_iter().flatten();
        let share = |one: &Value| {
            let replicas = one[field].as_u64().unwrap_or(0);
            (one["cluster"].as_str().unwrap().to_owned(), replicas)
        };
        list.map(share)
            .filter(|(_, replicas)| *replicas > 0)
            .collect()
    };
    Seen {
        wanted: by_cluster(&web.data["spec"]["clusterReplicas"], "replicas"),
        ready: by_cluster(&web.data["status"]["placements"], "ready"),
    }
}

#[test]
fn a_flash_crowd_is_followed_spills_comes_home_and_goes() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/scenarios/flash-crowd.yaml");
    let scenario = Scenario::read(&file).unwrap();
    let seen = seen_at(&scenario, &[14, 60, 110, 175, 299]);
    let [before, minute, full, home, after] = &seen[..] else {
        panic!("five looks");
    };
    for quiet in [before, after] {
        assert_eq!(
            quiet.ready,
            BTreeMap::from([("edge".to_owned(), 2), ("metro".to_owned(), 2)])
        );
    }
    // Within the first minute more are there, where the crowd is.
    assert!(
        minute.ready["edge"] >= 8 && minute.ready["metro"] <= 3,
        "{minute:?}"
    );
    // Two nodes of four cores hold sixteen; the rest is on the nearest cluster.
    assert_eq!(full.ready["edge"], 16, "{full:?}");
    assert!(
        full.wanted["edge"] > 17 && full.wanted["metro"] <= 3,
        "{full:?}"
    );
    assert_eq!(
        full.ready["edge"] + full.ready["metro"],
        full.wanted.values().sum::<u64>(),
        "{full:?}"
    );
    assert_eq!(full.ready.len(), 2, "{full:?}");
    // With another node all are at home.
    assert_eq!(home.ready, home.wanted, "{home:?}");
    assert!(home.ready["edge"] > 16, "{home:?}");
}
