//! What is said of what is decided, and what would be.

use federation::api::MemberCluster;
use federation::members::{MemberContents, uid_bits};
use kube::api::DynamicObject;
use placement::{ClusterName, Node, OwnerKey, Pod, PodKey, Profile, Resources};
use serde_json::{Value, json};

use super::{Explanation, Kind, Known, Manifest, recorded};
use crate::unplaced::digest;
use crate::validate::validate;
use crate::workload::Workload;

/// Of pods of one core each; its uid is its name.
fn deployment(name: &str, spec: &Value) -> DynamicObject {
    let mut object = json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": name, "namespace": "shop", "uid": name, "generation": 1 },
        "spec": {
            "replicas": 4, "placementPolicy": "worst_fit",
            "selector": { "matchLabels": { "app": name } },
            "template": { "spec": { "containers": [{
                "name": "c", "image": "i", "resources": { "requests": { "cpu": "1" } },
            }] } },
        },
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// The same, placed on one cluster.
fn placed(name: &str, cluster: &str, replicas: u32) -> DynamicObject {
    let mut object = deployment(name, &json!({}));
    object.data["status"] = json!({
        "observedGeneration": 1, "policy": "worst_fit", "replicas": replicas,
        "placements": [{
            "cluster": cluster, "replicas": replicas, "location": true, "ready": 1, "available": 1,
            "why": "chosen by worst_fit, rank 1",
        }],
        "decision": { "sequence": 1, "key": "k", "clusters": [
            { "cluster": cluster, "verdict": "4 replicas: chosen by worst_fit, rank 1; rank 1, room for 4" },
            { "cluster": "far", "verdict": "not chosen: it is cordoned" },
        ] },
    });
    object
}

fn member(name: &str) -> MemberCluster {
    let object = json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster", "metadata": { "name": name },
        "spec": { "access": { "context": name } }, "status": { "clusterUID": name },
    });
    serde_json::from_value(object).unwrap()
}

fn contents(name: &str, cores: i64) -> MemberContents {
    let node = Node {
        name: "node1".to_owned(),
        labels: [].into(),
        taints: Vec::new(),
        unschedulable: false,
        ready: true,
        allocatable: Resources {
            cpu_milli: cores * 1000,
            memory: 1 << 40,
            pods: 110,
            ..Resources::default()
        },
    };
    MemberContents {
        cluster_uid: name.to_owned(),
        nodes: vec![node],
        pods: Vec::new(),
    }
}

/// Two members, of four and of two cores.
fn known() -> Known {
    let mut known = Known::default();
    for (name, cores) in [("large", 4), ("small", 2)] {
        known.add_member(&member(name), Ok(contents(name, cores)));
    }
    known
}

fn manifest(name: &str, spec: &Value) -> Manifest {
    Manifest::read(Kind::Deployment, &deployment(name, spec)).unwrap()
}

fn would_be(known: &Known, manifests: &[Manifest]) -> Vec<Explanation> {
    known.would_be(manifests).unwrap()
}

fn shares(explained: &Explanation) -> Vec<(&str, u32)> {
    let shares = explained.shares.iter();
    shares
        .map(|one| (one.cluster.as_str(), one.replicas))
        .collect()
}

fn has_lines(explained: &Explanation, lines: &[&str]) {
    let text = explained.to_string();
    for line in lines {
        assert!(
            text.lines().any(|one| one == *line),
            "no {line:?} in\n{text}"
        );
    }
    assert!(
        text.is_ascii() && text.lines().all(|line| line.trim_end() == line),
        "{text}"
    );
}

