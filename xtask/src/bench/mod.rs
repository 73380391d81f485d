//! `cargo xtask bench`: measurements, and where they are written.

mod churn;
mod control_plane;
mod decision;
mod end_to_end;
mod figure;
mod hpa;
mod machine;
mod operator;
mod procfs;
mod seen;

use anyhow::{Result, bail};

pub(crate) use figure::Figure;

use crate::repository;

/// Measure, and write the results into docs/benchmarks.md.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// How fast placements are decided
    Placement(Arguments),
    /// How fast the embedded control plane is, beside a real kube-apiserver
    ControlPlane(Arguments),
    /// How fast the autoscaler follows a load, what it costs, and how it compares with the original's
    Hpa(Arguments),
    Churn(churn::Arguments),
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Fewer repetitions, to see that it runs; the document is not written
    #[arg(long)]
    quick: bool,
}

/// One part of a measurement.
type Part = fn(quick: bool) -> Result<Vec<Figure>>;

/// The parts of `bench placement`, in the order of the document.
const PLACEMENT: &[Part] = &[decision::run, end_to_end::run];

pub(crate) fn run(command: &Command) -> Result<()> {
    let (section, arguments, parts) = match command {
        Command::Placement(arguments) => ("placement", arguments, PLACEMENT),
        Command::ControlPlane(arguments) => ("control-plane", arguments, control_plane::PARTS),
        Command::Hpa(arguments) => ("hpa", arguments, hpa::PARTS),
        Command::Churn(arguments) => return churn::run(arguments),
    };
    if cfg!(debug_assertions) {
        return run_optimised(section, arguments);
    }
    let mut figures = Vec::new();
    for part in parts {
        figures.extend(part(arguments.quick)?);
    }
    if figures.is_empty() {
        bail!("nothing is measured under {section} yet");
    }
    println!("{}", figure::table(&figures));
    if !arguments.quick {
        figure::write(section, &machine::facts(), &figures)?;
    }
    let missed: Vec<_> = figures
        .iter()
        .filter(|figure| !figure.met)
        .map(|figure| figure.name.as_str())
        .collect();
    if !missed.is_empty() {
        bail!("targets missed: {}", missed.join(", "));
    }
    Ok(())
}

/// Numbers of an unoptimised build mean nothing, so this program starts
/// itself again as an optimised one.
fn run_optimised(section: &str, arguments: &Arguments) -> Result<()> {
    let mut command = vec!["run", "--quiet", "--release", "-p", "xtask", "--", "bench"];
    command.push(section);
    if arguments.quick {
        command.push("--quick");
    }
    repository::run("cargo", &command)
}
