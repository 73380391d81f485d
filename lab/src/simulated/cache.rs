//! The objects of one kind in a cluster, as its controllers know them.
//!
//! One watch fills the cache, however many controllers read it. What a controller has written
//! itself is in the cache at once, so that it never decides twice on what it has already changed:
//! this is what client-go's controllers keep expectations for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::debug;

/// The wait before a watch that failed is tried again. The API server is in the same process.
const RETRY: Duration = Duration::from_secs(1);

/// Names an object of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its namespace; empty for what is cluster-scoped.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// The key of an object.
    pub fn of(object: &impl Resource) -> Self {
        Self {
            namespace: object.meta().namespace.clone().unwrap_or_default(),
            name: object.meta().name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        write!(f, "{}{slash}{}", self.namespace, self.name)
    }
}

/// Told of every change: the object before and after it. It may read caches, and must not write.
type Handler<K> = Box<dyn Fn(Option<&Arc<K>>, Option<&Arc<K>>) + Send + Sync>;

/// The objects of one kind. Clones share them.
pub struct Cache<K>(Arc<Shared<K>>);

struct Shared<K> {
    state: Mutex<State<K>>,
    /// Held while handlers are told, so that they are told in order.
    handlers: Mutex<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
}

struct State<K> {
    objects: BTreeMap<ObjectKey, Arc<K>>,
    /// By the uid of the controlling owner; none stands for those without one.
    owned: BTreeMap<Option<String>, BTreeSet<ObjectKey>>,
    /// Uids of what we have removed ourselves, until the watch says so too.
    removed: BTreeSet<String>,
    /// What was known when the list that is under way began, less what it has named so far.
    unlisted: BTreeSet<ObjectKey>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                objects: BTreeMap::new(),
                owned: BTreeMap::new(),
                removed: BTreeSet::new(),
                unlisted: BTreeSet::new(),
            }),
            handlers: Mutex::new(Vec::new()),
            synced: watch::Sender::new(false),
        }))
    }
}

impl<K: Resource> Cache<K> {
    /// Calls `handler` with every change from now on: the object before and after it.
    pub fn on_change(
        &self,
        handler: impl Fn(Option<&Arc<K>>, Option<&Arc<K>>) + Send + Sync + 'static,
    ) {
        lock(&self.0.handlers).push(Box::new(handler));
    }

    /// An object as it was last seen.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        lock(&self.0.state).objects.get(key).cloned()
    }

    /// All objects, in the order of their keys.
    pub fn all(&self) -> Vec<Arc<K>> {
        lock(&self.0.state).objects.values().cloned().collect()
    }

    /// The objects whose controller has this uid, in the order of their keys.
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        self.of_owner(Some(uid))
    }

    /// The objects that nothing controls, in the order of their keys.
    pub fn free(&self) -> Vec<Arc<K>> {
        self.of_owner(None)
    }

    fn of_owner(&self, owner: Option<&str>) -> Vec<Arc<K>> {
        let state = lock(&self.0.state);
        let keys = state.owned.get(&owner.map(str::to_owned));
        let keys = keys.into_iter().flatten();
        keys.filter_map(|key| state.objects.get(key).cloned())
            .collect()
    }

    /// Waits until the cache has seen all there is.
    pub async fn synced(&self) {
        // An error would mean that the cache is gone, and we hold it.
        let _ = self.0.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Takes in an object as the API server has answered with it.
    pub fn observe(&self, object: K) {
        self.change(|state| state.put(object));
    }

    /// Takes in that an object is gone by our own doing.
    pub fn forget(&self, key: &ObjectKey, uid: &str) {
        self.change(|state| {
            let same = state.objects.get(key)?.meta().uid.as_deref() == Some(uid);
            same.then(|| state.removed.insert(uid.to_owned()))?;
            state.take(key)
        });
    }

    /// Makes a change and tells it.
    fn change(&self, change: impl FnOnce(&mut State<K>) -> Option<Told<K>>) {
        let handlers = lock(&self.0.handlers);
        let told = change(&mut lock(&self.0.state));
        if let Some((before, after)) = told {
            for handler in handlers.iter() {
                handler(before.as_ref(), after.as_ref());
            }
        }
    }

    /// Takes in what the watch says.
    fn hear(&self, event: Event<K>) {
        match event {
            Event::Init => {
                let state = &mut *lock(&self.0.state);
                state.unlisted = state.objects.keys().cloned().collect();
            }
            Event::InitApply(object) => {
                let key = ObjectKey::of(&object);
                lock(&self.0.state).unlisted.remove(&key);
                self.observe(object);
            }
            Event::InitDone => {
                let gone = {
                    let mut state = lock(&self.0.state);
                    state.removed.clear();
                    std::mem::take(&mut state.unlisted)
                };
                for key in gone {
                    self.change(|state| state.take(&key));
                }
                self.0.synced.send_replace(true);
            }
            Event::Apply(object) => self.observe(object),
            Event::Delete(object) => {
                let key = ObjectKey::of(&object);
                let uid = object.uid().unwrap_or_default();
                self.change(|state| {
                    state.removed.remove(&uid);
                    let same = state.objects.get(&key)?.meta().uid == object.meta().uid;
                    same.then(|| state.take(&key)).flatten()
                });
            }
        }
    }
}

