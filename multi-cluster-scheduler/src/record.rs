//! The record of the assignment: the status, which only those can write who have rights on the
//! `status` subresource. What is read back is checked before anything is decided from it.

use std::collections::BTreeSet;

use federation::api::{
    CONDITION_AVAILABLE, CONDITION_CONFLICT, CONDITION_PLACED, CONDITION_PROGRESSING, MoveRecord,
    WorkloadStatus,
};
use serde::Deserialize as _;
use serde_json::Value;

use crate::unplaced::MAX_UNPLACED;
use crate::validate::is_cluster_name;

/// As many placements as the CRD allows.
const MAX_PLACEMENTS: usize = 2000;
/// Where sequences end: what JSON readers of all languages still count exactly.
const MAX_SEQUENCE: i64 = 1 << 53;
/// The conditions that the scheduler writes.
const CONDITIONS: [&str; 6] = [
    CONDITION_PLACED,
    CONDITION_AVAILABLE,
    CONDITION_PROGRESSING,
    CONDITION_CONFLICT,
    "Complete",
    "Failed",
];
/// Of a digest and of a policy's name.
const MAX_TEXT: usize = 253;
/// Where positions of `round_robin` begin again from zero.
const CURSOR_PERIOD: u64 = 1 << 32;

/// The status of an object, or why it is no record of ours.
pub fn read(status: &Value) -> Result<WorkloadStatus, String> {
    if status.is_null() {
        return Ok(WorkloadStatus::default());
    }
    let mut status =
        WorkloadStatus::deserialize(status).map_err(|error| format!("status: {error}"))?;
    check(&status)?;
    // Those of others are theirs.
    status.conditions.retain(|one| is_ours(&one.type_));
    if let Some(decision) = &mut status.decision {
        decision.cursor %= CURSOR_PERIOD;
    }
    Ok(status)
}

fn is_ours(condition: &str) -> bool {
    CONDITIONS.contains(&condition)
}

/// The position of `round_robin` after this one.
pub fn next_cursor(cursor: u64) -> u64 {
    cursor.wrapping_add(1) % CURSOR_PERIOD
}

fn check(status: &WorkloadStatus) -> Result<(), String> {
    if let Some(decision) = &status.decision {
        if !(0..MAX_SEQUENCE).contains(&decision.sequence) {
            return Err(format!(
                "status.decision.sequence {} is out of range",
                decision.sequence
            ));
        }
        if decision.key.len() > MAX_TEXT {
            return Err("status.decision.key is too long".to_owned());
        }
        if decision
            .shape
            .as_ref()
            .is_some_and(|shape| shape.len() > MAX_TEXT)
        {
            return Err("status.decision.shape is too long".to_owned());
        }
        if let Some(moving) = &decision.moving {
            check_move(moving)?;
        }
    }
    if status
        .policy
        .as_ref()
        .is_some_and(|policy| policy.len() > MAX_TEXT)
    {
        return Err("status.policy is too long".to_owned());
    }
    if status.placements.len() > MAX_PLACEMENTS {
        return Err(format!(
            "status.placements has {} entries; {MAX_PLACEMENTS} are allowed",
            status.placements.len()
        ));
    }
    if status.unplaced.len() > MAX_UNPLACED {
        return Err(format!(
            "status.unplaced has {} entries; {MAX_UNPLACED} are allowed",
            status.unplaced.len()
        ));
    }
    let mut seen = BTreeSet::new();
    let mut replicas = u64::from(status.unplaced_replicas);
    for (position, one) in status.placements.iter().enumerate() {
        let refuse = |what: &str| Err(format!("status.placements[{position}].{what}"));
        if !is_cluster_name(&one.cluster) {
            return refuse("cluster is not a DNS label");
        }
        if !seen.insert(&one.cluster) {
            return refuse("cluster is named twice");
        }
        if one.leaving > one.replicas {
            return refuse("leaving is more than replicas");
        }
        if one.displaced > one.staying() {
            return refuse("displaced is more than replicas less leaving");
        }
        replicas += u64::from(one.replicas);
    }
    if u32::try_from(replicas).is_err() {
        return Err("status: placed and unplaced replicas together are out of range".to_owned());
    }
    Ok(())
}

