//! A hub and ten members in this process, served over HTTPS, and the operators as people run them:
//! each a process of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use control_plane::store::Store;
use control_plane::{ControlPlane, Host, MetricsSource, Options, Tls, User};
use federation::operator::clock::{SharedClock, WallClock};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use lab::access;
use lab::simulated::{self, Cluster, Delay, NodeGroup};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::prometheus::Prometheus;
use super::usage::{APP, Loads, MetricsServer};
use crate::bench::operator::Operator;
use crate::repository::root;

/// How many members there are.
pub(super) const MEMBERS: usize = 10;
/// How long something may take to come.
const PATIENCE: Duration = Duration::from_mins(5);
/// Objects that are written at the same time.
const PARALLEL: usize = 8;

/// What the autoscalers go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// The pods' CPU, from each member's `metrics.k8s.io`.
    Cpu,
    /// A query to Prometheus, the same for all.
    Query,
}

/// A hub, members, operators, and autoscalers.
pub(super) struct Federation {
    pub(super) hub: Client,
    pub(super) loads: Loads,
    pub(super) prometheus: Prometheus,
    pub(super) autoscaler: Operator,
    pub(super) metric: Metric,
    /// How many autoscalers there are.
    pub(super) size: usize,
    _scheduler: Operator,
    _members: Vec<Arc<Cluster>>,
}

impl Federation {
    /// Without autoscalers.
    pub(super) async fn start() -> Result<Self> {
        let folder = root().join("target/bench-hpa");
        std::fs::create_dir_all(&folder)?;
        let token = access::token(&folder)?;
        let host = Host::new();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let tls = Tls::open(&folder.join("tls"), &["localhost", "127.0.0.1"])?;

        let loads = Loads::default();
        let hub = plane(&token, None).await?;
        access::install_crds(&client(&hub)).await?;
        host.insert("hub", hub.router());
        let mut members = Vec::new();
        for name in names() {
            let metrics = MetricsServer::new(&name, &loads);
            let plane = plane(&token, Some(Arc::new(metrics.clone()))).await?;
            let clock: SharedClock = Arc::new(WallClock);
            let cluster = Cluster::start(&name, client(&plane), options(), 0, clock).await?;
            let cluster = Arc::new(cluster);
            metrics.follow(&cluster);
            host.insert(&name, plane.router());
            members.push(cluster);
        }

        let contexts: Vec<_> = std::iter::once("hub".to_owned()).chain(names()).collect();
        let url = |name: &String| format!("https://{address}/clusters/{name}");
        let servers: Vec<_> = contexts
            .iter()
            .map(|name| (name.as_str(), url(name)))
            .collect();
        let kubeconfig: PathBuf = folder.join("kubeconfig");
        let text = access::kubeconfig(&servers, tls.authority(), &token);
        access::write_secret(&kubeconfig, &text)?;
        tokio::spawn(async move {
            control_plane::serve(listener, Some(&tls), host.router(), std::future::pending()).await
        });

        let scheduler = Operator::start("multi-cluster-scheduler", &kubeconfig, &[])?;
        scheduler.ready().await?;
        let prometheus = Prometheus::start(names().collect()).await?;
        let flags = ["--prometheus-url".to_owned(), prometheus.url()];
        let autoscaler = Operator::start("multi-cluster-hpa", &kubeconfig, &flags)?;
        autoscaler.ready().await?;
        Ok(Self {
            hub: client(&hub),
            loads,
            prometheus,
            autoscaler,
            metric: Metric::Cpu,
            size: 0,
            _scheduler: scheduler,
            _members: members,
        })
    }

    /// Makes so many deployments, each with an autoscaler, and waits until all are followed.
    pub(super) async fn grow_to(&mut self, size: usize) -> Result<()> {
        let new: Vec<_> = (self.size..size).map(workload).collect();
        let objects: Vec<_> = new.iter().map(|name| deployment(name)).collect();
        self.apply_all(objects).await?;
        self.size = size;
        self.apply_autoscalers().await
    }

    /// Lets all autoscalers go by this, and waits until they do.
    pub(super) async fn go_by(&mut self, metric: Metric) -> Result<()> {
        self.metric = metric;
        self.apply_autoscalers().await
    }

    async fn apply_autoscalers(&self) -> Result<()> {
        let names = (0..self.size).map(workload);
        let objects = names.map(|name| autoscaler(&name, self.metric)).collect();
        self.apply_all(objects).await?;
        self.settled().await
    }

