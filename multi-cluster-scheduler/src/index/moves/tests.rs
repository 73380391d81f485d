//! Moves: step by step, undone, refused, and those that the scheduler makes by itself.

use federation::api::MovePhase;
use serde_json::{Value, json};

use super::super::fixture::{World, deployment, owner};

fn from_a_to_b(replicas: u32) -> Value {
    json!({
        "workload": { "name": "web" }, "from": "a", "to": "b", "replicas": replicas,
        "progressDeadlineSeconds": 60,
    })
}

fn shares(all: &[(&str, u32)]) -> Vec<(String, u32)> {
    let shares = all.iter();
    shares
        .map(|(cluster, replicas)| ((*cluster).to_owned(), *replicas))
        .collect()
}

/// Three replicas run on a, and b has room.
fn running() -> World {
    let mut world = World::of(&[("a", 8), ("b", 4)]);
    world.apply(&deployment("web", 3));
    assert_eq!(world.place("web"), shares(&[("a", 3)]));
    world.arrive("a", "web");
    world.take();
    world
}

fn phase(world: &mut World, name: &str) -> (MovePhase, String) {
    let phases = world.phases();
    let found = phases.into_iter().find(|(one, ..)| one == name);
    found.map(|(_, phase, reason)| (phase, reason)).unwrap()
}

#[test]
fn old_replicas_leave_when_the_new_ones_are_available() {
    let mut world = running();
    world.ask("m", &from_a_to_b(2));
    assert!(world.reconciled().contains("web"));
    world.decide("web");
    world.tick();
    assert_eq!(phase(&mut world, "m").0, MovePhase::Reserved);
    assert!(world.deliveries("b").is_empty(), "it is not on record yet");
    world.write("web");
    world.deliver("web");
    assert_eq!(world.shares("web"), shares(&[("a", 3), ("b", 2)]));
    world.tick();
    assert_eq!(phase(&mut world, "m").0, MovePhase::Starting);
    world.arrive("b", "web");
    world.tick();
    assert_eq!(phase(&mut world, "m").0, MovePhase::Ready);
    assert_eq!(world.place("web"), shares(&[("a", 1), ("b", 2)]));
    world.tick();
    assert_eq!(phase(&mut world, "m").0, MovePhase::Draining);
    world.arrive("a", "web");
    world.tick();
    world.take();
    let ended = (MovePhase::Succeeded, "Moved".to_owned());
    assert_eq!(phase(&mut world, "m"), ended);
    assert!(world.reconciled().contains("web"), "its record goes");
    world.place("web");
    let decision = &world.tracked("web").assignment().decision;
    assert_eq!(decision.moving, None);
    world.pass(3600);
    world.tick();
    assert_eq!(phase(&mut world, "m"), ended);
    assert_eq!(
        world.place("web"),
        shares(&[("a", 1), ("b", 2)]),
        "it lasts"
    );
}

#[test]
fn without_a_number_all_moves_and_the_new_cluster_is_the_location() {
    let mut world = running();
    let all = json!({ "workload": { "name": "web" }, "from": "a", "to": "b" });
    world.ask("m", &all);
    world.place("web");
    world.arrive("b", "web");
    assert_eq!(world.place("web"), shares(&[("a", 0), ("b", 3)]));
    world.arrive("a", "web");
    world.tick();
    assert_eq!(phase(&mut world, "m").0, MovePhase::Succeeded);
    assert_eq!(world.place("web"), shares(&[("b", 3)]));
    assert!(world.tracked("web").share("b").unwrap().location);
}

#[test]
fn a_move_that_takes_too_long_is_undone() {
    let mut world = running();
    world.ask("m", &from_a_to_b(2));
    world.place("web");
    world.tick();
    world.pass(59);
    world.tick();
    assert_eq!(phase(&mut world, "m").0, MovePhase::Starting);
    // The Deployment is there, and none of its pods.
    world.told("b").holds.insert(owner("web"), 0);
    world.take();
    world.pass(1);
    world.tick();
    assert!(world.reconciled().contains("web"));
    assert_eq!(world.place("web")[0], ("a".to_owned(), 3));
    world.arrive("b", "web");
    world.tick();
    let ended = (MovePhase::RolledBack, "DeadlineExceeded".to_owned());
    assert_eq!(phase(&mut world, "m"), ended);
    assert_eq!(world.place("web"), shares(&[("a", 3)]));
    assert_eq!(world.deliveries("b"), [Some(2), None]);
}

