//! What the program takes at a moment.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};

use super::super::procfs;
use super::program::Program;

/// What the program takes at a moment.
pub(super) struct Sample {
    minute: u64,
    /// Bytes.
    pub(super) resident: u64,
    /// Bytes of the stores, the log, and what is printed.
    pub(super) disk: u64,
    pub(super) files: usize,
    pub(super) threads: usize,
    /// Of all control planes.
    pub(super) events: u64,
    /// The sum over all control planes.
    pub(super) revisions: u64,
    pub(super) processor: Duration,
    /// Bytes on standard output and error.
    pub(super) printed: u64,
}

impl Sample {
    pub(super) async fn take(program: &Program, planes: &[Client], minute: u64) -> Result<Self> {
        let pid = program.pid();
        let (mut events, mut revisions) = (0, 0);
        for plane in planes {
            let api: Api<Event> = Api::all(plane.clone());
            let list = api.list(&ListParams::default().limit(1)).await?;
            let remaining = list.metadata.remaining_item_count.unwrap_or(0);
            events += list.items.len() as u64 + u64::try_from(remaining)?;
            let revision = list.metadata.resource_version.unwrap_or_default();
            revisions += revision.parse::<u64>()?;
        }
        Ok(Self {
            minute,
            resident: procfs::resident(pid)?,
            disk: size(program.folder())?,
            files: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            threads: fs::read_dir(format!("/proc/{pid}/task"))?.count(),
            events,
            revisions,
            processor: procfs::processor_time(&[pid])?,
            printed: program.printed()?,
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:3} min: {:4} MB resident, {:4} MB on disk, {} files, {} threads, {} Events, {} \
             writes so far, {:.0} s of processor, {} kB printed",
            self.minute,
            self.resident / 1_000_000,
            self.disk / 1_000_000,
            self.files,
            self.threads,
            self.events,
            self.revisions,
            self.processor.as_secs_f64(),
            self.printed / 1000
        )
    }
}

/// Bytes of all files in a folder. One that goes meanwhile counts as none.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += if metadata.is_dir() {
            size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
