//! Plays the scenarios that are asked for.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use super::{Scenario, Suite, World, rights};
use crate::real::{Binaries, Flavour};

/// Plays the scenarios whose names contain one of the program's arguments, all if there are none.
/// To be called at the beginning of a program: the embedded clusters are this program, too.
pub fn main(suite: &Suite) -> ExitCode {
    if let Some(ended) = crate::embedded::serve_if_asked().or_else(super::serve_if_asked) {
        return ended;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run_all(suite)),
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

/// Plays what is asked for on both flavours; how many failed.
async fn run_all(suite: &Suite) -> Result<usize> {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let program = std::env::current_exe()?;
    let embedded = Flavour::Embedded { program };
    // Beside each other: most of the time both wait.
    let (embedded, real) = futures::join!(
        run(suite, "embedded", embedded, &suite.embedded, &wanted),
        run(suite, "real", Flavour::Kubernetes, &suite.real, &wanted),
    );
    Ok(embedded? + real?)
}

/// Plays what is asked for of one flavour, one after the other; how many failed.
async fn run(
    suite: &Suite,
    name: &str,
    flavour: Flavour,
    scenarios: &[Scenario],
    wanted: &[String],
) -> Result<usize> {
    let is_wanted = |scenario: &&Scenario| {
        let name = format!("{name}::{}", scenario.name);
        wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
    };
    let scenarios: Vec<_> = scenarios.iter().filter(is_wanted).collect();
    if scenarios.is_empty() {
        return Ok(0);
    }
    println!("\nrunning {} scenarios on {name} clusters", scenarios.len());
    if Binaries::find_only(flavour.programs()).is_err() && !Binaries::can_build() {
        println!("not run: the lab's programs are missing; install Go, which builds them");
        return Ok(usize::from(crate::is_ci()));
    }
    let started = Instant::now();
    let is_recorded = flavour == Flavour::Kubernetes;
    let world = World::start(suite, name, flavour).await?;
    let (mut passed, mut failed) = (0, 0);
    for scenario in scenarios {
        let started = Instant::now();
        let result = world.play(scenario).await;
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
    if wanted.is_empty() && is_recorded && suite.needs_all_rights {
        // Of all that was played: of a part, not every right is needed.
        match rights::check(&world, suite) {
            Ok(()) => println!("test {name}::each_right_is_needed ... ok"),
            Err(error) => {
                failed += 1;
                println!("test {name}::each_right_is_needed ... FAILED\n{error:#}");
            }
        }
    }
    world.end().await?;
    let seconds = started.elapsed().as_secs_f32();
    println!("\n{name}: {passed} passed, {failed} failed ({seconds:.1} s)");
    Ok(failed)
}
