//! `cargo xtask bench churn`: what `mck8s up` takes while objects come and go for long.

mod load;
mod program;
mod sample;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::time::{MissedTickBehavior, interval};

use super::{Figure, figure, machine};
use program::Program;
use sample::Sample;

/// Resident memory must stay below this.
const MEMORY: u64 = 400_000_000;

/// How memory, disk, files and threads of `mck8s up` grow while objects come and go
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// For how long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..))]
    minutes: u64,
    /// Only print the figures; the document is not written
    #[arg(long)]
    quick: bool,
}

/// The load is light and the program a process of its own, so this one need not be optimised.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    Program::build()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let figures = runtime.block_on(measure(arguments.minutes))?;
    println!("{}", figure::table(&figures));
    if !arguments.quick {
        figure::write("churn", &machine::facts(), &figures)?;
    }
    if figures.iter().any(|figure| !figure.met) {
        bail!("targets missed");
    }
    Ok(())
}

async fn measure(minutes: u64) -> Result<Vec<Figure>> {
    let program = Program::start()?;
    let planes = program.ready().await?;
    let hub = planes.first().context("there is no hub")?.clone();
    let mut samples = vec![Sample::take(&program, &planes, 0).await?];
    let load = tokio::spawn(load::run(hub));
    let mut ticks = interval(Duration::from_mins(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let begun = Instant::now();
    for minute in 1..=minutes {
        ticks.tick().await;
        if load.is_finished() {
            load.await??;
            bail!("the load has ended");
        }
        let sample = Sample::take(&program, &planes, minute).await?;
        println!("{sample}");
        samples.push(sample);
    }
    load.abort();
    figures(&samples, begun.elapsed()).context("no sample")
}

fn figures(samples: &[Sample], took: Duration) -> Option<Vec<Figure>> {
    let (first, last) = (samples.first()?, samples.last()?);
    let minutes = took.as_secs_f64() / 60.0;
    let half = samples.get(samples.len() / 2)?;
    let most = samples.iter().map(|sample| sample.resident).max()?;
    let writes = (last.revisions - first.revisions) as f64 / minutes;
    let processor =
        last.processor.saturating_sub(first.processor).as_secs_f64() / took.as_secs_f64();
    let row = |sample: &Sample| format!("{} MB", sample.resident / 1_000_000);
    let conditions = format!(
        "{minutes:.0} min of churn, {} writes a minute",
        load::WRITES
    );
    let figure = |name: &str, measured: String, target: &str, met: bool| Figure {
        name: format!("{name}, {conditions}"),
        measured,
        target: target.to_owned(),
        met,
    };
    Some(vec![
        figure(
            "resident memory of `mck8s up`, 3 members",
            format!(
                "at most {} MB; at the start {}, after half the time {}, at the end {}",
                most / 1_000_000,
                row(first),
                row(half),
                row(last)
            ),
            "< 400 MB",
            most < MEMORY,
        ),
        figure(
            "its data on disk",
            format!(
                "{} MB after half the time, {} MB at the end",
                half.disk / 1_000_000,
                last.disk / 1_000_000
            ),
            "< 400 MB",
            last.disk < MEMORY,
        ),
        figure(
            "its open files and threads",
            format!(
                "{} and {} at the start, {} and {} at the end",
                first.files, first.threads, last.files, last.threads
            ),
            "within 10 of the start",
            last.files <= first.files + 10 && last.threads <= first.threads + 10,
        ),
        figure(
            "what it makes of that",
            format!(
                "{writes:.0} writes a minute to the hub and the members; {} Events at the end; \
                 {:.1} % of a core",
                last.events,
                processor * 100.0
            ),
            "no bound",
            true,
        ),
        figure(
            "what it prints",
            format!("{:.0} kB a minute", last.printed as f64 / 1000.0 / minutes),
            "no bound",
            true,
        ),
    ])
}
