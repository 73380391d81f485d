//! The limits of the sum and of each cluster.

use std::collections::BTreeMap;

use federation::api::ReplicaScheduling;
use multi_cluster_hpa::behavior::Bounds;
use multi_cluster_hpa::decision::{ConditionKind, Scope, Verdict, Wanted};

use crate::world::{World, condition, desired, state};

#[test]
fn above_the_maximum_all_get_their_part_of_it() {
    let world = World::new(&[("cluster1", 6), ("cluster2", 2)]).bounds(1, 12);
    let decision = world
        .run("cluster1", 6, 100)
        .run("cluster2", 2, 100)
        .decide();
    // Twelve and four are asked for.
    assert_eq!(desired(&decision), [("cluster1", 9), ("cluster2", 3)]);
    assert_eq!(
        state(&decision, ConditionKind::ScalingLimited),
        (true, "TooManyReplicas")
    );
    let verdict = &decision.locations[0].verdict;
    assert!(
        matches!(verdict, Verdict::Limited(why) if why.contains("12")),
        "{verdict:?}"
    );
}

#[test]
fn a_cluster_that_is_not_known_keeps_its_number_at_the_maximum() {
    let world = World::new(&[("cluster1", 5), ("cluster2", 5)]);
    let world = world.run("cluster1", 5, 50).run("cluster2", 5, 200);
    let world = world.unknown("cluster1");
    let decision = world.clone().bounds(1, 12).decide();
    assert_eq!(desired(&decision), [("cluster1", 5), ("cluster2", 7)]);
    let decision = world.clone().bounds(1, 10).decide();
    assert_eq!(desired(&decision), [("cluster1", 5), ("cluster2", 5)]);
    // Also where the maximum has become less than there is.
    let decision = world.bounds(1, 7).decide();
    assert_eq!(desired(&decision), [("cluster1", 5), ("cluster2", 2)]);
}

#[test]
fn zero_replicas_come_back_where_the_minimum_may_be_zero() {
    let world = World::new(&[("cluster1", 0), ("cluster2", 0)]).bounds(5, 20);
    let decision = world.clone().decide();
    assert_eq!(decision.wanted, None);
    assert_eq!(
        state(&decision, ConditionKind::ScalingActive),
        (false, "ScalingDisabled")
    );
    let mut world = world;
    world.snapshot.scaling.zero_is_allowed = true;
    let decision = world.decide();
    assert_eq!(desired(&decision), [("cluster1", 3), ("cluster2", 2)]);
}

#[test]
fn numbers_for_clusters_that_are_no_locations_any_more_are_taken_out() {
    let mut world = World::new(&[("cluster1", 5)]).run("cluster1", 5, 50);
    assert_eq!(world.clone().decide().wanted, None);
    world.snapshot.layout.has_stale_entries = true;
    let wanted = BTreeMap::from([("cluster1".to_owned(), 5)]);
    assert_eq!(world.decide().wanted, Some(Wanted::PerCluster(wanted)));
    // Where scaling is turned off nothing is written.
    let mut off = World::new(&[("cluster1", 0)]);
    off.snapshot.layout.has_stale_entries = true;
    assert_eq!(off.clone().decide().wanted, None);
    assert_eq!(off.traffic(&[]).decide().wanted, None);
}

#[test]
fn below_the_minimum_all_get_their_part_of_it() {
    let world = World::new(&[("cluster1", 6), ("cluster2", 3)]).bounds(6, 20);
    let decision = world
        .run("cluster1", 6, 15)
        .run("cluster2", 3, 15)
        .decide_at_once();
    // Two and one are asked for.
    assert_eq!(desired(&decision), [("cluster1", 4), ("cluster2", 2)]);
    assert_eq!(
        state(&decision, ConditionKind::ScalingLimited),
        (true, "TooFewReplicas")
    );
}

