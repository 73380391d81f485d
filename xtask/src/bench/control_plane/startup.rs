//! From the start of the process to the first answer of `/readyz` over HTTPS.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::Figure;
use super::super::procfs::resident;
use super::connection::Server;
use super::runtime;
use super::server::{Ours, build};

/// Control planes in one process.
const MANY: usize = 100;

pub(super) fn run(quick: bool) -> Result<Vec<Figure>> {
    build()?;
    let runs = if quick { 3 } else { 11 };
    let mut figures = Vec::new();
    for durable in [false, true] {
        let store = if durable { "durable" } else { "memory" };
        let one = median(runs, || start(durable, 1))?;
        figures.push(time(
            format!("start to ready, {store} store, median of {runs} starts"),
            one.took,
            Duration::from_millis(200),
        ));
        let many = median(runs.min(3), || start(durable, MANY))?;
        figures.push(time(
            format!("start to ready, {MANY} control planes in one process, {store} store"),
            many.took,
            Duration::from_secs(5),
        ));
        figures.push(Figure {
            name: format!("{MANY} empty control planes, {store} store, resident"),
            measured: format!("{} MB; one: {} MB", many.megabytes(), one.megabytes()),
            target: "< 1000 MB".to_owned(),
            met: many.resident < 1_000_000_000,
        });
    }
    Ok(figures)
}

fn time(name: String, measured: Duration, target: Duration) -> Figure {
    Figure {
        name,
        measured: format!("{measured:.0?}"),
        target: format!("< {target:?}"),
        met: measured < target,
    }
}

/// What a start cost.
struct Start {
    took: Duration,
    /// Bytes, when all were ready.
    resident: u64,
}

impl Start {
    fn megabytes(&self) -> u64 {
        self.resident / 1_000_000
    }
}

/// The start with the median time.
fn median(runs: usize, start: impl Fn() -> Result<Start>) -> Result<Start> {
    let starts: Result<Vec<Start>> = (0..runs).map(|_| start()).collect();
    let mut starts = starts?;
    starts.sort_by_key(|start| start.took);
    Ok(starts.swap_remove(runs / 2))
}

/// A start with nothing there, certificates included.
fn start(durable: bool, planes: usize) -> Result<Start> {
    runtime()?.block_on(async {
        let begun = Instant::now();
        let ours = Ours::start("startup", durable, planes)?;
        let connector = ours.server.connector()?;
        for plane in 0..planes {
            let server = Server {
                prefix: format!("/clusters/{plane}"),
                ..ours.server.clone()
            };
            server.connect(&connector).await?.ready().await?;
        }
        Ok(Start {
            took: begun.elapsed(),
            resident: resident(ours.pid())?,
        })
    })
}
