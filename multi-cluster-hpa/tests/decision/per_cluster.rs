//! Each location by its own load.

use jiff::SignedDuration;
use multi_cluster_hpa::decision::{ConditionKind, Reading, Target, Verdict, Wanted};

use crate::world::{World, by_cluster, condition, desired, external, state};

#[test]
fn each_location_follows_its_own_load() {
    let world = World::new(&[("cluster1", 4), ("cluster2", 4)]);
    let decision = world
        .run("cluster1", 4, 100)
        .run("cluster2", 4, 50)
        .decide();
    assert_eq!(desired(&decision), [("cluster1", 8), ("cluster2", 4)]);
    assert_eq!((decision.current, decision.desired), (8, 12));
    assert_eq!(decision.reason.as_deref(), Some("cpu above target"));
    let metric = decision.locations[0].metrics[0].outcome.as_ref().unwrap();
    assert_eq!((metric.utilization, metric.replicas), (Some(100), 8));
    let overall = decision.metrics[0].outcome.as_ref().unwrap();
    assert_eq!(overall.utilization, Some(75));
}

#[test]
fn what_needs_no_change_is_not_written() {
    let world = World::new(&[("cluster1", 2), ("cluster2", 2)]);
    let decision = world.run("cluster1", 2, 52).run("cluster2", 2, 48).decide();
    assert_eq!(decision.wanted, None);
    assert_eq!(decision.reason, None);
    assert_eq!(
        state(&decision, ConditionKind::ScalingLimited),
        (false, "DesiredWithinRange")
    );
}

#[test]
fn what_overflowed_counts_for_the_location_it_came_from() {
    // Two of the six that cluster1 wants run on cluster2, which is no busier than it shall be.
    let world = World::new(&[("cluster1", 6), ("cluster2", 2)]).placed("cluster1", 4);
    let world = world
        .run("cluster2", 2, 50)
        .run("cluster1", 4, 100)
        .run("cluster2", 2, 100);
    let decision = world.decide();
    assert_eq!(desired(&decision), [("cluster1", 12), ("cluster2", 2)]);
    assert_eq!(decision.locations[0].pods, 6);
}

#[test]
fn a_scale_down_does_not_pass_its_load_to_the_cluster_that_took_the_overflow_in() {
    let world = World::new(&[("cluster1", 6), ("cluster2", 2)]).placed("cluster1", 4);
    let mut world = world
        .run("cluster2", 2, 50)
        .run("cluster1", 4, 33)
        .run("cluster2", 2, 33);
    world.snapshot.defaults.downscale_stabilization = SignedDuration::ZERO;
    world.step();
    world.wait(SignedDuration::from_secs(1));
    assert_eq!(desired(&world.step()), [("cluster1", 4), ("cluster2", 2)]);
    // The six pods are still there.
    world.wait(SignedDuration::from_secs(1));
    assert_eq!(desired(&world.step()), [("cluster1", 4), ("cluster2", 2)]);
}

#[test]
fn a_location_without_pods_keeps_its_number_and_says_so() {
    let world = World::new(&[("cluster1", 2), ("cluster2", 3)]);
    let decision = world.run("cluster1", 2, 100).decide();
    assert_eq!(desired(&decision), [("cluster1", 4), ("cluster2", 3)]);
    let Verdict::Kept(why) = &decision.locations[1].verdict else {
        panic!("{:?}", decision.locations[1]);
    };
    assert!(why.starts_with("cpu: no pods"), "{why}");
    let active = condition(&decision, ConditionKind::ScalingActive);
    assert!(
        active.status && active.message.contains("cluster2 keeps 3"),
        "{active:?}"
    );
}

#[test]
fn without_any_value_nothing_changes_and_the_condition_says_why() {
    let mut world = World::new(&[("cluster1", 2), ("cluster2", 3)]);
    world.snapshot.metrics[0].reading = Reading::Failed("Prometheus does not answer".to_owned());
    let decision = world.run("cluster1", 2, 100).decide();
    assert_eq!(decision.wanted, None);
    let active = condition(&decision, ConditionKind::ScalingActive);
    assert_eq!(
        (active.status, active.reason),
        (false, "FailedGetResourceMetric")
    );
    assert!(
        active.message.contains("Prometheus does not answer"),
        "{active:?}"
    );
}

#[test]
fn a_location_that_does_not_answer_keeps_its_number_while_its_replicas_stay() {
    let world = World::new(&[("cluster1", 4), ("cluster2", 2)]);
    let mut world = world.run("cluster1", 4, 10).run("cluster2", 2, 100);
    let unknown = ("cluster1".to_owned(), "no answer since 08:00".to_owned());
    world.snapshot.unknown.extend([unknown]);
    let decision = world.clone().decide_at_once();
    assert_eq!(desired(&decision), [("cluster1", 4), ("cluster2", 4)]);
    assert!(
        matches!(&decision.locations[0].verdict, Verdict::Kept(why) if why.contains("08:00")),
        "{decision:?}"
    );

    // Once they run elsewhere, their load is known.
    let decision = world.placed("cluster1", 0).run("cluster2", 4, 100).decide();
    assert_eq!(desired(&decision), [("cluster1", 8), ("cluster2", 4)]);
}

#[test]
fn a_missing_metric_allows_more_and_not_fewer() {
    let unread = external(
        Target::Value(1000),
        Reading::Failed("no such series".to_owned()),
    );
    let world = World::new(&[("cluster1", 4)]).and_metric(unread);
    let busy = world.clone().run("cluster1", 4, 100).decide_at_once();
    assert_eq!(desired(&busy), [("cluster1", 8)]);
    let idle = world.run("cluster1", 4, 10).decide_at_once();
    assert_eq!(idle.wanted, None);
    assert_eq!(
        state(&idle, ConditionKind::ScalingActive),
        (false, "FailedGetExternalMetric")
    );
}

