//! `cargo xtask hostile`: hostile input against the embedded API server.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::repository;

/// Send hostile input to an embedded API server: what is known to be bad, then random input.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long random input is tried
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// Repeat the run that printed this seed
    #[arg(long)]
    seed: Option<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut command = Command::new("cargo");
    command
        .args([
            "test",
            "--release",
            "-p",
            "control-plane",
            "--test",
            "hostile",
        ])
        // One server at a time, so that they do not slow each other down.
        .args(["--", "--nocapture", "--test-threads", "1"])
        .env("HOSTILE_SECONDS", (arguments.minutes * 60).to_string())
        .current_dir(repository::root());
    if let Some(seed) = arguments.seed {
        command.env("HOSTILE_SEED", seed.to_string());
    }
    let status = command.status().context("cargo can't be run")?;
    if !status.success() {
        bail!("the server did not withstand hostile input");
    }
    Ok(())
}