    async fn apply_all(&self, objects: Vec<Value>) -> Result<()> {
        let writes = objects.into_iter().map(async |object| {
            let kind = object["kind"].as_str().unwrap_or_default();
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let params = PatchParams::apply("bench").force();
            let patch = Patch::Apply(&object);
            let written = self.api(kind).patch(name, &params, &patch).await;
            written.with_context(|| format!("{kind} {name}")).map(drop)
        });
        futures::stream::iter(writes)
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await
    }

    /// Waits until every autoscaler says that it follows its metric, as its spec is now.
    async fn settled(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let waiting = self.waiting().await?;
            let Some(example) = waiting.first() else {
                return Ok(());
            };
            if Instant::now() > deadline {
                bail!("{} autoscalers do not work: {example}", waiting.len());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The autoscalers that do not follow their metric.
    async fn waiting(&self) -> Result<Vec<String>> {
        let api = self.api("MultiClusterHorizontalPodAutoscaler");
        let all = api.list(&ListParams::default()).await?.items;
        let waiting = all.into_iter().filter(|object| {
            let status = &object.data["status"];
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let mut active = conditions.filter(|one| one["type"] == "ScalingActive");
            status["observedGeneration"].as_i64() != object.metadata.generation
                || !active.any(|one| one["status"] == "True")
                || status["clusters"].as_array().map(Vec::len) != Some(MEMBERS)
        });
        waiting
            .map(|object| Ok(serde_json::to_string(&object)?))
            .collect()
    }

    pub(super) fn api(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("fogguru.eu", "v1", kind);
        Api::default_namespaced_with(self.hub.clone(), &ApiResource::from_gvk(&kind))
    }
}

/// `clusterReplicas` of a deployment, by workload and cluster.
pub(super) fn replicas(deployment: &DynamicObject) -> Vec<((String, String), u64)> {
    let name = deployment.metadata.name.clone().unwrap_or_default();
    let entries = deployment.data["spec"]["clusterReplicas"].as_array();
    let entries = entries.into_iter().flatten().filter_map(|entry| {
        let cluster = entry["cluster"].as_str()?.to_owned();
        Some(((name.clone(), cluster), entry["replicas"].as_u64()?))
    });
    entries.collect()
}

/// The members' names.
pub(super) fn names() -> impl Iterator<Item = String> {
    (1..=MEMBERS).map(|number| format!("cluster{number}"))
}

pub(super) fn workload(number: usize) -> String {
    format!("app{number:04}")
}

async fn plane(token: &str, metrics: Option<Arc<dyn MetricsSource>>) -> Result<ControlPlane> {
    let options = Options {
        tokens: [(token.to_owned(), User::admin())].into(),
        metrics,
        ..Options::default()
    };
    let store = Store::memory(control_plane::store::Options::default());
    Ok(ControlPlane::start(store, options).await?)
}

fn client(plane: &ControlPlane) -> Client {
    Client::new(plane.router_for(User::admin()), "default")
}

/// Room for all, and as few writes as can be: what is measured is the autoscaler.
fn options() -> simulated::Options {
    simulated::Options {
        nodes: vec![NodeGroup {
            count: 4,
            cpu: "128".to_owned(),
            memory: "256Gi".to_owned(),
            pods: 1000,
            ..NodeGroup::default()
        }],
        startup: Delay::Fixed(Duration::from_secs(1)),
        events: false,
        heartbeat: None,
        ..simulated::Options::default()
    }
}

/// One replica on each member.
fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment", "metadata": { "name": name },
        "spec": {
            "locations": names().collect::<Vec<_>>().join(", "), "replicas": 1,
            "selector": { "matchLabels": { APP: name } },
            "template": {
                "metadata": { "labels": { APP: name } },
                "spec": { "containers": [{
                    "name": "main", "image": "registry.example/hello:1",
                    "resources": { "requests": { "cpu": "200m", "memory": "16Mi" } },
                }] },
            },
        },
    })
}

fn autoscaler(name: &str, metric: Metric) -> Value {
    let metric = match metric {
        Metric::Cpu => json!({ "type": "Resource", "resource": {
            "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 },
        } }),
        Metric::Query => json!({ "type": "Prometheus", "prometheus": {
            "query": "sum by (cluster_name) (rate(http_requests_total[1m]))",
            "target": { "type": "AverageValue", "averageValue": "1" },
        } }),
    };
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterHorizontalPodAutoscaler",
        "metadata": { "name": name },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment", "name": name,
            },
            "minReplicas": 1, "maxReplicas": 100, "metrics": [metric],
        },
    })
}
