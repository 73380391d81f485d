//! A cluster of our own in one process; see [`crate::embedded`].

use std::path::Path;
use std::process::Command;

use super::{Component, Plan, database, flag};
use crate::embedded::COMMAND;

pub(super) const NAME: &str = "embedded";

pub(super) fn server(plan: &Plan, program: &Path) -> Component {
    let mut command = Command::new(program);
    command
        .arg(COMMAND)
        .arg(flag("data-dir", database(plan.directory)))
        .arg(flag("credentials", plan.credentials.directory()))
        .arg(flag("listen", format!("127.0.0.1:{}", plan.ports.api)))
        .current_dir(plan.directory);
    if !plan.is_hub {
        command.arg(flag("member", plan.name));
    }
    Component {
        name: NAME,
        command,
    }
}
