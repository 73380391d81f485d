//! How many replicas run where: from one snapshot of metrics, pods and placements.
//!
//! A *location* is a cluster that the deployment names or that was chosen for it. With
//! [`Scope::PerCluster`] each is scaled like a Deployment of its own; where it has no room, the
//! scheduler runs some of its replicas elsewhere, and they stay its own here ([`attribute`]). With
//! [`Scope::Global`] there is one number for all.

mod attribution;
mod conditions;
mod divide;
mod explanation;
mod global;
mod history;
mod layout;
mod location;
mod metric;
mod per_cluster;
mod pool;
mod snapshot;
mod start;
mod traffic;

pub use attribution::attribute;
pub use divide::divide;
pub use explanation::{
    Condition, ConditionKind, Decision, LocationReport, MetricReport, Verdict, Wanted,
};
pub use history::History;
pub use layout::{Layout, LayoutError};
pub use metric::{Kind, Metric, MetricError, Reading, Target};
pub use snapshot::{Defaults, Distribution, Scaling, Scope, Snapshot};

/// Decides, and records in the history what was proposed. Call [`History::scaled`] once the decision
/// has been carried out.
pub fn decide(snapshot: &Snapshot, history: &mut History) -> Decision {
    if let Some(decision) = start::refuse(snapshot) {
        return decision;
    }
    let mut decision = match (snapshot.scaling.scope, snapshot.scaling.distribution) {
        (Scope::PerCluster, Distribution::Load) => per_cluster::decide(snapshot, history),
        (Scope::PerCluster, Distribution::Traffic) | (Scope::Global, _) => {
            global::decide(snapshot, history)
        }
    };
    if start::must_prune(snapshot) {
        let numbers = || Wanted::PerCluster(snapshot.layout.wanted.clone());
        decision.wanted.get_or_insert_with(numbers);
    }
    decision
}
