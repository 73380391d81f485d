//! Who watches what. A write puts its event, which all share, into the queues of those who watch its
//! resource, its namespace or the object itself, and touches no other: an idle watch costs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::Event;
use super::object::{Key, Place};
use super::queue::Queue;

/// Which objects of a resource a watch is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    All,
    Namespace(String),
    /// The one at this path.
    Object(Arc<str>),
}

impl Scope {
    pub(super) fn of_namespace(namespace: Option<&str>) -> Self {
        namespace.map_or(Self::All, |name| Self::Namespace(name.to_owned()))
    }

    pub(super) fn of_object(key: &Key) -> Self {
        Self::Object(Arc::from(key.path()))
    }

    pub(super) fn contains(&self, place: &Place) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(namespace) => place.namespace() == Some(namespace),
            Self::Object(path) => *path == place.path,
        }
    }
}

/// Those who watch a resource, by what they watch of it. The oldest first.
#[derive(Default)]
pub(super) struct Watchers(BTreeMap<Scope, BTreeMap<u64, Arc<Queue>>>);

impl Watchers {
    pub(super) fn add(&mut self, number: u64, scope: &Scope, queue: Arc<Queue>) {
        let queues = self.0.entry(scope.clone()).or_default();
        queues.insert(number, queue);
    }

    pub(super) fn remove(&mut self, number: u64, scope: &Scope) {
        if let Some(queues) = self.0.get_mut(scope) {
            queues.remove(&number);
            if queues.is_empty() {
                self.0.remove(scope);
            }
        }
    }

    /// Hands an event to those whom it concerns, and names them.
    pub(super) fn send(&mut self, event: &Arc<Event>, woken: &mut Vec<Arc<Queue>>) {
        if self.0.is_empty() {
            return;
        }
        let place = &event.place;
        let namespace = place.namespace();
        let namespace = namespace.map(|name| Scope::Namespace(name.to_owned()));
        let object = Scope::Object(Arc::clone(&place.path));
        for scope in [Some(Scope::All), namespace, Some(object)].iter().flatten() {
            let Some(queues) = self.0.get_mut(scope) else {
                continue;
            };
            queues.retain(|_, queue| {
                if !queue.wants(event) {
                    return true;
                }
                woken.push(Arc::clone(queue));
                queue.push(event)
            });
        }
    }

    /// Ends every watch, and names them.
    pub(super) fn close(&mut self, woken: &mut Vec<Arc<Queue>>) {
        for queue in std::mem::take(&mut self.0).into_values() {
            for queue in queue.into_values() {
                queue.close();
                woken.push(queue);
            }
        }
    }
}
