//! What an API server must see to itself: definitions, namespaces that are deleted, the dependents
//! of what was deleted, default service accounts, and events that have expired.
//!
//! Definitions have a controller of their own, for which their writers wait. The rest is done by
//! one task. Both learn of writes from the store, in the order in which they were committed, so
//! that whatever is committed has its consequences, whoever wrote it and whether or not anybody
//! waits for the answer. After a restart, and if too much was written at once to keep, they begin
//! with what is there. What can't be done because the store can't be written is tried again after
//! a while.

mod accounts;
mod aggregation;
mod backoff;
mod definitions;
mod emptying;
mod events;
mod garbage;
mod namespaces;
mod remains;
mod signing;
mod written;

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;

use crate::access::Access;
use crate::objects::{Objects, Waiting};
use crate::store::Feed;
use backoff::Backoff;
use emptying::Emptied;
use events::Expiry;
use garbage::Garbage;
use signing::Signing;
use written::Written;

/// Settles the definitions that are there, and starts to see to what follows from writes, as long
/// as the control plane is there.
pub(crate) async fn start(access: &Arc<Access>, waiting: Waiting) {
    let definitions = definitions::Controller::begin(&access.objects).await;
    tokio::spawn(definitions.run(Arc::downgrade(&access.objects), waiting));
    tokio::spawn(run(Arc::downgrade(access)));
}

async fn run(access: Weak<Access>) {
    while let Some((work, feed)) = access.upgrade().map(|access| Work::begin(&access.objects)) {
        work.follow(&access, feed).await;
    }
}

/// What is to be done.
#[derive(Default)]
struct Work {
    garbage: Garbage,
    /// Namespaces that are deleted.
    emptied: BTreeSet<String>,
    /// Namespaces that may lack their account.
    provided: BTreeSet<String>,
    /// Rules of cluster roles may have to be gathered again.
    aggregation: bool,
    signing: Signing,
    /// Definitions that are deleted, which may go, or whose objects may.
    cleaned: BTreeSet<String>,
    expiry: Expiry,
    backoff: Backoff,
}

impl Work {
    /// What follows from all that is there, as if it had been written when it was last.
    fn begin(objects: &Objects) -> (Self, Feed) {
        let (all, feed) = objects.store.subscribe_all();
        let now = objects.sources.now();
        let mut work = Self::default();
        for (table, object) in &all {
            let written = Written {
                table,
                before: None,
                after: Some(object),
            };
            work.note(objects, written, events::last_written(object.value(), now));
        }
        (work, feed)
    }

    /// Works until the store ends, or has events no more that were not seen.
    async fn follow(mut self, access: &Weak<Access>, mut feed: Feed) {
        loop {
            let wait = {
                let Some(access) = access.upgrade() else {
                    return;
                };
                let objects = &access.objects;
                // What is known already is looked at once.
                while let Some(event) = feed.try_next() {
                    let Ok(event) = event else { return };
                    self.note(objects, Written::of(&event), objects.sources.now());
                }
                self.work(&access).await;
                self.wait(objects.sources.now())
            };
            let later = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                biased;
                event = feed.next() => event,
                () = later => continue,
            };
            let (Some(Ok(event)), Some(access)) = (event, access.upgrade()) else {
                return;
            };
            let objects = &access.objects;
            self.note(objects, Written::of(&event), objects.sources.now());
        }
    }

    fn note(&mut self, objects: &Objects, written: Written<'_>, at: Timestamp) {
        self.garbage.note(written);
        self.emptied.extend(namespaces::concerned(objects, written));
        self.provided.extend(accounts::concerned(written));
        self.aggregation |= aggregation::concerned(written);
        self.signing.note(objects, written);
        self.cleaned
            .extend(definitions::concerned(objects, written));
        self.expiry.note(written, at);
    }

    async fn work(&mut self, access: &Access) {
        let objects = &access.objects;
        self.garbage.work(objects).await;
        for namespace in std::mem::take(&mut self.provided) {
            if !accounts::provide(objects, &namespace).await {
                self.provided.insert(namespace);
            }
        }
        for namespace in std::mem::take(&mut self.emptied) {
            if namespaces::empty(objects, &namespace).await == Emptied::Failed {
                self.emptied.insert(namespace);
            }
        }
        if self.aggregation {
            self.aggregation = !aggregation::gather(objects).await;
        }
        self.signing.work(access).await;
        for definition in std::mem::take(&mut self.cleaned) {
            if definitions::clean(objects, &definition).await == Emptied::Failed {
                self.cleaned.insert(definition);
            }
        }
        self.expiry.work(objects).await;
        if self.is_done() {
            self.backoff.reset();
        } else {
            self.backoff.grow();
        }
    }

    /// Nothing has failed.
    fn is_done(&self) -> bool {
        self.garbage.is_done()
            && self.provided.is_empty()
            && self.emptied.is_empty()
            && self.cleaned.is_empty()
            && !self.aggregation
            && self.signing.is_done()
    }

    /// How long until there is something to do, even if nothing is written; none if never.
    fn wait(&self, now: Timestamp) -> Option<Duration> {
        let retry = (!self.is_done()).then(|| self.backoff.wait());
        self.expiry.wait(now).into_iter().chain(retry).min()
    }
}