fn check_move(moving: &MoveRecord) -> Result<(), String> {
    let refuse = |what: &str| Err(format!("status.decision.move.{what}"));
    if moving.name.len() > MAX_TEXT || moving.uid.len() > MAX_TEXT {
        return refuse("name or uid is too long");
    }
    if !is_cluster_name(&moving.from) || !is_cluster_name(&moving.to) {
        return refuse("from or to is not a DNS label");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(decision: &Value, placements: &Value) -> Value {
        json!({ "decision": decision, "placements": placements, "unplacedReplicas": 1 })
    }

    #[test]
    fn what_the_scheduler_wrote_is_read_back() {
        let written = record(
            &json!({ "sequence": 7, "key": "abc", "cursor": 3 }),
            &json!([{ "cluster": "cluster1", "replicas": 5, "leaving": 2, "location": true }]),
        );
        let read = read(&written).unwrap();
        assert_eq!(read.placements[0].replicas, 5);
        assert_eq!(read.decision.unwrap().sequence, 7);
        assert_eq!(
            super::read(&Value::Null).unwrap(),
            WorkloadStatus::default()
        );
        assert_eq!(super::read(&json!({})).unwrap(), WorkloadStatus::default());
    }

    #[test]
    fn what_does_not_add_up_is_no_record() {
        let good = json!({ "sequence": 1, "key": "k" });
        let share =
            |cluster: &str, replicas: u64| json!({ "cluster": cluster, "replicas": replicas });
        let many: Vec<_> = (0..2001).map(|n| share(&format!("c{n}"), 1)).collect();
        let much: Vec<_> = (0..2000)
            .map(|n| share(&format!("c{n}"), 1_000_000))
            .collect();
        let mut overflow = record(&good, &json!(much));
        overflow["unplacedReplicas"] = json!(u32::MAX);
        for (damaged, named) in [
            (
                record(&json!({ "sequence": i64::MAX, "key": "k" }), &json!([])),
                "sequence",
            ),
            (
                record(&json!({ "sequence": -1, "key": "k" }), &json!([])),
                "sequence",
            ),
            (
                record(
                    &json!({ "sequence": 1, "key": "k".repeat(300) }),
                    &json!([]),
                ),
                "key",
            ),
            (
                record(&good, &json!([share("cluster1", 4_294_967_295)])),
                "out of range",
            ),
            (
                record(&good, &json!([share("cluster1", 4_294_967_296)])),
                "status",
            ),
            (record(&good, &json!([share("Not A Name", 1)])), "cluster"),
            (
                record(&good, &json!([share("c", 1), share("c", 1)])),
                "twice",
            ),
            (
                record(
                    &good,
                    &json!([{ "cluster": "c", "replicas": 1, "leaving": 2 }]),
                ),
                "leaving",
            ),
            (
                record(
                    &good,
                    &json!([{ "cluster": "c", "replicas": 3, "leaving": 2, "displaced": 2 }]),
                ),
                "displaced",
            ),
            (
                record(
                    &json!({
                        "sequence": 1, "key": "k",
                        "move": { "name": "m", "uid": "u", "from": "a b", "to": "c", "replicas": 1 },
                    }),
                    &json!([]),
                ),
                "DNS label",
            ),
            (record(&good, &json!(many)), "2001"),
            (overflow, "out of range"),
            (record(&good, &json!([{ "cluster": 5 }])), "status"),
        ] {
            let problem = read(&damaged).unwrap_err();
            assert!(problem.contains(named), "{problem}");
        }
    }

    #[test]
    fn a_position_of_round_robin_ends_nowhere() {
        let at = |cursor: u64| {
            let status = record(
                &json!({ "sequence": 1, "key": "k", "cursor": cursor }),
                &json!([]),
            );
            read(&status).unwrap().decision.unwrap().cursor
        };
        assert!(at(u64::MAX) < CURSOR_PERIOD);
        assert_eq!(next_cursor(CURSOR_PERIOD - 1), 0);
        assert_eq!(next_cursor(u64::MAX), 0);
        assert_eq!(at(5), 5);
    }
}
