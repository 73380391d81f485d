//! The objects of one kind in a cluster, as its controllers know them.
//!
//! One watch fills the cache, however many controllers read it. What a controller has written
//! itself is in the cache at once, so that it never decides twice on what it has already changed:
//! this is what client-go's controllers keep expectations for.

mod follow;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use tokio::sync::watch;

use state::{State, Told};

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

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
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
        lock(&self.0.state).get(key)
    }

    /// All objects, in the order of their keys.
    pub fn all(&self) -> Vec<Arc<K>> {
        lock(&self.0.state).all()
    }

    /// The objects whose controller has this uid, in the order of their keys.
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        lock(&self.0.state).of_owner(Some(uid))
    }

    /// The objects that nothing controls, in the order of their keys.
    pub fn free(&self) -> Vec<Arc<K>> {
        lock(&self.0.state).of_owner(None)
    }

    /// Waits until the cache has seen all there is.
    pub async fn synced(&self) {
        // An error would mean that the cache is gone, and we hold it.
        let _ = self.0.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Takes in an object as the API server's response to a write of ours has it. A response that
    /// comes after the watch has delivered the object's deletion changes nothing.
    pub fn observe(&self, object: K) {
        self.change(|state| state.apply_response(object));
    }

    /// Takes in that an object is gone by our own doing.
    pub fn forget(&self, key: &ObjectKey, uid: &str) {
        self.change(|state| state.forget(key, uid));
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
