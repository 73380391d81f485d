//! The programs that the scenarios run against: Prometheus and serf from the
//! system's packages, Kubernetes and etcd from the lab's Go modules.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use lab::real::{Binaries, Program};

use super::report::Outcome;
use crate::repository;

/// Programs of Debian's packages; the package has the program's name.
const PACKAGES: &[&str] = &["prometheus", "serf"];

/// Makes all programs available, or says what is missing.
pub(super) fn provide() -> Result<Outcome> {
    println!("==> programs for the scenarios");
    if let Some(why) = provide_packages()? {
        return Ok(Outcome::NotRun { why, matters: true });
    }
    if Binaries::find().is_err() && !Binaries::can_build() {
        return Ok(Outcome::NotRun {
            why: "Go is missing, which builds the real clusters' programs (https://go.dev/dl); \
                  no scenario was run"
                .to_owned(),
            matters: true,
        });
    }
    Binaries::ensure()?;
    Binaries::ensure_only(&Program::CLUSTER_API)?;
    Ok(Outcome::Passed)
}

/// What is missing and can't be installed from here; none when all is there.
fn provide_packages() -> Result<Option<String>> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(None);
    }
    let install = format!("apt-get install {}", missing.join(" "));
    if !rustix::process::geteuid().is_root() || !repository::is_installed("apt-get", &["--version"])
    {
        let names = missing.join(" and ");
        return Ok(Some(format!(
            "{names} missing (on Debian, as root: {install}); no scenario was run"
        )));
    }
    println!("installing: {install}");
    let _no_services = NoServices::declare()?;
    repository::run("apt-get", &["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&missing);
    repository::run("apt-get", &arguments)?;
    Ok(None)
}

fn missing_packages() -> Vec<&'static str> {
    let is_missing = |program: &str| !repository::is_installed(program, &["--version"]);
    PACKAGES
        .iter()
        .copied()
        .filter(|program| is_missing(program))
        .collect()
}

/// Debian's packages start their services when they are installed, which
/// would hold the ports 9090 and 7946. While this value lives, the system's
/// policy is not to (`invoke-rc.d(8)`). A policy that is there already stays.
struct NoServices {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn declare() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        let mut file = fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o755)
            .open(POLICY)
            .with_context(|| format!("cannot write {POLICY}"))?;
        file.write_all(b"#!/bin/sh\nexit 101\n")?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("cannot remove {POLICY}: {error}");
        }
    }
}
