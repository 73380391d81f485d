//! What the API server keeps: objects, their revisions, and what happened to them lately.
//!
//! One counter numbers every write of a store, as etcd's revision does. Reads are answered from
//! memory under a lock that is held only while pointers are copied. Writes take effect one after
//! the other; readers and watches see a write when it is done, never before.
//!
//! [`Store::memory`] keeps nothing beyond the process. It uses no thread, clock or randomness, so a
//! run in virtual time can be repeated. [`Store::open`] keeps every acknowledged write in a log on
//! disk: `durable.rs` says what that promises.

mod check;
mod disk;
mod draft;
mod durable;
mod error;
mod event;
#[cfg(test)]
pub(crate) mod fake_disk;
mod feed;
mod frame;
mod list;
mod log;
mod mark;
#[cfg(test)]
mod model;
mod object;
mod options;
mod queue;
mod retry;
mod shared;
mod state;
mod sweep;
mod table;
mod watch;
mod watchers;

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;

pub use check::{Check, Lookup};
use draft::{Action, Write};
use durable::Writer;
pub use error::{Expired, OpenError, ReadError, Refusal, WriteError};
pub use event::{Change, Event};
pub use feed::{Entry, Feed};
pub use list::{List, Page};
pub use object::{Key, Object};
pub use options::{Health, Options};
use shared::Shared;
use state::State;
pub use watch::Watch;
use watchers::Scope;

/// A store of objects. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    /// Who writes the log; none in memory.
    writer: Option<Writer>,
    /// Writes to memory let others run.
    yields: bool,
}

impl Store {
    /// An empty store, gone with its last clone.
    pub fn memory(options: Options) -> Self {
        Self(Arc::new(Inner {
            shared: Arc::new(Shared::new(State::new(options))),
            writer: None,
            yields: options.yields,
        }))
    }

