//! What processes cost, as Linux counts it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time that processes have taken so far, in user and kernel mode.
pub(crate) fn processor_time(pids: &[u32]) -> Result<Duration> {
    let mut ticks = 0;
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The program's name, which ends with the last parenthesis, may hold anything.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
        let mut fields = fields.context("stat has no name")?.split_whitespace();
        // Fields 14 and 15 of proc(5); the first one here is the third.
        for field in [fields.nth(11), fields.next()] {
            ticks += field.context("stat has no times")?.parse::<u64>()?;
        }
    }
    Ok(Duration::from_secs(ticks) / TICKS)
}

/// Ticks a second: what Linux tells user space, whatever the kernel's own frequency.
const TICKS: u32 = 100;

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: u64 = kib.context("no VmRSS")?.parse()?;
    Ok(kib << 10)
}
