//! What people see while everything runs: a table on a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

const INTERVAL: Duration = Duration::from_secs(1);
/// The kinds that are shown: heading and columns, each a name and a path in the object.
const SHOWN: [(&str, &[(&str, &str)]); 4] = [
    (
        "MemberCluster",
        &[
            ("NODES", "/status/nodes"),
            ("FREE CPU", "/status/free/cpu"),
            ("FREE MEMORY", "/status/free/memory"),
            ("CORDONED", "/spec/unschedulable"),
        ],
    ),
    ("MultiClusterDeployment", WORKLOAD),
    ("MultiClusterJob", WORKLOAD),
    ("MultiClusterService", WORKLOAD),
];
const WORKLOAD: &[(&str, &str)] = &[
    ("CLUSTERS", "/status/clusters"),
    ("PLACED", "/status/replicas"),
    ("UNPLACED", "/status/unplacedReplicas"),
    ("READY", "/status/readyReplicas"),
];

/// Shows the hub's clusters and workloads, for ever.
pub(crate) async fn show(hub: &Client) {
    let terminal = std::io::stdout().is_terminal();
    let mut before = BTreeMap::new();
    loop {
        let mut page = String::new();
        let mut now = BTreeMap::new();
        for (kind, columns) in SHOWN {
            let rows = rows(hub, kind, columns).await;
            if rows.is_empty() {
                continue;
            }
            let mut table = Table::new();
            table.load_style(NOTHING);
            let headings = columns.iter().map(|(name, _)| *name);
            table.set_header(std::iter::once(kind).chain(headings));
            for (name, cells) in rows {
                table.add_row(std::iter::once(&name).chain(&cells));
                let cells = columns
                    .iter()
                    .zip(&cells)
                    .filter(|(_, cell)| !cell.is_empty());
                let line: Vec<_> = cells
                    .map(|((heading, _), cell)| format!("{} {cell}", heading.to_lowercase()))
                    .collect();
                now.insert(format!("{kind} {name}"), line.join(", "));
            }
            page.push_str(&table.to_string());
            page.push_str("\n\n");
        }
        if before != now {
            if terminal {
                // To the top, and nothing below.
                print!("\x1b[H\x1b[J{page}");
            } else {
                for (name, line) in now
                    .iter()
                    .filter(|(name, line)| before.get(*name) != Some(*line))
                {
                    println!("{name}: {line}");
                }
                for name in before.keys().filter(|name| !now.contains_key(*name)) {
                    println!("{name}: gone");
                }
            }
            drop(std::io::stdout().flush());
            before = now;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn rows(hub: &Client, kind: &str, columns: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("fogguru.eu", "v1", kind));
    let api: Api<DynamicObject> = Api::all_with(hub.clone(), &resource);
    let list = api.list(&ListParams::default()).await;
    let objects = list.map(|list| list.items).unwrap_or_default();
    let row = |object: DynamicObject| {
        let name = match object.namespace() {
            Some(namespace) => format!("{namespace}/{}", object.name_any()),
            None => object.name_any(),
        };
        let cells = columns
            .iter()
            .map(|(_, path)| cell(object.data.pointer(path)));
        (name, cells.collect())
    };
    objects.into_iter().map(row).collect()
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
