//! What a cache holds, and what changes it.
//!
//! Objects come from two sides, in any order: from the watch, and from the responses to our own
//! writes. All have resource versions of one counter, and the watch delivers events in their order.
//! So:
//!
//! - What is not newer than the cached object is ignored.
//! - A response about an object that is not cached is ignored unless it is newer than everything
//!   that the watch has delivered: otherwise the watch has delivered the object, and its deletion,
//!   already.
//! - An object that we have deleted ourselves has a tombstone until the watch delivers its deletion,
//!   or until a list that was begun after the deletion is complete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::{Resource, ResourceExt as _};

use super::{ObjectKey, controller};

/// What handlers are told: an object before and after a change.
pub(super) type Told<K> = (Option<Arc<K>>, Option<Arc<K>>);

pub(super) struct State<K> {
    objects: BTreeMap<ObjectKey, Arc<K>>,
    /// By the uid of the controlling owner; none stands for those without one.
    owned: BTreeMap<Option<String>, BTreeSet<ObjectKey>>,
    /// Uids of what we have deleted ourselves, and the number of lists that had begun by then.
    tombstones: BTreeMap<String, u64>,
    /// The watch has delivered everything up to this revision.
    observed: u64,
    /// Lists that have begun.
    lists: u64,
}

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            owned: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            observed: 0,
            lists: 0,
        }
    }
}

impl<K: Resource> State<K> {
    pub(super) fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.objects.get(key).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<K>> {
        self.objects.values().cloned().collect()
    }

    pub(super) fn of_owner(&self, owner: Option<&str>) -> Vec<Arc<K>> {
        let keys = self.owned.get(&owner.map(str::to_owned));
        let keys = keys.into_iter().flatten();
        keys.filter_map(|key| self.get(key)).collect()
    }

    /// How many deletions of our own the watch has yet to deliver.
    #[cfg(test)]
    pub(super) fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// An object as the response to a write of ours has it.
    pub(super) fn apply_response(&mut self, object: K) -> Option<Told<K>> {
        let is_known = self.objects.contains_key(&ObjectKey::of(&object));
        if !is_known && version(&object) <= self.observed {
            return None;
        }
        self.put(object)
    }

    /// An object is gone by our own doing.
    pub(super) fn forget(&mut self, key: &ObjectKey, uid: &str) -> Option<Told<K>> {
        let same = self.objects.get(key)?.meta().uid.as_deref() == Some(uid);
        same.then(|| self.tombstones.insert(uid.to_owned(), self.lists))?;
        self.take(key)
    }

    /// An object that the watch has delivered as added or modified.
    pub(super) fn apply_watched(&mut self, object: K) -> Option<Told<K>> {
        self.observed = self.observed.max(version(&object));
        self.put(object)
    }

    /// An object that the watch has delivered as deleted: as it was last, with the revision of its
    /// deletion.
    pub(super) fn apply_deleted(&mut self, object: &K) -> Option<Told<K>> {
        self.observed = self.observed.max(version(object));
        self.tombstones.remove(&object.uid().unwrap_or_default());
        let key = ObjectKey::of(object);
        let same = self.objects.get(&key)?.meta().uid == object.meta().uid;
        same.then(|| self.take(&key)).flatten()
    }

    /// An object of the list that is under way.
    pub(super) fn apply_listed(&mut self, object: K) -> Option<Told<K>> {
        self.put(object)
    }

    /// The watch has delivered everything up to a revision.
    pub(super) fn advance(&mut self, revision: u64) {
        self.observed = self.observed.max(revision);
    }

    /// A list begins.
    pub(super) fn begin_list(&mut self) {
        self.lists += 1;
    }

    /// The list that began last is complete, as of a revision. Gives the keys of cached objects that
    /// it does not have although they are not newer.
    pub(super) fn end_list(
        &mut self,
        revision: u64,
        listed: &BTreeSet<ObjectKey>,
    ) -> Vec<ObjectKey> {
        self.advance(revision);
        let lists = self.lists;
        self.tombstones.retain(|_, begun| *begun == lists);
        let objects = self.objects.iter();
        let gone = objects
            .filter(|(key, object)| !listed.contains(key) && version(&***object) <= revision);
        gone.map(|(key, _)| key.clone()).collect()
    }

    fn put(&mut self, mut object: K) -> Option<Told<K>> {
        let uid = object.uid().unwrap_or_default();
        if self.tombstones.contains_key(&uid) {
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

    pub(super) fn take(&mut self, key: &ObjectKey) -> Option<Told<K>> {
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

pub(super) fn version(object: &impl Resource) -> u64 {
    let version = object.meta().resource_version.as_deref();
    version.and_then(|text| text.parse().ok()).unwrap_or(0)
}