#[test]
fn the_highest_proposal_wins() {
    let queue = external(
        Target::AverageValue(1000),
        by_cluster(&[("cluster1", 7000)]),
    );
    let decision = World::new(&[("cluster1", 4)])
        .and_metric(queue)
        .run("cluster1", 4, 60)
        .decide();
    assert_eq!(desired(&decision), [("cluster1", 7)]);
    assert_eq!(decision.reason.as_deref(), Some("queue above target"));
}

#[test]
fn a_value_a_cluster_scales_that_cluster() {
    let values = by_cluster(&[("cluster1", 9000), ("cluster2", 2000)]);
    let world = World::new(&[("cluster1", 2), ("cluster2", 2), ("cluster3", 2)]);
    let decision = world
        .metric(external(Target::AverageValue(1000), values))
        .decide();
    // At most twice, or four, at once; and cluster3 has no value.
    let twice = [("cluster1", 4), ("cluster2", 2), ("cluster3", 2)];
    assert_eq!(desired(&decision), twice);
    let kept = &decision.locations[2].verdict;
    assert!(
        matches!(kept, Verdict::Kept(why) if why.contains("cluster3")),
        "{kept:?}"
    );
}

#[test]
fn one_value_for_all_clusters_is_not_counted_once_a_cluster() {
    let queue = external(Target::AverageValue(1000), Reading::Total(10_000));
    let world = World::new(&[("cluster1", 4), ("cluster2", 2), ("cluster3", 2)]).metric(queue);
    let world = world
        .run("cluster1", 4, 0)
        .run("cluster2", 2, 0)
        .run("cluster3", 2, 0);
    let decision = world.decide();
    assert_eq!(decision.desired, 10);
    assert_eq!(
        desired(&decision),
        [("cluster1", 5), ("cluster2", 3), ("cluster3", 2)]
    );
}

#[test]
fn a_location_that_went_to_zero_gets_its_part_again() {
    let world = World::new(&[("cluster1", 3), ("cluster2", 0)])
        .bounds(0, 20)
        .floor(0);
    let world = world.run("cluster1", 3, 0);
    let queue = external(Target::AverageValue(1000), Reading::Total(8000));
    let decision = world.metric(queue).decide();
    assert_eq!(desired(&decision), [("cluster1", 6), ("cluster2", 2)]);
}

#[test]
fn it_goes_to_zero_and_back_where_that_is_allowed() {
    let queue = |value| {
        external(
            Target::AverageValue(1000),
            by_cluster(&[("cluster1", value)]),
        )
    };
    let world = World::new(&[("cluster1", 2)]).bounds(0, 10).floor(0);
    let mut world = world.metric(queue(0)).run("cluster1", 2, 0);
    world.snapshot.defaults.downscale_stabilization = SignedDuration::ZERO;
    world.step();
    world.wait(SignedDuration::from_secs(1));
    assert_eq!(desired(&world.step()), [("cluster1", 0)]);
    world.snapshot.pods.clear();
    world.wait(SignedDuration::from_secs(1));
    assert_eq!(world.step().wanted, None);
    let mut world = world.metric(queue(3000));
    world.wait(SignedDuration::from_secs(1));
    assert_eq!(desired(&world.step()), [("cluster1", 3)]);
}

#[test]
fn a_deployment_at_zero_is_left_alone_where_zero_is_not_allowed() {
    let decision = World::new(&[("cluster1", 0), ("cluster2", 0)]).decide();
    assert_eq!(decision.wanted, None);
    assert_eq!(
        state(&decision, ConditionKind::ScalingActive),
        (false, "ScalingDisabled")
    );
}

#[test]
fn a_scale_down_waits_for_the_window_also_in_a_new_process() {
    let mut world = World::new(&[("cluster1", 4)]).run("cluster1", 4, 10);
    let decision = world.step();
    assert_eq!(decision.wanted, None);
    assert_eq!(
        state(&decision, ConditionKind::AbleToScale),
        (true, "ScaleDownStabilized")
    );
    world.wait(SignedDuration::from_secs(299));
    assert_eq!(world.step().wanted, None);
    world.wait(SignedDuration::from_secs(2));
    assert_eq!(desired(&world.step()), [("cluster1", 1)]);
}

#[test]
fn a_clock_that_jumps_back_does_not_hold_a_scale_down_for_longer_than_the_window() {
    let mut world = World::new(&[("cluster1", 4)]).run("cluster1", 4, 10);
    world.step();
    world.wait(SignedDuration::from_hours(-1));
    assert_eq!(world.step().wanted, None);
    world.wait(SignedDuration::from_secs(301));
    assert_eq!(desired(&world.step()), [("cluster1", 1)]);
}

#[test]
fn the_record_of_a_location_that_is_gone_goes_with_it() {
    let mut world = World::new(&[("cluster1", 2), ("cluster2", 2)]).run("cluster1", 2, 50);
    world.step();
    world.snapshot.layout.wanted.remove("cluster2");
    world.step();
    let mut alone = World::new(&[("cluster1", 2)]).run("cluster1", 2, 50);
    alone.step();
    alone.step();
    assert_eq!(world.history, alone.history);
}

#[test]
fn every_location_is_written_with_a_change() {
    let world = World::new(&[("cluster1", 1), ("cluster2", 1)]);
    let decision = world
        .run("cluster1", 1, 200)
        .run("cluster2", 1, 50)
        .decide();
    let Some(Wanted::PerCluster(wanted)) = &decision.wanted else {
        panic!("{decision:?}");
    };
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(name, one)| (name.as_str(), *one))
        .collect();
    assert_eq!(wanted, [("cluster1", 4), ("cluster2", 1)]);
}
