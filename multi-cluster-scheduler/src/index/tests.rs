//! Races and faults, without a server.

use federation::api::{DeletedObject, MemberClusterStatus};
use federation::members::{Change, Ending, Failure, FailureKind};
use placement::{ClusterName, Health};
use serde_json::json;

use super::fixture::{World, deployment, key, owner};
use super::{Effect, Event, Identity, Measure};
use crate::dependencies::Fetched;

fn identity(world: &World, name: &str) -> Identity {
    let name = ClusterName::from(name);
    world.index.members().get(&name).unwrap().identity().clone()
}

fn health(world: &World, name: &str) -> Health {
    let name = ClusterName::from(name);
    world.index.snapshot().cluster(&name).unwrap().health
}

// Identity.

#[test]
fn nothing_counts_of_a_cluster_before_its_claim_is_on_record() {
    let mut world = World::new();
    world.member("a", "uid-a");
    world.list_members();
    world.node("a", "node", 4);
    assert!(world.told("a").admitted.is_none());
    world.apply(&deployment("web", 1));
    assert!(world.place("web").is_empty(), "its room does not count");
    world.open("a", 4);
    assert_eq!(world.told("a").admitted.as_deref(), Some("uid-a"));
    assert_eq!(world.place("web"), [("a".to_owned(), 1)]);
}

#[test]
fn of_two_names_of_a_cluster_one_serves_and_the_other_takes_over_when_it_goes() {
    let mut world = World::of(&[("a", 4)]);
    world.member("b", "a");
    assert_eq!(
        identity(&world, "b"),
        Identity::Duplicate(ClusterName::from("a"))
    );
    world.record("b");
    assert!(world.told("b").admitted.is_none());
    world.remove_member("a");
    assert_eq!(identity(&world, "b"), Identity::Unique);
    world.record("b");
    assert_eq!(world.told("b").admitted.as_deref(), Some("a"));
}

#[test]
fn names_are_not_judged_before_all_of_them_are_known() {
    let mut world = World::new();
    world.member("b", "uid");
    world.record("b");
    assert_eq!(
        identity(&world, "b"),
        Identity::Unknown,
        "the record of a is not known"
    );
    world.member("a", "uid");
    world.list_members();
    assert_eq!(identity(&world, "a"), Identity::Unique);
    assert_eq!(
        identity(&world, "b"),
        Identity::Duplicate(ClusterName::from("a"))
    );
}

