//! What came of each step.

use std::time::Duration;

use anyhow::{Result, bail};
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use lab::is_ci;

/// What came of a step that could be tried.
pub(super) enum Outcome {
    /// It ran, and all was well.
    Passed,
    /// It could not be run here.
    NotRun {
        /// What is missing, and how to get it.
        why: String,
        /// Whether that is a failure in CI.
        matters: bool,
    },
}

/// All steps so far.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

struct Row {
    name: String,
    time: Duration,
    result: String,
    failed: bool,
}

impl Report {
    /// Records a step, and says at once how it went.
    pub(super) fn add(&mut self, name: &str, time: Duration, outcome: Result<Outcome>) {
        let (result, failed) = match outcome {
            Ok(Outcome::Passed) => ("ok".to_owned(), false),
            Ok(Outcome::NotRun { why, matters }) => (format!("not run: {why}"), matters && is_ci()),
            Err(error) => (format!("FAILED: {error:#}"), true),
        };
        println!("    {name}: {result} ({})\n", seconds(time));
        self.rows.push(Row {
            name: name.to_owned(),
            time,
            result,
            failed,
        });
    }

    /// Prints the summary; fails when a step did.
    pub(super) fn finish(self) -> Result<()> {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(["STEP", "TIME", "RESULT"]);
        for row in &self.rows {
            // Whole messages are above; the table has a line for each step.
            let result = row.result.lines().next().unwrap_or_default();
            table.add_row([row.name.clone(), seconds(row.time), result.to_owned()]);
        }
        println!("{table}");
        match self.rows.iter().filter(|row| row.failed).count() {
            0 => Ok(()),
            failed => bail!("{failed} of {} steps failed", self.rows.len()),
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f32())
}
