//! Two candidates against a lease service in memory, in paused time.

use super::*;
use crate::operator::clock::VirtualClock;
use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const SECOND: Duration = Duration::from_secs(1);

/// What a hub keeps of namespaces and leases, with optimistic concurrency.
#[derive(Clone, Default)]
struct Hub(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    namespaces: Vec<String>,
    leases: BTreeMap<String, Value>,
    version: u64,
    /// Who wrote, in order, by the holder that each write left behind.
    writes: Vec<String>,
}

impl Hub {
    /// A client whose requests fail while the returned switch is on.
    fn client(&self) -> (Client, Arc<Mutex<bool>>) {
        let cut = Arc::new(Mutex::new(false));
        let (hub, is_cut) = (self.clone(), Arc::clone(&cut));
        let router =
            Router::new().fallback(move |method: Method, uri: axum::http::Uri, body: Bytes| {
                let answer = if *is_cut.lock().unwrap() {
                    None
                } else {
                    Some(hub.answer(&method, uri.path(), &body))
                };
                async move {
                    match answer {
                        Some(answer) => answer,
                        None => pending().await,
                    }
                }
            });
        (Client::new(router, "default"), cut)
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Response {
        let mut stored = self.0.lock().unwrap();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::POST, ["api", "v1", "namespaces"]) => {
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                stored.namespaces.push(name);
                body.to_string().into_response()
            }
            (&Method::POST, [.., "namespaces", namespace, "leases"]) => {
                if !stored.namespaces.iter().any(|known| known == namespace) {
                    return status(StatusCode::NOT_FOUND, "NotFound");
                }
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                if stored.leases.contains_key(&name) {
                    return status(StatusCode::CONFLICT, "AlreadyExists");
                }
                stored.write(&name, body)
            }
            (&Method::GET, [.., "leases", name]) => match stored.leases.get(*name) {
                Some(lease) => lease.to_string().into_response(),
                None => status(StatusCode::NOT_FOUND, "NotFound"),
            },
            (&Method::PUT, [.., "leases", name]) => {
                let read = &body["metadata"]["resourceVersion"];
                if !read.is_string() || stored.leases[*name]["metadata"]["resourceVersion"] != *read
                {
                    return status(StatusCode::CONFLICT, "Conflict");
                }
                stored.write(name, body)
            }
            other => panic!("unexpected request {other:?}"),
        }
    }

    fn lease(&self) -> LeaseSpec {
        let lease = self.0.lock().unwrap().leases["scheduler"].clone();
        serde_json::from_value(lease["spec"].clone()).unwrap()
    }
}

impl Stored {
    fn write(&mut self, name: &str, mut lease: Value) -> Response {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap();
        self.writes.push(holder.to_owned());
        self.leases.insert(name.to_owned(), lease.clone());
        lease.to_string().into_response()
    }
}

fn status(code: StatusCode, reason: &str) -> Response {
    let body = json!({"kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": code.as_u16()});
    (code, body.to_string()).into_response()
}

