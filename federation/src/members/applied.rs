//! What was written to a member, and whether another client has changed or deleted it since.
//!
//! Watch events may overtake the answers to our own writes. So nothing is judged while a write of
//! the object is under way: what the watch shows meanwhile is kept, and compared with the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::bundle::ObjectKey;
use super::inventory::{Inventory, Record};

/// An object as we wrote it last.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    /// Digest of what was wanted.
    pub(super) content: u128,
    /// Which version of a dependency that was.
    pub(super) revision: u64,
    /// Others may change some of its fields.
    pub(super) retains: bool,
    /// Another writer has changed or deleted it since.
    pub(super) undone: bool,
    written: State,
}

impl Applied {
    pub(super) fn new(content: u128, revision: u64, retains: bool, written: &Record) -> Self {
        Self {
            content,
            revision,
            retains,
            undone: false,
            written: State::of(written),
        }
    }

    /// The watch shows another state than we wrote, and a later one.
    fn is_changed(&self, seen: &State) -> bool {
        let is_another = seen.generation != self.written.generation && !self.retains;
        seen.version > self.written.version && (seen.held != self.written.held || is_another)
    }
}

/// What tells one state of an object from another.
#[derive(Clone, Debug)]
struct State {
    uid: String,
    version: u64,
    held: u128,
    generation: i64,
}

impl State {
    fn of(record: &Record) -> Self {
        Self {
            uid: record.uid.clone(),
            version: record.version,
            held: record.held,
            generation: record.generation,
        }
    }
}

/// Writes of one object that are under way, and what the watch shows meanwhile.
#[derive(Debug, Default)]
struct UnderWay {
    writes: usize,
    seen: Option<State>,
    deleted: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Known {
    applied: BTreeMap<ObjectKey, Applied>,
    under_way: BTreeMap<ObjectKey, UnderWay>,
}

/// All that was written to one member.
#[derive(Debug, Default)]
pub(super) struct AppliedObjects(Mutex<Known>);

impl AppliedObjects {
    pub(super) fn get(&self, key: &ObjectKey) -> Option<Applied> {
        self.known().applied.get(key).cloned()
    }

    /// It is no longer ours, or is to be written whatever it looks like.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.known().applied.remove(key);
    }

    pub(super) fn retain(&self, mut keeps: impl FnMut(&ObjectKey) -> bool) {
        self.known().applied.retain(|key, _| keeps(key));
    }

    /// The watch shows an object: whether another client has changed it since we wrote it, and that
    /// was not known yet.
    pub(super) fn is_changed_by_another(&self, key: &ObjectKey, record: &Record) -> bool {
        let mut known = self.known();
        if let Some(under_way) = known.under_way.get_mut(key) {
            under_way.seen = Some(State::of(record));
            return false;
        }
        let Some(last) = known.applied.get_mut(key).filter(|last| !last.undone) else {
            return false;
        };
        last.undone = last.is_changed(&State::of(record));
        last.undone
    }

    /// The watch shows that the object with this uid is gone: whether another client has deleted
    /// what we wrote, and that was not known yet. The one that we deleted ourselves, to make it
    /// again, has another uid.
    pub(super) fn is_deleted_by_another(&self, key: &ObjectKey, uid: &str) -> bool {
        let mut known = self.known();
        if let Some(under_way) = known.under_way.get_mut(key) {
            under_way.deleted.insert(uid.to_owned());
            return false;
        }
        let Some(last) = known.applied.get_mut(key).filter(|last| !last.undone) else {
            return false;
        };
        last.undone = last.written.uid == uid;
        last.undone
    }