#[test]
fn what_is_recorded_is_said_in_lines() {
    let mut object = placed("web", "edge", 4);
    object.data["status"]["placements"][0]["problem"] = json!("sch\u{f6}n\u{1b}[31m\n\u{2026}");
    object.data["status"]["unplacedReplicas"] = json!(2);
    object.data["status"]["unplaced"] = json!([{
        "location": "edge", "replicas": 2, "reason": "NoRoom", "since": "2026-01-02T03:04:05Z",
        "shape": { "digest": "d" },
    }]);
    object.data["status"]["conditions"] = json!([{
        "type": "Placed", "status": "False", "reason": "InsufficientCapacity",
        "message": "2 of 6 replicas fit nowhere", "lastTransitionTime": "2026-01-02T03:04:05Z",
    }]);
    has_lines(
        &recorded(Kind::Deployment, &object),
        &[
            "MultiClusterDeployment shop/web",
            "  policy     worst_fit",
            "  locations  1, chosen by the policy",
            "  replicas   4 at each location",
            "  overflow   to the next clusters of the ranking",
            "  requests   cpu 1 for each replica",
            "Recorded: decision 1, of generation 1",
            "  CLUSTER  REPLICAS  READY  WHY",
            r"  edge     4         1      chosen by worst_fit, rank 1; sch\u{f6}n\u{1b}[31m ...",
            "  2  of edge  NoRoom  the clusters that may run them are full  since 2026-01-02T03:04:05Z",
            "  Placed  False  InsufficientCapacity  2026-01-02T03:04:05Z  2 of 6 replicas fit nowhere",
            "  edge  4 replicas: chosen by worst_fit, rank 1; rank 1, room for 4",
            "  far   not chosen: it is cordoned",
        ],
    );
}

#[test]
fn what_the_scheduler_has_not_answered_or_would_refuse_is_said() {
    let mut object = placed("web", "edge", 4);
    object.metadata.generation = Some(2);
    object.data["spec"]["placementPolicy"] = json!("worst");
    let explained = recorded(Kind::Deployment, &object);
    assert!(explained.notes[0].contains("generation 2 is not answered yet"));
    let (name, problem) = &explained.asked[0];
    assert!(
        *name == "invalid" && problem.contains("use one of worst_fit"),
        "{problem}"
    );
    let new = recorded(Kind::Deployment, &deployment("web", &json!({})));
    assert_eq!(new.decision, "Recorded: no decision");
    assert!(new.notes[0].contains("has not answered yet"));
    let wrong = deployment("web", &json!({ "placementPolicy": "worst" }));
    let refused = Manifest::read(Kind::Deployment, &wrong).unwrap_err();
    assert!(
        refused.starts_with("placementPolicy \"worst\" is unknown"),
        "{refused}"
    );
}

#[test]
fn each_member_is_chosen_or_not_for_a_reason() {
    let mut known = known();
    let silent = Err("no answer within 10s".to_owned());
    known.add_member(&member("silent"), silent);
    known.add_member(&member("other"), Ok(contents("another", 100)));
    let mut cordoned = member("cordoned");
    cordoned.spec.unschedulable = true;
    known.add_member(&cordoned, Ok(contents("cordoned", 100)));
    let web = manifest("web", &json!({ "replicas": 8, "numberOfLocations": 1 }));
    let explained = &would_be(&known, &[web])[0];
    assert_eq!(shares(explained), [("large", 4), ("small", 2)]);
    has_lines(
        explained,
        &[
            "MultiClusterDeployment shop/web (new)",
            "Would be decided: 6 replicas placed",
            "  CLUSTER  REPLICAS  NOW  WHY",
            "  large    4         0    chosen by worst_fit, rank 1",
            "  small    2         0    takes what large cannot hold",
            "  2  of large  NoRoom  the clusters that may run them are full",
            "  cordoned  not chosen: it is cordoned",
            "  other     not chosen: it does not answer: another cluster answers under this name than the one on record",
            "  silent    not chosen: it does not answer: no answer within 10s",
        ],
    );
}

#[test]
fn one_is_decided_after_the_other_and_nothing_of_it_stays() {
    let known = known();
    let both = [
        manifest("first", &json!({})),
        manifest("second", &json!({ "replicas": 2 })),
    ];
    let explained = would_be(&known, &both);
    assert_eq!(shares(&explained[0]), [("large", 4)]);
    assert_eq!(shares(&explained[1]), [("small", 2)]);
    let alone = would_be(&known, &both[1..]);
    assert_eq!(shares(&alone[0]), [("large", 2)]);
    assert_eq!(would_be(&known, &both), explained);
    let shape = federation::capacity::shape_of_template(&json!({ "spec": {} }), "shop").unwrap();
    let room = |name: &str| known.snapshot.capacity(&ClusterName::from(name), &shape);
    assert_eq!((room("large"), room("small")), (110, 110));
}

