//! A member whose object is deleted is drained before it is forgotten.

use federation::members::Change;
use serde_json::json;

use super::super::fixture::{World, deployment};
use super::*;

fn shares(world: &World, name: &str) -> Vec<(String, u32)> {
    let mut shares = world.shares(name);
    shares.retain(|(_, replicas)| *replicas > 0);
    shares
}

fn share(cluster: &str, replicas: u32) -> (String, u32) {
    (cluster.to_owned(), replicas)
}

#[test]
fn what_runs_there_moves_away_before_the_member_is_forgotten() {
    let mut world = World::of(&[("a", 4), ("b", 4)]);
    world.apply(&deployment("web", 3));
    world.place("web");
    world.arrive("a", "web");
    assert_eq!(shares(&world, "web"), [share("a", 3)]);
    world.take();
    world.leave("a");
    assert!(world.reconciled().contains("web"));
    world.place("web");
    assert_eq!(
        shares(&world, "web"),
        [share("a", 3), share("b", 3)],
        "the old ones stay until the new ones are available"
    );
    assert_eq!(world.departure("a"), None);
    world.arrive("b", "web");
    world.place("web");
    assert_eq!(shares(&world, "web"), [share("b", 3)]);
    assert_eq!(world.departure("a"), None, "it holds its Deployment still");
    world.arrive("a", "web");
    world.place("web");
    assert_eq!(world.departure("a"), Some(Departure::Drained));
}

#[test]
fn where_there_is_no_other_room_it_is_not_forgotten_whatever_the_time() {
    let mut world = World::of(&[("a", 4)]);
    world.apply(&deployment("web", 3));
    world.place("web");
    world.arrive("a", "web");
    world.leave("a");
    world.place("web");
    assert_eq!(shares(&world, "web"), [share("a", 3)]);
    world.pass(100_000);
    assert_eq!(world.departure("a"), None);
}

#[test]
fn a_location_that_was_named_leaves_no_empty_deployment_there() {
    let mut world = World::of(&[("a", 4), ("b", 4)]);
    let mut web = deployment("web", 2);
    web["spec"]["clusters"] = json!(["a"]);
    web["spec"]["numberOfLocations"] = json!(null);
    world.apply(&web);
    world.place("web");
    world.arrive("a", "web");
    world.leave("a");
    world.place("web");
    world.arrive("b", "web");
    world.place("web");
    assert_eq!(world.deliveries("a"), [Some(2), Some(2), None]);
    world.arrive("a", "web");
    world.place("web");
    assert_eq!(world.departure("a"), Some(Departure::Drained));
}

#[test]
fn one_that_does_not_answer_is_forgotten_after_the_grace_period() {
    let mut world = World::of(&[("a", 4), ("b", 4)]);
    world.apply(&deployment("web", 3));
    world.place("web");
    world.arrive("a", "web");
    world.change("a", Change::Unreachable("refused".to_owned()));
    world.leave("a");
    world.place("web");
    world.arrive("b", "web");
    world.place("web");
    assert_eq!(shares(&world, "web"), [share("a", 3), share("b", 3)]);
    world.pass(299);
    assert_eq!(world.departure("a"), None);
    world.pass(1);
    assert_eq!(world.departure("a"), Some(Departure::Unreachable));
    world.remove_member("a");
    world.place("web");
    assert_eq!(shares(&world, "web"), [share("b", 3)]);
}

#[test]
fn one_that_was_never_served_and_one_that_is_not_ours_wait_for_nothing() {
    let mut world = World::of(&[("a", 4)]);
    world.member("b", "a");
    world.record("b");
    world.leave("b");
    assert_eq!(world.departure("b"), Some(Departure::Drained));
    assert_eq!(world.departure("a"), None, "it is not deleted");
}
