//! A disk that fills up, fails, and loses power.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::disk::Disk;
use super::mark;

/// A disk. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct FakeDisk(Arc<(Mutex<Platter>, Condvar)>);

#[derive(Default)]
pub(crate) struct Platter {
    pub(super) log: Option<Vec<u8>>,
    prepared: Vec<u8>,
    /// The log that comes back after a power loss, if it is not known to be replaced.
    replaced: Option<Vec<u8>>,
    /// The part of the log that is durable.
    durable: usize,
    /// Bytes that still fit, if the disk is small.
    pub(crate) room: Option<usize>,
    pub(crate) fails: Fails,
    /// Syncs wait.
    is_held: bool,
    pub(super) syncs: usize,
    preparations: usize,
    pub(super) rewrites: usize,
    pub(super) mark: Option<Vec<u8>>,
}

/// What goes wrong.
#[derive(Default)]
pub(crate) struct Fails {
    pub(crate) sync: bool,
    pub(super) cut: bool,
    pub(super) replace: bool,
}

impl FakeDisk {
    /// With this log, all of it durable.
    pub(super) fn with(log: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.platter().durable = log.len();
        disk.platter().log = Some(log);
        disk
    }

    pub(crate) fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self) -> Vec<u8> {
        self.platter().log.clone().unwrap_or_default()
    }

    /// What is left after the power went: what was durable, and of the rest as much as `luck` says,
    /// with zeros where the last bytes did not arrive.
    pub(super) fn after_power_loss(&self, luck: usize, zeros: usize) -> Self {
        let platter = self.platter();
        // The mark is not synced, but it may well have arrived.
        let with = |log: Vec<u8>| {
            let disk = Self::with(log);
            disk.platter().mark.clone_from(&platter.mark);
            disk
        };
        if let Some(log) = &platter.replaced {
            return with(log.clone());
        }
        let mut log = platter.log.clone().unwrap_or_default();
        let kept = platter.durable + luck.min(log.len() - platter.durable);
        log.truncate(kept);
        let lost = zeros.min(kept - platter.durable);
        log[kept - lost..].fill(0);
        with(log)
    }

    /// How often the log was written anew, and how often that was tried.
    pub(super) fn rewrites(&self) -> (usize, usize) {
        let platter = self.platter();
        (platter.rewrites, platter.preparations)
    }

    /// Makes syncs wait until the guard is dropped.
    pub(crate) fn hold(&self) -> Held {
        self.platter().is_held = true;
        Held(self.clone())
    }
}

/// Syncs wait.
pub(crate) struct Held(FakeDisk);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.platter().is_held = false;
        self.0.0.1.notify_all();
    }
}

impl Platter {
    /// How much of it can be written.
    fn fit(&mut self, bytes: usize) -> usize {
        let Some(room) = &mut self.room else {
            return bytes;
        };
        let fitting = bytes.min(*room);
        *room -= fitting;
        fitting
    }

    fn free(&mut self, bytes: usize) {
        self.room = self.room.map(|room| room + bytes);
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on device")
}

fn broken() -> io::Error {
    io::Error::other("the disk is broken")
}

impl Disk for FakeDisk {
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.platter().log.clone())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.platter();
        let fitting = platter.fit(bytes.len());
        let log = platter.log.get_or_insert_default();
        log.extend_from_slice(&bytes[..fitting]);
        if fitting < bytes.len() {
            return Err(full());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut platter = self.platter();
        platter.syncs += 1;
        while platter.is_held {
            platter = self.0.1.wait(platter).unwrap();
        }
        if platter.fails.sync {
            return Err(broken());
        }
        platter.durable = platter.log.as_ref().map_or(0, Vec::len);
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut platter = self.platter();
        if platter.fails.cut {
            return Err(broken());
        }
        let log = platter.log.get_or_insert_default();
        let length = usize::try_from(length).unwrap();
        let freed = log.len() - length;
        log.truncate(length);
        platter.durable = length;
        platter.free(freed);
        Ok(())
    }

    fn prepare(&mut self, parts: &mut dyn Iterator<Item = io::Result<Vec<u8>>>) -> io::Result<()> {
        let mut platter = self.platter();
        platter.preparations += 1;
        platter.prepared.clear();
        for part in parts {
            let part = part?;
            if platter.fails.sync {
                return Err(broken());
            }
            let fitting = platter.fit(part.len());
            if fitting < part.len() {
                let freed = platter.prepared.len() + fitting;
                platter.free(freed);
                return Err(full());
            }
            platter.prepared.extend_from_slice(&part);
        }
        Ok(())
    }

    fn replace(&mut self) -> io::Result<()> {
        let mut platter = self.platter();
        let prepared = std::mem::take(&mut platter.prepared);
        let length = prepared.len();
        let mut log = platter.log.replace(prepared).unwrap_or_default();
        log.truncate(platter.durable);
        platter.durable = length;
        if platter.fails.replace {
            platter.replaced.get_or_insert(log);
            return Err(broken());
        }
        platter.replaced = None;
        platter.rewrites += 1;
        Ok(())
    }

    fn mark(&mut self, mark: &[u8; mark::SIZE]) -> io::Result<()> {
        self.platter().mark = Some(mark.to_vec());
        Ok(())
    }

    fn read_mark(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.platter().mark.clone())
    }
}
