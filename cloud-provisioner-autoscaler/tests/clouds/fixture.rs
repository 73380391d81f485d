//! A hub with two members, the scheduler, the provisioner, and a cloud, in virtual time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use federation::api::{CloudProvisioner, MemberCluster, MultiClusterDeployment};
use federation::operator::context::Substitutes;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;
use lab::operators::find;
use lab::simulated::Options;
use lab::simulation::{Cloud, CloudOptions, Operator, World, run};
use serde_json::{Value, json};

/// What the scene is made of.
pub struct Scene {
    pub world: World,
    pub cloud: Cloud,
    pub scheduler: Operator,
    pub provisioner: Operator,
}

/// Plays a story to its end in virtual time.
pub fn play<T>(story: impl Future<Output = T>) -> T {
    run(story).unwrap()
}

impl Scene {
    /// Two members with one node of four cores each.
    pub async fn begin(seed: u64, options: CloudOptions) -> Self {
        let members = ["cluster1", "cluster2"].map(|name| (name.to_owned(), Options::uniform(1)));
        let world = World::start(seed, members.into()).await.unwrap();
        let cloud = Cloud::start(&world, options).await.unwrap();
        let scheduler = world.scheduler(&[]).unwrap();
        let entry = find("cloud-provisioner-autoscaler").unwrap();
        let alone = ["--leader-elect=false"];
        let provisioner = world.operator(entry, "provisioner", &alone, Substitutes::default());
        Self {
            provisioner: provisioner.unwrap(),
            world,
            cloud,
            scheduler,
        }
    }

    pub async fn apply(&self, object: &Value) {
        self.world.apply(object).await.unwrap();
    }

    /// A provisioner called `burst`, with these fields besides those that it must have.
    pub async fn provision(&self, fields: &Value) {
        self.apply(&provisioner(fields)).await;
    }

    /// A deployment of so many replicas of one core on both members.
    pub async fn deploy(&self, name: &str, replicas: u32) {
        self.apply(&deployment(name, replicas)).await;
    }

    /// Lets so many seconds pass.
    pub async fn pass(&self, seconds: u64) {
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
    }

    /// Lets time pass until something holds, a second after the other; how many seconds it took.
    pub async fn until(&self, what: &str, limit: u64, holds: impl AsyncFn(&Self) -> bool) -> u64 {
        let start = self.world.clock.now();
        while !holds(self).await {
            let passed = since(start, self.world.clock.now());
            assert!(
                passed <= limit,
                "{what}: not within {limit} s; {}",
                self.picture().await
            );
            self.pass(1).await;
        }
        since(start, self.world.clock.now())
    }

    async fn picture(&self) -> String {
        let status = json!(self.provisioner().await.status);
        let mut text = format!("provisioner: {status}\n");
        for member in self.members().await.values() {
            writeln!(
                text,
                "{}: {}",
                json!(member.metadata.name),
                json!(member.status)
            )
            .unwrap();
        }
        let deployments: Api<MultiClusterDeployment> = Api::all(self.world.hub_client());
        for one in deployments.list(&ListParams::default()).await.unwrap() {
            writeln!(text, "{}: {}", json!(one.metadata.name), json!(one.status)).unwrap();
        }
        text
    }

    pub async fn provisioner(&self) -> CloudProvisioner {
        let api: Api<CloudProvisioner> = Api::all(self.world.hub_client());
        api.get("burst").await.unwrap()
    }

    pub async fn members(&self) -> BTreeMap<String, MemberCluster> {
        let api: Api<MemberCluster> = Api::all(self.world.hub_client());
        let list = api.list(&ListParams::default()).await.unwrap();
        let named = list
            .into_iter()
            .map(|one| (one.metadata.name.clone().unwrap(), one));
        named.collect()
    }

    /// Replicas that have no cluster, and those that each cluster runs and that are available there.
    pub async fn placed(&self, name: &str) -> (u32, BTreeMap<String, u32>) {
        let api: Api<MultiClusterDeployment> = Api::namespaced(self.world.hub_client(), "default");
        let status = api.get(name).await.unwrap().status.unwrap_or_default();
        let placed = status.placements.iter();
        let placed = placed.map(|one| (one.cluster.clone(), one.available));
        (status.unplaced_replicas, placed.collect())
    }

    /// The reasons of the Events on the provisioner, in order.
    pub async fn events(&self) -> Vec<String> {
        let api: Api<Event> = Api::all(self.world.hub_client());
        let list = api.list(&ListParams::default()).await.unwrap();
        let of_kind = list
            .into_iter()
            .filter(|one| one.involved_object.kind.as_deref() == Some("CloudProvisioner"));
        let mut events: Vec<_> = of_kind
            .map(|one| {
                (
                    one.first_timestamp.map(|time| time.0),
                    one.reason.unwrap_or_default(),
                )
            })
            .collect();
        events.sort();
        events.into_iter().map(|(_, reason)| reason).collect()
    }

    /// A condition of the provisioner: its status, reason and message.
    pub async fn condition(&self, kind: &str) -> (String, String, String) {
        let status = self.provisioner().await.status.unwrap_or_default();
        let found = status.conditions.into_iter().find(|one| one.type_ == kind);
        found.map_or_else(Default::default, |one| {
            (one.status, one.reason, one.message)
        })
    }
}

fn since(start: Timestamp, now: Timestamp) -> u64 {
    let passed: SignedDuration = now.duration_since(start);
    passed.as_secs().unsigned_abs()
}

pub fn provisioner(fields: &Value) -> Value {
    let mut spec =
        json!({ "cloudClusterName": "cloud1", "credentialsSecretRef": { "name": "access" } });
    for (field, value) in fields.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "CloudProvisioner",
        "metadata": { "name": "burst" }, "spec": spec,
    })
}

pub fn deployment(name: &str, replicas: u32) -> Value {
    let requests = json!({ "cpu": "1", "memory": "1Gi" });
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "replicas": replicas, "replicaScheduling": "Total",
            "clusters": ["cluster1", "cluster2"],
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": "main", "image": "main:1", "resources": { "requests": requests },
                }] },
            },
        },
    })
}
