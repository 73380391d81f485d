//! Operators for scenarios that are about another one: this program is one of them, in a process of
//! its own.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use super::{Operator, Program, World};
use crate::operators::{OPERATORS, find};

/// The first argument of a process that is to be an operator; its name and its flags follow.
const COMMAND: &str = "serve-operator";

/// If this process was started to be an operator of a scenario, it is that until it is ended. To be
/// called before a program reads its arguments.
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != COMMAND {
        return None;
    }
    let arguments: Vec<OsString> = arguments.collect();
    let name = arguments.first().and_then(|name| name.to_str());
    let Some(operator) = name.and_then(find) else {
        eprintln!("{COMMAND}: there is no operator {name:?}");
        return Some(ExitCode::FAILURE);
    };
    Some(operator.serve(arguments))
}

impl World {
    /// Starts the scheduler beside the operator that the scenarios are about.
    pub async fn scheduler(&self, flags: &[&str]) -> Result<Operator> {
        let usual = [
            COMMAND,
            OPERATORS[0].name,
            "--lease-duration=3s",
            "--lease-renew=1s",
            "--probe-interval=500ms",
            "--deadline=3s",
        ];
        let program = Program {
            path: std::env::current_exe()?,
            arguments: usual.map(str::to_owned).into(),
            account: OPERATORS[0].name,
        };
        let kubeconfig = self.kubeconfig_of(program.account).await?;
        let operator = self.start_program(&program, &kubeconfig, flags)?;
        operator.ready().await?;
        Ok(operator)
    }
}
