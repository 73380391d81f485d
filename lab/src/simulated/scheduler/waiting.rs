//! The pods that wait to be bound, in the order in which they are decided.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use placement::PodShape;

use crate::simulated::cache::ObjectKey;

/// Higher priority first, then first come, first served.
type Order = (Reverse<i32>, u64);

/// The pods that wait to be bound.
#[derive(Default)]
pub(super) struct Waiting {
    pods: BTreeMap<ObjectKey, Pod>,
    /// Ready to be decided.
    ready: BTreeMap<Order, ObjectKey>,
    /// Decided, and nothing fitted: they wait for room.
    parked: BTreeMap<Order, ObjectKey>,
    /// How many have come so far.
    come: u64,
}

struct Pod {
    uid: String,
    order: Order,
    shape: PodShape,
}

impl Waiting {
    pub(super) fn knows(&self, key: &ObjectKey) -> bool {
        self.pods.contains_key(key)
    }

    /// A pod comes.
    pub(super) fn add(&mut self, key: ObjectKey, uid: &str, priority: i32, shape: PodShape) {
        self.come += 1;
        let order = (Reverse(priority), self.come);
        self.ready.insert(order, key.clone());
        let uid = uid.to_owned();
        self.pods.insert(key, Pod { uid, order, shape });
    }

    /// A pod is bound, ends or leaves.
    pub(super) fn remove(&mut self, key: &ObjectKey) {
        if let Some(pod) = self.pods.remove(key) {
            self.ready.remove(&pod.order);
            self.parked.remove(&pod.order);
        }
    }

    /// The first pod that is ready: key, uid and shape. It stays until it is parked or removed.
    pub(super) fn next(&self) -> Option<(ObjectKey, String, PodShape)> {
        let key = self.ready.values().next()?;
        let pod = self.pods.get(key)?;
        Some((key.clone(), pod.uid.clone(), pod.shape.clone()))
    }

    /// Nothing fits a pod for now.
    pub(super) fn park(&mut self, key: &ObjectKey) {
        if let Some(pod) = self.pods.get(key) {
            self.ready.remove(&pod.order);
            self.parked.insert(pod.order, key.clone());
        }
    }

    /// A pod may fit somewhere again.
    pub(super) fn retry(&mut self, key: &ObjectKey) {
        if let Some(pod) = self.pods.get(key) {
            self.parked.remove(&pod.order);
            self.ready.insert(pod.order, key.clone());
        }
    }

    /// The pods that wait for room, in their order.
    pub(super) fn parked(&self) -> impl Iterator<Item = (ObjectKey, &PodShape)> {
        let pods = self.parked.values();
        pods.filter_map(|key| Some((key.clone(), &self.pods.get(key)?.shape)))
    }
}
