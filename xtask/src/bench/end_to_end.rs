//! From the POST on the hub to the Deployment on the last member, beside the floor: the same
//! Deployments posted straight to the members, over warm connections, in turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Api, Client};
use lab::real::{Lab, Options};
use serde_json::{Value, json};
use statrs::statistics::{Data, OrderStatistics as _};

use super::Figure;
use super::operator::{Operator, build};
use super::procfs::resident;
use super::seen::Seen;
use crate::repository::root;

const MEMBERS: [&str; 3] = ["cluster1", "cluster2", "cluster3"];
const SETTLE: Duration = Duration::from_mins(3);

/// Measures with 5 and with 100 nodes a member.
pub(crate) fn run(quick: bool) -> Result<Vec<Figure>> {
    build(&["multi-cluster-scheduler"])?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut figures = Vec::new();
        let small = Bench::start(5).await?;
        figures.push(small.idle_memory()?);
        figures.extend(
            small
                .one_at_a_time(if quick { 3 } else { 10 }, if quick { 3 } else { 10 })
                .await?,
        );
        figures.extend(small.at_once(200, if quick { 1 } else { 5 }).await?);
        small.end().await?;
        let large = Bench::start(100).await?;
        figures.extend(
            large
                .one_at_a_time(if quick { 2 } else { 5 }, if quick { 3 } else { 10 })
                .await?,
        );
        large.end().await?;
        Ok(figures)
    })
}

/// A lab with a scheduler at work, and somebody who watches the members.
struct Bench {
    lab: Lab,
    nodes: usize,
    scheduler: Operator,
    hub: Client,
    members: Vec<Client>,
    seen: Arc<Seen>,
}

impl Bench {
    async fn start(nodes: usize) -> Result<Self> {
        let directory = root().join("target/bench-lab");
        let lab = Lab::up(Options::uniform(directory, MEMBERS.len(), nodes)).await?;
        let crds = root().join("manifests/crds");
        let applied = lab
            .kubectl(&["apply", "--server-side", "-f", &crds.to_string_lossy()])
            .await?;
        if !applied.success() {
            bail!("the CRDs were not installed: {}", applied.stderr);
        }
        let scheduler = Operator::start("multi-cluster-scheduler", &lab.kubeconfig(), &[])?;
        let hub = lab.client("cluster0").await?;
        let mut members = Vec::new();
        let seen = Arc::new(Seen::default());
        for name in MEMBERS {
            let client = lab.client(name).await?;
            tokio::spawn(seen.clone().follow(client.clone()));
            members.push(client);
        }
        let bench = Self {
            lab,
            nodes,
            scheduler,
            hub,
            members,
            seen,
        };
        bench.scheduler.ready().await?;
        Ok(bench)
    }

    async fn end(self) -> Result<()> {
        drop(self.scheduler);
        self.lab.down().await?;
        Ok(())
    }

    fn idle_memory(&self) -> Result<Figure> {
        let megabytes = resident(self.scheduler.pid())? as f64 / 1e6;
        Ok(Figure {
            name: "idle operator, 3 members, resident".to_owned(),
            measured: format!("{megabytes:.1} MB"),
            target: "under 40 MB".to_owned(),
            met: megabytes < 40.0,
        })
    }

    /// Pairs of series, each sample alone; the members are quiet between samples.
    async fn one_at_a_time(&self, pairs: usize, samples: usize) -> Result<Vec<Figure>> {
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        let mut requests = 0.0;
        // The first of each is for the connections to warm up.
        for pair in 0..=pairs {
            for kind in [Kind::Ours, Kind::Floor] {
                for sample in 0..samples {
                    let name = format!("one-{}-{pair}-{sample}", kind.prefix());
                    let before = self.scheduler.requests().await?;
                    let taken = self.batch(kind, std::slice::from_ref(&name), 1).await?;
                    let sent = self.scheduler.requests().await? - before;
                    if pair > 0 {
                        match kind {
                            Kind::Ours => {
                                ours.push(taken);
                                requests += sent;
                            }
                            Kind::Floor | Kind::Applied => floor.push(taken),
                        }
                    }
                    self.clear(kind, &[name]).await?;
                }
            }
        }
        let requests = requests / ours.len() as f64;
        let (ours, floor) = (median(&ours), median(&floor));
        let ratio = ours.as_secs_f64() / floor.as_secs_f64();
        Ok(vec![Figure {
            name: format!(
                "one at a time, {} nodes a member, P50 of {} samples in {pairs} pairs",
                self.nodes,
                pairs * samples
            ),
            measured: format!(
                "{} ms; floor {} ms; ratio {ratio:.2}; {requests:.1} API requests a placement",
                millis(ours),
                millis(floor)
            ),
            target: "within 2.5 x the floor".to_owned(),
            met: ratio <= 2.5,
        }])
    }

