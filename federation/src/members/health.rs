//! Whether a member is healthy, and which cluster it is.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Request;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use tokio::time::Instant;

use super::bundle::ManagedKind;
use super::failure::{Failure, FailureKind};
use super::watching::Deadlined as _;
use crate::operator::redacted::redacted_message;

/// The namespace whose uid identifies a cluster.
const SYSTEM: &str = "kube-system";

/// Lists, watches and writes that all fail for this long are silence, whatever the probes say.
const SILENT_AFTER: Duration = Duration::from_mins(1);

/// What a probe found.
pub(super) enum Probe {
    /// The API server is ready and its storage answers: the cluster of this uid.
    Ready(String),
    /// The API server answers, and does not say which cluster it is: no right, or no such namespace.
    Unidentified(String),
    /// It does not answer, or is not ready; why.
    Silent(String),
}

/// Probes a member: `/readyz`, or `/healthz` where that is missing or forbidden; then the identity,
/// which is read from storage, so that it fails with etcd even where both endpoints are forbidden.
pub(super) async fn probe(client: &Client, deadline: Duration) -> Probe {
    for path in ["/readyz", "/healthz"] {
        match get(client, path).with_deadline(deadline).await {
            Ok(_) => break,
            Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403 | 404) => {}
            Err(error) => return Probe::Silent(not_ready(path, &error)),
        }
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = namespaces
        .get_metadata(SYSTEM)
        .with_deadline(deadline)
        .await;
    let unidentified = |problem: &str| {
        Probe::Unidentified(format!(
            "namespace {SYSTEM}, whose uid identifies the cluster: {problem}"
        ))
    };
    match system.map(|system| system.uid().filter(|uid| !uid.is_empty())) {
        Ok(Some(uid)) => Probe::Ready(uid),
        Ok(None) => unidentified("it has no uid"),
        Err(error) => {
            let problem = redacted_message(&error);
            let is_refused = matches!(&error, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404));
            if is_refused {
                unidentified(&problem)
            } else {
                Probe::Silent(problem)
            }
        }
    }
}

async fn get(client: &Client, path: &str) -> kube::Result<String> {
    let request = Request::get(path)
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}

/// An API server that is not ready lists its checks; those that failed are marked.
fn not_ready(path: &str, error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else {
        return redacted_message(error);
    };
    let failed: Vec<_> = (status.message.lines())
        .filter_map(|line| line.trim().strip_prefix("[-]"))
        .collect();
    if failed.is_empty() {
        format!("{path}: {}", redacted_message(error))
    } else {
        format!("{path}: {}", failed.join(", "))
    }
}

/// Whether lists, watches and writes get through: a health endpoint may answer when they do not.
///
/// What of one kind cannot be listed is no silence: its objects may be unreadable, or it is slow. So
/// either deliveries fail, or the lists of all kinds do.
#[derive(Debug, Default)]
pub(super) struct Requests {
    deliveries: Option<Failing>,
    lists: BTreeMap<ManagedKind, Failing>,
}

/// No request has succeeded since the first of these.
#[derive(Debug)]
struct Failing {
    first: Instant,
    last: Instant,
    why: String,
}

impl Requests {
    /// A list, a watch or a write succeeded.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The list or the watch of a kind failed, if the member is to blame.
    pub(super) fn watch_failed(&mut self, kind: ManagedKind, error: &watcher::Error) {
        // A watch that is cut is started again; one that cannot be started is a failure.
        let (watcher::Error::InitialListFailed(cause) | watcher::Error::WatchStartFailed(cause)) =
            error
        else {
            return;
        };
        match cause {
            kube::Error::Api(status) if status.code < 500 && status.code != 429 => {}
            cause => {
                let before = self.lists.remove(&kind);
                let failing = Failing::again(before, redacted_message(cause));
                self.lists.insert(kind, failing);
            }
        }
    }

    /// A delivery failed, if the member is to blame and not a webhook of it.
    pub(super) fn delivery_failed(&mut self, failure: &Failure) {
        let is_silence = matches!(
            failure.kind,
            FailureKind::Unreachable | FailureKind::Unavailable
        );
        if is_silence && !failure.message.contains("failed calling webhook") {
            let before = self.deliveries.take();
            self.deliveries = Some(Failing::again(before, failure.message.clone()));
        }
    }

    /// Why the member counts as silent although its probes succeed, if it does.
    pub(super) fn silence(&self) -> Option<String> {
        let lists = || {
            let mut kinds = ManagedKind::ALL.iter().map(|kind| self.lists.get(kind));
            let all = kinds.try_fold(None, |_, failing| {
                let failing = failing?;
                failing.is_silence().then_some(Some(failing))
            });
            all.flatten()
        };
        let deliveries = self.deliveries.as_ref();
        let deliveries = deliveries.filter(|failing| failing.is_silence());
        deliveries.or_else(lists).map(|failing| {
            let time = failing.first.elapsed().as_secs();
            format!("lists and writes have failed for {time} s: {}", failing.why)
        })
    }
}

impl Failing {
    /// What has failed before or not fails now.
    fn again(before: Option<Self>, why: String) -> Self {
        let now = Instant::now();
        Self {
            first: before.map_or(now, |before| before.first),
            last: now,
            why,
        }
    }

    /// One failure of a member that is asked for nothing since is not a minute of failures.
    fn is_silence(&self) -> bool {
        self.first.elapsed() >= SILENT_AFTER && self.last.elapsed() < SILENT_AFTER
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
