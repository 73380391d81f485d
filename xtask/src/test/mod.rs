//! `cargo xtask test`: everything that is checked, in the order of what fails
//! fastest.

mod programs;
mod report;
mod targets;

use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;
use lab::real::{Binaries, Program};

use crate::{generate, imports, repository, soak};
use report::{Outcome, Report};
use targets::Target;

/// Check everything.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run only these checks
    #[arg(long, value_delimiter = ',')]
    only: Vec<Check>,
    /// Leave out what takes long: the simulations of many seeds, the scenarios on real clusters, and
    /// the licence and advisory check
    #[arg(long, conflicts_with = "only")]
    quick: bool,
}

/// One kind of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Check {
    /// The code's format
    Fmt,
    /// The lints, on all targets
    Clippy,
    /// Generated files are up to date
    Generate,
    /// No files of the control plane import each other in a circle
    Imports,
    /// Licences, advisories and sources of the dependencies (needs cargo-deny)
    Deny,
    /// Unit tests, properties and examples in the documentation
    Unit,
    /// Seeded simulations (200 seeds) in virtual time
    Soak,
    /// Tests against real clusters, Prometheus and serf
    Scenarios,
}

/// Tests that need real programs around them: they run last, and one at a
/// time, because each starts clusters of its own. (Package, test target.)
const SCENARIOS: &[(&str, &str)] = &[
    ("control-plane", "kubectl"),
    ("mck8s", "kubectl_up"),
    ("lab", "real"),
    ("lab", "differential"),
    ("federation", "real_sources"),
    ("multi-cluster-hpa", "kubernetes"),
    ("multi-cluster-hpa", "clusters"),
    ("multi-cluster-scheduler", "scenarios"),
    ("cloud-provisioner-autoscaler", "schemas"),
    ("cloud-provisioner-autoscaler", "cluster_api"),
];

/// Those that need Go beside the lab's binaries: they build a program of their own, or fetch
/// definitions.
const NEED_GO: &[(&str, &str)] = &[
    ("multi-cluster-hpa", "kubernetes"),
    ("cloud-provisioner-autoscaler", "schemas"),
    ("cloud-provisioner-autoscaler", "cluster_api"),
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let is_wanted = |check: &Check| {
        if arguments.quick {
            !matches!(check, Check::Deny | Check::Soak | Check::Scenarios)
        } else {
            arguments.only.is_empty() || arguments.only.contains(check)
        }
    };
    let checks = Check::value_variants()
        .iter()
        .filter(|check| is_wanted(check));
    let checks: Vec<_> = checks.copied().collect();
    // Built beside what needs none of them: both leave cores idle for minutes.
    let programs = checks
        .contains(&Check::Scenarios)
        .then(|| thread::spawn(programs::provide));
    let mut report = Report::default();
    for check in checks.iter().filter(|check| **check != Check::Scenarios) {
        check.run(&mut report);
    }
    if let Some(programs) = programs {
        scenarios(&mut report, programs);
    }
    report.finish()
}

impl Check {
    fn run(self, report: &mut Report) {
        match self {
            Self::Fmt => step(report, "format", || cargo(&["fmt", "--all", "--check"])),
            Self::Clippy => step(report, "clippy", || {
                cargo(&[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--",
                    "-D",
                    "warnings",
                ])
            }),
            Self::Generate => step(report, "generated files", || {
                Ok(
                    generate::check()?.map_or(Outcome::Passed, |why| Outcome::NotRun {
                        why,
                        matters: true,
                    }),
                )
            }),
            Self::Imports => step(report, "no circles of imports", || {
                imports::check()?;
                Ok(Outcome::Passed)
            }),
            Self::Deny => {
                step(report, "licences, bans, sources", || {
                    deny(&["licenses", "bans", "sources"])
                });
                step(report, "advisories", advisories);
            }
            Self::Unit => {
                step(report, "unit tests", unit_tests);
                step(report, "documentation examples", || {
                    cargo(&["test", "--workspace", "--doc"])
                });
            }
            Self::Soak => step(report, "simulations of 200 seeds", || {
                soak::check()?;
                Ok(Outcome::Passed)
            }),
            // Last, and with the programs that they need.
            Self::Scenarios => {}
        }
    }
}

