//! Why an object is placed as it is, and where one would be placed: values in, lines for a person out.

mod asked;
mod explanation;
mod known;
mod manifest;

use kube::api::DynamicObject;

pub use crate::workload::Kind;
pub use explanation::Explanation;
pub use known::Known;
pub use manifest::Manifest;

use crate::index::assignment_of;
use crate::workload::Workload;
use explanation::{Share, unplaced_row};

/// What the hub has on record of an object: no member is read for it.
pub fn recorded(kind: Kind, object: &DynamicObject) -> Explanation {
    let workload = Workload::read(kind, object);
    let assignment = assignment_of(&workload);
    let shares = assignment.placements.iter();
    Explanation {
        title: workload.key.to_string(),
        asked: asked::by(&workload),
        decision: decision_of(&workload),
        counted: "READY",
        shares: shares.map(|one| Share::of(one, one.ready)).collect(),
        unplaced: (assignment.unplaced_by.iter())
            .map(|one| unplaced_row(one, Some(&one.since)))
            .collect(),
        notes: notes_of(&workload),
        conditions: workload.status.conditions.clone(),
        clusters: assignment.decision.clusters,
    }
}

/// Which decision is on record, and of what.
fn decision_of(workload: &Workload) -> String {
    let sequence = (workload.status.decision.as_ref()).map_or(0, |decision| decision.sequence);
    match workload.status.observed_generation {
        Some(generation) if sequence > 0 => {
            format!("Recorded: decision {sequence}, of generation {generation}")
        }
        _ => "Recorded: no decision".to_owned(),
    }
}

/// What keeps the record from being the answer to the spec.
fn notes_of(workload: &Workload) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(problem) = &workload.damaged_record {
        notes.push(format!(
            "the status is no valid record and counts as none: {problem}"
        ));
    }
    match workload.status.observed_generation {
        None => notes.push(
            "the scheduler has not answered yet: check that it runs (kubectl get leases -A)"
                .to_owned(),
        ),
        Some(seen) if seen < workload.generation => notes.push(format!(
            "generation {} is not answered yet: check again in a few seconds",
            workload.generation
        )),
        Some(_) => {}
    }
    let decision = workload.status.decision.as_ref();
    if let Some(moving) = decision.and_then(|decision| decision.moving.as_ref()) {
        notes.push(format!(
            "a move is {}: {} replicas from {} to {}, see kubectl get move {}",
            if moving.undone {
                "being undone"
            } else {
                "under way"
            },
            moving.replicas,
            moving.from,
            moving.to,
            moving.name
        ));
    }
    if workload.deleted_at.is_some() {
        notes.push("it is being deleted: nothing is decided for it any more".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests;
