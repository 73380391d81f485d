//! The log: what is on disk of a store.
//!
//! It begins with every object that there was (the base) and goes on with the writes since. When
//! it has grown to a multiple of its base it is written anew, beside the old one, and takes its
//! place in one step.
//!
//! A failed write is taken back. If that fails too, or if the disk failed to sync, nobody knows
//! what it holds: then the log is written anew from memory before the next write.

use std::io;
use std::slice;
use std::sync::Arc;

use serde_json::Value;
use tracing::warn;

use super::disk::Disk;
use super::error::OpenError;
use super::frame::{self, Damaged, Frame, Read};
use super::object::{Object, Place};
use super::watch::Event;

/// A log this much longer than twice its base is written anew.
const GROWTH: u64 = 16 << 20;
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
    /// At this length it is written anew.
    limit: u64,
    /// What is behind `length`, or in the place of the log, is not known.
    unknown: bool,
}

impl Log {
    /// Opens a log, or begins one. What a crash has cut short at its end is cut off.
    pub(super) fn open(disk: Box<dyn Disk>) -> Result<(Self, Recovered), OpenError> {
        let mut log = Self {
            disk,
            length: 0,
            limit: 0,
            unknown: false,
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
        let torn = bytes.len() - read.end;
        if torn > 0 {
            warn!(
                bytes = torn,
                "the store's log ends in an unfinished write: cut off"
            );
            log.disk.cut(read.end as u64)?;
        }
        log.length = read.end as u64;
        let live = read.objects.values().map(|(_, json)| json.len());
        log.limit = limit(live.sum::<usize>() as u64);
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
        if let Err(error) = self.disk.append(&bytes) {
            self.unknown = self.disk.cut(self.length).is_err();
            return Err(error);
        }
        if let Err(error) = self.disk.sync() {
            self.unknown = true;
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Whether it should be written anew.
    pub(super) fn is_long(&self) -> bool {
        self.length > self.limit
    }

    /// Writes it anew. If that fails, it is tried again when the log has grown further.
    pub(super) fn shorten(&mut self, revision: u64, objects: &[Entry]) {
        if let Err(error) = self.rewrite(revision, objects) {
            warn!(%error, "the store's log can't be written anew");
            self.limit = self.length + GROWTH;
        }
    }

    fn rewrite(&mut self, revision: u64, objects: &[Entry]) -> io::Result<()> {
        let mut length = 0;
        let parts = Parts {
            base: Some((revision, objects.len())),
            objects: objects.iter(),
        };
        let mut parts = parts.inspect(|part| {
            length += part.as_ref().map_or(0, Vec::len) as u64;
        });
        self.disk.prepare(&mut parts)?;
        // Until it is known which of the two is in place.
        self.unknown = true;
        self.disk.replace()?;
        self.unknown = false;
        self.length = length;
        self.limit = limit(length);
        Ok(())
    }
}

fn limit(base: u64) -> u64 {
    base.saturating_mul(2).saturating_add(GROWTH)
}

fn finish(frame: Frame) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "more than 4 GiB at once");
    frame.finish().ok_or_else(too_long)
}

/// Parses what was read.
fn recover(read: Read, bytes: &[u8]) -> Result<Recovered, OpenError> {
    let mut objects = Vec::with_capacity(read.objects.len());
    for (place, (revision, json)) in read.objects {
        let damaged = OpenError::Damaged { offset: json.start };
        let value: Option<Value> = bytes
            .get(json)
            .and_then(|json| serde_json::from_slice(json).ok());
        let value = value.ok_or(damaged)?;
        objects.push((place, Object::recovered(value, revision)));
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