fn deny(checks: &[&str]) -> Result<Outcome> {
    if !repository::is_installed("cargo", &["deny", "--version"]) {
        return Ok(Outcome::NotRun {
            why: "cargo-deny is missing (cargo install cargo-deny)".to_owned(),
            matters: true,
        });
    }
    cargo(&[&["deny", "check"], checks].concat())
}

/// Known vulnerabilities come from a database on GitHub; a machine that does
/// not reach it says nothing about this repository.
fn advisories() -> Result<Outcome> {
    if !repository::is_installed("cargo", &["deny", "fetch", "db"]) {
        return Ok(Outcome::NotRun {
            why: "cargo-deny or the advisory database is out of reach".to_owned(),
            matters: false,
        });
    }
    deny(&["advisories"])
}

/// Everything that runs in the test process itself: all targets but those of
/// [`SCENARIOS`].
fn unit_tests() -> Result<Outcome> {
    let mut arguments = vec!["test", "--workspace", "--lib", "--bins"];
    let targets = targets::tests()?;
    let mut names: Vec<_> = targets
        .iter()
        .filter(|target| !is_scenario(target))
        .map(|target| target.name.as_str())
        .collect();
    // cargo takes the name once for all packages that have it.
    names.sort_unstable();
    names.dedup();
    for name in names {
        arguments.extend(["--test", name]);
    }
    cargo(&arguments)
}

fn scenarios(report: &mut Report, programs: JoinHandle<Result<Outcome>>) {
    let started = Instant::now();
    let outcome = programs
        .join()
        .unwrap_or_else(|_| bail!("the thread that provides them panicked"));
    let available = matches!(outcome, Ok(Outcome::Passed));
    report.add("programs for the scenarios", started.elapsed(), outcome);
    if !available {
        return;
    }
    let targets = match targets::tests() {
        Ok(targets) => targets,
        Err(error) => return step(report, "scenarios", || Err(error)),
    };
    let binaries = match Binaries::find() {
        Ok(binaries) => binaries,
        Err(missing) => return step(report, "scenarios", || bail!("missing: {missing:?}")),
    };
    let environment = [("KUBECTL", binaries.path(Program::Kubectl))];
    for target in targets.iter().filter(|target| is_scenario(target)) {
        let name = format!("{} {}", target.package, target.name);
        // Not `-p`: the dependencies' features would be those of one package
        // alone, and half of them built again.
        let test = target.name.as_str();
        step(report, &name, || {
            if is_among(target, NEED_GO) && !Binaries::can_build() {
                return Ok(Outcome::NotRun {
                    why: "Go is missing, which builds what it is compared with (https://go.dev/dl)"
                        .to_owned(),
                    matters: true,
                });
            }
            let arguments = [
                "test",
                "--workspace",
                "--test",
                test,
                "--",
                "--test-threads=1",
            ];
            repository::run_with("cargo", &arguments, &environment)?;
            Ok(Outcome::Passed)
        });
    }
}

fn is_scenario(target: &Target) -> bool {
    is_among(target, SCENARIOS)
}

fn is_among(target: &Target, targets: &[(&str, &str)]) -> bool {
    targets.contains(&(target.package.as_str(), target.name.as_str()))
}

/// Runs one step, with its name and time on the terminal.
fn step(report: &mut Report, name: &str, check: impl FnOnce() -> Result<Outcome>) {
    println!("==> {name}");
    let started = Instant::now();
    let outcome = check();
    report.add(name, started.elapsed(), outcome);
}

fn cargo(arguments: &[&str]) -> Result<Outcome> {
    repository::run("cargo", arguments)?;
    Ok(Outcome::Passed)
}