    /// Pairs of bursts; beside each the floor with server-side apply, which is what objects on
    /// members are written with.
    async fn at_once(&self, count: usize, pairs: usize) -> Result<Vec<Figure>> {
        let (mut ours, mut floor, mut applied) = (Vec::new(), Vec::new(), Vec::new());
        let mut requests = 0.0;
        for pair in 0..pairs {
            for kind in [Kind::Floor, Kind::Applied, Kind::Ours] {
                let names: Vec<String> = (0..count)
                    .map(|number| format!("all-{}-{pair}-{number}", kind.prefix()))
                    .collect();
                let before = self.scheduler.requests().await?;
                let taken = self.batch(kind, &names, 16).await?;
                match kind {
                    Kind::Ours => {
                        requests += (self.scheduler.requests().await? - before) / count as f64;
                        ours.push(taken);
                    }
                    Kind::Floor => floor.push(taken),
                    Kind::Applied => applied.push(taken),
                }
                self.clear(kind, &names).await?;
            }
        }
        let (ours, floor, applied) = (median(&ours), median(&floor), median(&applied));
        let rate = |time: Duration| count as f64 / time.as_secs_f64();
        let ratio = rate(ours) / rate(floor);
        Ok(vec![Figure {
            name: format!(
                "{count} at once, {} nodes a member, median of {pairs} pairs",
                self.nodes
            ),
            measured: format!(
                "{:.1}/s; floor {:.1}/s; ratio {ratio:.2}; floor with server-side apply {:.1}/s; {:.1} API requests a placement",
                rate(ours),
                rate(floor),
                rate(applied),
                requests / pairs as f64
            ),
            target: "at least 0.6 x the floor's rate".to_owned(),
            met: ratio >= 0.6,
        }])
    }

    /// The time from the first POST until the last Deployment was seen on the last member.
    async fn batch(&self, kind: Kind, names: &[String], parallel: usize) -> Result<Duration> {
        let started = Instant::now();
        match kind {
            Kind::Ours => {
                let api = self.objects();
                futures::stream::iter(names)
                    .map(|name| {
                        let (api, object) = (api.clone(), multi_cluster_deployment(name));
                        async move {
                            api.create(&PostParams::default(), &serde_json::from_value(object)?)
                                .await
                                .context("POST to the hub")
                        }
                    })
                    .buffer_unordered(parallel)
                    .try_collect::<Vec<_>>()
                    .await?;
            }
            Kind::Floor | Kind::Applied => {
                let posts = names
                    .iter()
                    .flat_map(|name| self.members.iter().map(move |client| (client, name)));
                futures::stream::iter(posts)
                    .map(|(client, name)| {
                        let api: Api<Deployment> = Api::default_namespaced(client.clone());
                        async move {
                            let object = serde_json::from_value(deployment(name))?;
                            let made = if matches!(kind, Kind::Applied) {
                                let params = PatchParams::apply("bench");
                                api.patch(name, &params, &Patch::Apply(&object)).await
                            } else {
                                api.create(&PostParams::default(), &object).await
                            };
                            made.context("Deployment to a member")
                        }
                    })
                    .buffer_unordered(parallel * self.members.len())
                    .try_collect::<Vec<_>>()
                    .await?;
            }
        }
        let last = self.seen.all(names, self.members.len(), SETTLE).await?;
        Ok(last.duration_since(started))
    }

    /// Deletes what a batch made, and waits until the members are quiet.
    async fn clear(&self, kind: Kind, names: &[String]) -> Result<()> {
        match kind {
            Kind::Ours => {
                let api = self.objects();
                futures::stream::iter(names)
                    .map(|name| {
                        let api = api.clone();
                        async move { api.delete(name, &DeleteParams::default()).await }
                    })
                    .buffer_unordered(8)
                    .try_collect::<Vec<_>>()
                    .await?;
            }
            Kind::Floor | Kind::Applied => {
                for client in &self.members {
                    let api: Api<Deployment> = Api::default_namespaced(client.clone());
                    api.delete_collection(
                        &DeleteParams::background(),
                        &ListParams::default().labels("bench=floor"),
                    )
                    .await?;
                }
            }
        }
        let deadline = Instant::now() + SETTLE;
        loop {
            let mut left = self
                .objects()
                .list_metadata(&ListParams::default())
                .await?
                .items
                .len();
            for client in &self.members {
                let pods: Api<Pod> = Api::default_namespaced(client.clone());
                left += pods
                    .list_metadata(&ListParams::default())
                    .await?
                    .items
                    .len();
                let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
                left += deployments
                    .list_metadata(&ListParams::default())
                    .await?
                    .items
                    .len();
            }
            if left == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the members did not become quiet: {left} objects are left");
            }
            tokio::time::sleep(Duration::from_millis(if names.len() > 1 {
                500
            } else {
                50
            }))
            .await;
        }
    }

    fn objects(&self) -> Api<DynamicObject> {
        let resource = ApiResource {
            group: "fogguru.eu".to_owned(),
            version: "v1".to_owned(),
            api_version: "fogguru.eu/v1".to_owned(),
            kind: "MultiClusterDeployment".to_owned(),
            plural: "multiclusterdeployments".to_owned(),
        };
        Api::default_namespaced_with(self.hub.clone(), &resource)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Ours,
    /// POSTs to the members.
    Floor,
    /// The same by server-side apply.
    Applied,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Floor => "floor",
            Self::Applied => "applied",
        }
    }
}

/// Small requests, so that 200 fit on five nodes a member.
fn template(name: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": name } },
        "spec": { "containers": [{
            "name": "hello", "image": "registry.example/hello:1",
            "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
        }] },
    })
}

fn multi_cluster_deployment(name: &str) -> Value {
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment", "metadata": { "name": name },
        "spec": {
            "numberOfLocations": MEMBERS.len(), "placementPolicy": "worst_fit", "replicas": 1,
            "selector": { "matchLabels": { "app": name } }, "template": template(name),
        },
    })
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "labels": { "bench": "floor" } },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "app": name } }, "template": template(name) },
    })
}

fn median(samples: &[Duration]) -> Duration {
    let seconds: Vec<f64> = samples.iter().map(Duration::as_secs_f64).collect();
    Duration::from_secs_f64(Data::new(seconds).median())
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
