//! Operating system processes, told apart safely.
//!
//! A pid alone is not an identity: the kernel gives it out again. Together
//! with the process's start time (field 22 of `/proc/PID/stat`) it is one.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// How often a process that shall end is looked at.
const POLL: Duration = Duration::from_millis(5);

/// One run of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    /// In clock ticks since boot.
    started: u64,
}

/// A process that the lab started, now or (when attached) earlier.
#[derive(Debug)]
pub(crate) struct Process {
    id: ProcessId,
    /// Present in the process that started it, which has to reap it.
    child: Option<Child>,
}

impl Process {
    /// Starts a command in the background, with its output appended to `log`.
    ///
    /// It gets a process group of its own, so that Ctrl-C in a terminal ends
    /// the command that a person runs, and not the lab behind it.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(Error::io("open", log))?;
        let errors = output.try_clone().map_err(Error::io("open", log))?;
        let program = command.get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(Error::io("start", program))?;
        let pid = child.id();
        // A child that is not yet reaped always has an entry; `started: 0`
        // then matches no process, so nothing foreign is ever signalled.
        let id = ProcessId::of(pid).unwrap_or(ProcessId { pid, started: 0 });
        Ok(Self {
            id,
            child: Some(child),
        })
    }

    /// A process that another run of the lab started.
    pub(crate) fn attached(id: ProcessId) -> Self {
        Self { id, child: None }
    }

    pub(crate) fn id(&self) -> ProcessId {
        self.id
    }

    /// Whether it still runs; reaps it when it has ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => self.id.is_alive(),
        }
    }
}

impl ProcessId {
    /// This very process.
    pub(crate) fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    fn of(pid: u32) -> Option<Self> {
        let (started, _) = stat(pid)?;
        Some(Self { pid, started })
    }

    /// Whether this run of the process goes on (a zombie has ended).
    pub(crate) fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|(started, state)| started == self.started && state != 'Z')
    }

    /// Sends a signal to this run of the process, and to no later owner of
    /// the pid.
    pub(crate) fn signal(self, signal: Signal) {
        if !self.is_alive() {
            return;
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::debug!(pid = self.pid, %error, "signal not delivered");
        }
    }
}

/// Ends processes: SIGTERM to all at once, SIGKILL to those that are still
/// there after `grace`. Blocks until all are gone.
pub(crate) fn terminate(mut processes: Vec<Process>, grace: Duration) {
    for process in &processes {
        process.id.signal(Signal::TERM);
        // A stopped process does not see SIGTERM before it goes on.
        process.id.signal(Signal::CONT);
    }
    processes = remaining(processes, grace);
    for process in &processes {
        process.id.signal(Signal::KILL);
    }
    // SIGKILL cannot be refused; the bound is for a kernel that hangs.
    for process in remaining(processes, Duration::from_secs(10)) {
        tracing::warn!(pid = process.id.pid, "process survived SIGKILL");
    }
}

/// The processes that are still there after `patience`.
fn remaining(mut processes: Vec<Process>, patience: Duration) -> Vec<Process> {
    let deadline = Instant::now() + patience;
    loop {
        processes.retain_mut(Process::is_alive);
        if processes.is_empty() || Instant::now() >= deadline {
            return processes;
        }
        std::thread::sleep(POLL);
    }
}

/// Start time and state of a process, from `/proc/PID/stat` (see `proc(5)`).
fn stat(pid: u32) -> Option<(u64, char)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&line)
}

fn parse_stat(line: &str) -> Option<(u64, char)> {
    // The second field, the command, may hold blanks and parentheses.
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // The state is field 3, the start time field 22.
    let started = fields.nth(18)?.parse().ok()?;
    Some((started, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_with_odd_commands_are_read() {
        let line = "42 (a b) c)) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2 3";
        assert_eq!(parse_stat(line), Some((98765, 'S')));
        assert_eq!(parse_stat("42 (x) S 1"), None);
    }

    #[test]
    fn another_start_time_is_another_process() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        let recycled = ProcessId {
            started: own.started + 1,
            ..own
        };
        assert!(!recycled.is_alive());
        // Would end this test process if it were delivered.
        recycled.signal(Signal::KILL);
    }

    #[test]
    fn a_stopped_process_is_terminated() {
        let log = std::env::temp_dir().join(format!("lab-process-{}.log", std::process::id()));
        let process = Process::start(Command::new("sleep").arg("600"), &log).unwrap();
        let id = process.id();
        id.signal(Signal::STOP);
        terminate(vec![process], Duration::from_secs(5));
        assert!(!id.is_alive());
        fs::remove_file(log).unwrap();
    }
}
