//! Replicas where requests arrive.

use multi_cluster_hpa::decision::Verdict;

use crate::world::{World, desired};

fn world() -> World {
    let world = World::new(&[("cluster1", 5), ("cluster2", 5)]);
    world.run("cluster1", 5, 100).run("cluster2", 5, 50)
}

#[test]
fn the_number_follows_the_load_and_its_place_the_requests() {
    let traffic = [("cluster1", 40.0), ("cluster2", 60.0), ("cluster9", 1e9)];
    let decision = world().traffic(&traffic).decide();
    assert_eq!(decision.desired, 15);
    assert_eq!(desired(&decision), [("cluster1", 6), ("cluster2", 9)]);
}

#[test]
fn a_cluster_without_requests_keeps_its_minimum() {
    let traffic = [("cluster1", 0.0), ("cluster2", 70.0)];
    let decision = world().traffic(&traffic).floor(2).decide();
    assert_eq!(desired(&decision), [("cluster1", 2), ("cluster2", 13)]);
}

#[test]
fn where_nobody_knows_it_stays_divided_as_it_is_and_says_so() {
    for traffic in [&[][..], &[("cluster1", f64::NAN), ("cluster2", 0.0)]] {
        let decision = world().traffic(traffic).decide();
        assert_eq!(desired(&decision), [("cluster1", 8), ("cluster2", 7)]);
        let kept = &decision.locations[0].verdict;
        assert!(
            matches!(kept, Verdict::Kept(why) if why.contains("requests")),
            "{kept:?}"
        );
    }
}

#[test]
fn one_replica_more_or_less_is_no_reason_to_move() {
    let world = World::new(&[("cluster1", 5), ("cluster2", 5)]);
    let world = world.run("cluster1", 5, 50).run("cluster2", 5, 50);
    let decision = world
        .clone()
        .traffic(&[("cluster1", 6.0), ("cluster2", 4.0)])
        .decide();
    assert_eq!(decision.wanted, None);
    let decision = world
        .traffic(&[("cluster1", 7.0), ("cluster2", 3.0)])
        .decide();
    assert_eq!(desired(&decision), [("cluster1", 7), ("cluster2", 3)]);
}

#[test]
fn a_cluster_whose_requests_are_not_known_keeps_its_number() {
    let decision = world().traffic(&[("cluster2", 70.0)]).decide();
    assert_eq!(desired(&decision), [("cluster1", 5), ("cluster2", 10)]);
    let kept = &decision.locations[0].verdict;
    assert!(
        matches!(kept, Verdict::Kept(why) if why.contains("requests arrive here")),
        "{kept:?}"
    );
    // So does one that does not answer, whatever a Prometheus remembers of it.
    let world = world().traffic(&[("cluster1", 10.0), ("cluster2", 90.0)]);
    let world = world.unknown("cluster1");
    let decision = world.decide();
    assert_eq!(desired(&decision), [("cluster1", 5), ("cluster2", 5)]);
}

#[test]
fn pods_that_are_remembered_of_a_lost_cluster_keep_nothing() {
    let world = world().placed("cluster1", 0).placed("cluster2", 10);
    let world = world.unknown("cluster1");
    let decision = world.traffic(&[("cluster2", 100.0)]).decide();
    // Five pods at half of their core are on target, and all their requests come there.
    assert_eq!(desired(&decision), [("cluster1", 1), ("cluster2", 9)]);
    assert_eq!(decision.locations[0].pods, 0);
}

#[test]
fn where_too_little_is_left_by_those_that_keep_theirs_all_follow() {
    let decision = world()
        .traffic(&[("cluster2", 70.0)])
        .bounds(1, 10)
        .floor(6);
    let decision = decision.decide();
    assert_eq!(desired(&decision), [("cluster1", 5), ("cluster2", 5)]);
    let decision = world().traffic(&[("cluster2", 70.0)]).bounds(1, 8).decide();
    assert_eq!(desired(&decision), [("cluster1", 5), ("cluster2", 3)]);
}

#[test]
fn a_location_without_pods_gets_one_to_see_requests_by() {
    let world = World::new(&[("cluster1", 0), ("cluster2", 10)]);
    let world = world.run("cluster2", 10, 50).floor(0);
    let decision = world.traffic(&[("cluster2", 70.0)]).decide();
    assert_eq!(desired(&decision), [("cluster1", 1), ("cluster2", 9)]);
}
