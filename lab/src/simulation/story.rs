//! A story that a seed tells: people change objects, machines and networks fail, the scheduler is
//! killed and started again. When all is mended, everything must be as the specs say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use federation::api::LABEL_OWNER;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::faults::Faults;
use super::network::Reach;
use super::world::{Error, HUB, Operator, World, apply};
use crate::simulated::{Options, Random};

/// How long a story is.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Things that happen.
    pub steps: usize,
    /// The share of requests that go wrong, from 0 to 1.
    pub faults: f64,
}

impl Default for Length {
    /// Forty things, and two of a hundred requests.
    fn default() -> Self {
        Self {
            steps: 40,
            faults: 0.02,
        }
    }
}

/// What came of a story.
#[derive(Debug)]
pub struct Ending {
    /// All that happened, line by line.
    pub trace: String,
    /// What is not as it must be, for people.
    pub violations: Vec<String>,
}

/// Names of the objects that a story is about.
const NAMES: [&str; 6] = ["ada", "bea", "cleo", "dora", "eve", "flo"];
const POLICIES: [&str; 6] = [
    "worst_fit",
    "best_fit",
    "first_fit",
    "round_robin",
    "random",
    "cluster_affinity",
];
const FLAGS: [&str; 3] = [
    "--cluster-toleration=2m",
    "--deletion-grace=1m",
    "--deadline=5s",
];
/// After this long without faults everything is as it shall be.
const SETTLED: Duration = Duration::from_mins(15);

/// Tells the story of a seed to its end. Within [`super::run`].
pub async fn tell(seed: u64, length: Length) -> Result<Ending, Error> {
    let mut story = Story::begin(seed, length).await?;
    for _ in 0..length.steps {
        story.step().await?;
    }
    story.mend().await?;
    sleep(SETTLED).await;
    if std::env::var_os("STORY").is_some() {
        story.tell_all().await?;
    }
    story.check_end().await?;
    Ok(Ending {
        trace: story.world.trace.text(),
        violations: story.violations,
    })
}

struct Story {
    world: World,
    random: Random,
    length: Length,
    seed: u64,
    scheduler: Option<Operator>,
    lost: BTreeSet<(String, String)>,
    violations: Vec<String>,
}

impl Story {
    async fn begin(seed: u64, length: Length) -> Result<Self, Error> {
        let mut random = Random::new(seed, "story");
        let count = 2 + random.below(3);
        let members: BTreeMap<String, Options> = (1..=count)
            .map(|number| {
                let nodes = 1 + random.below(5);
                (format!("cluster{number}"), Options::uniform(nodes))
            })
            .collect();
        let world = World::start(seed, members).await?;
        let foreign = deployment_on_member("foreign");
        let client = world.member_client("cluster1").ok_or("no cluster1")?;
        apply(&client, &foreign).await?;
        world.network.set_faults(Faults::new(seed, length.faults));
        let scheduler = Some(world.scheduler(&FLAGS)?);
        Ok(Self {
            world,
            random,
            length,
            seed,
            scheduler,
            lost: BTreeSet::new(),
            violations: Vec::new(),
        })
    }

    /// One thing happens, after a while.
    async fn step(&mut self) -> Result<(), Error> {
        sleep(Duration::from_millis(self.random.below(60_000) as u64)).await;
        let name = NAMES[self.random.below(NAMES.len())];
        let done = match self.random.below(14) {
            0..=3 => self.write(name).await,
            4 => self.scale(name).await,
            5 | 6 => self.delete(name).await,
            7 => self.cordon().await,
            8 => {
                self.lose_or_return_a_node();
                Ok(())
            }
            9 | 10 => {
                self.cut_or_open_a_member();
                Ok(())
            }
            11 => self.write("foreign").await,
            12 => self.change_by_hand(name).await,
            _ => self.kill_the_scheduler().await,
        };
        // People are refused, too: what is not there cannot be changed.
        if let Err(error) = done {
            self.note(&format!("refused: {error}"));
        }
        self.check_rooms();
        if std::env::var_os("STORY").is_some() {
            self.tell_all().await?;
        }
        Ok(())
    }