impl<K> Cache<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    /// Follows the objects of `api` until it is dropped.
    pub async fn follow(self, api: Api<K>) {
        let mut events = pin!(watcher::watcher(api, watcher::Config::default()));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.hear(event),
                Err(error) => {
                    debug!(%error, "watch interrupted");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// What handlers are told.
type Told<K> = (Option<Arc<K>>, Option<Arc<K>>);

impl<K: Resource> State<K> {
    fn put(&mut self, mut object: K) -> Option<Told<K>> {
        let uid = object.uid().unwrap_or_default();
        if self.removed.contains(&uid) {
            return None;
        }
        let key = ObjectKey::of(&object);
        let known = self.objects.get(&key);
        if known.is_some_and(|known| version(&**known) >= version(&object)) {
            return None;
        }
        // Most of an object, and nothing that a controller reads.
        object.meta_mut().managed_fields = None;
        let owner = controller(&object).map(str::to_owned);
        let after = Arc::new(object);
        let before = self.objects.insert(key.clone(), Arc::clone(&after));
        if let Some(before) = &before {
            self.disown(controller(&**before), &key);
        }
        self.owned.entry(owner).or_default().insert(key);
        Some((before, Some(after)))
    }

    fn take(&mut self, key: &ObjectKey) -> Option<Told<K>> {
        let before = self.objects.remove(key)?;
        self.disown(controller(&*before), key);
        Some((Some(before), None))
    }

    fn disown(&mut self, owner: Option<&str>, key: &ObjectKey) {
        let owner = owner.map(str::to_owned);
        if let Some(keys) = self.owned.get_mut(&owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.owned.remove(&owner);
            }
        }
    }
}

/// The uid of the owner that controls an object.
pub fn controller(object: &impl Resource) -> Option<&str> {
    controlling(object).map(|owner| owner.uid.as_str())
}

/// The key of the owner that controls an object, if that is of this kind.
pub fn controller_key(object: &impl Resource, kind: &str) -> Option<ObjectKey> {
    let owner = controlling(object).filter(|owner| owner.kind == kind)?;
    Some(ObjectKey {
        namespace: object.meta().namespace.clone().unwrap_or_default(),
        name: owner.name.clone(),
    })
}

fn controlling(object: &impl Resource) -> Option<&OwnerReference> {
    let owners = object.meta().owner_references.as_deref()?;
    owners.iter().find(|owner| owner.controller == Some(true))
}

fn version(object: &impl Resource) -> u64 {
    let version = object.meta().resource_version.as_deref();
    version.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    fn pod(name: &str, uid: &str, version: u64) -> Pod {
        serde_json::from_value(json!({ "metadata": {
            "name": name, "namespace": "n", "uid": uid, "resourceVersion": version.to_string(),
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs",
                "uid": "owner", "controller": true }],
        }}))
        .unwrap()
    }

    fn names(pods: &[Arc<Pod>]) -> Vec<String> {
        pods.iter().map(|pod| pod.name_any()).collect()
    }

    #[test]
    fn what_is_older_than_what_is_known_is_passed_over() {
        let cache = Cache::default();
        let told = Arc::new(Mutex::new(0));
        let count = Arc::clone(&told);
        cache.on_change(move |_, _| *count.lock().unwrap() += 1);
        cache.observe(pod("a", "1", 5));
        cache.hear(Event::Apply(pod("a", "1", 4)));
        cache.hear(Event::Apply(pod("a", "1", 5)));
        assert_eq!(*told.lock().unwrap(), 1);
        let key = ObjectKey::of(&pod("a", "1", 1));
        assert_eq!(version(&*cache.get(&key).unwrap()), 5);
    }

    #[test]
    fn what_we_removed_does_not_come_back_with_a_late_event() {
        let cache = Cache::default();
        let key = ObjectKey::of(&pod("a", "1", 1));
        cache.observe(pod("a", "1", 5));
        cache.forget(&key, "1");
        cache.hear(Event::Apply(pod("a", "1", 6)));
        assert!(cache.get(&key).is_none());
        assert!(cache.owned_by("owner").is_empty());
        // Its successor is another object, and stays when its predecessor's end is heard of.
        cache.observe(pod("a", "2", 8));
        cache.hear(Event::Delete(pod("a", "1", 7)));
        assert_eq!(names(&cache.owned_by("owner")), ["a"]);
    }

    #[test]
    fn a_new_list_takes_away_what_it_does_not_name() {
        let cache = Cache::default();
        cache.observe(pod("a", "1", 5));
        cache.observe(pod("b", "2", 6));
        cache.hear(Event::Init);
        cache.hear(Event::InitApply(pod("b", "2", 6)));
        cache.hear(Event::InitDone);
        assert_eq!(names(&cache.all()), ["b"]);
    }
}
