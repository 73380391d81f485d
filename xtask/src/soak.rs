//! `cargo xtask soak`: runs seeded simulations.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lab::simulation::{Length, run as simulate, tell};

use crate::repository;

/// A simulation that takes longer than this makes no progress.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often somebody who waits is told how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Seeds that tell of a fault that is not mended yet, and of which one. They are told with the
/// others; one that has no fault any more is a failure until it is taken off this list.
const KNOWN: &[(u64, &str)] = &[];

/// Run seeded simulations in virtual time, with faults; a violated invariant fails.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One seed alone
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Print all that happens in the simulation of --seed
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Stories at the same time [default: the machine's cores]
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Things that happen in a simulation
    #[arg(long, default_value_t = Length::default().steps)]
    steps: usize,
    /// The share of requests that go wrong, from 0 to 1
    #[arg(long, default_value_t = Length::default().faults)]
    faults: f64,
}

impl Arguments {
    /// Whether many seeds are told, as long and as faulty as usual.
    fn is_usual(&self) -> bool {
        let usual = Length::default();
        let faults = self.faults.to_bits() == usual.faults.to_bits();
        self.seed.is_none() && self.steps == usual.steps && faults
    }
}

/// A simulation has begun, or ended with the invariants that it violated.
enum Progress {
    Begun(u64),
    Ended(u64, Vec<String>),
}

thread_local! {
    /// What panicked in this thread.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Many seeds by hand: as fast as they can be. One is not worth another build.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if cfg!(debug_assertions) && arguments.seed.is_none() {
        return repository::run_again_optimised();
    }
    run_here(arguments)
}

/// The usual seeds, in the profile of the tests: with debug assertions, and without another build.
pub(crate) fn check() -> Result<()> {
    run_here(&Arguments {
        seeds: 200,
        from: 0,
        seed: None,
        trace: false,
        jobs: None,
        steps: Length::default().steps,
        faults: Length::default().faults,
    })
}

fn run_here(arguments: &Arguments) -> Result<()> {
    note_panics();
    let length = Length {
        steps: arguments.steps,
        faults: arguments.faults,
    };
    let (from, seeds) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.from, arguments.seeds),
    };
    let started = Instant::now();
    let jobs = match arguments.jobs {
        Some(jobs) => jobs.get(),
        None => thread::available_parallelism().map_or(1, NonZeroUsize::get),
    };
    let (sender, progress) = channel();
    let next = AtomicU64::new(from);
    let failed = thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || work(next, from + seeds, length, arguments.trace, &sender));
        }
        drop(sender);
        let mut failed = Vec::new();
        let mut running: Vec<(u64, Instant)> = Vec::new();
        let mut done = 0;
        let mut told = Instant::now();
        loop {
            match progress.recv_timeout(PROGRESS) {
                Ok(Progress::Begun(seed)) => running.push((seed, Instant::now())),
                Ok(Progress::Ended(seed, violations)) => {
                    running.retain(|(one, _)| *one != seed);
                    done += 1;
                    let known = KNOWN.iter().find(|(one, _)| *one == seed);
                    match known.filter(|_| arguments.is_usual()) {
                        Some((_, why)) if !violations.is_empty() => {
                            println!("seed {seed} fails, as is known: {why}");
                        }
                        Some(_) => {
                            println!(
                                "seed {seed} is known to fail, and did not: it can be taken off the list"
                            );
                            failed.push(seed);
                        }
                        None if violations.is_empty() => {}
                        None => {
                            tell_failure(seed, length, &violations);
                            failed.push(seed);
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return failed,
            }
            let stuck = |(_, since): &&(u64, Instant)| since.elapsed() > PATIENCE;
            if let Some((seed, _)) = running.iter().find(stuck) {
                let what = format!("virtual time stands still: no end after {PATIENCE:?}");
                tell_failure(*seed, length, &[what]);
                // Its thread cannot be ended by itself.
                std::process::exit(1);
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                println!("{done} of {seeds} seeds, {} failed", failed.len());
            }
        }
    });
    println!(
        "{seeds} seeds from {from} in {:.1} s, {} failed",
        started.elapsed().as_secs_f64(),
        failed.len()
    );
    if failed.is_empty() {
        return Ok(());
    }
    bail!("these seeds failed: {failed:?}")
}

/// Runs simulations until there are no more.
fn work(next: &AtomicU64, end: u64, length: Length, trace: bool, progress: &Sender<Progress>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        // Nobody listens any more when the process is about to end.
        if seed >= end || progress.send(Progress::Begun(seed)).is_err() {
            return;
        }
        // What panicked is noted; the others go on.
        let told = panic::catch_unwind(|| simulate(tell(seed, length)));
        let mut violations = match told {
            Ok(Ok(Ok(ending))) => {
                if trace {
                    print!("{}", ending.trace);
                }
                ending.violations
            }
            Ok(Ok(Err(error))) => vec![format!("the simulation broke off: {error}")],
            Ok(Err(error)) => vec![format!("no runtime: {error}")],
            Err(_) => Vec::new(),
        };
        violations.extend(PANICS.with_borrow_mut(std::mem::take));
        if progress.send(Progress::Ended(seed, violations)).is_err() {
            return;
        }
    }
}

/// A panic in a task ends that task alone, and nobody would hear of it.
fn note_panics() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        default(info);
        PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
    }));
}

fn tell_failure(seed: u64, length: Length, violations: &[String]) {
    println!("seed {seed} failed:");
    for violation in violations {
        println!("  {violation}");
    }
    let mut again = format!("cargo xtask soak --seed {seed} --trace");
    let usual = Length::default();
    if length.steps != usual.steps {
        again.push_str(" --steps ");
        again.push_str(&length.steps.to_string());
    }
    if length.faults.to_bits() != usual.faults.to_bits() {
        again.push_str(" --faults ");
        again.push_str(&length.faults.to_string());
    }
    println!("  again: {again}");
}
