//! A day of ten clusters in virtual time: a test of the lab, in a release build.

use std::time::Duration;

use anyhow::{Context, Result};

use super::super::Figure;
use crate::repository::output;

const TEST: &str = "scale::a_day_of_ten_clusters";
const TARGET: Duration = Duration::from_mins(2);

/// The day has one length, so it is left out of a quick run.
pub(super) fn run(quick: bool) -> Result<Vec<Figure>> {
    if quick {
        return Ok(Vec::new());
    }
    let command = [
        "test",
        "--release",
        "-p",
        "lab",
        "--test",
        "simulated",
        TEST,
    ];
    let text = output(
        "cargo",
        &[&command[..], &["--", "--ignored", "--nocapture"]].concat(),
    )?;
    let report = text.lines().find_map(|line| line.split_once(REPORT));
    let (_, report) = report.context("the day of ten clusters says nothing about itself")?;
    let (seconds, writes) = read(report).with_context(|| format!("not understood: {report:?}"))?;
    Ok(vec![Figure {
        name: "24 h of 10 members of 100 nodes in virtual time, 2000 Deployments, one thread"
            .to_owned(),
        measured: format!(
            "{seconds:.1} s, {writes} writes, {:.0} writes/s",
            writes as f64 / seconds
        ),
        target: format!("< {TARGET:?}"),
        met: seconds < TARGET.as_secs_f64(),
    }])
}

/// What the test prints before the figures.
const REPORT: &str = "a day of ten clusters: ";

/// `40.1 s, 123 writes`
fn read(report: &str) -> Option<(f64, u64)> {
    let (seconds, writes) = report.split_once(" s, ")?;
    let writes = writes.strip_suffix(" writes")?;
    Some((seconds.parse().ok()?, writes.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_report_is_read() {
        assert_eq!(super::read("40.1 s, 123 writes"), Some((40.1, 123)));
        assert_eq!(super::read("40.1s, 123 writes"), None);
    }
}
