//! From what is known of an object to the status that people read: pure.

use federation::api::{PlacementStatus, WorkloadStatus};
use federation::members::Observed;
use federation::operator::conditions::Conditions;
use k8s_openapi::jiff::Timestamp;
use placement::ClusterName;

use crate::conditions;
use crate::index::{Index, Tracked};
use crate::seen;
use crate::validate::selector_text;
use crate::workload::Kind;

/// The status of an object now: the assignment, what is seen of it on the members, and the conditions.
pub(crate) fn status_of(index: &Index, tracked: &Tracked, now: Timestamp) -> WorkloadStatus {
    let workload = tracked.workload();
    let assignment = tracked.assignment();
    let mut status = WorkloadStatus {
        observed_generation: Some(workload.generation),
        policy: assignment.policy.clone(),
        placements: placements(index, tracked),
        replicas: assignment.placed(),
        unplaced_replicas: assignment.unplaced,
        unplaced: assignment.unplaced_by.clone(),
        selector: selector_text(workload),
        decision: Some(assignment.decision.clone()),
        ..WorkloadStatus::default()
    };
    let running = status
        .placements
        .iter()
        .filter(|one| workload.key.kind == Kind::Service || one.replicas > 0);
    let running = running.map(|one| one.cluster.as_str());
    let clusters = running.collect::<Vec<_>>().join(",");
    status.clusters = Some(clusters).filter(|text| !text.is_empty());
    status.ready_replicas = status.placements.iter().map(|one| one.ready).sum();
    let mut verdicts = vec![
        conditions::placed(index, tracked, now),
        conditions::progressing(index, tracked, &status),
        conditions::conflict(index, tracked),
    ];
    match workload.key.kind {
        Kind::Deployment => verdicts.push(conditions::available(index, tracked, &status)),
        Kind::Job => verdicts.extend(conditions::finished(index, tracked, &mut status)),
        Kind::Service => {}
    }
    let mut current = Conditions::after(&tracked.reported().conditions);
    for one in verdicts {
        let generation = Some(workload.generation);
        current.set(
            one.kind,
            one.status,
            one.reason,
            one.message,
            generation,
            now,
        );
    }
    status.conditions = current.into_vec();
    status
}

/// The assignment with what is seen of it on the members.
fn placements(index: &Index, tracked: &Tracked) -> Vec<PlacementStatus> {
    let (owner, kind) = (
        tracked.workload().owner_bits(),
        tracked.workload().key.kind.on_members(),
    );
    tracked
        .assignment()
        .placements
        .iter()
        .map(|one| {
            let name = ClusterName::from(one.cluster.as_str());
            let record = index.members().member(&one.cluster);
            let observed = record.and_then(|record| record.observed(owner, kind));
            let (ready, available) = match observed {
                Some(Observed::Replicas(replicas)) => (replicas.ready, replicas.available),
                Some(Observed::Job(job)) => (job.ready, job.ready),
                _ => (0, 0),
            };
            let problem = match record {
                None => Some("is not a member".to_owned()),
                Some(record) if !record.is_open() => Some(record.problem().map_or_else(
                    || "does not answer yet".to_owned(),
                    |problem| problem.message.clone(),
                )),
                Some(_) => problem(index, tracked, &name),
            };
            PlacementStatus {
                ready,
                available,
                problem,
                ..one.clone()
            }
        })
        .collect()
}

/// What keeps a member that answers from doing what it should: the gravest that is known.
fn problem(index: &Index, tracked: &Tracked, cluster: &ClusterName) -> Option<String> {
    let failure = tracked.failures().get(cluster);
    let failure = failure.map(|failure| failure.message.clone());
    if tracked.workload().deleted_at.is_some() {
        // How its pods do does not matter any more.
        return failure;
    }
    failure
        .or_else(|| seen::contest(index, tracked, cluster))
        .or_else(|| {
            let diagnosis = seen::diagnosis(index, tracked, cluster)?;
            Some(format!(
                "{}: {}",
                diagnosis.kind.reason(),
                diagnosis.message
            ))
        })
        .or_else(|| tracked.limits().problem(cluster))
}