#[test]
fn another_cluster_under_a_name_is_announced_and_served_and_nothing_is_deleted_there() {
    let mut world = World::of(&[("a", 4)]);
    world.apply(&deployment("web", 2));
    world.place("web");
    world.arrive("a", "web");
    let mut gone = deployment("old", 1);
    world.apply(&gone);
    world.place("old");
    gone["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    world.apply(&gone);
    world.silence("a");
    world.leave_over("old", &["a"]);
    world.delete(&gone);
    world.take();
    world.connect("a");
    world.change("a", Change::Identified("other".to_owned()));
    world.change("a", Change::Reachable(None));
    let warned = |effect: &Effect| {
        matches!(
            effect,
            Effect::Warn {
                reason: "ClusterReplaced",
                ..
            }
        )
    };
    assert!(world.take().iter().any(warned));
    world.open("a", 4);
    assert_eq!(world.told("a").admitted.as_deref(), Some("other"));
    assert_eq!(
        world.deliveries("a"),
        [],
        "the leftover is of the cluster before"
    );
    assert_eq!(world.place("web"), [("a".to_owned(), 2)]);
    assert_eq!(world.deliveries("a"), [Some(2)]);
}

// Room.

#[test]
fn two_objects_are_not_given_the_same_room() {
    let mut world = World::of(&[("a", 4)]);
    world.apply(&deployment("web", 3));
    world.apply(&deployment("api", 3));
    assert_eq!(world.place("web"), [("a".to_owned(), 3)]);
    assert_eq!(world.place("api"), [("a".to_owned(), 1)]);
    assert_eq!(world.tracked("api").assignment().unplaced, 2);
    assert_eq!(world.index.waiting(), 1);
}

#[test]
fn what_is_on_record_at_the_start_holds_its_room_before_the_first_decision() {
    let mut world = World::of(&[("a", 4)]);
    let mut web = deployment("web", 3);
    // Its pods are gone with a node, and come back.
    web["status"] = json!({
        "decision": { "sequence": 1, "key": "k" },
        "placements": [{ "cluster": "a", "replicas": 3, "location": true }],
    });
    world.apply(&deployment("api", 3));
    world.apply(&web);
    world.on(Event::Settled);
    assert_eq!(world.place("api"), [("a".to_owned(), 1)]);
    assert_eq!(world.place("web"), [("a".to_owned(), 3)]);
}

#[test]
fn room_that_is_held_for_pods_that_never_come_lapses_and_is_given_to_who_waits() {
    let mut world = World::of(&[("a", 4)]);
    world.apply(&deployment("web", 4));
    world.place("web");
    world.apply(&deployment("api", 2));
    world.place("api");
    world.on(Event::Tick);
    world.take();
    world.pass(59);
    world.on(Event::Tick);
    assert!(!world.reconciled().contains("api"));
    world.pass(1);
    world.on(Event::Tick);
    assert!(world.reconciled().contains("api"));
}

#[test]
fn what_waits_is_retried_when_a_node_joins() {
    let mut world = World::of(&[("a", 1)]);
    world.apply(&deployment("web", 3));
    world.place("web");
    assert_eq!(world.tracked("web").assignment().unplaced, 2);
    world.take();
    world.pass(1);
    world.node("a", "second", 4);
    assert!(world.reconciled().contains("web"));
    assert_eq!(world.place("web"), [("a".to_owned(), 3)]);
    assert_eq!(world.index.waiting(), 0);
}

#[test]
fn a_heartbeat_and_a_node_that_is_too_small_retry_nothing() {
    let mut world = World::of(&[("a", 1)]);
    let mut web = deployment("web", 3);
    let container = "/spec/template/spec/containers/0/resources/requests/cpu";
    *web.pointer_mut(container).unwrap() = json!("2");
    world.apply(&web);
    assert!(world.place("web").is_empty());
    world.pass(1);
    world.on(Event::RoomChanged);
    world.take();
    world.pass(1);
    world.node("a", "node", 1);
    assert!(world.reconciled().is_empty(), "it is as it was");
    world.pass(1);
    world.node("a", "second", 1);
    assert!(world.reconciled().is_empty(), "it holds none of them");
    world.pass(1);
    world.node("a", "second", 2);
    assert!(world.reconciled().contains("web"));
}

#[test]
fn a_deleted_object_gives_its_room_to_who_waits() {
    let mut world = World::of(&[("a", 4)]);
    let web = deployment("web", 4);
    world.apply(&web);
    world.place("web");
    world.apply(&deployment("api", 1));
    world.place("api");
    world.take();
    world.delete(&web);
    assert!(world.reconciled().contains("api"));
    assert_eq!(world.place("api"), [("a".to_owned(), 1)]);
}

#[test]
fn what_a_member_cannot_schedule_is_placed_elsewhere() {
    let mut world = World::of(&[("a", 8), ("b", 8)]);
    world.apply(&deployment("web", 4));
    assert_eq!(world.place("web"), [("a".to_owned(), 4)]);
    world.arrive("a", "web");
    world.told("a").stuck.insert(owner("web"), 3);
    world.take();
    world.on(Event::Tick);
    assert!(world.reconciled().contains("web"));
    let shares = world.place("web");
    assert!(shares.contains(&("b".to_owned(), 3)), "{shares:?}");
}

#[test]
fn round_robin_goes_on_by_namespace() {
    let mut world = World::of(&[("a", 8), ("b", 8)]);
    let mut first = deployment("first", 1);
    first["spec"]["placementPolicy"] = json!("round_robin");
    let mut second = deployment("second", 1);
    second["spec"]["placementPolicy"] = json!("round_robin");
    second["metadata"]["namespace"] = json!("default");
    // Somebody else's namespace claims a far position.
    let mut other = deployment("other", 1);
    other["metadata"]["namespace"] = json!("tenant");
    other["status"] = json!({ "decision": { "sequence": 5, "key": "k", "cursor": 77 } });
    world.apply(&other);
    world.apply(&first);
    world.apply(&second);
    assert_eq!(world.place("first"), [("a".to_owned(), 1)]);
    assert_eq!(world.place("second"), [("b".to_owned(), 1)]);
}

// Silence.

#[test]
fn a_member_that_answers_and_forbids_its_watches_evacuates_nothing() {
    let mut world = World::of(&[("a", 8), ("b", 8)]);
    world.apply(&deployment("web", 2));
    world.place("web");
    world.change("a", Change::Refused("pods is forbidden".to_owned()));
    world.pass(600);
    world.on(Event::Tick);
    assert_eq!(health(&world, "a"), Health::Unreachable);
    assert_eq!(world.place("web"), [("a".to_owned(), 2)]);
}

#[test]
fn a_member_is_failed_over_after_the_toleration_and_its_share_stays_on_record() {
    let mut world = World::of(&[("a", 8), ("b", 8), ("c", 8)]);
    world.apply(&deployment("web", 2));
    world.place("web");
    world.arrive("a", "web");
    world.change("a", Change::Unreachable("timeout".to_owned()));
    world.pass(59);
    world.on(Event::Tick);
    assert_eq!(health(&world, "a"), Health::Unreachable);
    world.take();
    world.pass(1);
    world.on(Event::Tick);
    assert_eq!(health(&world, "a"), Health::Lost);
    assert!(world.reconciled().contains("web"));
    let shares = world.place("web");
    assert_eq!(shares, [("a".to_owned(), 2), ("b".to_owned(), 2)]);
    assert_eq!(world.deliveries("b"), [Some(2)]);
    // It is back: what it holds goes once the replacements are available.
    world.change("a", Change::Reachable(None));
    assert_eq!(world.place("web"), shares);
    world.arrive("b", "web");
    assert_eq!(world.place("web")[0], ("a".to_owned(), 0));
    assert_eq!(world.deliveries("a").last(), Some(&None));
}

#[test]
fn nothing_is_failed_over_while_most_members_are_silent() {
    let mut world = World::of(&[("a", 8), ("b", 8), ("c", 8)]);
    world.change("a", Change::Unreachable("timeout".to_owned()));
    world.change("b", Change::Unreachable("timeout".to_owned()));
    world.pass(600);
    world.take();
    world.on(Event::Tick);
    assert_eq!(health(&world, "a"), Health::Unreachable);
    let suspended = Effect::Measure(Measure::FailedOver(0, true));
    assert!(world.take().contains(&suspended));
}

// Deliveries.

#[test]
fn a_late_result_of_the_former_spec_does_not_complete_the_new_one() {
    let mut world = World::of(&[("a", 8)]);
    let mut web = deployment("web", 2);
    world.apply(&web);
    world.place("web");
    web["metadata"]["generation"] = json!(2);
    web["metadata"]["resourceVersion"] = json!("20");
    web["spec"]["template"]["spec"]["containers"][0]["image"] = json!("i:2");
    world.apply(&web);
    world.place("web");
    world.take();
    world.ended("a", "web", 1, false, Ok(()));
    let completed = |effect: &Effect| matches!(effect, Effect::Measure(Measure::EndToEnd(_)));
    assert!(!world.take().iter().any(completed));
    assert!(!world.tracked("web").is_delivered("a"));
    world.ended("a", "web", 2, false, Ok(()));
    assert!(world.take().iter().any(completed));
    assert!(world.tracked("web").is_delivered("a"));
}

#[test]
fn bundles_of_another_object_with_the_same_name_are_not_handed_over() {
    let mut world = World::of(&[("a", 8)]);
    world.apply(&deployment("web", 2));
    world.decide("web");
    world.write("web");
    // Between the record and the delivery it is deleted and created again.
    let mut again = deployment("web", 1);
    again["metadata"]["uid"] = json!("again");
    let delivery = super::Delivery {
        key: key("web"),
        uid: "web".to_owned(),
        bundles: [(ClusterName::from("a"), Err("is of the former".to_owned()))].into(),
    };
    world.apply(&again);
    world.on(Event::Deliver(Box::new(delivery)));
    assert_eq!(world.deliveries("a"), []);
    assert_eq!(world.tracked("web").invalid(), None);
}

#[test]
fn a_member_that_lost_its_share_gets_an_empty_bundle_also_if_its_delivery_failed() {
    let mut world = World::of(&[("a", 8), ("b", 8)]);
    let mut web = deployment("web", 2);
    world.apply(&web);
    world.place("web");
    let failure = Failure {
        kind: FailureKind::Unavailable,
        message: "500".to_owned(),
    };
    world.ended("a", "web", 1, false, Err(failure));
    web["metadata"]["generation"] = json!(2);
    web["metadata"]["resourceVersion"] = json!("20");
    web["spec"]["locations"] = json!("b");
    world.apply(&web);
    world.place("web");
    world.arrive("b", "web");
    world.place("web");
    assert_eq!(world.deliveries("a").last(), Some(&None));
    assert!(world.tracked("web").failures().is_empty());
}

#[test]
fn what_was_handed_over_is_handed_over_again_after_a_reconnect() {
    let mut world = World::of(&[("a", 8)]);
    world.apply(&deployment("web", 2));
    world.place("web");
    world.take();
    world.connect("a");
    world.change("a", Change::Identified("a".to_owned()));
    world.change("a", Change::Reachable(None));
    world.open("a", 8);
    assert!(world.reconciled().contains("web"));
    world.deliver("web");
    assert_eq!(world.deliveries("a"), [Some(2)]);
}

// Deletion.

#[test]
fn an_object_is_cleared_from_where_it_is_assigned_until_that_is_known_to_be_gone() {
    let mut world = World::of(&[("a", 8), ("b", 8)]);
    let mut web = deployment("web", 2);
    world.apply(&web);
    world.place("web");
    web["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    world.apply(&web);
    let workload = world.tracked("web").workload().clone();
    // Nothing of it was seen there yet: it may be on its way.
    let (remaining, effects) = world.index.clear_deleted(&workload, Ending::default());
    assert_eq!(remaining, [ClusterName::from("a")]);
    assert_eq!(effects.len(), 1);
    // A delivery that was in progress has brought it.
    world.ended("a", "web", 1, false, Ok(()));
    assert_eq!(
        world
            .index
            .clear_deleted(&workload, Ending::default())
            .0
            .len(),
        1
    );
    world.ended("a", "web", 1, true, Ok(()));
    assert!(
        world
            .index
            .clear_deleted(&workload, Ending::default())
            .0
            .is_empty()
    );
}

#[test]
fn an_object_that_went_between_its_record_and_the_finalizer_is_cleared() {
    let mut world = World::of(&[("a", 8)]);
    let mut web = deployment("web", 2);
    web["metadata"]["finalizers"] = json!([]);
    world.apply(&web);
    world.decide("web");
    world.write("web");
    world.delete(&web);
    let told = world.told("a");
    assert_eq!(told.bundles.len(), 1);
    assert!(told.bundles[0].items.is_empty() && told.bundles[0].ending.is_some());
}

#[test]
fn what_is_missing_from_a_list_without_a_deletion_on_record_stays_on_the_members() {
    let mut world = World::of(&[("a", 8)]);
    world.apply(&deployment("web", 2));
    world.place("web");
    world.arrive("a", "web");
    let before = world.deliveries("a");
    world.on(Event::WorkloadsListed(key("web").kind, [].into()));
    assert_eq!(world.deliveries("a"), before);
    assert!(world.told("a").forgotten.contains(&owner("web")));
    assert!(world.index.workloads().get(&key("web")).is_none());
    // And is nobody's when the member is listed again.
    world.change("a", Change::Synced);
    assert_eq!(world.deliveries("a"), before);
}

#[test]
fn a_leftover_is_collected_when_its_member_is_back_and_then_forgotten() {
    let mut world = World::of(&[("a", 8)]);
    let mut web = deployment("web", 2);
    world.apply(&web);
    world.place("web");
    world.arrive("a", "web");
    world.silence("a");
    world.leave_over("web", &["a"]);
    let before = world.deliveries("a").len();
    world.delete(&web);
    assert_eq!(
        world.deliveries("a").len(),
        before,
        "its last bundle is for when it is back"
    );
    world.change("a", Change::Reachable(None));
    world.change("a", Change::Synced);
    assert_eq!(world.deliveries("a").last(), Some(&None));
    assert_eq!(world.leftovers(), ["a.web"], "until it is gone there");
    world.arrive("a", "web");
    assert_eq!(world.leftovers(), [""; 0]);
    // Another object of its name has another uid.
    web["metadata"]["uid"] = json!("web-2");
    world.apply(&web);
    world.place("web");
    world.change("a", Change::Synced);
    assert_eq!(world.deliveries("a").last(), Some(&Some(2)));
}

#[test]
fn a_leftover_takes_nothing_from_an_object_that_lives() {
    let mut world = World::of(&[("a", 8)]);
    world.apply(&deployment("web", 2));
    world.place("web");
    world.arrive("a", "web");
    world.leave_over("web", &["a"]);
    world.change("a", Change::Synced);
    assert_eq!(world.deliveries("a"), [Some(2)], "forged, or restored");
}

#[test]
fn what_an_earlier_release_has_left_in_a_status_is_kept_as_objects_and_collected() {
    let mut world = World::of(&[]);
    let old = DeletedObject {
        uid: "old".to_owned(),
        kind: "MultiClusterDeployment".to_owned(),
        namespace: "default".to_owned(),
        name: "old".to_owned(),
        ..DeletedObject::default()
    };
    let status = MemberClusterStatus {
        leftovers: vec![old],
        ..MemberClusterStatus::default()
    };
    world.member_with("a", "a", Some(status));
    world.open("a", 8);
    let a = ClusterName::from("a");
    assert_eq!(world.index.unkept_leftovers(&a).len(), 1);
    assert_eq!(world.leftovers(), ["a.old"]);
    assert!(world.index.unkept_leftovers(&a).is_empty());
    assert_eq!(world.deliveries("a"), [None]);
}

#[test]
fn a_namespace_of_the_hub_that_is_gone_goes_on_every_member_also_on_those_that_are_away() {
    let mut world = World::of(&[("a", 8), ("b", 8)]);
    world.silence("b");
    world.on(Event::NamespaceDeleted("team".to_owned(), "ns".to_owned()));
    assert_eq!(world.deliveries("a"), [None]);
    assert_eq!(world.leftovers(), ["b.ns"]);
    assert_eq!(world.deliveries("b"), [None; 0]);
    world.change("b", Change::Reachable(None));
    world.change("b", Change::Synced);
    let last = world.told("b").bundles.last().cloned().unwrap();
    assert_eq!(last.owner.namespace, "team");
    assert!(last.ending.unwrap().namespace_gone);
    world.arrive("b", "ns");
    assert_eq!(world.leftovers(), [""; 0]);
}

// The record.

#[test]
fn an_assignment_of_another_writer_goes_on_from_there() {
    let mut world = World::of(&[("a", 8), ("b", 8)]);
    let mut web = deployment("web", 2);
    world.apply(&web);
    world.place("web");
    let key_of = world.tracked("web").assignment().decision.key.clone();
    web["metadata"]["resourceVersion"] = json!("20");
    web["status"] = json!({
        "decision": { "sequence": 7, "key": key_of },
        "placements": [{ "cluster": "b", "replicas": 2, "location": true }],
    });
    world.apply(&web);
    assert_eq!(world.shares("web"), [("b".to_owned(), 2)]);
    assert!(world.tracked("web").is_recorded());
    assert!(world.reconciled().contains("web"));
}

#[test]
fn a_status_that_was_wiped_is_written_again_and_decides_nothing() {
    let mut world = World::of(&[("a", 8)]);
    let mut web = deployment("web", 2);
    world.apply(&web);
    world.place("web");
    world.take();
    web["metadata"]["resourceVersion"] = json!("30");
    web["status"] = json!({});
    world.apply(&web);
    assert_eq!(world.shares("web"), [("a".to_owned(), 2)]);
    let reported = |effect: &Effect| matches!(effect, Effect::Report(..));
    assert!(world.take().iter().any(reported));
    assert!(world.tracked("web").must_rewrite(world.now));
}

#[test]
fn after_a_conflict_the_record_of_the_hub_counts_unless_it_is_older() {
    let mut world = World::of(&[("a", 8), ("b", 8)]);
    let mut web = deployment("web", 2);
    world.apply(&web);
    world.place("web");
    let sequence = world.tracked("web").assignment().decision.sequence;
    let share = json!([{ "cluster": "b", "replicas": 2, "location": true }]);
    web["status"] = json!({
        "decision": { "sequence": sequence - 1, "key": "k" }, "placements": share,
    });
    web["metadata"]["resourceVersion"] = json!("40");
    world.refresh(&web);
    assert_eq!(world.shares("web"), [("a".to_owned(), 2)]);
    web["status"]["decision"]["sequence"] = json!(sequence + 1);
    web["metadata"]["resourceVersion"] = json!("41");
    world.refresh(&web);
    assert_eq!(world.shares("web"), [("b".to_owned(), 2)]);
}

#[test]
fn of_two_status_writes_in_progress_the_newer_assignment_is_what_the_hub_has() {
    let mut world = World::of(&[("a", 8)]);
    let mut web = deployment("web", 2);
    world.apply(&web);
    world.place("web");
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let status =
        |world: &World| super::super::report::status_of(&world.index, world.tracked("web"), now);
    let report = world.tracked("web").recordable(status(&world));
    web["metadata"]["generation"] = json!(2);
    web["spec"]["replicas"] = json!(3);
    world.apply(&web);
    world.decide("web");
    let record = world.tracked("web").recordable(status(&world));
    // The answer of the older write is handled last or first: the same in the end.
    world.on(Event::StatusWritten(Box::new(report.clone()), 12));
    world.on(Event::StatusWritten(Box::new(record.clone()), 13));
    world.on(Event::StatusWritten(Box::new(report), 12));
    let next = world.tracked("web").recordable(status(&world));
    assert_eq!(next.version, "13");
    assert_eq!(next.before, record.status);
}

#[test]
fn a_rejection_is_reported_once_and_its_end_too() {
    let mut world = World::of(&[("a", 8)]);
    world.apply(&deployment("web", 2));
    let mut reports = |rejection: Option<&str>| {
        world.take();
        world.on(Event::Rejected(key("web"), rejection.map(str::to_owned)));
        world.take().len()
    };
    assert_eq!(reports(None), 0);
    assert_eq!(reports(Some("denied")), 1);
    assert_eq!(reports(Some("denied")), 0);
    assert_eq!(reports(None), 1);
}

#[test]
fn a_change_of_the_status_alone_reconciles_nothing_and_a_change_of_the_spec_resets_the_backoff() {
    let mut world = World::of(&[("a", 8)]);
    let mut web = deployment("web", 2);
    world.apply(&web);
    world.place("web");
    world.take();
    web["metadata"]["resourceVersion"] = json!("11");
    web["status"] = serde_json::to_value(world.tracked("web").reported()).unwrap();
    world.apply(&web);
    assert!(world.reconciled().is_empty());
    web["metadata"]["generation"] = json!(2);
    world.apply(&web);
    assert!(world.take().contains(&Effect::Renew(key("web"))));
}

// Dependencies.

#[test]
fn what_changed_while_it_was_fetched_is_fetched_again() {
    use federation::members::{ManagedKind, ObjectKey};
    let mut world = World::of(&[("a", 8)]);
    world.apply(&deployment("web", 1));
    let name = ObjectKey {
        kind: ManagedKind::ConfigMap,
        namespace: "default".to_owned(),
        name: "settings".to_owned(),
    };
    let names = [name.clone()].into();
    let workload = world.tracked("web").workload().clone();
    let asked = [].into();
    let changes = world.index.set_dependencies(&key("web"), &names);
    world.on(Event::DependencyChanged(name.clone()));
    assert!(world.reconciled().contains("web"));
    world
        .index
        .keep_fetched(&workload, changes, Fetched::default());
    assert!(world.tracked("web").fetched(&asked).is_none());
    let changes = world.index.set_dependencies(&key("web"), &names);
    world
        .index
        .keep_fetched(&workload, changes, Fetched::default());
    assert!(world.tracked("web").fetched(&asked).is_some());
    // Nobody names it any more.
    world.index.set_dependencies(&key("web"), &[].into());
    world.take();
    world.on(Event::DependencyChanged(name));
    assert!(world.reconciled().is_empty());
}
