//! The log: what is on disk of a store.
//!
//! It begins with every object that there was (the base) and goes on with the writes since. When
//! it has grown to a multiple of what is still of use in it, because of writes or because objects
//! went, it is written anew, beside the old one, and takes its place in one step.
//!
//! A failed write is taken back. If that fails too, or if the disk failed to sync, nobody knows
//! what it holds: then the log is written anew from memory before the next write.
//!
//! Beside it a mark (`mark.rs`) says up to where writes were acknowledged. It is not synced, so
//! after a power loss it may be some seconds old, and never too new. So a log that ends before it
//! has lost what was acknowledged, and is not opened; what follows it may be a write that was cut
//! short, and is cut off if it is not whole.

use std::io;
use std::slice;
use std::sync::Arc;

use tracing::{debug, warn};

use super::disk::Disk;
use super::error::OpenError;
use super::event::{Change, Event};
use super::frame::{self, Damaged, Frame, Read};
use super::mark::Mark;
use super::object::{Object, Place};

/// A log this much longer than twice what is of use in it is written anew.
const GROWTH: u64 = 16 << 20;
/// What the disk is tried with has as many bytes as what failed, up to this.
const TRIAL: usize = 1 << 20;
/// A base is written in frames of about this size.
const PART: usize = 1 << 20;

/// Every object at a revision.
pub(super) struct Recovered {
    pub(super) revision: u64,
    pub(super) objects: Vec<(Place, Object)>,
}

/// An object, to be written.
pub(super) type Entry = (Place, Arc<Object>);

/// A log that is open.
pub(super) struct Log {
    disk: Box<dyn Disk>,
    length: u64,
    /// Bytes of the entries that put what is there now.
    live: u64,
    /// It is not written anew before it has this length: that has failed.
    retry: u64,
    /// What the base is known by.
    base: u32,
    /// What is behind `length`, or in the place of the log, is not known.
    unknown: bool,
    /// Bytes of what was not written last.
    failed: usize,
}

impl Log {
    /// Opens a log, or begins one. What a crash has cut short at its end is cut off.
    pub(super) fn open(disk: Box<dyn Disk>) -> Result<(Self, Recovered), OpenError> {
        let mut log = Self {
            disk,
            length: 0,
            live: 0,
            retry: 0,
            base: 0,
            unknown: false,
            failed: 0,
        };
        let Some(bytes) = log.disk.read()? else {
            log.rewrite(1, &[])?;
            let recovered = Recovered {
                revision: 1,
                objects: Vec::new(),
            };
            return Ok((log, recovered));
        };
        let read = frame::read(&bytes).map_err(|Damaged(offset)| OpenError::Damaged { offset })?;
        log.base = frame::first_checksum(&bytes);
        if let Some(mark) = log.disk.read_mark()?.as_deref().and_then(Mark::parse)
            && mark.base == log.base
            && mark.length > read.end as u64
        {
            return Err(OpenError::Lost {
                offset: read.end,
                found: read.revision,
                acknowledged: mark.revision,
            });
        }
        let torn = bytes.len() - read.end;
        if torn > 0 {
            warn!(
                bytes = torn,
                after_revision = read.revision,
                "the store's log ends in an unfinished write: cut off"
            );
            log.disk.cut(read.end as u64)?;
        }
        log.length = read.end as u64;
        let live = read.objects.iter();
        let live = live.map(|(place, (_, json))| frame::put_size(place, json.len()));
        log.live = live.sum();
        log.mark(read.revision);
        Ok((log, recover(read, &bytes)?))
    }

    /// Adds writes, and returns when they are durable. `objects` gives the revision before them and
    /// every object then.
    pub(super) fn append(
        &mut self,
        events: &[Arc<Event>],
        objects: impl Fn() -> (u64, Vec<Entry>),
    ) -> io::Result<()> {
        if self.unknown {
            let (revision, objects) = objects();
            self.rewrite(revision, &objects)?;
        }
        let mut frame = Frame::new();
        for event in events {
            frame.event(event);
        }
        let bytes = finish(frame)?;
        self.put(&bytes)?;
        self.length += bytes.len() as u64;
        for event in events {
            let size = |object: &Object| frame::put_size(&event.place, object.size());
            if event.change != Change::Deleted {
                self.live += size(&event.object);
            }
            let before = event.previous.as_deref().map_or(0, size);
            self.live = self.live.saturating_sub(before);
        }
        self.mark(events.last().map_or(0, |event| event.revision));
        Ok(())
    }

