//! An operator that is as small as one can be: it counts the nodes of every member.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use federation::api::MemberCluster;
use federation::members::{
    ConnectionEvent, Connections, Readable, Session, mended, metadata, watch_with,
};
use federation::operator::args::CommonArgs;
use federation::operator::context::{OperatorContext, Substitutes};
use federation::operator::frame::{Operator, OperatorEntry, OperatorError};
use federation::operator::hub::log_watch_error;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::ApiResource;
use kube::runtime::watcher::Event;
use kube::{Api, Client, ResourceExt as _};
use lab::operators::OPERATORS;
use lab::simulation::{Error, World, run};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{eventually, three_members};

/// The table of this test: the operators that there are, and one more line.
fn table() -> Vec<OperatorEntry> {
    let mut table = OPERATORS.to_vec();
    table.push(OperatorEntry::of::<Census>());
    table
}

/// Writes a `ConfigMap` for each member, with the number of its nodes.
struct Census {
    args: Args,
    counted: Counter,
}

#[derive(Debug, clap::Args)]
struct Args {
    /// The prefix of the names
    #[arg(long, env = "MCK8S_CENSUS_PREFIX", default_value = "census")]
    prefix: String,
}

/// A client is all that it needs of a member.
pub(crate) struct Reachable(Client);

impl Session for Reachable {
    type Shared = ();

    fn open((): &(), _: &Arc<MemberCluster>, client: Client) -> Self {
        Self(client)
    }
}

impl Operator for Census {
    const NAME: &'static str = "census";
    const ABOUT: &'static str = "Counts the nodes of the member clusters";
    const PORT: u16 = 9449;
    const METRICS_PREFIX: &'static str = "census";

    type Args = Args;

    fn kinds() -> Vec<ApiResource> {
        vec![ApiResource::erase::<MemberCluster>(&())]
    }

    fn new(
        args: Args,
        _common: &CommonArgs,
        metrics: &mut Registry,
    ) -> Result<Self, OperatorError> {
        let counted = Counter::default();
        metrics.register(
            "members_counted",
            "Members that were counted",
            counted.clone(),
        );
        Ok(Self { args, counted })
    }

    async fn run(
        self,
        context: OperatorContext,
        stop: CancellationToken,
    ) -> Result<(), OperatorError> {
        let connections = Connections::<Reachable>::new(&context, ());
        let (opened, mut members) = tokio::sync::mpsc::unbounded_channel();
        let on_event = |member: &Arc<MemberCluster>, event: ConnectionEvent<Reachable>| {
            if let ConnectionEvent::Opened(session) = event {
                opened.send((member.name_any(), session)).ok();
            }
        };
        let count = async {
            while let Some((name, session)) = members.recv().await {
                if self.count(&context, &name, &session.0).await.is_ok() {
                    self.counted.inc();
                }
            }
        };
        futures::join!(
            follow_members(&context.hub, &connections, &stop),
            connections.run(on_event, &stop),
            stop.run_until_cancelled(count),
        );
        Ok(())
    }
}

impl Census {
    async fn count(
        &self,
        context: &OperatorContext,
        member: &str,
        client: &Client,
    ) -> kube::Result<()> {
        let nodes: Api<Node> = Api::all(client.clone());
        let nodes = nodes.list_metadata(&ListParams::default()).await?;
        let name = format!("{}-{member}", self.args.prefix);
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
            "data": { "nodes": nodes.items.len().to_string() },
        });
        let api: Api<ConfigMap> = Api::namespaced(context.hub.clone(), "default");
        let params = PatchParams::apply(Self::NAME).force();
        api.patch(&name, &params, &Patch::Apply(&object)).await?;
        Ok(())
    }
}

/// Gives connections the members of the hub.
pub(crate) async fn follow_members(
    hub: &Client,
    connections: &Connections<Reachable>,
    stop: &CancellationToken,
) {
    let api: Api<Readable<MemberCluster>> = Api::all(hub.clone());
    let handle = |event| match event {
        Event::InitApply(object) | Event::Apply(object) => {
            if let Ok(member) = mended(object) {
                connections.apply(Arc::new(member));
            }
        }
        Event::Delete(object) => {
            let name = metadata(&object).name.clone();
            connections.remove(&name.unwrap_or_default());
        }
        Event::Init | Event::InitDone => {}
    };
    watch_with(api, handle, log_watch_error, stop).await;
}

async fn counts(world: &World, prefix: &str) -> Result<Vec<(String, String)>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(world.hub_client(), "default");
    let maps = api.list(&ListParams::default()).await?.items.into_iter();
    let counted = maps.filter(|map| map.name_any().starts_with(prefix));
    let nodes = |map: &ConfigMap| map.data.clone()?.remove("nodes");
    Ok(counted
        .filter_map(|map| Some((map.name_any(), nodes(&map)?)))
        .collect())
}

/// Started with all others, by name, with flags of its own; killed, it is started again.
#[test]
fn an_operator_joins_by_one_line_of_the_table() {
    let counted = run(async {
        let world = World::start(1, three_members()).await?;
        let mut running = Vec::new();
        for entry in table() {
            let flags: &[&str] = match entry.name {
                "census" => &["--leader-elect=false", "--prefix=count"],
                _ => &["--leader-elect=false"],
            };
            let substitutes = Substitutes::default();
            running.push(world.operator(entry, entry.name, flags, substitutes)?);
        }
        running[2].kill_at(1, Duration::from_secs(5));
        eventually("all members are counted", async || {
            let counts = counts(&world, "count-").await?;
            Ok((counts.len() == 3).then_some(counts))
        })
        .await
    });
    let expected = ["count-cluster1", "count-cluster2", "count-cluster3"];
    let expected = expected.map(|name| (name.to_owned(), "2".to_owned()));
    assert_eq!(counted.unwrap().unwrap(), expected);
}

#[test]
fn names_ports_and_flags_of_the_table_fit_together() {
    let table = table();
    let names: BTreeSet<_> = table.iter().map(|entry| entry.name).collect();
    let ports: BTreeSet<_> = table.iter().map(|entry| entry.port).collect();
    assert_eq!((names.len(), ports.len()), (table.len(), table.len()));
    for entry in &table {
        assert!(entry.common(&[]).is_ok());
        assert!(entry.common(&["--no-such-flag".to_owned()]).is_err());
    }
}
