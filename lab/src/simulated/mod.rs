//! Member clusters that are played: nodes, pods, load and failures without a machine.
//!
//! A [`Cluster`] is what a real cluster has beside its API server: the controllers of Deployments,
//! `ReplicaSets`, Jobs and nodes, the pod scheduler, and the kubelets. They play against any API
//! server through a `kube::Client`, an embedded one in the same process as a rule, and use its
//! objects as the real ones do: so operators, `kubectl` and tests see a cluster like any other.
//!
//! Everything is driven by watches and timers, so a cluster in which nothing happens costs nothing.
//! With tokio's clock paused, days pass in seconds, and the same seed gives the same run.

mod cache;
mod claim;
mod cluster;
mod configuration;
mod context;
mod delay;
mod deployment;
mod events;
mod job;
mod kubelet;
mod load;
mod nodes;
mod options;
mod pods;
mod promql;
mod random;
mod replica_set;
mod scheduler;

pub use cluster::Cluster;
pub use configuration::{
    Action, Clusters, ConfigurationError, Event, Flash, HUB, Member, NodeName, ObjectName,
    OperatorName, Scenario,
};
pub use delay::{Delay, Span};
pub use kubelet::{EXIT_CODE, FAILS, Logs, RUN_SECONDS};
pub use load::{Costs, Crowd, Curve, Load, Metrics, Prometheus, Traffic};
pub use options::{Failures, NodeGroup, Options};
pub use promql::{QueryError, Value};
pub use random::Random;