#[test]
fn a_move_that_is_deleted_before_it_is_ready_is_undone() {
    let mut world = running();
    world.ask("m", &from_a_to_b(2));
    world.place("web");
    world.told("b").holds.insert(owner("web"), 0);
    world.take();
    world.delete_move("m");
    assert!(world.reconciled().contains("web"));
    assert_eq!(world.place("web")[0], ("a".to_owned(), 3));
    world.arrive("b", "web");
    world.tick();
    assert_eq!(world.place("web"), shares(&[("a", 3)]));
    assert_eq!(world.tracked("web").assignment().decision.moving, None);
}

#[test]
fn one_that_is_deleted_when_it_is_ready_ends_as_it_would() {
    let mut world = running();
    world.ask("m", &from_a_to_b(2));
    world.place("web");
    world.arrive("b", "web");
    world.delete_move("m");
    assert_eq!(world.place("web"), shares(&[("a", 1), ("b", 2)]));
    world.arrive("a", "web");
    world.take();
    world.tick();
    assert!(world.reconciled().contains("web"));
    world.place("web");
    assert_eq!(world.tracked("web").assignment().decision.moving, None);
    assert_eq!(world.shares("web"), shares(&[("a", 1), ("b", 2)]));
}

#[test]
fn a_decision_that_was_not_recorded_leaves_the_move_pending() {
    let mut world = running();
    let before = deployment("web", 3);
    world.ask("m", &from_a_to_b(2));
    world.decide("web");
    world.tick();
    // The hub has refused the record as stale: another writer's is the true one.
    let mut after = before.clone();
    let status = serde_json::to_value(world.tracked("web").reported()).unwrap();
    after["metadata"]["resourceVersion"] = json!("12");
    after["status"] = status;
    world.refresh(&after);
    world.tick();
    assert!(world.reconciled().contains("web"));
    assert_eq!(world.place("web"), shares(&[("a", 3), ("b", 2)]));
    world.tick();
    assert_eq!(phase(&mut world, "m").0, MovePhase::Starting);
}

#[test]
fn what_cannot_be_moved_is_refused_with_the_reason() {
    let with = |field: &str, value: Value| {
        let mut spec = from_a_to_b(2);
        spec[field] = value;
        spec
    };
    for (spec, reason) in [
        (from_a_to_b(4), "MoreThanThere"),
        (with("to", json!("nowhere")), "NotEligible"),
        (with("from", json!("c")), "MoreThanThere"),
        (
            json!({ "workload": { "name": "web" }, "from": "b", "to": "a" }),
            "NothingThere",
        ),
    ] {
        let mut world = running();
        world.ask("m", &spec);
        world.place("web");
        let refused = (MovePhase::Refused, reason.to_owned());
        assert_eq!(phase(&mut world, "m"), refused, "{spec}");
        assert_eq!(world.shares("web"), shares(&[("a", 3)]));
    }
    let mut world = running();
    world.apply(&deployment("other", 3));
    world.place("other");
    world.ask("first", &from_a_to_b(1));
    world.place("web");
    world.ask("second", &from_a_to_b(1));
    world.tick();
    let refused = (MovePhase::Refused, "MoveUnderWay".to_owned());
    assert_eq!(phase(&mut world, "second"), refused);
}

#[test]
fn a_move_of_what_is_not_there_waits_a_little() {
    let mut world = running();
    let unknown = json!({ "workload": { "name": "nobody" }, "from": "a", "to": "b" });
    world.ask("m", &unknown);
    assert_eq!(phase(&mut world, "m").0, MovePhase::Pending);
    world.pass(10);
    world.tick();
    let refused = (MovePhase::Refused, "NotFound".to_owned());
    assert_eq!(phase(&mut world, "m"), refused);
}

