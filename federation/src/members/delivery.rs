//! Bringing bundles to a member by writing them: one delivery of one owner, from what the member
//! holds to what it shall hold. It can end at any point and be done again.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::core::ObjectMeta;
use tokio::time::Instant;

use super::applied::{Applied, AppliedObjects};
use super::bundle::{Bundle, Ending, Item, ManagedKind, ObjectKey, Owner, digest_bits, uid_bits};
use super::contest::{Contest, Contests, Rival};
use super::failure::{Failure, FailureKind, Outcome, named_failure};
use super::inventory::{Inventory, Record, Watched};
use super::namespaces::{NamespaceKept, Namespaces};
use super::writer::{Removed, Writer};

/// Makes one member hold what bundles say.
pub(super) struct Pusher {
    writer: Writer,
    namespaces: Namespaces,
    hub: String,
    /// What was written; a repetition that would change nothing is left out.
    applied: AppliedObjects,
    contests: Mutex<Contests>,
}

impl Pusher {
    pub(super) fn new(writer: Writer, namespaces: Namespaces, hub: String) -> Self {
        Self {
            writer,
            namespaces,
            hub,
            applied: AppliedObjects::default(),
            contests: Mutex::default(),
        }
    }

    /// What the watch shows is compared with this.
    pub(super) fn applied(&self) -> &AppliedObjects {
        &self.applied
    }

    /// It is applied again; when.
    pub(super) fn undone(&self, key: &ObjectKey, rival: Option<Rival>) -> Instant {
        self.contests().undone(key, rival, Instant::now())
    }

    /// The first of these that another writer fights over.
    pub(super) fn contest(&self, keys: impl Iterator<Item = ObjectKey>) -> Option<Contest> {
        self.contests().find(keys, Instant::now())
    }

    /// When one of these is to be applied again, or its fight counts as over.
    pub(super) fn next(&self, keys: impl Iterator<Item = ObjectKey>) -> Option<Instant> {
        self.contests().next(keys, Instant::now())
    }

    /// Everything is to be written again, but the Jobs that have ended: they are not run again.
    pub(super) fn forget(&self, inventory: &Inventory) {
        let has_ended = |key: &ObjectKey| {
            (inventory.get(key)).is_some_and(|record| record.observed.has_ended())
        };
        self.applied.retain(has_ended);
    }

    /// One delivery. A refused object holds back only what needs it; the first failure is given. A
    /// namespace that was to go and stays is given, too.
    pub(super) async fn push(
        &self,
        bundle: &Bundle,
        inventory: &Mutex<Inventory>,
    ) -> Result<Option<NamespaceKept>, Failure> {
        let needs = self.bring(bundle, inventory).await;
        self.clear(bundle, inventory).await?;
        needs?;
        match bundle.ending {
            Some(Ending {
                orphan: false,
                namespace_gone: true,
            }) => {
                self.namespaces
                    .remove(&bundle.owner.namespace, &bundle.owner.uid)
                    .await
            }
            _ => Ok(None),
        }
    }

    /// Writes the bundle's objects.
    async fn bring(&self, bundle: &Bundle, inventory: &Mutex<Inventory>) -> Outcome {
        let mut outcome = Ok(());
        let mut lacks = false;
        for item in &bundle.items {
            if lacks && item.key.kind.is_main() {
                break;
            }
            if let Err(failure) = self.apply(&bundle.owner, item, inventory).await {
                // An older one of ours serves until the new one is taken.
                lacks |= failure.kind == FailureKind::Conflict
                    || lock(inventory).get(&item.key).is_none();
                outcome = outcome.and(Err(failure));
            }
        }
        outcome
    }

    /// Removes what the owner holds here and shall not. While the workload itself could not be
    /// written or removed, what it needs stays.
    async fn clear(&self, bundle: &Bundle, inventory: &Mutex<Inventory>) -> Outcome {
        let wanted: BTreeSet<&ObjectKey> = bundle.items.iter().map(|item| &item.key).collect();
        let is_written = |item: &Item| {
            let content = content_of(item);
            (self.applied.get(&item.key)).is_some_and(|last| last.content == content)
        };
        let runs_old =
            (bundle.items.iter()).any(|item| item.key.kind.is_main() && !is_written(item));
        if runs_old {
            return Ok(());
        }
        let owner = uid_bits(&bundle.owner.uid);
        let surplus: Vec<(ObjectKey, Record)> = lock(inventory)
            .of(owner)
            .filter(|(key, record)| {
                !wanted.contains(key) && record.hub.as_deref() == Some(self.hub.as_str())
            })
            .map(|(key, record)| (key.clone(), record.clone()))
            .collect();
        let mut outcome = Ok(());
        for kind in ManagedKind::REMOVAL_ORDER {
            for (key, record) in surplus.iter().filter(|(key, _)| key.kind == kind) {
                if kind == ManagedKind::PersistentVolumeClaim && bundle.ending.is_none() {
                    continue;
                }
                match self.remove(bundle, key, record).await {
                    Ok(left) => {
                        let mut inventory = lock(inventory);
                        match left {
                            // The watch may have said so already, and will not say it again.
                            Some(record) => inventory.put(key.clone(), record),
                            None => inventory.gone(key, &record.uid),
                        };
                    }
                    Err(failure) if kind.is_main() => return Err(failure),
                    Err(failure) => outcome = outcome.and(Err(failure)),
                }
            }
        }
        outcome
    }

