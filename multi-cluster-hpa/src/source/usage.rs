//! The members' `metrics.k8s.io`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use federation::members::{Read, Readable, list_all};
use federation::operator::redacted::redacted_message;
use futures::FutureExt as _;
use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::{Api, Client, ResourceExt as _};
use placement::parse_milli;
use serde::Deserialize;
use tokio::time::Instant;

use super::{PodUsage, Query, QueryFuture, QueryResult, SourceError};

/// Queries what the pods of members use. One request for all pods of a namespace.
pub(crate) struct MemberUsage {
    deadline: Duration,
    /// A sample that has not changed for this long is stale. Not compared with the time of day: a
    /// member's clock may be another.
    longest: Duration,
    seen: Arc<Mutex<Seen>>,
}

/// When a query was made last; the timestamp of each pod's sample then, and since when that
/// has been seen.
type Seen = BTreeMap<Query, (Instant, BTreeMap<String, (Timestamp, Instant)>)>;

/// Queries that were not made for so long are forgotten. Autoscalers are evaluated once an hour
/// at the least.
const FORGOTTEN: Duration = Duration::from_hours(2);

impl MemberUsage {
    pub(crate) fn new(deadline: Duration, longest: Duration) -> Self {
        Self {
            deadline,
            longest,
            seen: Arc::default(),
        }
    }

    /// Queries a member, if there is a client for it.
    pub(crate) fn read(
        &self,
        client: Result<Client, String>,
        cluster: &str,
        namespace: &str,
    ) -> QueryFuture {
        let failed = {
            let cluster = cluster.to_owned();
            move |problem| SourceError::Member { cluster, problem }
        };
        let query = Query::Usage {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
        };
        let (namespace, deadline, longest) = (namespace.to_owned(), self.deadline, self.longest);
        let seen = self.seen.clone();
        async move {
            let client = client.map_err(failed.clone())?;
            let api: Api<Readable<DynamicObject>> =
                Api::namespaced_with(client, &namespace, &pod_metrics());
            let list = list_all(&api, deadline).await;
            let list = list.map_err(|error| failed(problem(&error)))?;
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            seen.retain(|_, (made, _)| now.duration_since(*made) <= FORGOTTEN);
            let (_, before) = seen.remove(&query).unwrap_or((now, BTreeMap::new()));
            let (fresh, samples) = fresh(usage(list), &before, longest, now);
            seen.insert(query, (now, samples));
            Ok(Arc::new(QueryResult::Usage(fresh)))
        }
        .boxed()
    }
}

fn pod_metrics() -> ApiResource {
    ApiResource {
        group: "metrics.k8s.io".to_owned(),
        version: "v1beta1".to_owned(),
        api_version: "metrics.k8s.io/v1beta1".to_owned(),
        kind: "PodMetrics".to_owned(),
        plural: "pods".to_owned(),
    }
}

fn problem(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            "it does not serve metrics.k8s.io: install metrics-server there".to_owned()
        }
        kube::Error::Api(status) if status.code == 403 => format!(
            "{}: apply manifests/controllers/02_member_access.yaml there",
            status.message
        ),
        error => format!("metrics.k8s.io: {}", redacted_message(error)),
    }
}

#[derive(Deserialize)]
struct PodMetrics {
    timestamp: Timestamp,
    window: String,
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    usage: BTreeMap<String, String>,
}

/// The samples that can be read; one that cannot is missing.
fn usage(list: Vec<Read<DynamicObject>>) -> BTreeMap<String, PodUsage> {
    let read = |object: DynamicObject| {
        let name = object.name_any();
        let metrics: PodMetrics = serde_json::from_value(object.data).ok()?;
        let containers = metrics.containers.into_iter().map(|container| {
            let usage = container.usage.into_iter();
            let usage =
                usage.map(|(resource, amount)| Some((resource, parse_milli(&amount).ok()?)));
            Some((container.name, usage.collect::<Option<_>>()?))
        });
        let usage = PodUsage {
            timestamp: metrics.timestamp,
            window: go_duration(&metrics.window)?,
            containers: containers.collect::<Option<_>>()?,
        };
        Some((name, usage))
    };
    list.into_iter()
        .filter_map(Result::ok)
        .filter_map(read)
        .collect()
}

/// A duration as Go writes it, e.g. `15s`, `1m0s` or `20.041s`.
fn go_duration(text: &str) -> Option<jiff::SignedDuration> {
    text.parse().ok()
}

/// Without the samples that have not changed for too long; and what has been seen by now.
fn fresh(
    samples: BTreeMap<String, PodUsage>,
    before: &BTreeMap<String, (Timestamp, Instant)>,
    longest: Duration,
    now: Instant,
) -> (
    BTreeMap<String, PodUsage>,
    BTreeMap<String, (Timestamp, Instant)>,
) {
    let mut seen = BTreeMap::new();
    let mut fresh = BTreeMap::new();
    for (pod, sample) in samples {
        let since = match before.get(&pod) {
            Some((timestamp, since)) if *timestamp == sample.timestamp => *since,
            _ => now,
        };
        seen.insert(pod.clone(), (sample.timestamp, since));
        if now.duration_since(since) <= longest {
            fresh.insert(pod, sample);
        }
    }
    (fresh, seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list(timestamp: &str, cpu: &str) -> Vec<Read<DynamicObject>> {
        let list = json!([
            {
                "metadata": { "name": "web-1", "namespace": "default" },
                "timestamp": timestamp, "window": "20.5s",
                "containers": [{ "name": "web", "usage": { "cpu": cpu, "memory": "1Ki" } }],
            },
            { "metadata": { "name": "web-2", "finalizers": [null] } },
        ]);
        let list: Vec<Readable<DynamicObject>> = serde_json::from_str(&list.to_string()).unwrap();
        list.into_iter().map(Readable::read).collect()
    }

    #[test]
    fn usage_is_read_in_thousandths() {
        let read = usage(list("2026-01-01T00:00:00Z", "250500000n"));
        let pod = &read["web-1"];
        // Kubernetes' MilliValue rounds up.
        assert_eq!(pod.containers["web"]["cpu"], 251);
        assert_eq!(pod.containers["web"]["memory"], 1_024_000);
        assert_eq!(pod.window.as_millis(), 20_500);
        assert!(usage(list("2026-01-01T00:00:00Z", "NaN")).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_sample_that_does_not_change_becomes_stale_whatever_its_clock_says() {
        let longest = Duration::from_mins(2);
        let at = |timestamp: &str| usage(list(timestamp, "1"));
        let mut seen = BTreeMap::new();
        let mut look = |timestamp| {
            let (samples, now_seen) = fresh(at(timestamp), &seen, longest, Instant::now());
            seen = now_seen;
            samples.len()
        };
        // A clock that is years behind.
        assert_eq!(look("2020-01-01T00:00:00Z"), 1);
        tokio::time::advance(Duration::from_mins(2)).await;
        assert_eq!(look("2020-01-01T00:00:00Z"), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(look("2020-01-01T00:00:00Z"), 0);
        assert_eq!(look("2020-01-01T00:02:00Z"), 1);
    }
}