#[test]
fn what_is_recorded_holds_room_until_its_pods_are_there() {
    let mut known = known();
    known.add_workload(Kind::Deployment, Ok(placed("before", "large", 4)));
    let explained = would_be(&known, &[manifest("web", &json!({ "replicas": 2 }))]);
    assert_eq!(shares(&explained[0]), [("small", 2)]);
}

#[test]
fn the_replicas_of_an_object_are_not_counted_against_its_change() {
    let mut known = Known::default();
    let pods = (0..4).map(|number| {
        let pod = Pod {
            node: "node1".to_owned(),
            requests: Resources {
                cpu_milli: 1000,
                ..Resources::default()
            },
            owner: Some(OwnerKey(uid_bits("web"))),
            profile: Profile::default(),
        };
        (PodKey(number), pod)
    });
    let large = MemberContents {
        pods: pods.collect(),
        ..contents("large", 4)
    };
    known.add_member(&member("large"), Ok(large));
    known.add_workload(Kind::Deployment, Ok(placed("web", "large", 4)));
    let same = &would_be(&known, &[manifest("web", &json!({}))])[0];
    assert!(same.title.ends_with("(unchanged)"), "{}", same.title);
    assert_eq!(shares(same), [("large", 4)]);
    assert_eq!((same.shares[0].counted, same.unplaced.len()), (4, 0));
    let more = &would_be(&known, &[manifest("web", &json!({ "replicas": 5 }))])[0];
    assert!(more.title.ends_with("(changed)"), "{}", more.title);
    assert_eq!(shares(more), [("large", 4)]);
    assert_eq!(more.unplaced[0][..3], ["1", "of large", "NoRoom"]);
    let other = &would_be(&known, &[manifest("other", &json!({ "replicas": 1 }))])[0];
    assert_eq!(other.unplaced.len(), 1, "{other}");
}

/// One replica runs at its location, and two that had no room there elsewhere.
fn displaced(name: &str) -> DynamicObject {
    let mut object = deployment(name, &json!({ "locations": "large", "replicas": 3 }));
    let validated = validate(&Workload::read(Kind::Deployment, &object)).unwrap();
    object.data["status"] = json!({
        "observedGeneration": 1, "policy": "worst_fit", "replicas": 3,
        "placements": [
            { "cluster": "large", "replicas": 1, "location": true, "available": 1 },
            { "cluster": "small", "replicas": 2, "displaced": 2, "available": 2 },
        ],
        "decision": {
            "sequence": 1, "key": validated.decision_key, "shape": digest(&validated.shape),
        },
    });
    object
}

#[test]
fn what_is_displaced_returns_with_a_change_as_the_scheduler_has_it() {
    let mut known = known();
    known.add_workload(Kind::Deployment, Ok(displaced("web")));
    let location = json!({ "locations": "large", "replicas": 3 });
    let mut changed = location.clone();
    changed["minReadySeconds"] = json!(5);
    let explained = |known: &Known, spec: &Value| {
        let explained = would_be(known, &[manifest("web", spec)]);
        let shares = shares(&explained[0]).into_iter();
        let shares: Vec<_> = shares
            .map(|(name, replicas)| (name.to_owned(), replicas))
            .collect();
        shares
    };
    let share = |name: &str, replicas| (name.to_owned(), replicas);
    assert_eq!(
        explained(&known, &location),
        [share("large", 1), share("small", 2)]
    );
    let returned = [share("large", 3), share("small", 2)];
    assert_eq!(
        explained(&known, &changed),
        returned,
        "small keeps its own until large has them"
    );
    let moved = json!({
        "apiVersion": "fogguru.eu/v1", "kind": "WorkloadMove",
        "metadata": { "name": "m", "namespace": "shop" },
        "spec": { "workload": { "name": "web" }, "from": "large", "to": "small" },
        "status": { "phase": "Succeeded" },
    });
    known.add_move(serde_json::from_value(moved).unwrap());
    assert_eq!(
        explained(&known, &changed),
        [share("large", 1), share("small", 2)]
    );
}
