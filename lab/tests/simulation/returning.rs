//! Replicas that run elsewhere come back when their location has room again.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use lab::simulated::Options;
use lab::simulation::{Error, World, run};
use serde_json::json;
use tokio::time::sleep;

use crate::{deployments, hello};

const MINUTE: Duration = Duration::from_mins(1);

/// Six replicas of one core that are meant for cluster1, which has eight cores, and somebody else's
/// pods on them.
struct Scene {
    world: World,
    others: Api<Deployment>,
}

impl Scene {
    async fn begin() -> Result<Self, Error> {
        let members = (1..=3).map(|number| (format!("cluster{number}"), Options::uniform(2)));
        let world = World::start(1, members.collect()).await?;
        let member = world.member_client("cluster1").ok_or("no member")?;
        let others: Api<Deployment> = Api::namespaced(member, "default");
        let labels = json!({ "app": "others" });
        let container =
            json!({ "name": "one", "image": "one:1", "resources": { "requests": { "cpu": "1" } } });
        let theirs = serde_json::from_value(json!({
            "metadata": { "name": "others" },
            "spec": {
                "replicas": 4, "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
            },
        }))?;
        others.create(&PostParams::default(), &theirs).await?;
        sleep(MINUTE).await;
        Ok(Self { world, others })
    }

    async fn scale_others(&self, replicas: u32) -> Result<(), Error> {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let params = PatchParams::default();
        self.others.patch("others", &params, &patch).await?;
        Ok(())
    }

    /// How often the object was written.
    fn writes(&self) -> usize {
        let text = self.world.trace.text();
        let writes = text
            .lines()
            .filter(|line| line.contains("PATCH") && line.contains("/multiclusterdeployments/"));
        writes.count()
    }

    /// A deployment of so many replicas for cluster1.
    async fn deploy(&self, name: &str, replicas: u32, priority: i32) -> Result<(), Error> {
        let mut object = hello();
        let spec = object["spec"].as_object_mut().ok_or("no spec")?;
        spec.remove("numberOfLocations");
        object["metadata"]["name"] = name.into();
        object["spec"]["clusters"] = json!(["cluster1"]);
        object["spec"]["replicas"] = replicas.into();
        object["spec"]["priority"] = priority.into();
        self.world.apply(&object).await?;
        sleep(MINUTE).await;
        Ok(())
    }

    /// Replicas of a deployment by cluster, and how many of all are ready.
    async fn shares(&self, name: &str) -> Result<(BTreeMap<String, u64>, u64), Error> {
        let object = deployments(&self.world).get(name).await?;
        let status = &object.data["status"];
        let shares = status["placements"].as_array().into_iter().flatten();
        let shares = shares.filter_map(|one| {
            let cluster = one["cluster"].as_str()?.to_owned();
            Some((cluster, one["replicas"].as_u64()?)).filter(|(_, replicas)| *replicas > 0)
        });
        let ready = status["readyReplicas"].as_u64().unwrap_or_default();
        Ok((shares.collect(), ready))
    }
}

fn shares(entries: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let entries = entries.iter();
    entries
        .map(|(cluster, replicas)| ((*cluster).to_owned(), *replicas))
        .collect()
}

#[test]
fn what_overflowed_returns_when_there_has_been_room_for_a_while() {
    let story = run(async {
        let scene = Box::pin(Scene::begin()).await?;
        let _scheduler = scene.world.scheduler(&[])?;
        scene.deploy("hello", 6, 0).await?;
        let away = (shares(&[("cluster1", 4), ("cluster2", 2)]), 6);
        assert_eq!(scene.shares("hello").await?, away);

        // Room for four minutes only: not worth a move.
        scene.scale_others(2).await?;
        sleep(4 * MINUTE).await;
        scene.scale_others(4).await?;
        sleep(20 * MINUTE).await;
        assert_eq!(scene.shares("hello").await?, away);

        scene.scale_others(3).await?;
        sleep(4 * MINUTE).await;
        assert_eq!(scene.shares("hello").await?, away);
        sleep(2 * MINUTE).await;
        let one_back = (shares(&[("cluster1", 5), ("cluster2", 1)]), 6);
        assert_eq!(scene.shares("hello").await?, one_back);
        scene.scale_others(0).await?;
        sleep(6 * MINUTE).await;
        let home = (shares(&[("cluster1", 6)]), 6);
        assert_eq!(scene.shares("hello").await?, home);
        // And stays: nothing is moved for more room.
        let moves = scene.writes();
        sleep(60 * MINUTE).await;
        assert_eq!(scene.shares("hello").await?, home);
        assert_eq!(scene.writes(), moves, "it wrote without a reason");
        Ok::<_, Error>(())
    });
    story.unwrap().unwrap();
}

#[test]
fn where_there_is_room_for_one_the_higher_priority_returns() {
    let story = run(async {
        let scene = Box::pin(Scene::begin()).await?;
        let _scheduler = scene.world.scheduler(&[])?;
        scene.deploy("fills", 4, 0).await?;
        scene.deploy("a-low", 1, 0).await?;
        scene.deploy("b-high", 1, 10).await?;
        let home = (shares(&[("cluster1", 1)]), 1);
        let are_home = async || -> Result<[bool; 2], Error> {
            let (low, high) = (scene.shares("a-low").await?, scene.shares("b-high").await?);
            Ok([low == home, high == home])
        };
        assert_eq!(are_home().await?, [false, false]);
        scene.scale_others(3).await?;
        sleep(10 * MINUTE).await;
        assert_eq!(are_home().await?, [false, true]);
        scene.scale_others(2).await?;
        sleep(10 * MINUTE).await;
        assert_eq!(are_home().await?, [true, true]);
        Ok::<_, Error>(())
    });
    story.unwrap().unwrap();
}
