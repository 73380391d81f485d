//! What people see while everything runs: tables on a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use control_plane::ControlPlane;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

use crate::member::client;
use crate::screen::{Screen, Size};

const INTERVAL: Duration = Duration::from_secs(1);
/// The kinds that are shown, what people call them, and their columns: each has a name and a path in
/// the object.
const SHOWN: [(&str, &str, Columns); 5] = [
    (
        "MemberCluster",
        "MemberCluster",
        &[
            ("READY", "/status/conditions"),
            ("REGION", "/spec/region"),
            ("NODES", "/status/nodes"),
            ("FREE CPU", "/status/free/cpu"),
            ("FREE MEMORY", "/status/free/memory"),
            ("CORDONED", "/spec/unschedulable"),
        ],
    ),
    ("MultiClusterDeployment", "MultiClusterDeployment", WORKLOAD),
    ("MultiClusterJob", "MultiClusterJob", WORKLOAD),
    (
        "MultiClusterService",
        "MultiClusterService",
        &[("CLUSTERS", "/status/clusters")],
    ),
    (
        "MultiClusterHorizontalPodAutoscaler",
        "Autoscaler",
        &[
            ("TARGET", "/spec/scaleTargetRef/name"),
            ("METRICS", "/status/metrics"),
            ("MIN", "/spec/minReplicas"),
            ("MAX", "/spec/maxReplicas"),
            ("REPLICAS", "/status/currentReplicas"),
            ("WANTED", "/status/desiredReplicas"),
        ],
    ),
];
const WORKLOAD: Columns = &[
    ("READY ON", "/status/placements"),
    ("PLACED", "/status/replicas"),
    ("UNPLACED", "/status/unplacedReplicas"),
    ("READY", "/status/readyReplicas"),
];

type Columns = &'static [(&'static str, &'static str)];

/// Objects of one kind: name and cells of each.
struct Kind {
    title: &'static str,
    columns: Columns,
    rows: Vec<(String, Vec<String>)>,
}

