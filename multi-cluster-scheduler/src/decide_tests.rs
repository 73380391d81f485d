//! What an assignment keeps while it moves, scales and loses clusters.

use std::collections::BTreeMap;

use federation::api::{MoveRecord, PlacementStatus};
use k8s_openapi::jiff::Timestamp;
use placement::{ClusterName, Placement, Plan, Unplaced, UnplacedReason, Why};
use serde_json::json;

use super::{Assignment, MemberView};
use crate::validate::{Validated, validate};
use crate::workload::{Kind, Workload};

#[test]
fn a_move_keeps_the_old_replicas_until_the_new_ones_are_available() {
    let before = assignment(&[("a", 2, 0), ("b", 2, 0)]);
    let plan = plan(&[("b", 2), ("c", 2)]);
    let moving = next(&before, &plan, &[("a", 2), ("b", 2), ("c", 0)]);
    assert_eq!(shares(&moving), [("a", 2, 2), ("b", 2, 0), ("c", 2, 0)]);
    assert_eq!(moving.placed(), 4, "what leaves does not count");
    let half = next(&moving, &plan, &[("a", 2), ("b", 2), ("c", 1)]);
    assert_eq!(shares(&half), [("a", 1, 1), ("b", 2, 0), ("c", 2, 0)]);
    let done = next(&half, &plan, &[("a", 1), ("b", 2), ("c", 2)]);
    assert_eq!(shares(&done), [("b", 2, 0), ("c", 2, 0)]);
}

#[test]
fn an_object_whose_record_is_lost_goes_on_with_what_members_hold() {
    let standing = |open, available, holds| MemberView {
        open,
        available,
        holds,
        leaving: false,
    };
    let members = [
        ("a", standing(true, 0, false)),
        ("b", standing(true, 2, true)),
        ("c", standing(true, 0, true)),
    ];
    let members: BTreeMap<_, _> = (members.into_iter())
        .map(|(name, standing)| (ClusterName::from(name), standing))
        .collect();
    let before = Assignment::of_what_is_held(&members);
    assert_eq!(shares(&before), [("b", 2, 0), ("c", 0, 0)]);
    let current: Vec<_> = before
        .current(true)
        .into_iter()
        .map(|one| one.cluster.to_string())
        .collect();
    assert_eq!(current, ["b", "c"], "that is where its locations are");
}

/// What a Job was made with on a lost cluster is what it has when the cluster is back.
#[test]
fn what_does_not_grow_is_taken_back_as_it_is() {
    let lost = Assignment {
        unplaced: 3,
        ..assignment(&[("a", 3, 3), ("b", 3, 0)])
    };
    let replaced = assignment(&[("a", 3, 3), ("b", 3, 0)]);
    let current = |assignment: &Assignment, resizable| -> Vec<(String, u32)> {
        let all = assignment.current(resizable).into_iter();
        all.map(|one| (one.cluster.to_string(), one.replicas))
            .filter(|(_, replicas)| *replicas > 0)
            .collect()
    };
    let (back, stays) = (("a".to_owned(), 3), ("b".to_owned(), 3));
    assert_eq!(current(&lost, true), std::slice::from_ref(&stays));
    assert_eq!(current(&lost, false), [back, stays.clone()]);
    assert_eq!(current(&replaced, false), [stays]);
    // A location of what is resizable may keep what leaves, unless a move takes it away.
    let leaving = |assignment: &Assignment| -> u32 {
        let all = assignment.current(true).into_iter();
        all.map(|one| one.leaving).sum()
    };
    assert_eq!(leaving(&lost), 3);
    let mut moved = lost;
    let moving = |from: &str, to: &str, undone| MoveRecord {
        from: from.to_owned(),
        to: to.to_owned(),
        undone,
        ..MoveRecord::default()
    };
    for record in [moving("a", "b", false), moving("b", "a", true)] {
        moved.decision.moving = Some(record);
        assert_eq!(leaving(&moved), 0);
    }
}

