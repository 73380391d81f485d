//! The scheduler on clusters that are processes: a hub and three members, and the scheduler as the
//! process that people run. What is asserted is what a user would see.
//!
//! Every scenario runs twice: on the embedded control plane with simulated members
//! (`embedded::NAME`), and on real control planes (`real::NAME`).
//! `cargo test -p multi-cluster-scheduler --test scenarios -- PART` runs those whose name contains
//! PART. Those of one flavour share one lab (starting it takes seconds), each in a namespace of its
//! own, one after the other; those that break the hub come last.

mod admission;
mod features;
mod harness;
mod hub_faults;
mod main_job;
mod member_faults;
mod operator;
mod operator_faults;

use std::process::ExitCode;

use harness::{Scenario, World};
use lab::real::{Binaries, Flavour};

fn main() -> ExitCode {
    // The embedded clusters are this program.
    if let Some(ended) = lab::embedded::serve_if_asked() {
        return ended;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run_all()),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            println!("the lab failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what is asked for on both flavours; how many failed.
async fn run_all() -> anyhow::Result<usize> {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let program = std::env::current_exe()?;
    let flavours = [
        ("embedded", Flavour::Embedded { program }),
        ("real", Flavour::Kubernetes),
    ];
    let mut failed = 0;
    for (name, flavour) in flavours {
        let mut scenarios = scenarios();
        scenarios.retain(|scenario| {
            let name = format!("{name}::{}", scenario.name);
            wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
        });
        if !scenarios.is_empty() {
            failed += run(name, flavour, scenarios).await?;
        }
    }
    Ok(failed)
}

fn scenarios() -> Vec<Scenario> {
    let all = [
        main_job::all(),
        admission::all(),
        member_faults::all(),
        operator_faults::all(),
        features::all(),
        hub_faults::all(),
    ];
    all.into_iter().flatten().collect()
}

/// Runs scenarios of one flavour one after the other; how many failed.
async fn run(name: &str, flavour: Flavour, scenarios: Vec<Scenario>) -> anyhow::Result<usize> {
    println!("\nrunning {} scenarios on {name} clusters", scenarios.len());
    if Binaries::find_only(flavour.programs()).is_err() && !Binaries::can_build() {
        println!("not run: the lab's programs are missing; install Go, which builds them");
        return Ok(usize::from(std::env::var_os("CI").is_some()));
    }
    let started = std::time::Instant::now();
    let world = World::start(name, flavour).await?;
    let (mut passed, mut failed) = (0, 0);
    for scenario in scenarios {
        let started = std::time::Instant::now();
        let result = world.play(&scenario).await;
        let seconds = started.elapsed().as_secs_f32();
        match result {
            Ok(()) => {
                passed += 1;
                println!("test {name}::{} ... ok ({seconds:.1} s)", scenario.name);
            }
            Err(error) => {
                failed += 1;
                println!(
                    "test {name}::{} ... FAILED ({seconds:.1} s)\n{error:#}\n{}",
                    scenario.name,
                    world.last_log()
                );
            }
        }
    }
    world.end().await?;
    let seconds = started.elapsed().as_secs_f32();
    println!("\n{name}: {passed} passed, {failed} failed ({seconds:.1} s)");
    Ok(failed)
}
