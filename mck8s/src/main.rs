//! `mck8s`: everything in one command.

mod board;
mod up;

use std::process::ExitCode;

use clap::Parser;

/// Run applications on many Kubernetes clusters.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Start a hub, simulated members and the operators on this machine
    Up(up::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Up(arguments) = Command::parse();
    // The operators work in one thread, as they do in processes of their own.
    let local = tokio::task::LocalSet::new();
    match local.run_until(Box::pin(up::run(arguments))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mck8s: {error:#}");
            ExitCode::FAILURE
        }
    }
}
