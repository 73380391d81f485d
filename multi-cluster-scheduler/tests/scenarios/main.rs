//! The scheduler on real control planes: a hub and three members as processes, and the scheduler as
//! the process that people run. What is asserted is what a user would see.
//!
//! `cargo test -p multi-cluster-scheduler --test scenarios -- NAME` runs those whose name contains
//! NAME. They share one lab (starting it takes seconds), each in a namespace of its own, one after
//! the other; those that break the hub come last.

mod admission;
mod faults;
mod features;
mod harness;
mod hub_faults;
mod main_job;

use std::process::ExitCode;

use harness::{Scenario, World};

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    if lab::real::Binaries::find().is_err() && !lab::real::Binaries::can_build() {
        println!(
            "not run: the scenarios need the lab's programs; install Go and run `cargo xtask lab up` once"
        );
        return if std::env::var_os("CI").is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    let scenarios: Vec<Scenario> = [
        main_job::all(),
        admission::all(),
        faults::all(),
        features::all(),
        hub_faults::all(),
    ]
    .into_iter()
    .flatten()
    .filter(|scenario| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|part| scenario.name.contains(part.as_str()))
    })
    .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(scenarios)),
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

/// Runs the scenarios one after the other; how many failed.
async fn run(scenarios: Vec<Scenario>) -> anyhow::Result<usize> {
    println!("\nrunning {} scenarios", scenarios.len());
    let world = World::start().await?;
    let (mut passed, mut failed) = (0, 0);
    for scenario in scenarios {
        let started = std::time::Instant::now();
        let result = world.play(&scenario).await;
        let seconds = started.elapsed().as_secs_f32();
        match result {
            Ok(()) => {
                passed += 1;
                println!("test {} ... ok ({seconds:.1} s)", scenario.name);
            }
            Err(error) => {
                failed += 1;
                println!(
                    "test {} ... FAILED ({seconds:.1} s)\n{error:#}\n{}",
                    scenario.name,
                    world.last_log()
                );
            }
        }
    }
    world.end().await?;
    println!("\n{passed} passed, {failed} failed");
    Ok(failed)
}
