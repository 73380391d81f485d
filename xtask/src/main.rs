//! Development tasks, run as `cargo xtask <task>`.

mod bench;
mod generate;
mod hostile;
mod imports;
mod lab;
mod play;
mod repository;
mod soak;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks of this repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check everything: format, lints, generated files, tests, scenarios on clusters
    Test(test::Arguments),
    /// Write the files that are made from the code (CRDs) and from what Kubernetes publishes
    Generate(generate::Arguments),
    /// Start and stop Kubernetes clusters on this machine
    #[command(subcommand)]
    Lab(lab::Command),
    /// Measure, and write the results into docs/benchmarks.md
    #[command(subcommand)]
    Bench(bench::Command),
    /// Run seeded simulations in virtual time, with faults
    Soak(soak::Arguments),
    /// Send hostile input to an embedded API server under a memory limit
    Hostile(hostile::Arguments),
    /// Play a scenario in virtual time, and print what happens
    Play(play::Arguments),
}

fn main() -> ExitCode {
    // The embedded clusters of a lab are this program.
    if let Some(ended) = ::lab::embedded::serve_if_asked() {
        return ended;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Test(arguments) => test::run(&arguments),
        Task::Generate(arguments) => generate::run(&arguments),
        Task::Lab(command) => lab::run(command),
        Task::Bench(command) => bench::run(&command),
        Task::Soak(arguments) => soak::run(&arguments),
        Task::Hostile(arguments) => hostile::run(&arguments),
        Task::Play(arguments) => play::run(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
