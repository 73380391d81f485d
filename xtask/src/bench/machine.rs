//! What a number was measured on.

use std::fs;

use jiff::Timestamp;

use crate::repository::output;

/// One line: processor, cores, memory, date, commit.
pub(crate) fn facts() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let unknown = || "unknown".to_owned();
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or_else(unknown, |kib| format!("{} GiB", kib.div_ceil(1 << 20)));
    let commit = output("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_else(|_| unknown());
    let date = Timestamp::now().strftime("%Y-%m-%d");
    format!("Measured on {processor}, {cores} cores, {memory}; {date}, commit {commit}.")
}

/// The value of a `name: value` line.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
}
