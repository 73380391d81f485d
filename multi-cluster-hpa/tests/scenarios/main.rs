//! The autoscaler on clusters that are processes: a hub and three members, the scheduler and the
//! autoscaler as processes, Prometheus servers set up by the files of `prepare/prometheus`. What is
//! asserted is what a user would see.
//!
//! What needs `metrics.k8s.io` of the members runs on real control planes alone (KWOK plays the
//! usage, metrics-server serves it); the others run on embedded ones, too.
//! `cargo test -p multi-cluster-hpa --test clusters -- PART` runs those whose name contains PART.

mod kubectl;
mod load;
mod members;
mod monitoring;
mod operator_faults;
mod prometheus;
mod resources;
mod scene;
mod tenant;

use std::process::ExitCode;

use lab::e2e::{self, Program, Scenario, Suite};

fn main() -> ExitCode {
    let usual = [
        "--lease-duration=3s",
        "--lease-renew=1s",
        "--deadline=3s",
        "--interval=2s",
        "--downscale-stabilization=4s",
    ];
    let real = [resources::all(), monitoring::all(), everywhere()];
    e2e::main(&Suite {
        operator: Program {
            path: env!("CARGO_BIN_EXE_multi-cluster-hpa").into(),
            arguments: usual.map(str::to_owned).into(),
            account: "multi-cluster-hpa",
        },
        directory: env!("CARGO_TARGET_TMPDIR").into(),
        metrics: true,
        needs_all_rights: true,
        embedded: everywhere(),
        real: real.into_iter().flatten().collect(),
    })
}

fn everywhere() -> Vec<Scenario> {
    let all = [
        prometheus::all(),
        operator_faults::all(),
        kubectl::all(),
        members::all(),
        tenant::all(),
    ];
    all.into_iter().flatten().collect()
}
