//! One number for all clusters.

use multi_cluster_hpa::decision::{ConditionKind, Target, Wanted};

use crate::world::{World, by_cluster, external, state};

#[test]
fn all_pods_together_decide() {
    let world = World::global(6)
        .run("cluster1", 4, 100)
        .run("cluster2", 2, 40);
    let decision = world.decide();
    // 80 % on average, six pods: ⌈6 × 80 / 50⌉.
    assert_eq!(decision.wanted, Some(Wanted::Total(10)));
    assert_eq!((decision.current, decision.desired), (6, 10));
    assert_eq!(decision.locations, []);
}

#[test]
fn values_of_clusters_are_added() {
    let values = by_cluster(&[("cluster1", 3000), ("cluster2", 2000)]);
    let world = World::global(2).metric(external(Target::AverageValue(1000), values));
    assert_eq!(
        world.decide().wanted,
        Some(Wanted::Total(4)),
        "twice or four at once"
    );
}

#[test]
fn pods_on_a_cluster_that_does_not_answer_make_a_change_smaller() {
    let mut world = World::global(6)
        .run("cluster1", 3, 100)
        .run("cluster2", 3, 100);
    world = world.placed("cluster2", 3);
    let world = world.unknown("cluster2");
    // Three at 100 % and three taken for idle: on target.
    assert_eq!(world.clone().decide().wanted, None);
    // Replicas that do not stay there count no more.
    let decision = world.placed("cluster2", 0).run("cluster3", 3, 100).decide();
    assert_eq!(decision.wanted, Some(Wanted::Total(12)));
}

#[test]
fn pods_that_nobody_has_seen_keep_the_number_from_falling() {
    let unseen = |percent| {
        let world = World::global(10).run("cluster1", 5, percent);
        let world = world.placed("cluster2", 5);
        let world = world.unknown("cluster2");
        world.decide_at_once()
    };
    // ⌈5 × 60 / 50⌉ would be six.
    let decision = unseen(60);
    assert_eq!(decision.wanted, None);
    assert_eq!(
        state(&decision, ConditionKind::ScalingActive),
        (false, "ClusterUnreachable")
    );
    assert_eq!(unseen(150).desired, 15);
    // A queue's length does not depend on who has been seen.
    let world = World::global(10).placed("cluster2", 5).bounds(0, 20);
    let world = world.unknown("cluster2");
    let empty = by_cluster(&[("cluster1", 0)]);
    let world = world.metric(external(Target::AverageValue(1000), empty));
    assert_eq!(world.decide_at_once().desired, 0);
}

#[test]
fn the_maximum_is_the_limit() {
    let world = World::global(6).run("cluster1", 6, 100).bounds(1, 7);
    let decision = world.decide();
    assert_eq!(decision.wanted, Some(Wanted::Total(7)));
    assert_eq!(
        state(&decision, ConditionKind::ScalingLimited),
        (true, "TooManyReplicas")
    );
}
