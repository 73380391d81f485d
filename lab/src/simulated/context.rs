//! What every controller of a simulated cluster has at hand.

use std::future::Future;
use std::time::Duration;

use federation::operator::clock::SharedClock;
use federation::operator::queue::{Backoff, WorkQueue};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::debug;

use super::cache::{Cache, ObjectKey};
use super::events::Recorder;

/// How long a controller waits for the rest of a burst before it writes what came of it.
pub(crate) const BURST: Duration = Duration::from_millis(20);

/// What every controller has at hand.
pub(crate) struct Context {
    pub(crate) cluster: String,
    pub(crate) client: Client,
    pub(crate) clock: SharedClock,
    pub(crate) recorder: Recorder,
    pub(crate) nodes: Cache<Node>,
    pub(crate) pods: Cache<Pod>,
    pub(crate) replica_sets: Cache<ReplicaSet>,
    pub(crate) deployments: Cache<Deployment>,
    pub(crate) jobs: Cache<Job>,
}

impl Context {
    pub(crate) fn new(
        cluster: String,
        client: Client,
        clock: SharedClock,
        recorder: Recorder,
    ) -> Self {
        Self {
            cluster,
            client,
            clock,
            recorder,
            nodes: Cache::default(),
            pods: Cache::default(),
            replica_sets: Cache::default(),
            deployments: Cache::default(),
            jobs: Cache::default(),
        }
    }

    /// Follows all that there is in the cluster.
    pub(crate) fn follow(&self) -> Vec<futures::future::BoxFuture<'static, ()>> {
        let client = || self.client.clone();
        vec![
            Box::pin(self.nodes.clone().follow(Api::all(client()))),
            Box::pin(self.pods.clone().follow(Api::all(client()))),
            Box::pin(self.replica_sets.clone().follow(Api::all(client()))),
            Box::pin(self.deployments.clone().follow(Api::all(client()))),
            Box::pin(self.jobs.clone().follow(Api::all(client()))),
        ]
    }

    /// Waits until all that there is has been seen.
    pub(crate) async fn synced(&self) {
        self.nodes.synced().await;
        self.pods.synced().await;
        self.replica_sets.synced().await;
        self.deployments.synced().await;
        self.jobs.synced().await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Creates an object; the cache knows it at once.
    pub(crate) async fn create<K: Namespaced>(
        &self,
        cache: &Cache<K>,
        object: &K,
    ) -> kube::Result<()> {
        let namespace = object.namespace().unwrap_or_default();
        let api = self.api(&namespace);
        let created = api.create(&PostParams::default(), object).await?;
        cache.observe(created);
        Ok(())
    }

    /// Merges a patch into an object; the cache knows the outcome at once.
    pub(crate) async fn merge<K: Namespaced>(
        &self,
        cache: &Cache<K>,
        key: &ObjectKey,
        patch: &Value,
    ) -> kube::Result<()> {
        let api: Api<K> = self.api(&key.namespace);
        let patch = Patch::Merge(patch);
        let patched = api
            .patch(&key.name, &PatchParams::default(), &patch)
            .await?;
        cache.observe(patched);
        Ok(())
    }

    /// Merges a patch into an object's status; the cache knows the outcome at once.
    pub(crate) async fn merge_status<K: Namespaced>(
        &self,
        cache: &Cache<K>,
        key: &ObjectKey,
        patch: &Value,
    ) -> kube::Result<()> {
        let api: Api<K> = self.api(&key.namespace);
        let patch = Patch::Merge(patch);
        let params = PatchParams::default();
        let patched = api.patch_status(&key.name, &params, &patch).await?;
        cache.observe(patched);
        Ok(())
    }

    /// Deletes just this object; the cache knows it at once. One that is gone is fine.
    pub(crate) async fn delete<K: Namespaced>(
        &self,
        cache: &Cache<K>,
        object: &K,
        params: DeleteParams,
    ) -> kube::Result<()> {
        let key = ObjectKey::of(object);
        let uid = object.uid().unwrap_or_default();
        let api: Api<K> = self.api(&key.namespace);
        let params = params.preconditions(Preconditions {
            uid: Some(uid.clone()),
            resource_version: None,
        });
        match api.delete(&key.name, &params).await {
            Ok(answer) => match answer.left().filter(|object| stays(object)) {
                // It stays until its kubelet or a finalizer lets it go.
                Some(marked) => cache.observe(marked),
                None => cache.forget(&key, &uid),
            },
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A kind with a namespace that can be read, written and kept.
pub(crate) trait Namespaced:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + std::fmt::Debug
    + Serialize
    + DeserializeOwned
{
}

impl<K> Namespaced for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned
{
}

/// Whether a deleted object is still there: it has a grace period to go, or finalizers.
fn stays(object: &impl Resource) -> bool {
    let meta = object.meta();
    let grace = meta.deletion_grace_period_seconds.unwrap_or(0) > 0;
    let held = meta.finalizers.as_ref().is_some_and(|all| !all.is_empty());
    meta.deletion_timestamp.is_some() && (grace || held)
}

/// A controller's queue of objects to look at.
pub(crate) fn queue() -> WorkQueue<ObjectKey> {
    WorkQueue::new(Backoff {
        first: Duration::from_millis(500),
        longest: Duration::from_mins(1),
    })
}

/// Looks at one object after the other, as they are queued. `look` says after which time it wants
/// to look at the object again, if nothing happens to it before.
pub(crate) async fn work<F>(
    controller: &'static str,
    queue: WorkQueue<ObjectKey>,
    mut look: impl FnMut(ObjectKey) -> F,
) where
    F: Future<Output = kube::Result<Option<Duration>>>,
{
    while let Some(job) = queue.next().await {
        match look(job.key().clone()).await {
            Ok(None) => job.succeed(),
            Ok(Some(delay)) => job.succeed_until(delay),
            Err(error) => {
                let ObjectKey { namespace, name } = job.key().clone();
                let wait = job.fail();
                debug!(controller, namespace, name, %error, ?wait, "will try again");
            }
        }
    }
}

/// From `now` until `then`; nothing if that is past.
pub(crate) fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

/// So long after a moment.
pub(crate) fn after(moment: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    moment.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// Seconds as the API has them: negative ones count as none.
pub(crate) fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// A moment as the API has it: whole seconds.
pub(crate) fn whole(moment: Timestamp) -> Time {
    Time(Timestamp::from_second(moment.as_second()).unwrap_or(moment))
}
