//! The operators that there are, in one table.
//!
//! An operator crate knows no other, so the table lies here, in the first crate that knows all of
//! them: the simulation, the scenarios and `mck8s up` start every operator from its row.

use cloud_provisioner_autoscaler::CloudProvisionerAutoscaler;
use federation::operator::frame::OperatorEntry;
use multi_cluster_hpa::MultiClusterHpa;
use multi_cluster_scheduler::MultiClusterScheduler;

/// All operators. The scheduler is the first.
pub static OPERATORS: [OperatorEntry; 3] = [
    OperatorEntry::of::<MultiClusterScheduler>(),
    OperatorEntry::of::<MultiClusterHpa>(),
    OperatorEntry::of::<CloudProvisionerAutoscaler>(),
];

/// The row of the operator of this name.
pub fn find(name: &str) -> Option<OperatorEntry> {
    OPERATORS.iter().find(|entry| entry.name == name).copied()
}