    /// A write of the object begins. It ends when this is dropped.
    pub(super) fn begin(&self, key: &ObjectKey) -> Write<'_> {
        let mut known = self.known();
        known.under_way.entry(key.clone()).or_default().writes += 1;
        Write {
            objects: self,
            key: key.clone(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that is under way.
pub(super) struct Write<'a> {
    objects: &'a AppliedObjects,
    key: ObjectKey,
}

impl Write<'_> {
    /// The object was written so. False if another client has changed or deleted it meanwhile. The
    /// inventory is locked, so that no event comes in between.
    pub(super) fn succeed(self, applied: Applied, _inventory: &Inventory) -> bool {
        let mut known = self.objects.known();
        let (is_deleted, is_changed) =
            (known.under_way.get(&self.key)).map_or((false, false), |under_way| {
                let seen = under_way.seen.as_ref();
                (
                    under_way.deleted.contains(&applied.written.uid),
                    seen.is_some_and(|seen| applied.is_changed(seen)),
                )
            });
        if is_deleted {
            known.applied.remove(&self.key);
        } else {
            let undone = is_changed;
            let applied = Applied { undone, ..applied };
            known.applied.insert(self.key.clone(), applied);
        }
        !is_deleted && !is_changed
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        let mut known = self.objects.known();
        if let Some(under_way) = known.under_way.get_mut(&self.key) {
            under_way.writes -= 1;
            if under_way.writes == 0 {
                known.under_way.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::bundle::ManagedKind;
    use crate::members::inventory::Observed;

    fn key() -> ObjectKey {
        ObjectKey {
            kind: ManagedKind::ConfigMap,
            namespace: "shop".to_owned(),
            name: "settings".to_owned(),
        }
    }

    /// As it is at a version; `held` is what our writes hold of it.
    fn record(uid: &str, version: u64, held: u128) -> Record {
        Record {
            uid: uid.to_owned(),
            version,
            hub: Some("hub-1".to_owned()),
            owners: BTreeSet::new(),
            shared: true,
            held,
            generation: 0,
            observed: Observed::Present,
            diagnosis: None,
        }
    }

    fn succeed(write: Write<'_>, record: &Record) -> bool {
        write.succeed(Applied::new(1, 1, false, record), &Inventory::default())
    }

    #[test]
    fn our_own_replacement_is_nobody_elses_change_whenever_the_watch_shows_it() {
        let (objects, key) = (AppliedObjects::default(), key());
        assert!(succeed(objects.begin(&key), &record("a", 1, 1)));
        assert!(!objects.is_changed_by_another(&key, &record("a", 1, 1)));
        // Another version: the watch is before the answer, then after it.
        let write = objects.begin(&key);
        assert!(!objects.is_changed_by_another(&key, &record("a", 2, 2)));
        assert!(succeed(write, &record("a", 2, 2)));
        assert!(succeed(objects.begin(&key), &record("a", 3, 3)));
        assert!(!objects.is_changed_by_another(&key, &record("a", 3, 3)));
        assert!(!objects.get(&key).unwrap().undone);
    }

    #[test]
    fn our_own_deletion_and_creation_is_nobody_elses_whenever_the_watch_shows_it() {
        let (objects, key) = (AppliedObjects::default(), key());
        assert!(succeed(objects.begin(&key), &record("a", 1, 1)));
        let write = objects.begin(&key);
        assert!(!objects.is_deleted_by_another(&key, "a"));
        assert!(!objects.is_changed_by_another(&key, &record("b", 3, 1)));
        assert!(succeed(write, &record("b", 3, 1)));
        assert!(succeed(objects.begin(&key), &record("c", 5, 1)));
        assert!(!objects.is_deleted_by_another(&key, "b"));
        assert!(!objects.get(&key).unwrap().undone);
    }

    #[test]
    fn what_another_client_does_counts_once_and_until_it_is_written_again() {
        let (objects, key) = (AppliedObjects::default(), key());
        assert!(succeed(objects.begin(&key), &record("a", 1, 1)));
        assert!(objects.is_changed_by_another(&key, &record("a", 2, 2)));
        assert!(!objects.is_changed_by_another(&key, &record("a", 3, 3)));
        assert!(objects.get(&key).unwrap().undone);
        assert!(succeed(objects.begin(&key), &record("a", 4, 1)));
        assert!(objects.is_deleted_by_another(&key, "a"));
        assert!(!objects.is_deleted_by_another(&key, "a"));
    }

    #[test]
    fn what_another_client_does_while_we_write_shows_when_the_answer_comes() {
        let (objects, key) = (AppliedObjects::default(), key());
        let write = objects.begin(&key);
        assert!(!objects.is_changed_by_another(&key, &record("a", 2, 2)));
        assert!(!succeed(write, &record("a", 1, 1)));
        assert!(objects.get(&key).unwrap().undone);

        let write = objects.begin(&key);
        assert!(!objects.is_deleted_by_another(&key, "a"));
        assert!(!succeed(write, &record("a", 4, 1)));
        assert!(objects.get(&key).is_none());
    }

    #[test]
    fn a_write_that_fails_or_is_given_up_leaves_the_judgement_as_it_was() {
        let (objects, key) = (AppliedObjects::default(), key());
        assert!(succeed(objects.begin(&key), &record("a", 1, 1)));
        let (first, second) = (objects.begin(&key), objects.begin(&key));
        drop(first);
        assert!(!objects.is_changed_by_another(&key, &record("a", 2, 2)));
        drop(second);
        assert!(objects.is_changed_by_another(&key, &record("a", 2, 2)));
    }
}