#[test]
fn a_move_to_nowhere_keeps_what_runs() {
    let before = assignment(&[("a", 3, 0)]);
    let nowhere = Plan {
        unplaced: unplaced(3),
        ..plan(&[])
    };
    let kept = next(&before, &nowhere, &[("a", 3), ("b", 0)]);
    assert_eq!(shares(&kept), [("a", 3, 3)]);
    let still = next(&kept, &nowhere, &[("a", 3), ("b", 0)]);
    assert_eq!(shares(&still), [("a", 3, 3)]);
    let partly = Plan {
        unplaced: unplaced(2),
        ..plan(&[("b", 1)])
    };
    let partly = next(&still, &partly, &[("a", 3), ("b", 1)]);
    assert_eq!(shares(&partly), [("a", 2, 2), ("b", 1, 0)]);
    // What lacked room before is no reason to keep what is not wanted any more.
    let short = Assignment {
        unplaced: 2,
        ..assignment(&[("a", 1, 0), ("b", 2, 0)])
    };
    let fewer = Plan {
        unplaced: unplaced(2),
        ..plan(&[("a", 1)])
    };
    assert_eq!(
        shares(&next(&short, &fewer, &[("a", 1), ("b", 2)])),
        [("a", 1, 0)]
    );
}

#[test]
fn an_evacuation_ends_though_there_was_too_little_room_before() {
    let before = Assignment {
        unplaced: 2,
        ..assignment(&[("a", 2, 0), ("c", 2, 0)])
    };
    let nowhere = Plan {
        unplaced: unplaced(4),
        ..plan(&[("a", 2)])
    };
    let kept = next(&before, &nowhere, &[("a", 2), ("b", 0), ("c", 2)]);
    assert_eq!(shares(&kept), [("a", 2, 0), ("c", 2, 2)]);
    let room = Plan {
        unplaced: unplaced(2),
        ..plan(&[("a", 2), ("b", 2)])
    };
    let moving = next(&kept, &room, &[("a", 2), ("b", 0), ("c", 2)]);
    assert_eq!(shares(&moving), [("a", 2, 0), ("b", 2, 0), ("c", 2, 2)]);
    let done = next(&moving, &room, &[("a", 2), ("b", 2), ("c", 2)]);
    assert_eq!(shares(&done), [("a", 2, 0), ("b", 2, 0)]);
}

#[test]
fn a_silent_member_does_not_use_up_what_keeps_a_healthy_one() {
    let before = assignment(&[("a", 3, 0), ("c", 3, 0)]);
    let mut standing = standing(&[("b", 0), ("c", 3)]);
    standing.insert(ClusterName::from("a"), MemberView::default());
    let moving = before.next(
        &plan(&[("b", 3)]),
        &validated(),
        0,
        &standing,
        |_| 100,
        Timestamp::UNIX_EPOCH,
    );
    assert_eq!(shares(&moving), [("a", 3, 3), ("b", 3, 0), ("c", 3, 3)]);
}

/// Replicas that have grown: what does not fit where it was does not run there, and is not waited for.
#[test]
fn what_leaves_and_does_not_fit_is_not_kept() {
    let before = assignment(&[("a", 3, 0)]);
    let standing = standing(&[("a", 1), ("b", 0)]);
    let room = |cluster: &ClusterName| if cluster.as_str() == "a" { 2 } else { 3 };
    let plan = plan(&[("b", 3)]);
    let now = Timestamp::UNIX_EPOCH;
    let moving = before.next(&plan, &validated(), 0, &standing, room, now);
    assert_eq!(shares(&moving), [("a", 2, 2), ("b", 3, 0)]);
}

#[test]
fn a_scale_down_keeps_nothing_even_when_pods_are_not_ready() {
    let before = assignment(&[("a", 4, 0), ("b", 4, 0)]);
    let after = next(&before, &plan(&[("a", 1), ("b", 1)]), &[("a", 0), ("b", 0)]);
    assert_eq!(shares(&after), [("a", 1, 0), ("b", 1, 0)]);
}

#[test]
fn what_a_silent_member_runs_stays_in_the_record() {
    let before = assignment(&[("a", 2, 0), ("b", 2, 0)]);
    let plan = plan(&[("b", 2), ("c", 2)]);
    let mut standing = standing(&[("b", 2), ("c", 2)]);
    standing.insert(
        ClusterName::from("a"),
        MemberView {
            open: false,
            ..MemberView::default()
        },
    );
    let lost = before.next(
        &plan,
        &validated(),
        0,
        &standing,
        |_| 100,
        Timestamp::UNIX_EPOCH,
    );
    assert_eq!(shares(&lost), [("a", 2, 2), ("b", 2, 0), ("c", 2, 0)]);
    // It is back: its replacements are available, so its own go.
    let back = next(&lost, &plan, &[("a", 2), ("b", 2), ("c", 2)]);
    assert_eq!(shares(&back), [("b", 2, 0), ("c", 2, 0)]);
}

