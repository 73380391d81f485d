//! Statuses that are applied, against an API server.

use std::time::Duration;

use federation::api::{MultiClusterDeployment, WorkloadStatus};
use federation::operator::conditions::Conditions;
use federation::operator::status::{WriteError, apply_status};
use jiff::Timestamp;
use kube::Api;
use kube::api::DeleteParams;
use lab::simulation::{Error, World, run};
use serde_json::{Value, json};

use crate::three_members;

const DEADLINE: Duration = Duration::from_secs(5);

/// What the scheduler would report: a record with this sequence, and one condition.
fn status(sequence: i64, condition: &str) -> Value {
    let mut conditions = Conditions::default();
    let now = Timestamp::UNIX_EPOCH;
    conditions.set(condition, true, "Test", "a test", Some(1), now);
    let conditions = conditions.into_vec();
    json!({ "decision": { "sequence": sequence, "key": "k" }, "conditions": conditions })
}

fn web() -> Value {
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "web:1" }] },
            },
        },
    })
}

struct Scene {
    api: Api<MultiClusterDeployment>,
}

impl Scene {
    async fn start() -> Result<(World, Self), Error> {
        let world = World::start(1, three_members()).await?;
        world.apply(&web()).await?;
        let api = Api::namespaced(world.hub_client(), "default");
        Ok((world, Self { api }))
    }

    async fn read(&self) -> Result<MultiClusterDeployment, Error> {
        Ok(self.api.get("web").await?)
    }

    async fn apply(
        &self,
        manager: &str,
        version: Option<&str>,
        status: &Value,
    ) -> Result<String, WriteError> {
        apply_status(&self.api, &(), "web", manager, version, status, DEADLINE).await
    }

    async fn status(&self) -> Result<WorkloadStatus, Error> {
        Ok(self.read().await?.status.unwrap_or_default())
    }

    async fn condition_types(&self) -> Result<Vec<String>, Error> {
        let conditions = self.status().await?.conditions.into_iter();
        let mut types: Vec<_> = conditions.map(|one| one.type_).collect();
        types.sort();
        Ok(types)
    }
}

#[test]
fn conditions_of_other_managers_stay_and_own_ones_that_are_left_out_go() {
    let (both, after) = run(async {
        let (_world, scene) = Scene::start().await?;
        let theirs = json!({ "conditions": status(0, "Theirs")["conditions"] });
        scene.apply("them", None, &theirs).await?;
        scene.apply("us", None, &status(1, "Ours")).await?;
        let both = scene.condition_types().await?;
        scene.apply("us", None, &status(2, "Another")).await?;
        Ok::<_, Error>((both, scene.condition_types().await?))
    })
    .unwrap()
    .unwrap();
    assert_eq!(both, ["Ours", "Theirs"]);
    assert_eq!(after, ["Another", "Theirs"]);
}

#[test]
fn a_writer_that_has_missed_a_record_is_refused_until_it_has_read_it() {
    run(async {
        let (_world, scene) = Scene::start().await?;
        let read = scene.read().await?.metadata.resource_version;
        let version = scene
            .apply("us", read.as_deref(), &status(1, "Ours"))
            .await?;
        // Another writer, that read what the first has read.
        let late = scene.apply("us", read.as_deref(), &status(1, "Late")).await;
        assert!(matches!(late, Err(WriteError::Stale)), "{late:?}");
        assert_eq!(scene.condition_types().await?, ["Ours"]);
        // The version that a write gives is enough for the next one.
        scene
            .apply("us", Some(&version), &status(2, "Ours"))
            .await?;
        let decision = scene.status().await?.decision.unwrap_or_default();
        assert_eq!(decision.sequence, 2);
        Ok::<_, Error>(())
    })
    .unwrap()
    .unwrap();
}

#[test]
fn an_object_that_was_created_again_is_not_the_one_that_was_read() {
    run(async {
        let (world, scene) = Scene::start().await?;
        let read = scene.read().await?.metadata.resource_version;
        scene.api.delete("web", &DeleteParams::default()).await?;
        let gone = scene.apply("us", read.as_deref(), &status(1, "Ours")).await;
        assert!(matches!(gone, Err(WriteError::Gone)), "{gone:?}");
        world.apply(&web()).await?;
        let stale = scene.apply("us", read.as_deref(), &status(1, "Ours")).await;
        assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
        Ok::<_, Error>(())
    })
    .unwrap()
    .unwrap();
}
