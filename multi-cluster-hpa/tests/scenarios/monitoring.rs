//! Prometheus servers as `prepare/prometheus` sets them up: one on each member, and one that
//! federates them, so that every number carries `cluster_name`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::routing::get;
use lab::e2e::{MEMBERS, World, repository};
use lab::real::free_port;
use lab::scenarios;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::load::Load;
use crate::scene::{autoscaler, deployment, until_wanted};

scenarios!(usage_that_prometheus_scrapes_from_the_nodes);

/// What applications export, by cluster, in Prometheus' text format.
type Pages = Arc<Mutex<BTreeMap<String, String>>>;

/// Prometheus on each member and on the hub; dropped, they end.
pub(crate) struct Monitoring {
    pages: Pages,
    directory: PathBuf,
    port: u16,
    hub: Option<Child>,
    _members: Vec<Child>,
}

impl Monitoring {
    pub(crate) async fn start(world: &World) -> Result<Self> {
        let pages = Pages::default();
        let exporter = export(pages.clone()).await?;
        let directory = world
            .lab
            .directory()
            .join(format!("prometheus-{}", world.namespace()));
        // Numbers of a run before this one would count.
        drop(std::fs::remove_dir_all(&directory));
        let (mut members, mut addresses) = (Vec::new(), Vec::new());
        for name in MEMBERS {
            let directory = directory.join(name);
            let mut targets = vec![json!({
                "targets": [format!("127.0.0.1:{exporter}")],
                "labels": { "__metrics_path__": format!("/metrics/{name}") },
            })];
            targets.extend((1..=5).filter_map(|node| usage_of_node(world, name, node)));
            write(
                &directory.join("targets/all.yml"),
                &json!(targets).to_string(),
            )?;
            let port = free_port();
            members.push(serve(&directory, "member.yml", port, name)?);
            addresses.push(format!("127.0.0.1:{port}"));
        }
        let members_file = json!([{ "targets": addresses }]).to_string();
        write(&directory.join("members.yml"), &members_file)?;
        let port = free_port();
        let hub = Some(serve(&directory, "hub.yml", port, "")?);
        Ok(Self {
            pages,
            directory,
            port,
            hub,
            _members: members,
        })
    }

    /// The flag that names it.
    pub(crate) fn flag(&self) -> String {
        format!("--prometheus-url=http://127.0.0.1:{}", self.port)
    }

    /// What the applications of a cluster export from now on.
    pub(crate) fn export(&self, cluster: &str, text: impl Into<String>) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.insert(cluster.to_owned(), format!("{}\n", text.into()));
    }

    /// Ends the one that sees all clusters: SIGTERM.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        let mut hub = self.hub.take().context("it has ended already")?;
        let id = hub.id().context("it has ended by itself")?.to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().await?;
        ensure!(status.success(), "kill -TERM failed");
        hub.wait().await?;
        Ok(())
    }

    /// Starts it again, at the same address and with what it knew.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.hub = Some(serve(&self.directory, "hub.yml", self.port, "")?);
        Ok(())
    }
}

/// Where Prometheus finds what the pods of a node use; embedded members have no such page.
fn usage_of_node(world: &World, cluster: &str, node: usize) -> Option<serde_json::Value> {
    let cluster = world.lab.cluster(cluster).ok()?;
    let url = cluster.metrics_url(&format!("{}-node{node}", cluster.name()))?;
    let (address, path) = url.strip_prefix("http://")?.split_once('/')?;
    Some(json!({ "targets": [address], "labels": { "__metrics_path__": format!("/{path}") } }))
}

/// Starts a Prometheus by a file of `prepare/prometheus`, which only has to look more often.
fn serve(directory: &Path, file: &str, port: u16, cluster: &str) -> Result<Child> {
    let prepared = std::fs::read_to_string(repository().join("prepare/prometheus").join(file))?;
    let often = prepared.replace("scrape_interval: 15s", "scrape_interval: 1s");
    ensure!(often != prepared, "{file} has another interval");
    let configuration = directory.join(file);
    write(&configuration, &often)?;
    let log = std::fs::File::create(directory.join("prometheus.log"))?;
    let server = Command::new("prometheus")
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            directory.join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--enable-feature=expand-external-labels")
        .env("CLUSTER_NAME", cluster)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn();
    server.context("prometheus did not start: apt-get install prometheus")
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::create_dir_all(path.parent().context("no folder")?)?;
    Ok(std::fs::write(path, text)?)
}

/// Serves the pages; its port.
async fn export(pages: Pages) -> Result<u16> {
    let page = async |State(pages): State<Pages>, UrlPath(cluster): UrlPath<String>| {
        let pages = pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.get(&cluster).cloned().unwrap_or_default()
    };
    let router = Router::new()
        .route("/metrics/{cluster}", get(page))
        .with_state(pages);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(port)
}

/// KWOK's pages of the nodes, through both Prometheus servers.
async fn usage_that_prometheus_scrapes_from_the_nodes(world: &World) -> Result<()> {
    let monitoring = Monitoring::start(world).await?;
    let _scheduler = world.scheduler(&[]).await?;
    let _operator = world.operator(&[&monitoring.flag()]).await?;
    world
        .apply(&deployment("memory", &["cluster1", "cluster2"]))
        .await?;
    let query = format!(
        "sum by (cluster_name) (container_memory_working_set_bytes{{namespace=\"{}\"}})",
        world.namespace()
    );
    let target = json!({ "type": "AverageValue", "averageValue": "100Mi" });
    let metric =
        json!({ "type": "Prometheus", "prometheus": { "query": query, "target": target } });
    world.apply(&autoscaler("memory", &metric)).await?;
    let load = |clusters, amount| Load {
        app: "memory",
        clusters,
        resource: "memory",
        amount,
    };
    let loads = [load(&["cluster1"], 290), load(&["cluster2"], 90)];
    until_wanted_while(world, &loads, &[("cluster1", 3), ("cluster2", 1)]).await
}

async fn until_wanted_while(world: &World, loads: &[Load], wanted: &[(&str, u64)]) -> Result<()> {
    let driven = async {
        loop {
            for load in loads {
                load.spread(world).await?;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        biased;
        reached = until_wanted(world, "memory", wanted) => reached,
        failed = driven => failed,
    }
}