    async fn apply(&self, owner: &Owner, item: &Item, inventory: &Mutex<Inventory>) -> Outcome {
        let content = content_of(item);
        let known = lock(inventory).get(&item.key).cloned();
        let is_owner = |record: &Record| record.owners.contains(&uid_bits(&owner.uid));
        let ours = known.as_ref().is_none_or(|record| {
            record.hub.as_deref() == Some(self.hub.as_str()) && (item.shared || is_owner(record))
        });
        if !ours {
            return Err(foreign(&item.key));
        }
        let may_put_back = self.contests().may_put_back(&item.key, Instant::now());
        let is_up_to_date = self.applied.get(&item.key).is_some_and(|last| {
            let is_older = item.shared && last.revision > item.revision;
            (last.content == content || is_older) && !(last.undone && may_put_back)
        });
        if is_up_to_date && known.as_ref().is_none_or(is_owner) {
            return Ok(());
        }
        let write = self.applied.begin(&item.key);
        let live = match &known {
            Some(_) => self.writer.replace(owner, item).await?,
            None => self.writer.create(owner, item).await?,
        };
        let record = Watched::of(live).record(item.key.kind);
        let applied = Applied::new(content, item.revision, !item.retain.is_empty(), &record);
        let mut inventory = lock(inventory);
        if !write.succeed(applied, &inventory) {
            return Err(Failure {
                kind: FailureKind::Unavailable,
                message: format!(
                    "{} was changed or deleted by another client while it was written",
                    item.key
                ),
            });
        }
        // So that a second delivery before the watch has caught up knows it as ours.
        let is_news = (inventory.get(&item.key))
            .is_none_or(|known| known.version < record.version && known.owners != record.owners);
        if is_news {
            let observed = (inventory.get(&item.key)).map(|known| known.observed);
            inventory.put(
                item.key.clone(),
                Record {
                    observed: observed.unwrap_or(record.observed),
                    ..record
                },
            );
        }
        Ok(())
    }

    /// Takes an object from the owner: deletes it, or leaves it without our label to its other
    /// owners, or to whoever finds it; then it is given as it is now.
    async fn remove(
        &self,
        bundle: &Bundle,
        key: &ObjectKey,
        record: &Record,
    ) -> Result<Option<Record>, Failure> {
        self.applied.forget(key);
        self.contests().forget(key);
        let orphan = bundle.ending.is_some_and(|ending| ending.orphan);
        let removed = if record.shared || orphan {
            self.writer.release(&bundle.owner, key, orphan).await?
        } else {
            self.writer.delete(key, &record.uid, None).await?;
            Removed::Gone
        };
        Ok(match removed {
            Removed::Gone => None,
            Removed::Released(metadata) => Some(released(key, *metadata, record)),
        })
    }

    fn contests(&self) -> MutexGuard<'_, Contests> {
        self.contests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn content_of(item: &Item) -> u128 {
    let digest = item.manifest.digest();
    digest_bits(format!("{} {digest}", item.retain.join(",")).as_bytes())
}

fn released(key: &ObjectKey, metadata: ObjectMeta, before: &Record) -> Record {
    Record {
        observed: before.observed,
        ..Watched::of(metadata).record(key.kind)
    }
}

/// An object of that name is there and is not ours.
pub(super) fn foreign(key: &ObjectKey) -> Failure {
    Failure {
        kind: FailureKind::Conflict,
        message: format!(
            "{key} exists and was not made by this object: rename one of the two, or delete that one"
        ),
    }
}

pub(super) fn failure(key: &ObjectKey, error: &kube::Error) -> Failure {
    named_failure(&key.to_string(), error)
}

/// Why an object is still there. Somebody may have become an owner meanwhile, or it is another object
/// by now: it is looked at again.
pub(super) fn not_removed(key: &ObjectKey, error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 409 => Failure {
            kind: FailureKind::Unavailable,
            message: format!("{key} changed while it was being removed"),
        },
        error => failure(key, error),
    }
}

pub(super) fn lock(inventory: &Mutex<Inventory>) -> MutexGuard<'_, Inventory> {
    inventory.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
