//! Metrics as Prometheus scrapes them.

use std::fmt::Write as _;

use super::family::{METRICS, Readings};

/// The text that a scrape gets. All samples of a metric stand together, as the format has it.
pub(super) fn exposition(clusters: &[Readings]) -> String {
    let mut text = String::new();
    for metric in &METRICS {
        let family = metric.family(clusters);
        let (name, help, kind) = (family.name, metric.help, family.growth.name());
        // Writing to a text does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for sample in family.samples {
            // Names of Kubernetes objects need no escaping.
            let labels: Vec<String> = (sample.labels.iter())
                .map(|(key, value)| format!("{key}=\"{value}\""))
                .collect();
            let _ = writeln!(text, "{name}{{{}}} {}", labels.join(","), sample.value);
        }
    }
    text
}
