//! What controllers tell people of what they did: `Event` objects, counted, combined and limited as
//! client-go's recorders do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client, Resource, ResourceExt as _};
use tokio::sync::mpsc;
use tracing::debug;

use super::context::whole;
use federation::operator::clock::SharedClock;
use federation::operator::correlator::{Correlated, Correlator, EventKey, Subject, Written};
use serde_json::json;

/// How many Events wait to be written; more are dropped.
const QUEUE: usize = 1000;

/// Takes Events. Writing them delays nobody.
#[derive(Clone)]
pub(crate) struct Recorder {
    clock: SharedClock,
    /// The number of the latest.
    last: Arc<AtomicU64>,
    /// None where nobody wants to read them.
    sender: Option<mpsc::Sender<Event>>,
}

/// Writes what recorders have taken.
pub(crate) struct Writer {
    client: Client,
    clock: SharedClock,
    correlator: Correlator,
    receiver: mpsc::Receiver<Event>,
}

impl Recorder {
    /// A recorder and its writer.
    pub(crate) fn new(client: Client, clock: SharedClock) -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let recorder = Self {
            clock: Arc::clone(&clock),
            last: Arc::default(),
            sender: Some(sender),
        };
        let writer = Writer {
            client,
            clock,
            correlator: Correlator::default(),
            receiver,
        };
        (recorder, writer)
    }

    /// A recorder that records nothing.
    pub(crate) fn silent(clock: SharedClock) -> Self {
        Self {
            clock,
            last: Arc::default(),
            sender: None,
        }
    }

    /// Something went as it should.
    pub(crate) fn normal<K>(&self, source: &str, about: &K, reason: &str, message: String)
    where
        K: Resource<DynamicType = ()>,
    {
        self.record("Normal", source, about, reason, message);
    }

    /// Something did not.
    pub(crate) fn warning<K>(&self, source: &str, about: &K, reason: &str, message: String)
    where
        K: Resource<DynamicType = ()>,
    {
        self.record("Warning", source, about, reason, message);
    }

    /// Names Events as client-go does, after the time in nanoseconds; two at once differ.
    fn number(&self) -> u64 {
        let now = u64::try_from(self.clock.now().as_nanosecond()).unwrap_or(0);
        let next = |last: u64| Some(now.max(last + 1));
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        now.max(last.unwrap_or(0) + 1)
    }

    fn record<K>(&self, kind: &str, source: &str, about: &K, reason: &str, message: String)
    where
        K: Resource<DynamicType = ()>,
    {
        let Some(sender) = &self.sender else { return };
        let now = whole(self.clock.now());
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:016x}", about.name_any(), self.number())),
                namespace: Some(about.namespace().unwrap_or_else(|| "default".to_owned())),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                resource_version: about.resource_version(),
                ..about.object_ref(&())
            },
            type_: Some(kind.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message),
            source: Some(EventSource {
                component: Some(source.to_owned()),
                host: None,
            }),
            reporting_component: Some(source.to_owned()),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            count: Some(1),
            ..Event::default()
        };
        // It fails when too many wait, or when the cluster is being stopped.
        let _ = sender.try_send(event);
    }
}

impl Writer {
    /// Writes Events as they come. One that cannot be written is lost, as with the real ones.
    pub(crate) async fn run(mut self) {
        while let Some(event) = self.receiver.recv().await {
            let now = self.clock.now();
            let Some(correlated) = self.correlator.correlate(key(&event), now) else {
                continue;
            };
            if let Err(error) = self.write(event, correlated, now).await {
                debug!(%error, "an Event is lost");
            }
        }
    }

    /// Counts up the Event that is there, or creates one.
    async fn write(
        &mut self,
        mut event: Event,
        correlated: Correlated,
        now: Timestamp,
    ) -> kube::Result<()> {
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let Correlated { key, message } = correlated;
        if let Some(written) = self.correlator.written(&key, now).cloned() {
            let count = written.count.saturating_add(1);
            let patch = Patch::Merge(json!({
                "count": count, "lastTimestamp": event.last_timestamp, "message": message,
            }));
            let patched = api
                .patch(&written.name, &PatchParams::default(), &patch)
                .await;
            match patched {
                Ok(_) => {
                    let written = Written {
                        count,
                        last: now,
                        ..written
                    };
                    self.correlator.record(key, written);
                    return Ok(());
                }
                // API servers forget Events after an hour, and people delete them.
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        event.message = Some(message);
        let created = api.create(&PostParams::default(), &event).await?;
        let written = Written {
            name: created.name_any(),
            count: 1,
            last: now,
        };
        self.correlator.record(key, written);
        Ok(())
    }
}

fn key(event: &Event) -> EventKey {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let object = &event.involved_object;
    EventKey {
        subject: Subject {
            source: text(&event.reporting_component),
            kind: text(&object.kind),
            namespace: text(&object.namespace),
            name: text(&object.name),
            uid: text(&object.uid),
        },
        event_type: text(&event.type_),
        reason: text(&event.reason),
        message: text(&event.message),
    }
}
