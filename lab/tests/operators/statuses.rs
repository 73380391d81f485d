//! Statuses that are applied, against an API server.

use std::time::Duration;

use federation::api::{MultiClusterDeployment, WorkloadStatus};
use federation::operator::conditions::Conditions;
use federation::operator::status::{Precondition, WriteError, apply_status};
use jiff::Timestamp;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
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

struct Scene {
    api: Api<MultiClusterDeployment>,
}

impl Scene {
    async fn start() -> Result<(World, Self), Error> {
        let world = World::start(1, three_members()).await?;
        let object = json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
            "metadata": { "name": "web", "namespace": "default" },
            "spec": {
                "replicas": 1, "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "web", "image": "web:1" }] },
                },
            },
        });
        world.apply(&object).await?;
        let api = Api::namespaced(world.hub_client(), "default");
        Ok((world, Self { api }))
    }

    async fn read(&self) -> Result<MultiClusterDeployment, Error> {
        Ok(self.api.get("web").await?)
    }

    async fn apply(
        &self,
        manager: &str,
        precondition: &Precondition,
        status: &Value,
    ) -> Result<String, WriteError> {
        apply_status(
            &self.api,
            &(),
            "web",
            manager,
            precondition,
            status,
            DEADLINE,
        )
        .await
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
        let any = Precondition::default();
        let theirs = json!({ "conditions": status(0, "Theirs")["conditions"] });
        scene.apply("them", &any, &theirs).await?;
        scene.apply("us", &any, &status(1, "Ours")).await?;
        let both = scene.condition_types().await?;
        scene.apply("us", &any, &status(2, "Another")).await?;
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
        let read = Precondition::unchanged(&scene.read().await?.metadata);
        let version = scene.apply("us", &read, &status(1, "Ours")).await?;
        // Another writer, that read what the first has read.
        let late = scene.apply("us", &read, &status(1, "Late")).await;
        assert!(matches!(late, Err(WriteError::Stale)), "{late:?}");
        assert_eq!(scene.condition_types().await?, ["Ours"]);
        // The version that a write gives is enough for the next one.
        let next = Precondition {
            resource_version: Some(version),
            ..read
        };
        scene.apply("us", &next, &status(2, "Ours")).await?;
        let decision = scene.status().await?.decision.unwrap_or_default();
        assert_eq!(decision.sequence, 2);
        Ok::<_, Error>(())
    })
    .unwrap()
    .unwrap();
}

#[test]
fn another_object_of_the_name_and_one_that_is_gone_are_not_written() {
    run(async {
        let (_world, scene) = Scene::start().await?;
        let object = scene.read().await?;
        let other = Precondition {
            uid: Some("another".to_owned()),
            resource_version: None,
        };
        let refused = scene.apply("us", &other, &status(1, "Ours")).await;
        assert!(matches!(refused, Err(WriteError::Stale)), "{refused:?}");
        scene
            .api
            .delete(&object.name_any(), &DeleteParams::default())
            .await?;
        let same = Precondition::same_object(&object.metadata);
        let refused = scene.apply("us", &same, &status(1, "Ours")).await;
        assert!(matches!(refused, Err(WriteError::Gone)), "{refused:?}");
        Ok::<_, Error>(())
    })
    .unwrap()
    .unwrap();
}
