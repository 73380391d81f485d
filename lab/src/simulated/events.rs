//! What controllers tell people of what they did: `Event` objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client, Resource, ResourceExt as _};
use tokio::sync::mpsc;
use tracing::debug;

use super::context::whole;
use federation::operator::clock::SharedClock;

/// Takes Events. Writing them delays nobody.
#[derive(Clone)]
pub(crate) struct Recorder {
    clock: SharedClock,
    /// The number of the latest.
    last: Arc<AtomicU64>,
    /// None where nobody wants to read them.
    sender: Option<mpsc::UnboundedSender<Event>>,
}

/// Writes what recorders have taken.
pub(crate) struct Writer {
    client: Client,
    receiver: mpsc::UnboundedReceiver<Event>,
}

impl Recorder {
    /// A recorder and its writer.
    pub(crate) fn new(client: Client, clock: SharedClock) -> (Self, Writer) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let recorder = Self {
            clock,
            last: Arc::default(),
            sender: Some(sender),
        };
        (recorder, Writer { client, receiver })
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
        // It fails when the cluster is being stopped, and then nobody reads Events any more.
        let _ = sender.send(event);
    }
}

impl Writer {
    /// Writes Events as they come. One that cannot be written is lost, as with the real ones.
    pub(crate) async fn run(mut self) {
        while let Some(event) = self.receiver.recv().await {
            let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
            let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
            if let Err(error) = api.create(&PostParams::default(), &event).await {
                debug!(%error, "an Event is lost");
            }
        }
    }
}
