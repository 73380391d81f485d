//! From a metric to queries, and from their results to what the decision reads. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::MetricSpec;

use crate::calculator::{PodKey, Sample};
use crate::decision::{Kind, Reading};
use crate::source::{Number, PodUsage, Query, QueryResult, promql};

/// The label whose value is the cluster's name.
const CLUSTER: &str = "cluster_name";

/// How a metric is queried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MetricQuery {
    /// The usage that each member measures.
    Usage,
    /// A query that gives a number for each pod.
    ByPod(String),
    /// A query that gives a number for each cluster, or one for all.
    ByCluster(String),
}

impl MetricQuery {
    /// How a metric of `autoscaling/v2` is queried.
    pub(crate) fn of(namespace: &str, spec: &MetricSpec) -> Result<Self, String> {
        if let Some(pods) = &spec.pods {
            let labels = [("namespace", namespace)];
            let series = promql::series(&pods.metric, &labels)?;
            return Ok(Self::ByPod(format!(
                "sum by (cluster_name, pod) ({series})"
            )));
        }
        let series = if let Some(object) = &spec.object {
            let kind = object.described_object.kind.to_lowercase();
            let labels = [
                ("namespace", namespace),
                (kind.as_str(), object.described_object.name.as_str()),
            ];
            promql::series(&object.metric, &labels)?
        } else if let Some(external) = &spec.external {
            promql::series(&external.metric, &[])?
        } else {
            return Ok(Self::Usage);
        };
        Ok(Self::ByCluster(format!("sum by (cluster_name) ({series})")))
    }

    /// The queries, for the pods of a namespace on these clusters.
    pub(crate) fn queries(&self, namespace: &str, clusters: &BTreeSet<String>) -> Vec<Query> {
        match self {
            Self::Usage => clusters
                .iter()
                .map(|cluster| usage_of(cluster, namespace))
                .collect(),
            Self::ByPod(query) | Self::ByCluster(query) => vec![Query::PromQl(query.clone())],
        }
    }
}

/// What the pods of a namespace use on a cluster.
pub(crate) fn usage_of(cluster: &str, namespace: &str) -> Query {
    Query::Usage {
        cluster: cluster.to_owned(),
        namespace: namespace.to_owned(),
    }
}

/// What the results say of a metric, for these pods. Beside it the time of the oldest number that
/// counts.
pub(crate) fn reading(
    kind: &Kind,
    metric: &MetricQuery,
    results: &BTreeMap<Query, Result<std::sync::Arc<QueryResult>, String>>,
    queries: &[Query],
    pods: &BTreeSet<PodKey>,
) -> (Reading, Option<Timestamp>) {
    let mut samples = BTreeMap::new();
    let mut failures = Vec::new();
    for query in queries {
        let result = match results.get(query) {
            Some(Ok(result)) => &**result,
            Some(Err(problem)) => {
                failures.push(problem.clone());
                continue;
            }
            None => continue,
        };
        match (query, result) {
            (Query::Usage { cluster, .. }, QueryResult::Usage(usage)) => {
                match usage_samples(kind, cluster, usage, pods) {
                    Ok(found) => samples.extend(found),
                    Err(problem) => failures.push(problem),
                }
            }
            (_, QueryResult::Vector(numbers)) if matches!(metric, MetricQuery::ByPod(_)) => {
                samples.extend(by_pod(numbers, pods));
            }
            (_, result) => return by_cluster(result),
        }
    }
    if samples.is_empty() && !failures.is_empty() {
        return (Reading::Failed(failures.join("; ")), None);
    }
    let oldest = samples.values().map(|sample| sample.timestamp).min();
    (Reading::Pods(samples), oldest)
}

