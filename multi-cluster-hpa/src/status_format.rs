//! Formats metric values for the status and its columns, as people and `autoscaling/v2` write them.
//! Pure.

use federation::api::{MetricStatus, MetricType, PrometheusMetricStatus};
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, CrossVersionObjectReference, ExternalMetricStatus,
    MetricIdentifier, MetricValueStatus, ObjectMetricStatus, PodsMetricStatus,
    ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::calculator::Proposal;
use crate::decision::{Kind, Metric, MetricReport, Target};

/// A name of a metric is cut after so many characters: a query may be long.
const NAME: usize = 40;

/// Values against targets: `cpu: 62%/50%`, and the replicas that each asks for.
pub(crate) fn metrics(given: &[&Metric], reports: &[MetricReport], proposals: bool) -> String {
    // Where no metric was queried, the targets are shown all the same.
    let texts = given.iter().enumerate().map(|(place, metric)| {
        let outcome = reports
            .get(place)
            .and_then(|report| report.outcome.as_ref().ok());
        let value = outcome.map_or_else(
            || "<unknown>".to_owned(),
            |outcome| value(metric.target, outcome),
        );
        let text = format!("{}: {value}/{}", name(&metric.kind), target(metric.target));
        match outcome.filter(|_| proposals) {
            Some(proposal) => format!("{text}, asks for {}", proposal.replicas),
            None => text,
        }
    });
    if proposals && reports.is_empty() {
        return String::new();
    }
    texts.collect::<Vec<_>>().join("; ")
}

fn name(kind: &Kind) -> String {
    let name = kind.name();
    if name.chars().count() <= NAME {
        return name;
    }
    let cut: String = name.chars().take(NAME - 1).collect();
    format!("{cut}…")
}

fn value(target: Target, proposal: &Proposal) -> String {
    match (target, proposal.utilization) {
        (Target::Utilization(_), Some(percent)) => format!("{percent}%"),
        _ => quantity(proposal.milli),
    }
}

fn target(target: Target) -> String {
    match target {
        Target::Utilization(percent) => format!("{percent}%"),
        Target::AverageValue(milli) => format!("{} (avg)", quantity(milli)),
        Target::Value(milli) => quantity(milli),
    }
}

/// Thousandths as a quantity.
fn quantity(milli: i64) -> String {
    if milli % 1000 == 0 {
        (milli / 1000).to_string()
    } else {
        format!("{milli}m")
    }
}

/// The values as `autoscaling/v2` reports them; those that are known.
pub(crate) fn current(given: &[&Metric], reports: &[MetricReport]) -> Vec<MetricStatus> {
    let known = given.iter().zip(reports);
    known
        .filter_map(|(metric, report)| {
            let proposal = report.outcome.as_ref().ok()?;
            Some(status(&metric.kind, current_value(metric.target, proposal)))
        })
        .collect()
}

fn current_value(target: Target, proposal: &Proposal) -> MetricValueStatus {
    let amount = Some(Quantity(quantity(proposal.milli)));
    let mut current = MetricValueStatus {
        average_utilization: proposal.utilization,
        ..MetricValueStatus::default()
    };
    match target {
        Target::Value(_) => current.value = amount,
        _ => current.average_value = amount,
    }
    current
}

fn status(kind: &Kind, current: MetricValueStatus) -> MetricStatus {
    let named = |name: &String| MetricIdentifier {
        name: name.clone(),
        selector: None,
    };
    let mut status = MetricStatus {
        type_: MetricType::Resource,
        resource: None,
        container_resource: None,
        pods: None,
        object: None,
        external: None,
        prometheus: None,
    };
    match kind {
        Kind::Resource { resource } => {
            status.resource = Some(ResourceMetricStatus {
                name: resource.clone(),
                current,
            });
        }
        Kind::ContainerResource {
            resource,
            container,
        } => {
            status.type_ = MetricType::ContainerResource;
            status.container_resource = Some(ContainerResourceMetricStatus {
                name: resource.clone(),
                container: container.clone(),
                current,
            });
        }
        Kind::Pods { metric } => {
            status.type_ = MetricType::Pods;
            status.pods = Some(PodsMetricStatus {
                metric: named(metric),
                current,
            });
        }
        Kind::Object {
            metric,
            api_version,
            kind,
            object,
        } => {
            status.type_ = MetricType::Object;
            status.object = Some(ObjectMetricStatus {
                metric: named(metric),
                described_object: CrossVersionObjectReference {
                    api_version: api_version.clone(),
                    kind: kind.clone(),
                    name: object.clone(),
                },
                current,
            });
        }
        Kind::External { metric } => {
            status.type_ = MetricType::External;
            status.external = Some(ExternalMetricStatus {
                metric: named(metric),
                current,
            });
        }
        Kind::Prometheus { query } => {
            status.type_ = MetricType::Prometheus;
            status.prometheus = Some(PrometheusMetricStatus {
                query: query.clone(),
                current,
            });
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Reading;

    fn metric(kind: Kind, target: Target) -> Metric {
        Metric {
            kind,
            target,
            reading: Reading::Failed(String::new()),
        }
    }

    fn report(outcome: Result<Proposal, String>) -> MetricReport {
        MetricReport {
            name: String::new(),
            outcome,
        }
    }

    #[test]
    fn the_object_of_a_metric_is_shown_by_its_name() {
        let depth = metric(
            Kind::Object {
                metric: "depth".to_owned(),
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                object: "queue".to_owned(),
            },
            Target::Value(1000),
        );
        let reports = [report(Ok(Proposal {
            replicas: 5,
            milli: 2000,
            utilization: None,
        }))];
        let given = [&depth];
        assert_eq!(
            metrics(&given, &reports, false),
            "depth of Deployment/queue: 2/1"
        );
        let shown = serde_json::to_value(&current(&given, &reports)[0]).unwrap();
        assert_eq!(
            shown["object"]["describedObject"],
            serde_json::json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "queue" })
        );
    }

    #[test]
    fn values_are_shown_against_their_targets() {
        let cpu = metric(
            Kind::Resource {
                resource: "cpu".to_owned(),
            },
            Target::Utilization(50),
        );
        let jobs = metric(
            Kind::Prometheus {
                query: "sum by (cluster_name) (rate(http_requests_total[1m]))".to_owned(),
            },
            Target::AverageValue(100_000),
        );
        let given = [&cpu, &jobs];
        let reports = [
            report(Ok(Proposal {
                replicas: 5,
                milli: 310,
                utilization: Some(62),
            })),
            report(Err("gone".to_owned())),
        ];
        assert_eq!(
            metrics(&given, &reports, true),
            "cpu: 62%/50%, asks for 5; sum by (cluster_name) (rate(http_reques…: <unknown>/100 (avg)"
        );
        assert_eq!(metrics(&given[..1], &[], false), "cpu: <unknown>/50%");
        let current = current(&given, &reports);
        assert_eq!(current.len(), 1);
        let shown = serde_json::to_value(&current[0]).unwrap();
        assert_eq!(
            shown,
            serde_json::json!({ "type": "Resource", "resource": { "name": "cpu",
                "current": { "averageUtilization": 62, "averageValue": "310m" } } })
        );
    }
}