#[test]
fn a_move_is_over_when_clusters_are_chosen_again() {
    let mut world = running();
    world.ask("m", &from_a_to_b(2));
    world.place("web");
    world.tick();
    phase(&mut world, "m");
    let mut changed = deployment("web", 3);
    changed["metadata"]["generation"] = json!(2);
    changed["metadata"]["resourceVersion"] = json!("20");
    changed["status"] = serde_json::to_value(world.tracked("web").reported()).unwrap();
    changed["spec"]["locations"] = json!("a");
    world.apply(&changed);
    world.place("web");
    world.tick();
    let ended = (MovePhase::RolledBack, "Superseded".to_owned());
    assert_eq!(phase(&mut world, "m"), ended);
}

#[test]
fn an_ended_move_is_deleted_after_its_time() {
    let mut world = running();
    let mut spec = from_a_to_b(9);
    spec["ttlSecondsAfterFinished"] = json!(30);
    world.ask("m", &spec);
    world.place("web");
    assert_eq!(phase(&mut world, "m").0, MovePhase::Refused);
    world.pass(29);
    world.tick();
    assert_eq!(world.phases().len(), 1);
    world.pass(1);
    world.tick();
    assert!(world.phases().is_empty());
}

/// One replica runs on a, its location, and two on b; a has room now.
fn displaced() -> World {
    let mut world = World::of(&[("a", 1), ("b", 8)]);
    let mut web = deployment("web", 3);
    web["spec"]["locations"] = json!("a");
    world.apply(&web);
    assert_eq!(world.place("web"), shares(&[("a", 1), ("b", 2)]));
    world.arrive("a", "web");
    world.arrive("b", "web");
    world.pass(1);
    world.node("a", "second", 4);
    world.tick();
    world
}

#[test]
fn displaced_replicas_return_after_room_for_long_enough() {
    let mut world = displaced();
    assert_eq!(
        world.place("web"),
        shares(&[("a", 1), ("b", 2)]),
        "not by the way"
    );
    world.pass(29);
    world.tick();
    assert!(world.phases().is_empty());
    world.pass(1);
    world.tick();
    let moves = world.phases();
    assert_eq!(moves.len(), 1);
    assert_eq!(moves[0].0, "web-home-1");
    assert_eq!(
        world.place("web"),
        shares(&[("a", 3), ("b", 2)]),
        "they stay until their replacements are available"
    );
    world.arrive("a", "web");
    assert_eq!(world.place("web"), shares(&[("a", 3), ("b", 0)]));
    world.arrive("b", "web");
    world.tick();
    assert_eq!(phase(&mut world, "web-home-1").0, MovePhase::Succeeded);
    world.pass(600);
    world.tick();
    assert!(
        world.phases().is_empty(),
        "it has been seen for long enough"
    );
}

#[test]
fn what_somebody_moved_returns_when_their_move_is_deleted() {
    let mut world = World::of(&[("a", 8), ("b", 8)]);
    let mut web = deployment("web", 3);
    web["spec"]["locations"] = json!("a");
    world.apply(&web);
    world.place("web");
    world.arrive("a", "web");
    world.ask("m", &from_a_to_b(2));
    world.place("web");
    world.arrive("b", "web");
    world.place("web");
    world.arrive("a", "web");
    world.tick();
    assert_eq!(phase(&mut world, "m").0, MovePhase::Succeeded);
    world.place("web");
    for _ in 0..3 {
        world.pass(60);
        world.tick();
        assert_eq!(world.phases().len(), 1, "nothing returns");
    }
    world.delete_move("m");
    world.tick();
    world.pass(30);
    world.tick();
    let moves = world.phases();
    assert!(moves[0].0.starts_with("web-home-"), "{moves:?}");
}

#[test]
fn a_return_that_failed_is_not_tried_again_at_once() {
    let mut world = displaced();
    world.pass(30);
    world.tick();
    world.carry_out_hub_tasks();
    world.place("web");
    world.tick();
    world.pass(600);
    world.tick();
    world.place("web");
    // What was handed to a in the meantime never became available.
    world.told("a").holds.insert(owner("web"), 1);
    world.tick();
    let moves = world.phases();
    assert_eq!(moves[0].1, MovePhase::RolledBack, "{moves:?}");
    world.place("web");
    world.pass(60);
    world.tick();
    assert_eq!(world.phases().len(), 1);
}