#[test]
fn a_sum_out_of_bounds_is_brought_back_before_any_metric_is_asked() {
    let world = World::new(&[("cluster1", 9), ("cluster2", 3)]);
    let decision = world.clone().bounds(1, 8).decide();
    assert_eq!(desired(&decision), [("cluster1", 6), ("cluster2", 2)]);
    assert_eq!(
        decision.reason.as_deref(),
        Some("Current number of replicas above Spec.MaxReplicas")
    );
    let decision = world.bounds(16, 20).decide();
    assert_eq!(desired(&decision), [("cluster1", 12), ("cluster2", 4)]);
    assert_eq!(
        decision.reason.as_deref(),
        Some("Current number of replicas below Spec.MinReplicas")
    );
}

#[test]
fn no_cluster_goes_below_its_own_minimum() {
    let world = World::new(&[("cluster1", 8), ("cluster2", 4)]).floor(3);
    let world = world.run("cluster1", 8, 5).run("cluster2", 4, 5);
    let decision = world.clone().decide_at_once();
    assert_eq!(desired(&decision), [("cluster1", 3), ("cluster2", 3)]);
    // Also when the maximum leaves little: it is kept as long as there is enough for all.
    let decision = world.clone().bounds(1, 7).decide();
    assert_eq!(desired(&decision), [("cluster1", 4), ("cluster2", 3)]);
    let decision = world.bounds(1, 5).decide();
    assert_eq!(desired(&decision), [("cluster1", 3), ("cluster2", 2)]);
}

#[test]
fn a_cluster_below_its_own_minimum_is_raised_to_it() {
    let world = World::new(&[("cluster1", 4), ("cluster2", 0)]).floor(2);
    let decision = world.run("cluster1", 4, 50).decide();
    assert_eq!(desired(&decision), [("cluster1", 4), ("cluster2", 2)]);
    assert!(decision.reason.unwrap().contains("minReplicasPerCluster"));
}

#[test]
fn the_rate_limits_each_location() {
    let world = World::new(&[("cluster1", 10), ("cluster2", 1)]);
    let decision = world
        .run("cluster1", 10, 500)
        .run("cluster2", 1, 500)
        .decide();
    assert_eq!(desired(&decision), [("cluster1", 20), ("cluster2", 4)]);
    let limited = condition(&decision, ConditionKind::ScalingLimited);
    assert_eq!((limited.status, limited.reason), (true, "ScaleUpLimit"));
}

#[test]
fn a_deployment_that_is_not_made_for_the_scope_is_refused() {
    let mut world = World::new(&[("cluster1", 4)]).run("cluster1", 4, 500);
    world.snapshot.replica_scheduling = ReplicaScheduling::Total;
    let decision = world.clone().decide();
    assert_eq!(decision.wanted, None);
    let able = condition(&decision, ConditionKind::AbleToScale);
    assert_eq!(
        (able.status, able.reason),
        (false, "ReplicaSchedulingMismatch")
    );
    assert!(able.message.contains("write PerLocation"), "{able:?}");

    world.snapshot.replica_scheduling = ReplicaScheduling::PerLocation;
    world.snapshot.scaling.scope = Scope::Global;
    let decision = world.decide();
    assert_eq!(decision.wanted, None);
    let able = condition(&decision, ConditionKind::AbleToScale);
    assert!(able.message.contains("write Total"), "{able:?}");
}

#[test]
fn a_deployment_without_clusters_is_left_alone() {
    let decision = World::new(&[]).decide();
    assert_eq!(decision.wanted, None);
    assert_eq!(
        state(&decision, ConditionKind::AbleToScale),
        (false, "NoLocations")
    );
}

#[test]
fn bounds_that_a_schedule_moved_hold_at_once() {
    let mut world = World::new(&[("cluster1", 2), ("cluster2", 2)]).run("cluster1", 2, 50);
    world.step();
    world.snapshot.scaling.bounds = Bounds { min: 10, max: 20 };
    assert_eq!(desired(&world.step()), [("cluster1", 5), ("cluster2", 5)]);
}