    /// Shows every object with its placements, for whoever looks for a fault.
    async fn tell_all(&self) -> Result<(), Error> {
        let api = deployments_of_hub(&self.world.hub_client());
        for object in api.list(&ListParams::default()).await? {
            let placements = object.data["status"]["placements"].as_array().cloned();
            let placements: Vec<_> = placements
                .iter()
                .flatten()
                .map(|one| format!("{}:{}-{}", one["cluster"], one["replicas"], one["leaving"]))
                .collect();
            self.note(&format!(
                "   {} {} {:?} {} sequence {}",
                object.name_any(),
                object.uid().unwrap_or_default(),
                placements,
                object.data["status"]["unplacedReplicas"],
                object.data["status"]["decision"]["sequence"]
            ));
        }
        for name in self.world.members.keys() {
            let client = self.world.member_client(name).ok_or("no such member")?;
            let held: Vec<_> = deployments(&client)
                .list(&ListParams::default())
                .await?
                .iter()
                .map(|one| format!("{}:{}", one.name_any(), one.data["spec"]["replicas"]))
                .collect();
            self.note(&format!("   {name} holds {held:?}"));
        }
        Ok(())
    }

    fn note(&self, what: &str) {
        self.world.trace.line(&format!("== {what}"));
    }

    async fn write(&mut self, name: &str) -> Result<(), Error> {
        let policy = POLICIES[self.random.below(POLICIES.len())];
        let cpu = 250 * (1 + self.random.below(6));
        let mut spec = json!({
            "placementPolicy": policy,
            "replicas": self.random.below(5),
            "selector": { "matchLabels": { "app": name } },
            // A rollout must not wait for room that it holds itself, as it may in any cluster.
            "strategy": { "rollingUpdate": { "maxSurge": 0, "maxUnavailable": "100%" } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": "main", "image": format!("main:{}", self.random.below(3)),
                    "resources": { "requests": { "cpu": format!("{cpu}m"), "memory": "256Mi" } },
                }] },
            },
        });
        if policy == "cluster_affinity" || self.random.happens(0.3) {
            let members: Vec<&String> = self.world.members.keys().collect();
            let first = self.random.below(members.len());
            let clusters: Vec<_> = members.into_iter().skip(first).take(2).collect();
            spec["clusters"] = json!(clusters);
        } else {
            spec["numberOfLocations"] = json!(1 + self.random.below(3));
        }
        self.note(&format!("write {name} {policy}"));
        let object = json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
            "metadata": { "name": name, "namespace": "default" }, "spec": spec,
        });
        apply(&self.world.hub_client(), &object).await?;
        Ok(())
    }

    async fn scale(&mut self, name: &str) -> Result<(), Error> {
        let replicas = self.random.below(8);
        self.note(&format!("scale {name} to {replicas}"));
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let api = deployments_of_hub(&self.world.hub_client());
        api.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn delete(&mut self, name: &str) -> Result<(), Error> {
        self.note(&format!("delete {name}"));
        let api = deployments_of_hub(&self.world.hub_client());
        api.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    async fn cordon(&mut self) -> Result<(), Error> {
        let (name, cordoned) = (self.member(), self.random.happens(0.5));
        self.note(&format!("cordon {name}: {cordoned}"));
        let patch = Patch::Merge(json!({ "spec": { "unschedulable": cordoned } }));
        let api = all(&self.world.hub_client(), "fogguru.eu", "MemberCluster");
        api.patch(&name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    fn lose_or_return_a_node(&mut self) {
        let name = self.member();
        let Some(member) = self.world.members.get(&name) else {
            return;
        };
        let nodes = member.cluster.nodes();
        if nodes.is_empty() {
            return;
        }
        let node = nodes[self.random.below(nodes.len())].name_any();
        let key = (name.clone(), node.clone());
        if self.lost.remove(&key) {
            member.cluster.return_node(&node);
            self.note(&format!("{node} is back"));
        } else {
            member.cluster.lose_node(&node);
            self.lost.insert(key);
            self.note(&format!("{node} is lost"));
        }
    }

    fn cut_or_open_a_member(&mut self) {
        let name = self.member();
        let reach = [Reach::Open, Reach::Open, Reach::Refused, Reach::Silent][self.random.below(4)];
        self.note(&format!("{name} is {reach:?}"));
        self.world.network.set_reach(&name, reach);
    }

    async fn change_by_hand(&mut self, name: &str) -> Result<(), Error> {
        let member = self.member();
        self.note(&format!("change {name} on {member} by hand"));
        let client = self.world.member_client(&member).ok_or("no such member")?;
        let api = deployments(&client);
        let patch = Patch::Merge(json!({ "spec": { "replicas": self.random.below(9) } }));
        api.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn kill_the_scheduler(&mut self) -> Result<(), Error> {
        self.note("the scheduler is killed");
        if let Some(scheduler) = self.scheduler.take() {
            scheduler.kill();
        }
        sleep(Duration::from_millis(self.random.below(20_000) as u64)).await;
        self.note("the scheduler starts");
        self.scheduler = Some(self.world.scheduler(&FLAGS)?);
        Ok(())
    }

    fn member(&mut self) -> String {
        let number = self.random.below(self.world.members.len());
        let mut names = self.world.members.keys();
        names.nth(number).cloned().unwrap_or_default()
    }

    /// Nothing goes wrong any more.
    async fn mend(&mut self) -> Result<(), Error> {
        self.note("all is mended");
        self.world.network.set_faults(Faults::none());
        for name in self.world.members.keys().map(String::as_str).chain([HUB]) {
            self.world.network.set_reach(name, Reach::Open);
        }
        for (member, node) in std::mem::take(&mut self.lost) {
            if let Some(member) = self.world.members.get(&member) {
                member.cluster.return_node(&node);
            }
        }
        let api = all(&self.world.hub_client(), "fogguru.eu", "MemberCluster");
        for member in self.world.members.keys() {
            let patch = Patch::Merge(json!({ "spec": { "unschedulable": false } }));
            api.patch(member, &PatchParams::default(), &patch).await?;
        }
        Ok(())
    }

    /// No node holds more than it has.
    fn check_rooms(&mut self) {
        for (name, member) in &self.world.members {
            let mut held: BTreeMap<String, i64> = BTreeMap::new();
            for pod in member.cluster.pods() {
                let spec = pod.spec.as_ref();
                let node = spec.and_then(|spec| spec.node_name.clone());
                let phase = pod
                    .status
                    .as_ref()
                    .and_then(|status| status.phase.as_deref());
                let (Some(node), false) = (node, matches!(phase, Some("Succeeded" | "Failed")))
                else {
                    continue;
                };
                let containers = spec.iter().flat_map(|spec| &spec.containers);
                let cpu = containers.map(|container| {
                    let requests = container
                        .resources
                        .as_ref()
                        .and_then(|r| r.requests.as_ref());
                    requests
                        .and_then(|requests| requests.get("cpu"))
                        .map_or(0, millis)
                });
                *held.entry(node).or_default() += cpu.sum::<i64>();
            }
            for (node, held) in held {
                if held > 4_000 {
                    self.violations
                        .push(format!("{name}: {node} holds {held}m of 4000m"));
                }
            }
        }
    }

    /// Everything is as the specs say.
    async fn check_end(&mut self) -> Result<(), Error> {
        self.check_rooms();
        let wanted = deployments_of_hub(&self.world.hub_client());
        let wanted = wanted.list(&ListParams::default()).await?.items;
        let mut on_members: BTreeMap<(String, String), i64> = BTreeMap::new();
        let members: Vec<String> = self.world.members.keys().cloned().collect();
        for name in &members {
            let client = self.world.member_client(name).ok_or("no such member")?;
            for found in deployments(&client).list(&ListParams::default()).await? {
                let owner = found.labels().get(LABEL_OWNER).cloned();
                let replicas = found.data["spec"]["replicas"].as_i64().unwrap_or(1);
                match owner {
                    Some(owner) => {
                        on_members.insert((owner, name.clone()), replicas);
                        let available = found.data["status"]["availableReplicas"].as_i64();
                        if available.unwrap_or(0) != replicas {
                            let what = found.name_any();
                            let status = &found.data["status"];
                            self.violation(&format!(
                                "{what} on {name} has {replicas} replicas, but {status}"
                            ));
                        }
                    }
                    None if replicas != 1 || found.name_any() != "foreign" => {
                        self.violation(&format!("{} on {name} was touched", found.name_any()));
                    }
                    None => {}
                }
            }
        }
        for object in &wanted {
            self.check_object(object, &mut on_members);
        }
        for (owner, member) in on_members.into_keys() {
            self.violation(&format!("{member} still holds something of {owner}"));
        }
        Ok(())
    }

    fn check_object(
        &mut self,
        object: &DynamicObject,
        on_members: &mut BTreeMap<(String, String), i64>,
    ) {
        let (name, status, spec) = (
            object.name_any(),
            &object.data["status"],
            &object.data["spec"],
        );
        let uid = object.uid().unwrap_or_default();
        if status["observedGeneration"].as_i64() != object.metadata.generation {
            self.violation(&format!("{name}: the status is of an older spec: {status}"));
        }
        let per_location = spec["replicas"].as_i64().unwrap_or(1);
        let locations = spec["clusters"].as_array().map_or_else(
            || spec["numberOfLocations"].as_i64().unwrap_or(1),
            |all| i64::try_from(all.len()).unwrap_or(i64::MAX),
        );
        let mut sum = status["unplacedReplicas"].as_i64().unwrap_or(0);
        let placements = status["placements"].as_array().cloned().unwrap_or_default();
        for one in &placements {
            let cluster = one["cluster"].as_str().unwrap_or_default().to_owned();
            let replicas = one["replicas"].as_i64().unwrap_or(0);
            let leaving = one["leaving"].as_i64().unwrap_or(0);
            sum += replicas - leaving;
            let there = on_members.remove(&(uid.clone(), cluster.clone()));
            let foreign = name == "foreign" && cluster == "cluster1";
            if there != Some(replicas) && !foreign {
                self.violation(&format!(
                    "{name}: {cluster} shall have {replicas} replicas and has {there:?}"
                ));
            }
        }
        if sum != per_location * locations {
            self.violation(&format!(
                "{name}: {sum} replicas of {} are accounted for: {status}",
                per_location * locations
            ));
        }
    }

    fn violation(&mut self, what: &str) {
        let (seed, length) = (self.seed, self.length);
        self.violations
            .push(format!("seed {seed} ({length:?}): {what}"));
    }
}

/// A Deployment that somebody else has on a member.
fn deployment_on_member(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "foreign:1" }] },
            },
        },
    })
}

fn all(client: &Client, group: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    Api::all_with(client.clone(), &resource)
}

fn deployments_of_hub(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("fogguru.eu", "v1", "MultiClusterDeployment");
    Api::namespaced_with(client.clone(), "default", &ApiResource::from_gvk(&kind))
}

fn deployments(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("apps", "v1", "Deployment");
    Api::namespaced_with(client.clone(), "default", &ApiResource::from_gvk(&kind))
}

fn millis(quantity: &k8s_openapi::apimachinery::pkg::api::resource::Quantity) -> i64 {
    match quantity.0.strip_suffix('m') {
        Some(millis) => millis.parse().unwrap_or(0),
        None => quantity.0.parse::<i64>().unwrap_or(0) * 1000,
    }
}