struct Candidate {
    leadership: Leadership,
    cut: Arc<Mutex<bool>>,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

fn candidate(hub: &Hub, identity: &str) -> Candidate {
    let (client, cut) = hub.client();
    let options = ElectionOptions {
        namespace: "mck8s-system".into(),
        lease: "scheduler".into(),
        identity: identity.into(),
        duration: 15 * SECOND,
        renew: 5 * SECOND,
    };
    let clock = Arc::new(VirtualClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
    let (election, leadership) = Election::new(client, options, clock);
    let stop = CancellationToken::new();
    let ended = tokio::spawn(election.run(stop.clone()));
    Candidate {
        leadership,
        cut,
        stop,
        ended,
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_leads_and_keeps_leading_and_the_second_writes_nothing() {
    let hub = Hub::default();
    let first = candidate(&hub, "first");
    first.leadership.acquired().await;
    let second = candidate(&hub, "second");
    for _ in 0..600 {
        sleep(SECOND).await;
        assert!(first.leadership.is_leader() && !second.leadership.is_leader());
    }
    assert_eq!(hub.0.lock().unwrap().namespaces, ["mck8s-system"]);
    assert!(
        hub.0
            .lock()
            .unwrap()
            .writes
            .iter()
            .all(|holder| holder == "first")
    );
    assert_eq!(hub.lease().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn the_second_takes_over_only_when_the_first_has_ceased_to_lead() {
    let hub = Hub::default();
    let first = candidate(&hub, "first");
    first.leadership.acquired().await;
    let second = candidate(&hub, "second");
    sleep(30 * SECOND).await;

    *first.cut.lock().unwrap() = true;
    let cut = Instant::now();
    first.leadership.lost().await;
    assert!(cut.elapsed() <= 12 * SECOND, "{:?}", cut.elapsed());
    assert!(!first.leadership.is_leader() && !second.leadership.is_leader());
    second.leadership.acquired().await;
    let silent = cut.elapsed();
    assert!((10 * SECOND..=20 * SECOND).contains(&silent), "{silent:?}");
    assert_eq!(hub.lease().lease_transitions, Some(1));

    // Back on the network, the first finds the second's lease and leaves it alone.
    *first.cut.lock().unwrap() = false;
    sleep(60 * SECOND).await;
    assert!(!first.leadership.is_leader() && second.leadership.is_leader());
    assert_eq!(hub.lease().holder_identity.as_deref(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_suspended_knows_it_without_any_news() {
    let hub = Hub::default();
    let first = candidate(&hub, "first");
    first.leadership.acquired().await;
    *first.cut.lock().unwrap() = true;
    tokio::time::advance(13 * SECOND).await;
    // The election has not told anybody; the deadline has passed all the same.
    assert!(matches!(*first.leadership.0.borrow(), Term::Until(_)));
    assert!(!first.leadership.is_leader());
    timeout(Duration::ZERO, first.leadership.lost())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_costs_nobody_the_lead() {
    let hub = Hub::default();
    let first = candidate(&hub, "first");
    first.leadership.acquired().await;
    let second = candidate(&hub, "second");
    for _ in 0..20 {
        *first.cut.lock().unwrap() = true;
        sleep(4 * SECOND).await;
        *first.cut.lock().unwrap() = false;
        sleep(6 * SECOND).await;
        assert!(first.leadership.is_leader() && !second.leadership.is_leader());
    }
    assert_eq!(hub.lease().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_releases_the_lease_for_the_next() {
    let hub = Hub::default();
    let first = candidate(&hub, "first");
    first.leadership.acquired().await;
    let second = candidate(&hub, "second");
    sleep(SECOND).await;

    first.stop.cancel();
    first.ended.await.unwrap();
    assert!(!first.leadership.is_leader());
    assert_eq!(hub.lease().holder_identity.as_deref(), Some(""));
    timeout(3 * SECOND, second.leadership.acquired())
        .await
        .unwrap();

    // A candidate's stop leaves the leader's lease alone.
    let third = candidate(&hub, "third");
    sleep(5 * SECOND).await;
    third.stop.cancel();
    third.ended.await.unwrap();
    assert_eq!(hub.lease().holder_identity.as_deref(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn of_many_at_once_one_leads() {
    let hub = Hub::default();
    let candidates: Vec<_> = (0..5)
        .map(|number| candidate(&hub, &format!("c{number}")))
        .collect();
    for _ in 0..120 {
        sleep(SECOND).await;
        let leaders = candidates
            .iter()
            .filter(|candidate| candidate.leadership.is_leader());
        assert_eq!(leaders.count(), 1);
    }
}

#[tokio::test]
async fn without_an_election_it_always_leads() {
    let leadership = Leadership::always();
    leadership.acquired().await;
    assert!(leadership.is_leader());
    let lost = timeout(Duration::from_millis(20), leadership.lost()).await;
    assert!(lost.is_err());
}
