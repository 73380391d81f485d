//! A disk that fills up, fails, and loses power.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::disk::Disk;

/// A disk. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct FakeDisk(Arc<(Mutex<Platter>, Condvar)>);

#[derive(Default)]
pub(super) struct Platter {
    pub(super) log: Option<Vec<u8>>,
    prepared: Vec<u8>,
    /// The part of the log that is durable.
    durable: usize,
    /// Bytes that still fit, if the disk is small.
    pub(super) room: Option<usize>,
    pub(super) fails: Fails,
    /// Syncs wait.
    is_held: bool,
    pub(super) syncs: usize,
    pub(super) rewrites: usize,
}

/// What goes wrong.
#[derive(Default)]
pub(super) struct Fails {
    pub(super) sync: bool,
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

    pub(super) fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self) -> Vec<u8> {
        self.platter().log.clone().unwrap_or_default()
    }

    /// What is left after the power went: what was durable, and of the rest as much as `luck` says,
    /// with zeros where the last bytes did not arrive.
    pub(super) fn after_power_loss(&self, luck: usize, zeros: usize) -> Self {
        let platter = self.platter();
        let mut log = platter.log.clone().unwrap_or_default();
        let kept = platter.durable + luck.min(log.len() - platter.durable);
        log.truncate(kept);
        let lost = zeros.min(kept - platter.durable);
        log[kept - lost..].fill(0);
        Self::with(log)
    }

    /// Makes syncs wait, or lets them go on.
    pub(super) fn hold(&self, is_held: bool) {
        self.platter().is_held = is_held;
        self.0.1.notify_all();
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
        if platter.fails.replace {
            return Err(broken());
        }
        let prepared = std::mem::take(&mut platter.prepared);
        platter.durable = prepared.len();
        platter.log = Some(prepared);
        platter.rewrites += 1;
        Ok(())
    }
}
