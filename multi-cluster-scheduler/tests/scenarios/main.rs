//! The scheduler on clusters that are processes: a hub and three members, and the scheduler as the
//! process that people run. What is asserted is what a user would see.
//!
//! Every scenario runs twice: on the embedded control plane with simulated members
//! (`embedded::NAME`), and on real control planes (`real::NAME`).
//! `cargo test -p multi-cluster-scheduler --test scenarios -- PART` runs those whose name contains
//! PART; those that break the hub come last.

mod accepted;
mod admission;
mod changes;
mod deletion;
mod diagnosis;
mod diagnosis_real;
mod failover;
mod features;
mod hub_faults;
mod identity;
mod kinds;
mod leaving;
mod main_job;
mod member_faults;
mod moves;
mod operator_faults;
mod refusals;
mod rights;
mod room;
mod templates;
mod tenant;
mod trust;

use std::process::ExitCode;

use lab::e2e::{self, Program, Scenario, Suite};

fn main() -> ExitCode {
    let usual = [
        "--lease-duration=3s",
        "--lease-renew=1s",
        "--probe-interval=500ms",
        "--deadline=3s",
    ];
    e2e::main(&Suite {
        operator: Program {
            path: env!("CARGO_BIN_EXE_multi-cluster-scheduler").into(),
            arguments: usual.map(str::to_owned).into(),
            account: "multi-cluster-scheduler",
        },
        directory: env!("CARGO_TARGET_TMPDIR").into(),
        metrics: false,
        needs_all_rights: true,
        embedded: scenarios(),
        real: [
            refusals::all(),
            deletion::real::all(),
            failover::real::all(),
            diagnosis_real::all(),
            scenarios(),
        ]
        .concat(),
    })
}

fn scenarios() -> Vec<Scenario> {
    let all = [
        main_job::all(),
        accepted::all(),
        admission::all(),
        member_faults::all(),
        identity::all(),
        leaving::all(),
        moves::all(),
        failover::all(),
        operator_faults::all(),
        features::all(),
        deletion::all(),
        kinds::all(),
        rights::all(),
        changes::all(),
        tenant::all(),
        trust::all(),
        diagnosis::all(),
        room::all(),
        hub_faults::all(),
    ];
    all.into_iter().flatten().collect()
}
