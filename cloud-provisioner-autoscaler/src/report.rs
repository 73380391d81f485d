//! What came of a look: status and conditions.

use std::time::Duration;

use federation::api::{
    CONDITION_READY, CloudCluster, CloudPhase, CloudProvisioner, CloudProvisionerStatus as Status,
};
use federation::operator::conditions::Conditions;
use federation::operator::status::{WriteError, apply_status};
use jiff::Timestamp;
use kube::Api;

use crate::cluster_api::Error;
use crate::decide::{Decision, some};
use crate::validate::Settings;

/// Whether every replica that may burst has a machine, and none is being made.
const CONDITION_SETTLED: &str = "Settled";
/// Owner of the status fields.
const STATUS_MANAGER: &str = "cloud-provisioner-autoscaler-status";

/// What came of a look.
pub(crate) struct Report {
    ready: Said,
    settled: Option<Said>,
    /// None where nothing could be looked at: what is known stays.
    clusters: Option<(Vec<CloudCluster>, Option<i64>)>,
}

struct Said {
    status: bool,
    reason: &'static str,
    message: String,
}

impl Report {
    /// It cannot be served, or not to the end.
    pub(crate) fn refused(reason: &'static str, message: &str) -> Self {
        Self {
            ready: Said {
                status: false,
                reason,
                message: message.to_owned(),
            },
            settled: None,
            clusters: None,
        }
    }

    /// What was decided is done, but for what failed; clusters of which something failed are reported
    /// as far as they were there before.
    pub(crate) fn served(
        settings: &Settings,
        decision: &Decision,
        failed: &[(String, Error)],
    ) -> Self {
        let ready = match failed.first() {
            Some((_, error)) => Said {
                status: false,
                reason: error.reason(),
                message: error.to_string(),
            },
            None if settings.suspend => Said {
                status: true,
                reason: "Suspended",
                message: "nothing new is made, and no cluster goes for want of work".to_owned(),
            },
            None => Said {
                status: true,
                reason: "Served",
                message: if settings.warnings.is_empty() {
                    "served".to_owned()
                } else {
                    settings.warnings.join("; ")
                },
            },
        };
        let is_made = |cluster: &&CloudCluster| {
            let is_its = |(name, _): &(String, Error)| *name == cluster.name;
            let is_new = decision.made.contains(&cluster.name);
            !(is_new && failed.iter().any(is_its))
        };
        let clusters = decision.clusters.iter().filter(is_made).cloned();
        Self {
            ready,
            settled: Some(settled(decision)),
            clusters: Some((clusters.collect(), decision.cost)),
        }
    }

    pub(crate) fn status(self, before: &Status, generation: i64, now: Timestamp) -> Status {
        let mut conditions = Conditions::after(&before.conditions);
        let mut set = |kind: &str, said: Said| {
            conditions.set(
                kind,
                said.status,
                said.reason,
                said.message,
                Some(generation),
                now,
            );
        };
        set(CONDITION_READY, self.ready);
        match self.settled {
            Some(settled) => set(CONDITION_SETTLED, settled),
            None => conditions.keep(CONDITION_SETTLED),
        }
        let Some((clusters, cost)) = self.clusters else {
            return Status {
                observed_generation: Some(generation),
                conditions: conditions.into_vec(),
                ..before.clone()
            };
        };
        let pools = || clusters.iter().flat_map(|cluster| &cluster.pools);
        let mut flavors: Vec<&str> = pools()
            .filter(|pool| pool.nodes > 0)
            .map(|pool| pool.flavor.as_str())
            .collect();
        flavors.sort_unstable();
        flavors.dedup();
        let phases = clusters.iter().map(|cluster| cluster.phase);
        Status {
            observed_generation: Some(generation),
            phase: phases.max().unwrap_or(CloudPhase::Idle),
            cluster_count: u32::try_from(clusters.len()).unwrap_or(u32::MAX),
            nodes: pools().map(|pool| pool.nodes).fold(0, u32::saturating_add),
            flavors: Some(flavors.join(",")).filter(|text| !text.is_empty()),
            cost_per_hour: cost.map(money),
            conditions: conditions.into_vec(),
            clusters,
        }
    }
}

fn settled(decision: &Decision) -> Said {
    if !decision.lacks.is_empty() {
        return Said {
            status: false,
            reason: "NotCovered",
            message: some(&decision.lacks, "; "),
        };
    }
    if decision.waiting > 0 {
        return Said {
            status: false,
            reason: "Waiting",
            message: format!(
                "{} replicas fit nowhere, and get no machine yet (scaleUpDelay, suspend)",
                decision.waiting
            ),
        };
    }
    let busy = decision
        .clusters
        .iter()
        .find(|cluster| !matches!(cluster.phase, CloudPhase::Running | CloudPhase::Idle));
    match busy {
        Some(cluster) => Said {
            status: false,
            reason: "InProgress",
            message: format!("cluster {}: {}", cluster.name, cluster.message),
        },
        None => Said {
            status: true,
            reason: "NothingToDo",
            message: "every replica that may burst has a machine".to_owned(),
        },
    }
}

/// Thousandths as people write them.
fn money(thousandths: i64) -> String {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

pub(crate) async fn write(
    api: &Api<CloudProvisioner>,
    name: &str,
    status: &Status,
    deadline: Duration,
) -> Result<(), WriteError> {
    let written = apply_status(api, &(), name, STATUS_MANAGER, None, status, deadline);
    written.await.map(drop)
}

/// Conditions that have become false, or are so for another reason: the reason, and the message.
pub(crate) fn degraded(before: &Status, status: &Status) -> Vec<(String, String)> {
    // These come with each burst.
    let quiet = ["InProgress", "Waiting"];
    let was = |reason: &str| before.conditions.iter().any(|one| one.reason == reason);
    let bad = status
        .conditions
        .iter()
        .filter(|one| one.status == "False" && !quiet.contains(&one.reason.as_str()));
    bad.filter(|one| !was(&one.reason))
        .map(|one| (one.reason.clone(), one.message.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_as_people_write_it() {
        for (thousandths, text) in [(0, "0"), (1500, "1.5"), (370, "0.37"), (12_000, "12")] {
            assert_eq!(money(thousandths), text);
        }
    }
}