    /// Tries whether writes would be durable: either way the log holds what it held. `objects`
    /// gives the revision and every object now.
    pub(super) fn try_disk(&mut self, objects: impl Fn() -> (u64, Vec<Entry>)) -> io::Result<()> {
        if self.unknown {
            let (revision, objects) = objects();
            return self.rewrite(revision, &objects);
        }
        // A log that ends in zeros ends in a write that was cut short.
        self.put(&vec![0; self.failed.clamp(1, TRIAL)])?;
        let cut = self.disk.cut(self.length);
        self.unknown = cut.is_err();
        cut
    }

    /// Adds bytes to the log, durably, or takes them back.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.failed = bytes.len();
        if let Err(error) = self.disk.append(bytes) {
            self.unknown = self.disk.cut(self.length).is_err();
            return Err(error);
        }
        let synced = self.disk.sync();
        self.unknown = synced.is_err();
        synced
    }

    /// Writes down up to where writes are durable. If that fails, the mark is older: it says less,
    /// and nothing wrong.
    fn mark(&mut self, revision: u64) {
        let mark = Mark {
            base: self.base,
            length: self.length,
            revision,
        };
        if let Err(error) = self.disk.mark(&mark.bytes()) {
            debug!(%error, "the mark of the store's log can't be written");
        }
    }

    /// Whether it should be written anew.
    pub(super) fn is_long(&self) -> bool {
        let limit = self.live.saturating_mul(2).saturating_add(GROWTH);
        self.length > limit.max(self.retry)
    }

    /// Writes it anew. If that fails, it is tried again when the log has grown further.
    pub(super) fn shorten(&mut self, revision: u64, objects: &[Entry]) {
        if let Err(error) = self.rewrite(revision, objects) {
            warn!(%error, "the store's log can't be written anew");
            self.retry = self.length + GROWTH;
        }
    }

    fn rewrite(&mut self, revision: u64, objects: &[Entry]) -> io::Result<()> {
        let (mut length, mut base) = (0, None);
        let parts = Parts {
            base: Some((revision, objects.len())),
            objects: objects.iter(),
        };
        let mut parts = parts.inspect(|part| {
            let part = part.as_deref().unwrap_or_default();
            base.get_or_insert_with(|| frame::first_checksum(part));
            length += part.len() as u64;
        });
        self.disk.prepare(&mut parts)?;
        // Until it is known which of the two is in place.
        self.unknown = true;
        self.disk.replace()?;
        self.unknown = false;
        self.length = length;
        self.live = length;
        self.retry = 0;
        self.base = base.unwrap_or(0);
        self.mark(revision);
        Ok(())
    }
}

fn finish(frame: Frame) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "more than 4 GiB at once");
    frame.finish().ok_or_else(too_long)
}

/// The objects that were read.
fn recover(read: Read, bytes: &[u8]) -> Result<Recovered, OpenError> {
    let mut objects = Vec::with_capacity(read.objects.len());
    for (place, (revision, json)) in read.objects {
        let damaged = OpenError::Damaged { offset: json.start };
        let json = bytes.get(json).unwrap_or_default();
        let object = Object::recovered(json, revision).ok_or(damaged)?;
        objects.push((place, object));
    }
    Ok(Recovered {
        revision: read.revision,
        objects,
    })
}

/// The frames of a base.
struct Parts<'a> {
    base: Option<(u64, usize)>,
    objects: slice::Iter<'a, Entry>,
}

impl Iterator for Parts<'_> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut frame = Frame::new();
        let base = self.base.take();
        if let Some((revision, count)) = base {
            frame.base(revision, count);
        } else if self.objects.len() == 0 {
            return None;
        }
        while frame.size() < PART
            && let Some((place, object)) = self.objects.next()
        {
            frame.put(place, object);
        }
        Some(finish(frame))
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
