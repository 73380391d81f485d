//! Metrics of the server itself, with the names of kube-apiserver.

use std::fs;
use std::time::Instant;

use axum::response::Response;
use http::header::{self, HeaderValue};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::response::plain;
use crate::access::request_info::RequestInfo;
use crate::kinds::Kinds;
use crate::serving::Limits;

/// Seconds, as kube-apiserver counts them.
const BUCKETS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];

const VERBS: [&str; 8] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
];

const SUBRESOURCES: [&str; 8] = [
    "status", "scale", "log", "eviction", "binding", "token", "approval", "finalize",
];

/// What requests are told apart by. Only what is served has a name, so that there are not more
/// than there are kinds.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: String,
}

/// A request with what it was answered.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AnswerLabels {
    #[prometheus(flatten)]
    request: RequestLabels,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    request_kind: &'static str,
}

/// What is counted.
pub(crate) struct Telemetry {
    registry: Registry,
    requests: Family<AnswerLabels, Counter>,
    durations: Family<RequestLabels, Histogram>,
    inflight: Family<KindLabels, Gauge>,
    connections: Gauge,
    memory: Gauge,
    files: Gauge,
}

/// A request that came over a connection.
pub(super) struct Observed {
    began: Instant,
    labels: RequestLabels,
}

impl Observed {
    pub(super) fn begin(kinds: &Kinds, info: Option<&RequestInfo>) -> Self {
        Self {
            began: Instant::now(),
            labels: info.map(|info| labels(kinds, info)).unwrap_or_default(),
        }
    }
}

fn labels(kinds: &Kinds, info: &RequestInfo) -> RequestLabels {
    let known = |text: &str, all: &[&str]| {
        if all.contains(&text) {
            text.to_owned()
        } else {
            String::new()
        }
    };
    let verb = known(&info.verb, &VERBS).to_uppercase();
    let served = info.resource.as_ref().filter(|path| {
        let found = kinds.find(&path.group, &path.version, &path.plural);
        found.is_some()
    });
    let Some(path) = served else {
        return RequestLabels {
            verb,
            ..RequestLabels::default()
        };
    };
    let scope = if path.named {
        "resource"
    } else if path.namespace.is_empty() {
        "cluster"
    } else {
        "namespace"
    };
    RequestLabels {
        verb,
        group: path.group.clone(),
        version: path.version.clone(),
        resource: path.plural.clone(),
        subresource: known(&path.subresource, &SUBRESOURCES),
        scope: scope.to_owned(),
    }
}

impl Telemetry {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<AnswerLabels, Counter>::default();
        let make: fn() -> Histogram = || Histogram::new(BUCKETS);
        let durations = Family::<RequestLabels, Histogram>::new_with_constructor(make);
        let inflight = Family::<KindLabels, Gauge>::default();
        let (connections, memory, files) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("apiserver_request", "Requests answered", requests.clone());
        registry.register(
            "apiserver_request_duration_seconds",
            "Time to answer a request; watches are left out",
            durations.clone(),
        );
        registry.register(
            "apiserver_current_inflight_requests",
            "Requests under way that count against the limit of their kind",
            inflight.clone(),
        );
        registry.register(
            "apiserver_open_connections",
            "Connections of the listener that are open",
            connections.clone(),
        );
        registry.register(
            "process_resident_memory_bytes",
            "Memory of the process",
            memory.clone(),
        );
        registry.register(
            "process_open_fds",
            "Open files of the process",
            files.clone(),
        );
        Self {
            registry,
            requests,
            durations,
            inflight,
            connections,
            memory,
            files,
        }
    }

    /// Counts a request that was answered.
    pub(super) fn count(&self, observed: Observed, response: &Response) {
        let Observed { began, labels } = observed;
        if labels.verb != "WATCH" {
            let duration = self.durations.get_or_create(&labels);
            duration.observe(began.elapsed().as_secs_f64());
        }
        let answer = AnswerLabels {
            request: labels,
            code: response.status().as_u16(),
        };
        self.requests.get_or_create(&answer).inc();
    }

    /// Answers with all metrics.
    pub(super) fn answer(&self, limits: Option<&Limits>) -> Response {
        if let Some(limits) = limits {
            let (reading, writing) = limits.under_way();
            for (request_kind, count) in [("readOnly", reading), ("mutating", writing)] {
                let gauge = self.inflight.get_or_create(&KindLabels { request_kind });
                gauge.set(whole(count));
            }
            self.connections.set(whole(limits.connections()));
        }
        self.memory.set(whole(resident_memory()));
        self.files.set(whole(open_files()));
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = encode(&mut text, &self.registry);
        let mut response = plain(200, text);
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Bytes; 0 where that can't be told.
fn resident_memory() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_usize) * rustix::param::page_size()
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