/// The samples of a resource of the pods of one cluster.
fn usage_samples(
    kind: &Kind,
    cluster: &str,
    usage: &BTreeMap<String, PodUsage>,
    pods: &BTreeSet<PodKey>,
) -> Result<BTreeMap<PodKey, Sample>, String> {
    let mut samples = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod.cluster == cluster) {
        let Some(usage) = usage.get(&pod.name) else {
            continue;
        };
        // As Kubernetes does it: a pod whose containers have not all been measured is missing.
        let milli = match kind {
            Kind::Resource { resource } => usage.containers.values().try_fold(0_i64, |sum, one| {
                Some(sum.saturating_add(*one.get(resource)?))
            }),
            Kind::ContainerResource {
                resource,
                container,
            } => {
                let measured = usage.containers.get(container).ok_or_else(|| {
                    format!(
                        "{cluster}: container {container} not present in metrics for pod {}",
                        pod.name
                    )
                })?;
                measured.get(resource).copied()
            }
            _ => None,
        };
        if let Some(milli) = milli {
            let sample = Sample {
                milli,
                timestamp: usage.timestamp,
                window: usage.window,
            };
            samples.insert(pod.clone(), sample);
        }
    }
    Ok(samples)
}

/// The samples of the pods, from numbers with the labels `cluster_name` and `pod`.
fn by_pod(
    numbers: &[(BTreeMap<String, String>, Number)],
    pods: &BTreeSet<PodKey>,
) -> BTreeMap<PodKey, Sample> {
    let samples = numbers.iter().filter_map(|(labels, number)| {
        let key = PodKey {
            cluster: labels.get(CLUSTER)?.clone(),
            name: labels.get("pod")?.clone(),
        };
        let sample = Sample {
            milli: number.milli(),
            timestamp: number.timestamp,
            window: SignedDuration::ZERO,
        };
        pods.contains(&key).then_some((key, sample))
    });
    samples.collect()
}

/// One number for all clusters, or one for each.
fn by_cluster(result: &QueryResult) -> (Reading, Option<Timestamp>) {
    let failed = |problem: &str| {
        let problem = format!(
            "{problem}: write a query that gives one number, or one by {CLUSTER}, e.g. sum by ({CLUSTER}) (…)"
        );
        (Reading::Failed(problem), None)
    };
    let numbers = match result {
        QueryResult::Scalar(number) => {
            return (Reading::Total(number.milli()), Some(number.timestamp));
        }
        QueryResult::Vector(numbers) => numbers,
        QueryResult::Usage(_) => return failed("the source gave a result of another kind"),
    };
    match numbers.as_slice() {
        [] => {
            let nothing = "Prometheus has no number for it now (or only NaN)";
            return (Reading::Failed(nothing.to_owned()), None);
        }
        [(labels, number)] if !labels.contains_key(CLUSTER) => {
            return (Reading::Total(number.milli()), Some(number.timestamp));
        }
        _ => {}
    }
    let mut values = BTreeMap::new();
    for (labels, number) in numbers {
        let Some(cluster) = labels.get(CLUSTER) else {
            return failed("there are several numbers, and not all have the label cluster_name");
        };
        if values.insert(cluster.clone(), number.milli()).is_some() {
            return failed(&format!("there are several numbers for {cluster}"));
        }
    }
    let oldest = numbers.iter().map(|(_, number)| number.timestamp).min();
    (Reading::ByCluster(values), oldest)
}

/// Where requests arrive, from numbers with the labels `cluster_name` and `pod`; none when there is
/// no number of these pods.
pub(crate) fn traffic(
    result: &QueryResult,
    pods: &BTreeSet<PodKey>,
) -> Option<BTreeMap<String, f64>> {
    let QueryResult::Vector(numbers) = result else {
        return None;
    };
    let mut traffic = BTreeMap::new();
    for (labels, number) in numbers {
        let (Some(cluster), Some(name)) = (labels.get(CLUSTER), labels.get("pod")) else {
            continue;
        };
        let key = PodKey {
            cluster: cluster.clone(),
            name: name.clone(),
        };
        if pods.contains(&key) {
            *traffic.entry(key.cluster).or_insert(0.0) += number.value;
        }
    }
    Some(traffic).filter(|traffic| !traffic.is_empty())
}

#[cfg(test)]
#[path = "queries_tests.rs"]
mod tests;