/// Shows the hub's clusters and workloads, for ever.
pub(crate) async fn show(hub: ControlPlane, screen: Option<Screen>) -> io::Result<()> {
    let (client, mut seen) = (client(&hub), None);
    let mut lines = Lines::default();
    loop {
        let now = (
            hub.store().revision(),
            screen.as_ref().map(|_| Screen::size()),
        );
        // What cannot be read is read the next time.
        if seen != Some(now)
            && let Ok(kinds) = read(&client).await
        {
            seen = Some(now);
            match (&screen, now.1) {
                (Some(screen), Some(size)) => screen.draw(page(&kinds, size))?,
                _ => lines.print(&kinds)?,
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn read(hub: &Client) -> kube::Result<Vec<Kind>> {
    let mut kinds = Vec::new();
    for (kind, title, columns) in SHOWN {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("fogguru.eu", "v1", kind));
        let api: Api<DynamicObject> = Api::all_with(hub.clone(), &resource);
        let objects = api.list(&ListParams::default()).await?.items;
        let row = |object: &DynamicObject| {
            let name = match object.namespace() {
                Some(namespace) => format!("{namespace}/{}", object.name_any()),
                None => object.name_any(),
            };
            let cells = columns.iter();
            (
                name,
                cells
                    .map(|(_, path)| cell(object.data.pointer(path)))
                    .collect(),
            )
        };
        kinds.push(Kind {
            title,
            columns,
            rows: objects.iter().map(row).collect(),
        });
    }
    Ok(kinds)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) => {
            let ready = list.iter().find(|condition| condition["type"] == "Ready");
            match ready {
                Some(ready) => cell(Some(&ready["status"])),
                None => placements(list),
            }
        }
        Some(other) => other.to_string(),
    }
}

/// Ready and placed replicas by cluster, as `edge 4/5, metro 2/2`; of what is not counted so, the
/// clusters.
fn placements(list: &[Value]) -> String {
    let share = |one: &Value| {
        let cluster = one["cluster"].as_str()?;
        let placed = cell(one.get("replicas"));
        let ready = one["ready"].as_u64().unwrap_or(0);
        Some(format!("{cluster} {ready}/{placed}"))
    };
    let shares: Vec<String> = list.iter().filter_map(share).collect();
    shares.join(", ")
}

/// The tables, no wider and no taller than the terminal. A table that is not the last gets half of
/// what is left at most.
fn page(kinds: &[Kind], size: Size) -> String {
    let filled: Vec<&Kind> = kinds.iter().filter(|kind| !kind.rows.is_empty()).collect();
    // The cursor stands in the last row.
    let mut left = size.rows.saturating_sub(1);
    let mut page = String::new();
    for (index, kind) in filled.iter().enumerate() {
        let last = index + 1 == filled.len();
        let most = if last { left } else { left / 2 };
        let lines = kind.table(most.saturating_sub(1), size.columns);
        left = left.saturating_sub(lines.len() + 1);
        page.extend(lines.iter().map(|line| format!("{line}\n")));
        page.push('\n');
    }
    page
}

impl Kind {
    /// Heading and rows, at most so many lines.
    fn table(&self, most: usize, columns: usize) -> Vec<String> {
        let mut table = Table::new();
        table.load_style(NOTHING);
        let headings = self.columns.iter().map(|(name, _)| *name);
        table.set_header(std::iter::once(self.title).chain(headings));
        for (name, cells) in &self.rows {
            table.add_row(std::iter::once(name).chain(cells));
        }
        let text = table.to_string();
        let mut lines: Vec<String> = text.lines().map(|line| cut(line, columns)).collect();
        if lines.len() > most {
            let kept = most.saturating_sub(1);
            let more = format!(" and {} more", lines.len() - kept);
            lines.truncate(kept);
            lines.push(cut(&more, columns));
        }
        lines
    }

    fn lines(&self) -> impl Iterator<Item = (String, String)> {
        self.rows.iter().map(|(name, cells)| {
            let cells = self.columns.iter().zip(cells);
            let line: Vec<_> = cells
                .filter(|(_, cell)| !cell.is_empty())
                .map(|((heading, _), cell)| format!("{} {cell}", heading.to_lowercase()))
                .collect();
            (format!("{} {name}", self.title), line.join(", "))
        })
    }
}

/// A line that fits.
fn cut(line: &str, columns: usize) -> String {
    let line = line.trim_end();
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    let kept = line.chars().take(columns.saturating_sub(1));
    kept.chain(['…']).collect()
}

/// A line for each change.
#[derive(Default)]
struct Lines(BTreeMap<String, String>);

impl Lines {
    fn print(&mut self, kinds: &[Kind]) -> io::Result<()> {
        let now: BTreeMap<String, String> = kinds.iter().flat_map(Kind::lines).collect();
        let before = std::mem::replace(&mut self.0, now);
        let mut out = io::stdout().lock();
        for (name, line) in &self.0 {
            if before.get(name) != Some(line) {
                writeln!(out, "{name}: {line}")?;
            }
        }
        for name in before.keys().filter(|name| !self.0.contains_key(*name)) {
            writeln!(out, "{name}: gone")?;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(rows: [usize; 2], name: &str) -> Vec<Kind> {
        let of = |(_, title, columns): (_, &'static str, _), rows, row: &str| Kind {
            title,
            columns,
            rows: (0..rows)
                .map(|number| (format!("{row}{number}"), vec!["3".to_owned(); 4]))
                .collect(),
        };
        vec![of(SHOWN[0], rows[0], "c"), of(SHOWN[1], rows[1], name)]
    }

    #[test]
    fn a_small_page_shows_all() {
        let size = Size {
            columns: 80,
            rows: 24,
        };
        let page = page(&kinds([1, 1], "default/web"), size);
        let lines: Vec<&str> = page.lines().collect();
        assert!(
            lines[0].contains("MemberCluster") && lines[0].contains("READY"),
            "{page}"
        );
        assert!(lines[1].contains("c0"), "{page}");
        assert!(lines[4].contains("default/web0"), "{page}");
    }

    proptest! {
        #[test]
        fn a_page_fits_the_terminal(
            clusters in 0_usize..50, workloads in 0_usize..50,
            name in "[a-z/ü]{1,60}", columns in 20_usize..200, rows in 8_usize..60,
        ) {
            let page = page(&kinds([clusters, workloads], &name), Size { columns, rows });
            prop_assert!(page.lines().count() < rows, "{page}");
            prop_assert!(page.lines().all(|line| line.chars().count() <= columns), "{page}");
            // What is there is shown, or said to be more.
            let shown = page.matches("c0").count();
            prop_assert!(clusters == 0 || shown > 0 || page.contains("more"), "{page}");
        }
    }
}