#[test]
fn a_cluster_is_on_record_until_it_holds_nothing() {
    let before = assignment(&[("a", 0, 0), ("b", 2, 0)]);
    let plan = plan(&[("b", 2)]);
    let mut standing = standing(&[("b", 2)]);
    let mut next = |before: &Assignment, open, holds| {
        let a = MemberView {
            open,
            available: 0,
            holds,
            leaving: false,
        };
        standing.insert(ClusterName::from("a"), a);
        before.next(
            &plan,
            &validated(),
            0,
            &standing,
            |_| 100,
            Timestamp::UNIX_EPOCH,
        )
    };
    // It does not answer: nobody knows what it holds.
    let silent = next(&before, false, false);
    assert_eq!(shares(&silent), [("a", 0, 0), ("b", 2, 0)]);
    let back = next(&silent, true, true);
    assert_eq!(shares(&back), [("a", 0, 0), ("b", 2, 0)]);
    assert!(back.is_moving());
    assert_eq!(shares(&next(&back, true, false)), [("b", 2, 0)]);
}

#[test]
fn a_cluster_that_is_no_member_any_more_leaves_the_record() {
    let before = assignment(&[("a", 2, 0), ("b", 2, 0)]);
    let after = next(&before, &plan(&[("b", 2), ("c", 2)]), &[("b", 2), ("c", 0)]);
    assert_eq!(shares(&after), [("b", 2, 0), ("c", 2, 0)]);
}

#[test]
fn only_a_change_that_people_or_members_would_see_is_written() {
    let before = next(&Assignment::default(), &plan(&[("a", 2)]), &[("a", 0)]);
    let same = next(&before, &plan(&[("a", 2)]), &[("a", 2)]);
    assert!(!same.differs_from(&before));
    assert_eq!(same.decision.sequence, before.decision.sequence + 1);
    let more = next(&before, &plan(&[("a", 3)]), &[("a", 2)]);
    assert!(more.differs_from(&before));
}

fn next(before: &Assignment, plan: &Plan, available: &[(&str, u32)]) -> Assignment {
    let now = Timestamp::UNIX_EPOCH;
    before.next(plan, &validated(), 0, &standing(available), |_| 100, now)
}

fn standing(available: &[(&str, u32)]) -> BTreeMap<ClusterName, MemberView> {
    let open = |available: &u32| MemberView {
        open: true,
        available: *available,
        holds: false,
        leaving: false,
    };
    available
        .iter()
        .map(|(name, count)| (ClusterName::from(*name), open(count)))
        .collect()
}

fn assignment(shares: &[(&str, u32, u32)]) -> Assignment {
    let placements = shares
        .iter()
        .map(|(cluster, replicas, leaving)| PlacementStatus {
            cluster: (*cluster).to_owned(),
            replicas: *replicas,
            leaving: *leaving,
            location: true,
            ..PlacementStatus::default()
        });
    Assignment {
        placements: placements.collect(),
        ..Assignment::default()
    }
}

fn shares(assignment: &Assignment) -> Vec<(&str, u32, u32)> {
    assignment
        .placements
        .iter()
        .map(|one| (one.cluster.as_str(), one.replicas, one.leaving))
        .collect()
}

fn unplaced(replicas: u32) -> Vec<Unplaced> {
    vec![Unplaced {
        location: None,
        replicas,
        reason: UnplacedReason::NoRoom,
    }]
}

fn plan(shares: &[(&str, u32)]) -> Plan {
    let placements = shares.iter().map(|(cluster, replicas)| Placement {
        cluster: ClusterName::from(*cluster),
        replicas: *replicas,
        displaced: 0,
        why: Why::Policy,
        location: true,
    });
    Plan {
        placements: placements.collect(),
        wanted: shares.iter().map(|(_, replicas)| replicas).sum(),
        unplaced: Vec::new(),
        moves: Vec::new(),
        verdicts: Vec::new(),
        fallback: None,
        policy: "worst_fit",
    }
}

fn validated() -> Validated {
    let object = serde_json::from_value(json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": "hello", "namespace": "default", "uid": "u" },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "hello" } }, "template": {} },
    }));
    validate(&Workload::read(Kind::Deployment, &object.unwrap())).unwrap()
}
