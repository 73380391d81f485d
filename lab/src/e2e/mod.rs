//! Scenarios: what users do and what they see, on clusters that are processes, with operators that
//! are processes.
//!
//! A test target of an operator has its scenarios and a `main` that calls [`main`]. Every scenario
//! may run on each [`Flavour`]: on the embedded control plane with simulated members
//! (`embedded::NAME`), and on real control planes (`real::NAME`). Those of one flavour share one lab
//! (starting it takes seconds), each in a namespace of its own, one after the other; both flavours are
//! played beside each other.
//!
//! [`Flavour`]: crate::real::Flavour

mod accounts;
mod eventually;
mod joining;
mod objects;
mod operator;
mod operators;
mod rights;
mod run;
mod secrecy;
mod tenant;
mod world;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use anyhow::Result;

pub use eventually::{eventually, holds};
pub use operator::Operator;
pub use operators::serve_if_asked;
pub use run::main;
pub use tenant::Tenant;
pub use world::{World, condition};

/// The members of every scenario.
pub const MEMBERS: [&str; 3] = ["cluster1", "cluster2", "cluster3"];

/// A scenario: its name, and what happens.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// The function's name.
    pub name: &'static str,
    /// The function.
    pub play: for<'a> fn(&'a World) -> Played<'a>,
}

/// A scenario while it is played.
pub type Played<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Makes [`Scenario`]s of async functions: a function `all` that gives them.
#[macro_export]
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn all() -> Vec<$crate::e2e::Scenario> {
            vec![$($crate::e2e::Scenario { name: stringify!($name), play: |world| Box::pin($name(world)) }),*]
        }
    };
}

/// A program, and the arguments that it always gets.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// What stands before the flags of a scenario.
    pub arguments: Vec<String>,
    /// The service account of the shipped manifests that it runs as on the hub.
    pub account: &'static str,
}

/// The scenarios of an operator.
pub struct Suite {
    /// The operator that they are about.
    pub operator: Program,
    /// Where labs may keep their files.
    pub directory: PathBuf,
    /// The members serve `metrics.k8s.io`. Embedded ones never do.
    pub metrics: bool,
    /// Its real scenarios need each right that the shipped manifests give.
    pub needs_all_rights: bool,
    /// On the embedded control plane.
    pub embedded: Vec<Scenario>,
    /// On real control planes.
    pub real: Vec<Scenario>,
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
