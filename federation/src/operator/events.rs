//! Events for people, seen with `kubectl describe`.
//!
//! Written as core/v1 Events, which every API server and every kubectl knows. As in client-go,
//! the same Event of the same object within ten minutes raises the count of the one that is there,
//! similar Events are combined, and an object has so many and no more ([`super::correlator`]).
//! Recording never waits: an Event goes into a bounded queue, and a task writes it to the hub.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::clock::SharedClock;
use super::correlator::{Correlated, Correlator, EventKey, Subject, Written};
use super::redacted::redacted_message;

/// The most Events that wait to be written.
const CAPACITY: usize = 1024;

/// How long one write may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often a write is tried, and the time between.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// How long those that still wait at the stop may take.
const DRAIN: Duration = Duration::from_secs(5);

/// The API server's limits for the fields of an Event.
const MAX_REASON: usize = 128;
const MAX_NOTE: usize = 1024;

/// The type of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    /// It went as it should.
    Normal,
    /// It needs attention.
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Records Events of objects. Clones share a queue.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    queue: Mutex<VecDeque<PendingEvent>>,
    changed: Notify,
    dropped: Counter,
    clock: SharedClock,
}

#[derive(Clone)]
struct PendingEvent {
    event_type: EventType,
    reason: String,
    note: String,
    object: ObjectReference,
    at: Timestamp,
}

impl Recorder {
    /// A recorder, and the writer that must be run for anything to be written.
    ///
    /// `operator` is the operator's name, `identity` that of this copy of it; `dropped` counts
    /// the Events that were not written, because the queue was full, the object had too many Events, or
    /// the hub did not take it.
    pub fn new(
        client: Client,
        operator: &str,
        identity: &str,
        clock: SharedClock,
        dropped: Counter,
    ) -> (Self, Writer) {
        let recorder = Self(Arc::new(Shared {
            queue: Mutex::new(VecDeque::new()),
            changed: Notify::new(),
            dropped,
            clock,
        }));
        let writer = Writer {
            client,
            operator: operator.to_owned(),
            identity: identity.to_owned(),
            recorder: recorder.clone(),
            current: None,
            correlator: Correlator::default(),
            number: 0,
        };
        (recorder, writer)
    }

