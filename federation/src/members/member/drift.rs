//! What the watches on our objects say: what is known of them, and what is to be put back.

use std::collections::BTreeSet;

use kube::runtime::watcher::Event;
use tokio::time::Instant;
use tracing::debug;

use super::{Change, Inner};
use crate::members::bundle::{ManagedKind, ObjectKey};
use crate::members::contest::{Rival, rival};
use crate::members::delivery::lock;
use crate::members::inventory::Watched;
use crate::operator::queue::Priority;

impl Inner {
    pub(super) fn observe(&self, kind: ManagedKind, event: Event<Watched>) {
        // A list begins before it is answered.
        if !matches!(event, Event::Init) {
            self.requests().succeeded();
        }
        let mut inventory = lock(&self.inventory);
        let (concerned, again) = match event {
            Event::Init => {
                inventory.list_begins(kind);
                return;
            }
            Event::InitApply(object) | Event::Apply(object) => {
                let (key, mut record) = (object.key(kind), object.record(kind));
                if object.status_is_unknown
                    && let Some(known) = inventory.get(&key)
                {
                    record.observed = known.observed;
                }
                let drifted = self.pusher.applied().is_changed_by_another(&key, &record);
                let again = drifted.then(|| self.undone(&key, record.owners.iter(), Some(&object)));
                (inventory.put(key, record), again)
            }
            Event::Delete(object) => {
                let key = object.key(kind);
                // A Job that has ended may be cleared away by the member; it is not run again.
                let ended = inventory
                    .get(&key)
                    .is_some_and(|record| record.observed.has_ended());
                let uid = object.metadata.uid.as_deref().unwrap_or_default();
                let deleted = self.pusher.applied().is_deleted_by_another(&key, uid);
                let drifted = deleted && !ended;
                let concerned = inventory.gone(&key, uid);
                let again = drifted.then(|| self.undone(&key, concerned.iter(), None));
                (concerned, again)
            }
            Event::InitDone => {
                let gone = inventory.list_ends(kind);
                let complete = inventory.is_complete();
                drop(inventory);
                for (key, last) in gone {
                    let deleted = (self.pusher.applied()).is_deleted_by_another(&key, &last.uid);
                    let drifted = deleted && !last.observed.has_ended();
                    // What went while nobody watched is brought again.
                    let again = drifted.then(|| self.undone(&key, last.owners.iter(), None));
                    self.tell(last.owners, again);
                }
                if complete {
                    self.open.send_replace(true);
                    self.send(Change::Synced);
                }
                return;
            }
        };
        drop(inventory);
        self.tell(concerned, again);
    }

    /// Another writer changed or deleted what we applied: when it is put back.
    fn undone<'a>(
        &self,
        key: &ObjectKey,
        mut owners: impl Iterator<Item = &'a u128>,
        now: Option<&Watched>,
    ) -> Instant {
        let rival = match now {
            None => Some(Rival::Deletes),
            Some(object) => {
                let bundles = self.bundles();
                let mut items = owners.find_map(|owner| bundles.get(owner)).into_iter();
                let item =
                    items.find_map(|bundle| bundle.items.iter().find(|item| item.key == *key));
                let managed = object.metadata.managed_fields.as_deref();
                item.and_then(|item| rival(managed.unwrap_or_default(), item))
            }
        };
        self.pusher.undone(key, rival)
    }

    /// The owners' objects have changed; if they are to be put back, then.
    fn tell(&self, owners: BTreeSet<u128>, again: Option<Instant>) {
        for owner in owners {
            if let Some(due) = again
                && self.bundles().contains_key(&owner)
            {
                debug!(cluster = %self.name, "an object was changed or deleted by another client: it is put back");
                self.send(Change::Undone(owner));
                match due.checked_duration_since(Instant::now()) {
                    Some(wait) if !wait.is_zero() => self.queue.add_after(owner, wait),
                    _ => self.queue.add(owner, Priority::High),
                }
            }
            self.send(Change::Observed(owner));
        }
    }
}