    /// The store that is kept in a folder, which is made if need be. It goes on with the revision
    /// it had; watches and continued lists from before expire.
    ///
    /// Reads and parses everything, so it blocks. Dropping the last clone waits for the writes that
    /// are under way.
    pub fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        Self::on(Box::new(disk::Folder::open(folder)?), options)
    }

    /// The store on a disk that can fail.
    #[cfg(test)]
    pub(crate) fn on_fake(disk: &fake_disk::FakeDisk) -> Self {
        #[allow(clippy::unwrap_used)]
        Self::on(Box::new(disk.clone()), Options::default()).unwrap()
    }

    fn on(disk: Box<dyn disk::Disk>, options: Options) -> Result<Self, OpenError> {
        let (log, recovered) = log::Log::open(disk)?;
        let state = State::recovered(recovered, options);
        let shared = Arc::new(Shared::new(state));
        let writer = Writer::start(Arc::clone(&shared), log)?;
        Ok(Self(Arc::new(Inner {
            shared,
            writer: Some(writer),
            yields: false,
        })))
    }

    /// The revision of the latest write; 1 before the first.
    pub fn revision(&self) -> u64 {
        self.0.shared.read().revision()
    }

    /// A number that is another one after each write to a resource.
    pub(crate) fn table_revision(&self, resource: &str) -> u64 {
        self.0.shared.read().table_revision(resource)
    }

    /// An object as it is now.
    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        let path = key.path();
        self.0.shared.read().get(&key.resource, &path)
    }

    /// The objects of a resource, of one namespace or of all, in the order in which etcd would
    /// list them, all as they were at one revision.
    pub fn list(
        &self,
        resource: &str,
        namespace: Option<&str>,
        page: &Page,
    ) -> Result<List, ReadError> {
        self.0.shared.read().list(resource, namespace, page)
    }

    /// What happens to a resource, in one namespace or in all, after a revision: every event once,
    /// in order. With the revision of a list, nothing is missed in between.
    ///
    /// A revision that is still to come is allowed; events up to it are left out.
    pub fn watch(
        &self,
        resource: &str,
        namespace: Option<&str>,
        after: u64,
    ) -> Result<Watch, Expired> {
        Watch::begin(
            &self.0.shared,
            resource,
            Scope::of_namespace(namespace),
            after,
        )
    }

    /// The same of one object, be it there or not: what is written to others costs this watch
    /// nothing.
    pub fn watch_object(&self, key: &Key, after: u64) -> Result<Watch, Expired> {
        Watch::begin(&self.0.shared, &key.resource, Scope::of_object(key), after)
    }

    /// All objects as of now, and everything that happens from now on, in the order in which it is
    /// committed.
    pub fn subscribe_all(&self) -> (Vec<Entry>, Feed) {
        Feed::begin(&self.0.shared)
    }

    /// Adds an object. Gives it as it was stored, with its revision.
    ///
    /// This and the other writes happen whole or not at all. A write whose future is dropped before
    /// it is done may still happen; then it is seen as any other.
    pub async fn create(&self, key: Key, value: Value) -> Result<Arc<Object>, WriteError> {
        self.write(key, Action::Create(value), None).await
    }

    /// Adds an object, if a check allows that when it is its turn.
    pub async fn create_checked(
        &self,
        key: Key,
        value: Value,
        check: Check,
    ) -> Result<Arc<Object>, WriteError> {
        self.write(key, Action::Create(value), Some(check)).await
    }

    /// Replaces the object that was written at the revision `expected`. Gives the new one.
    pub async fn update(
        &self,
        key: Key,
        value: Value,
        expected: u64,
    ) -> Result<Arc<Object>, WriteError> {
        self.write(key, Action::Update(value, expected), None).await
    }

    /// Replaces the object that was written at the revision `expected`, if a check allows that when
    /// it is its turn.
    pub async fn update_checked(
        &self,
        key: Key,
        value: Value,
        expected: u64,
        check: Check,
    ) -> Result<Arc<Object>, WriteError> {
        self.write(key, Action::Update(value, expected), Some(check))
            .await
    }

    /// Removes the object that was written at the revision `expected`. Gives it as it was last, but
    /// with the revision of its removal, as its watch event has it.
    pub async fn delete(&self, key: Key, expected: u64) -> Result<Arc<Object>, WriteError> {
        self.write(key, Action::Delete(expected), None).await
    }

    /// Whether objects can be written, as far as that is known: after a write that failed they
    /// can't until one succeeds, or the disk is found good when the store tries it, after 100 ms
    /// and later every 30 s.
    pub fn health(&self) -> Health {
        let writer = self.0.writer.as_ref();
        writer.map_or(Health::Good, Writer::health)
    }

    /// Refuses what could not be stored: more than 1.5 MiB of JSON, or nested too deep.
    pub fn check(&self, value: &Value) -> Result<(), WriteError> {
        object::check_bounds(value)
    }

    async fn write(
        &self,
        key: Key,
        action: Action,
        check: Option<Check>,
    ) -> Result<Arc<Object>, WriteError> {
        // A task that only writes would never let others run: writes to memory do not wait.
        consume_budget().await;
        if let Action::Create(value) | Action::Update(value, _) = &action {
            self.check(value)?;
        }
        let write = Write { key, action, check };
        match &self.0.writer {
            Some(writer) => writer.write(write).await,
            None if self.0.yields => {
                yield_now().await;
                let written = self.0.shared.write_at_once(write);
                yield_now().await;
                written
            }
            None => self.0.shared.write_at_once(write),
        }
    }
}

impl Lookup for Store {
    fn get(&self, key: &Key) -> Option<Arc<Object>> {
        Self::get(self, key)
    }

    fn all(&self, resource: &str) -> Vec<Arc<Object>> {
        let list = self.list(resource, None, &Page::default());
        list.map(|list| list.items).unwrap_or_default()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // First the writes that are under way, then the end of the watches that saw them.
        self.writer = None;
        let queues = self.shared.state().close();
        queues.iter().for_each(|queue| queue.wake());
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "model_tests.rs"]
mod model_tests;
