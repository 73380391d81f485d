//! The scheduler, for scenarios of other operators: this program is it, in a process of its own.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use multi_cluster_scheduler::{Args, serve};
use tokio::runtime::Builder;

use super::{Operator, Program, World};

/// The first argument of a process that shall be the scheduler.
const COMMAND: &str = "serve-scheduler";

/// If this process was started to be the scheduler of a scenario, it is that until it is ended. To
/// be called before a program reads its arguments.
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek()? != COMMAND {
        return None;
    }
    let args = Args::parse_from(arguments);
    let runtime = Builder::new_current_thread().enable_all().build();
    let served = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(Box::pin(serve(args))));
    Some(match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    })
}

impl World {
    /// Starts the scheduler beside the operator that the scenarios are about.
    pub async fn scheduler(&self, flags: &[&str]) -> Result<Operator> {
        let usual = [
            COMMAND,
            "--lease-duration=3s",
            "--lease-renew=1s",
            "--probe-interval=500ms",
            "--deadline=3s",
        ];
        let program = Program {
            path: std::env::current_exe()?,
            arguments: usual.map(str::to_owned).into(),
        };
        let operator = self.start_program(&program, &self.lab.kubeconfig(), flags)?;
        operator.ready().await?;
        Ok(operator)
    }
}