    /// Records an Event of an object. Never waits: when the queue is full, the oldest is dropped.
    ///
    /// `reason` is one word in `CamelCase`, `note` a sentence for a person; neither may hold a
    /// secret.
    pub fn record(&self, object: ObjectReference, event_type: EventType, reason: &str, note: &str) {
        let pending = PendingEvent {
            event_type,
            reason: cut(reason, MAX_REASON),
            note: cut(note, MAX_NOTE),
            object,
            at: self.0.clock.now(),
        };
        let mut queue = self.queue();
        if queue.len() >= CAPACITY {
            queue.pop_front();
            self.0.dropped.inc();
        }
        queue.push_back(pending);
        drop(queue);
        self.0.changed.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<PendingEvent>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text, cut to at most so many bytes between two characters.
fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

/// Writes what was recorded.
pub struct Writer {
    client: Client,
    operator: String,
    identity: String,
    recorder: Recorder,
    /// What is being written.
    current: Option<(PendingEvent, Correlated)>,
    correlator: Correlator,
    /// Of the Events written by this process; makes their names differ.
    number: u64,
}

impl Writer {
    /// Writes until `stop`, then what still waits, for at most five seconds.
    pub async fn run(mut self, stop: CancellationToken) {
        let recorder = self.recorder.clone();
        loop {
            // Before the look at the queue, so that nothing is missed in between.
            let changed = recorder.0.changed.notified();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.write_all() => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = changed => {}
            }
        }
        let _late = timeout(DRAIN, self.write_all()).await;
        let left = recorder.queue().len() + usize::from(self.current.is_some());
        recorder
            .0
            .dropped
            .inc_by(u64::try_from(left).unwrap_or(u64::MAX));
    }

    async fn write_all(&mut self) {
        loop {
            // A write that the stop interrupts is made again: it gives the same Event.
            if self.current.is_none() {
                let Some(pending) = self.recorder.queue().pop_front() else {
                    return;
                };
                let correlated = self.correlator.correlate(self.key(&pending), pending.at);
                self.current = correlated.map(|correlated| (pending, correlated));
            }
            let Some((pending, correlated)) = self.current.clone() else {
                self.recorder.0.dropped.inc();
                continue;
            };
            if let Err(error) = self.write_patiently(&pending, &correlated).await {
                self.recorder.0.dropped.inc();
                let Subject { kind, name, .. } = &correlated.key.subject;
                let reason = &pending.reason;
                tracing::warn!(kind, name, reason, %error, "an Event was not written");
            }
            self.current = None;
        }
    }

    fn key(&self, pending: &PendingEvent) -> EventKey {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        EventKey {
            subject: Subject {
                source: self.operator.clone(),
                kind: text(&pending.object.kind),
                namespace: text(&pending.object.namespace),
                name: text(&pending.object.name),
                uid: text(&pending.object.uid),
            },
            event_type: pending.event_type.as_str().to_owned(),
            reason: pending.reason.clone(),
            message: pending.note.clone(),
        }
    }

    async fn write_patiently(
        &mut self,
        pending: &PendingEvent,
        correlated: &Correlated,
    ) -> Result<(), WriteError> {
        let mut attempt = 1;
        loop {
            match timeout(DEADLINE, self.write(pending, correlated)).await {
                Ok(Ok(())) => return Ok(()),
                // What the API server refuses, it will refuse again.
                Ok(Err(kube::Error::Api(status)))
                    if (400..500).contains(&status.code) && status.code != 429 =>
                {
                    return Err(kube::Error::Api(status).into());
                }
                Ok(Err(error)) if attempt == ATTEMPTS => return Err(error.into()),
                Err(_) if attempt == ATTEMPTS => return Err(WriteError::Silent(DEADLINE)),
                _ => sleep(PAUSE * attempt).await,
            }
            attempt += 1;
        }
    }

    /// Counts an Event up, or writes a new one.
    async fn write(&mut self, pending: &PendingEvent, correlated: &Correlated) -> kube::Result<()> {
        let events: Api<Event> =
            Api::namespaced(self.client.clone(), namespace_of(&pending.object));
        let Correlated { key, message } = correlated;
        let message = cut(message, MAX_NOTE);
        if let Some(written) = self.correlator.written(key, pending.at).cloned() {
            let count = written.count.saturating_add(1);
            let last = Time(pending.at);
            let patch = serde_json::json!({
                "count": count, "lastTimestamp": last, "message": message,
            });
            let patch = Patch::Merge(patch);
            match events
                .patch(&written.name, &PatchParams::default(), &patch)
                .await
            {
                Ok(_) => {
                    let last = pending.at;
                    let written = Written {
                        count,
                        last,
                        ..written
                    };
                    self.correlator.record(key.clone(), written);
                    return Ok(());
                }
                // API servers forget Events after an hour, and people delete them.
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let event = self.event(pending, message);
        match events.create(&PostParams::default(), &event).await {
            Ok(_) => {}
            // The answer to an earlier attempt was lost.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error),
        }
        self.number += 1;
        let written = Written {
            name: event.metadata.name.unwrap_or_default(),
            count: 1,
            last: pending.at,
        };
        self.correlator.record(key.clone(), written);
        Ok(())
    }

    fn event(&self, pending: &PendingEvent, message: String) -> Event {
        let namespace = namespace_of(&pending.object);
        Event {
            metadata: ObjectMeta {
                name: Some(self.event_name(pending)),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: pending.object.clone(),
            type_: Some(pending.event_type.as_str().to_owned()),
            reason: Some(pending.reason.clone()),
            message: Some(message),
            count: Some(1),
            first_timestamp: Some(Time(pending.at)),
            last_timestamp: Some(Time(pending.at)),
            source: Some(EventSource {
                component: Some(self.operator.clone()),
                host: None,
            }),
            reporting_component: Some(self.operator.clone()),
            reporting_instance: Some(cut(&self.identity, MAX_REASON)),
            ..Event::default()
        }
    }

    /// The object's name and a hash of the time and the number, so that the same run gives the
    /// same names, and two copies of an operator different ones.
    fn event_name(&self, pending: &PendingEvent) -> String {
        let mut hash = Sha256::new();
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (uid, name) = (text(&pending.object.uid), text(&pending.object.name));
        for part in [&self.identity, &uid, &pending.reason, &pending.note] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.update(pending.at.as_nanosecond().to_be_bytes());
        hash.update(self.number.to_be_bytes());
        let digest = hash.finalize();
        let first = digest.iter().take(8);
        let hash = first.fold(0_u64, |hash, &byte| hash << 8 | u64::from(byte));
        // 253 bytes is the longest name; an object's name may end in a dot after the cut.
        let object = cut(&name, 230);
        format!("{}.{hash:016x}", object.trim_end_matches(['.', '-']))
    }
}

/// Events about cluster-scoped objects are in `default`, where kubectl looks for them.
fn namespace_of(object: &ObjectReference) -> &str {
    object
        .namespace
        .as_deref()
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or("default")
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{}", redacted_message(.0))]
    Hub(#[from] kube::Error),
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
