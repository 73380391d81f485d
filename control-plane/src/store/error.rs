//! What can go wrong.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Why a check refuses a write: an error of whoever checks.
pub type Refusal = Arc<dyn std::error::Error + Send + Sync>;

/// The history that was asked for is gone: list again, and watch from there.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the history before revision {oldest} is gone")]
pub struct Expired {
    /// Reading can begin at this revision.
    pub oldest: u64,
}

/// Why a list was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// The revision is too old.
    #[error(transparent)]
    Expired(#[from] Expired),
    /// The revision is still to come.
    #[error("revision {asked} is still to come: the latest is {latest}")]
    TooNew {
        /// What was asked for.
        asked: u64,
        /// The latest revision.
        latest: u64,
    },
}

/// Why a write was refused. It changed nothing.
#[derive(Clone, Debug, Error)]
pub enum WriteError {
    /// The object to be changed is not there.
    #[error("there is no such object")]
    NotFound,
    /// The object to be created is there.
    #[error("the object exists already")]
    Exists,
    /// The object was written since.
    #[error("the object was written at revision {current} since it was read at {expected}")]
    Conflict {
        /// The revision that the writer had seen.
        expected: u64,
        /// The revision of the object.
        current: u64,
    },
    /// The check that it came with refuses it.
    #[error("the write is refused: {0}")]
    Refused(Refusal),
    /// It can't be stored.
    #[error("the object can't be stored: {0}")]
    Invalid(&'static str),
    /// It is larger than an object may be, 1.5 MiB of JSON. In the words of etcd.
    #[error("etcdserver: request is too large")]
    TooLarge,
    /// The disk is full or fails. The store can still be read, and written once the disk recovers.
    /// After a crash the write may turn out to have happened.
    #[error("the store can't be written: {0}")]
    Storage(#[source] Arc<io::Error>),
    /// The store has ended.
    #[error("the store is closed")]
    Closed,
}

/// Why a store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another store, here or in another process, has the folder open.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// A file can't be read or written.
    #[error("the store can't be opened: {0}")]
    Storage(#[from] io::Error),
    /// Writes that were acknowledged are missing at the log's end, or damaged. It was not touched.
    /// Without the mark it is opened, and what is not whole is cut off.
    #[error(
        "the store's log is whole up to revision {found} (byte {offset}), but writes up to revision \
         {acknowledged} were acknowledged: {} revisions are lost; put a copy in its place, or remove \
         the file `mark` beside it to go on without them",
        acknowledged.saturating_sub(*found)
    )]
    Lost {
        /// Where what is whole ends.
        offset: usize,
        /// The last revision that is whole.
        found: u64,
        /// The last revision that was acknowledged, as far as is known.
        acknowledged: u64,
    },
    /// The log is damaged, and not at its end as a crash would leave it. It was not touched.
    #[error("the store's log is damaged at byte {offset}")]
    Damaged {
        /// Where.
        offset: usize,
    },
}
