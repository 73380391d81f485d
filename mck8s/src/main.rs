//! `mck8s`: everything in one command.

mod adopt;
mod api_listener;
mod arguments;
mod banner;
mod board;
mod crds;
mod explain;
mod folder;
mod log_file;
mod member;
mod network;
mod operators;
mod prometheus;
mod registry;
mod scenario_run;
mod scenarios;
mod screen;
mod stdout;
mod up;
mod world;

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// Gives memory that is free back to the system within seconds, whichever thread frees it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Run applications on many Kubernetes clusters.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Start a hub, simulated members and the operators on this machine
    Up(Box<arguments::Arguments>),
    /// Print the CRDs as YAML, for `kubectl apply -f -` on a hub of your own
    Crds,
    /// Take over what a former hub brought to the members; a dry run unless --yes is given
    Adopt(adopt::Arguments),
    /// Print why an object is placed as it is, or where one would be placed; nothing is written
    Explain(Box<explain::Arguments>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Up(arguments) => {
            // The operators' own loops stay in this thread; what they start uses the others, too.
            let local = tokio::task::LocalSet::new();
            local.run_until(Box::pin(up::run(*arguments))).await
        }
        Command::Crds => crds::print(),
        Command::Adopt(arguments) => adopt::run(arguments).await,
        Command::Explain(arguments) => explain::run(*arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mck8s: {error:#}");
            ExitCode::FAILURE
        }
    }
}
