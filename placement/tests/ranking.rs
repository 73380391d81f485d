//! The ranking and overflow rules of the original mck8s, and what was added to them, as a table.

// Helpers of tests are tests to everyone but the lint.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use placement::{
    Cluster, ClusterName, Current, Eligibility, Filter, Health, Inputs, Move, MoveRefusal, Node,
    Operator, Overflow, OwnerKey, Plan, PodShape, Proximity, ReplicaScheduling, Request,
    Requirement, Resources, Role, Snapshot, Stickiness, Taint, TaintEffect, Target, Targets, Why,
    place, policy,
};
use rstest::rstest;

type Change = fn(&mut Cluster);

/// What a test changes of four fog clusters with room for 2, 5, 3 and 0, and a cloud for 9.
struct Scene {
    policy: &'static str,
    request: Request<'static>,
    states: Vec<(&'static str, Change)>,
    traffic: Option<BTreeMap<ClusterName, f64>>,
    proximity: Option<Proximity>,
}

fn scene(policy: &'static str, targets: Targets, replicas: u32) -> Scene {
    Scene {
        policy,
        request: Request {
            owner: OwnerKey(1),
            shape: Box::leak(Box::new(PodShape {
                requests: Resources {
                    cpu_milli: 500,
                    ..Resources::default()
                },
                ..PodShape::default()
            })),
            targets,
            replicas,
            scheduling: ReplicaScheduling::PerLocation,
            eligibility: Eligibility {
                cloud: true,
                ..Eligibility::default()
            },
            overflow: Overflow::Policy,
            current: Vec::new(),
            resizable: true,
            moves: &[],
            stickiness: Stickiness::Stay,
            reshaped: false,
            limits: BTreeMap::new(),
            inputs: Inputs::default(),
        },
        states: Vec::new(),
        traffic: Some([("lyon".into(), 90.0), ("nantes".into(), 70.0)].into()),
        proximity: None,
    }
}

impl Scene {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        for (name, room) in [
            ("lille", 2),
            ("lyon", 5),
            ("nantes", 3),
            ("rennes", 0),
            ("cloud", 9),
        ] {
            let mut cluster = Cluster {
                name: name.into(),
                role: if name == "cloud" {
                    Role::Cloud
                } else {
                    Role::OnPremises
                },
                region: None,
                zone: None,
                labels: BTreeMap::new(),
                taints: Vec::new(),
                unschedulable: false,
                health: Health::Ready,
            };
            for (_, change) in self.states.iter().filter(|(state, _)| *state == name) {
                change(&mut cluster);
            }
            snapshot.upsert_cluster(cluster);
            let node = Node {
                name: "n".to_owned(),
                labels: BTreeMap::new(),
                taints: Vec::new(),
                unschedulable: false,
                ready: true,
                allocatable: Resources {
                    cpu_milli: room * 500,
                    pods: 110,
                    ..Resources::default()
                },
            };
            snapshot.upsert_node(&name.into(), node);
        }
        snapshot
    }

    fn plan(&self) -> Plan {
        let mut request = self.request.clone();
        request.inputs.traffic = self.traffic.as_ref();
        request.inputs.proximity = self.proximity.as_ref();
        place(
            &self.snapshot(),
            &request,
            policy::by_name(self.policy).unwrap(),
        )
    }

    /// The shares as text: overflow with its `+`.
    fn shares(&self) -> String {
        text(&self.plan())
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

fn text(plan: &Plan) -> String {
    let mut words: Vec<_> = plan
        .placements
        .iter()
        .map(|one| {
            let plus = if one.location { "" } else { "+" };
            format!("{plus}{} {}", one.cluster, one.replicas)
        })
        .collect();
    if plan.unplaced_replicas() > 0 {
        words.push(format!("unplaced {}", plan.unplaced_replicas()));
    }
    words.join(", ")
}

fn chosen(count: u32) -> Targets {
    Targets::Chosen { count }
}

fn given(targets: &[(&str, Option<u32>)]) -> Targets {
    let target = |(name, replicas): &(&str, Option<u32>)| Target {
        cluster: (*name).into(),
        replicas: *replicas,
    };
    Targets::Given(targets.iter().map(target).collect())
}

fn had(cluster: &str, replicas: u32, location: bool) -> Current {
    Current {
        cluster: cluster.into(),
        replicas,
        displaced: if location { 0 } else { replicas },
        leaving: 0,
        location,
    }
}

#[rstest]
// Ranking.
#[case::most_room_first("worst_fit", chosen(2), 1, "lyon 1, nantes 1")]
#[case::least_room_that_takes_one_first("best_fit", chosen(2), 1, "lille 1, nantes 1")]
#[case::most_traffic_first("most_traffic", chosen(2), 1, "lyon 1, nantes 1")]
#[case::named_in_their_order("worst_fit", given(&[("rennes", None), ("lyon", None)]), 0, "rennes 0, lyon 0")]
// Overflow: down the ranking, then the cloud, then nowhere.
#[case::down_the_ranking("worst_fit", chosen(1), 7, "lyon 5, +nantes 2")]
#[case::best_fit_down_the_ranking("best_fit", chosen(1), 4, "lille 2, +nantes 2")]
#[case::cloud_last("worst_fit", chosen(1), 12, "lyon 5, +cloud 2, +lille 2, +nantes 3")]
#[case::left_over(
    "worst_fit",
    chosen(1),
    22,
    "lyon 5, +cloud 9, +lille 2, +nantes 3, unplaced 3"
)]
// Overrides go by position; each location gets its own number.
#[case::overrides("worst_fit", given(&[("lille", Some(1)), ("lyon", None)]), 4, "lille 1, lyon 4")]
#[case::a_name_twice("worst_fit", given(&[("lyon", Some(1)), ("lyon", Some(3))]), 4, "lyon 1")]
// A name that is no member is a mistake to report: its share goes nowhere else.
#[case::a_stranger("worst_fit", given(&[("mars", None)]), 2, "unplaced 2")]
#[case::a_stranger_beside("worst_fit", given(&[("mars", Some(1)), ("lyon", None)]), 2, "lyon 2, unplaced 1")]
// More locations than there are clusters.
#[case::more_than_there_are(
    "worst_fit",
    chosen(7),
    1,
    "lyon 2, nantes 1, lille 1, rennes 0, cloud 1, unplaced 2"
)]
fn shares(
    #[case] policy: &'static str,
    #[case] targets: Targets,
    #[case] replicas: u32,
    #[case] expected: &str,
) {
    assert_eq!(scene(policy, targets, replicas).shares(), expected);
}

#[test]
fn named_clusters_overflow_to_the_nearest() {
    let mut times = Proximity::new();
    for (name, millis) in [("lyon", 20), ("nantes", 5), ("rennes", 1), ("cloud", 2)] {
        times.insert("lille".into(), name.into(), Duration::from_millis(millis));
    }
    let near = scene("worst_fit", given(&[("lille", None)]), 6).with(|scene| {
        scene.request.overflow = Overflow::Nearest;
        scene.proximity = Some(times);
    });
    // Rennes is full; the cloud, although nearer, comes last.
    assert_eq!(near.shares(), "lille 2, +lyon 1, +nantes 3");
    let unknown = near.with(|scene| scene.proximity = None);
    assert_eq!(unknown.shares(), "lille 2, +lyon 4");
    assert_eq!(unknown.plan().fallback.unwrap().missing, "round-trip times");
}

/// Also where it runs on a cluster that is a location itself.
#[test]
fn what_runs_elsewhere_than_meant_is_displaced() {
    let here = scene(
        "worst_fit",
        given(&[("lille", Some(6)), ("nantes", Some(1))]),
        1,
    );
    let alone = here.with(|scene| scene.request.overflow = Overflow::None);
    assert_eq!(
        (alone.shares().as_str(), alone.plan().displaced_replicas()),
        ("lille 2, nantes 1, unplaced 4", 0)
    );
    let spilt = alone.with(|scene| scene.request.overflow = Overflow::Policy);
    let plan = spilt.plan();
    let placed: u32 = plan.placements.iter().map(|one| one.replicas).sum();
    assert_eq!(
        (placed, plan.displaced_replicas()),
        (7, 4),
        "{}",
        text(&plan)
    );
}

#[test]
fn a_limited_cluster_holds_no_more_whatever_its_room() {
    let limited = |limit: u32| {
        scene("worst_fit", given(&[("lyon", None)]), 4).with(|scene| {
            scene.request.limits = [("lyon".into(), limit)].into();
            scene.request.current = vec![had("lyon", limit, true)];
        })
    };
    assert_eq!(limited(4).shares(), "lyon 4");
    assert_eq!(limited(1).shares(), "lyon 1, +nantes 3");
    assert_eq!(limited(0).plan().displaced_replicas(), 4);
    // Overflow of another location does not get around it either.
    let other = scene("worst_fit", given(&[("lille", None)]), 9).with(|scene| {
        scene.request.limits = [("nantes".into(), 0)].into();
    });
    assert_eq!(other.shares(), "lille 2, +cloud 2, +lyon 5");
}

#[test]
fn nothing_overflows_that_must_not() {
    let scene = scene("worst_fit", given(&[("lille", None)]), 6)
        .with(|scene| scene.request.overflow = Overflow::None);
    assert_eq!(scene.shares(), "lille 2, unplaced 4");
}

#[test]
fn burst_is_allowed_or_not() {
    let scene =
        scene("worst_fit", chosen(1), 12).with(|scene| scene.request.eligibility.cloud = false);
    assert_eq!(scene.shares(), "lyon 5, +lille 2, +nantes 3, unplaced 2");
}

#[rstest]
#[case("most_traffic", "traffic")]
#[case("nearest", "origin")]
fn without_its_input_worst_fit_ranks(#[case] policy: &'static str, #[case] missing: &str) {
    let scene = scene(policy, chosen(1), 1).with(|scene| scene.traffic = None);
    let plan = scene.plan();
    assert_eq!(text(&plan), "lyon 1");
    let fallback = plan.fallback.unwrap();
    assert_eq!((fallback.requested, fallback.used), (policy, "worst_fit"));
    assert_eq!(fallback.missing, missing);
}

/// The remainder goes by name, whatever the order of the locations.
#[test]
fn a_total_is_divided_evenly() {
    let scene = scene(
        "worst_fit",
        given(&[("nantes", None), ("lyon", None), ("lille", None)]),
        5,
    )
    .with(|scene| scene.request.scheduling = ReplicaScheduling::Total);
    assert_eq!(scene.shares(), "nantes 1, lyon 2, lille 2");
}

#[test]
fn an_update_keeps_and_a_new_choice_does_not() {
    let update = scene("worst_fit", chosen(1), 4).with(|scene| {
        scene.request.current = vec![had("lille", 2, true), had("nantes", 1, false)];
    });
    assert_eq!(update.shares(), "lille 2, +lyon 1, +nantes 1");
    let again = update.with(|scene| scene.request.stickiness = Stickiness::Rechoose);
    assert_eq!(again.shares(), "lyon 4");
}

/// What a Job has on a cluster stays as it is: more goes where nothing of it is.
#[test]
fn a_share_that_may_not_grow() {
    let scene = scene("worst_fit", given(&[("lyon", None)]), 4).with(|scene| {
        scene.request.current = vec![had("lyon", 1, true)];
        scene.request.resizable = false;
    });
    assert_eq!(scene.shares(), "lyon 1, +nantes 3");
}

/// Where a location had no room, nothing was made: so it is not too late to begin.
#[test]
fn a_share_of_nothing_may_begin() {
    let scene = scene("worst_fit", given(&[("lyon", None)]), 4).with(|scene| {
        scene.request.current = vec![had("lyon", 0, true)];
        scene.request.resizable = false;
        scene.request.overflow = Overflow::None;
    });
    assert_eq!(scene.shares(), "lyon 4");
    // What runs elsewhere for it does not end for it to begin.
    let overflowed = scene.with(|scene| {
        scene.request.overflow = Overflow::Policy;
        scene.request.current = vec![had("lyon", 0, true), had("nantes", 3, false)];
    });
    assert_eq!(overflowed.shares(), "lyon 1, +nantes 3");
}

/// Users are where they are: a region's clusters are near although they may get nothing.
#[test]
fn a_closed_region_is_an_origin() {
    let times = [
        ("lyon", "nantes", 9),
        ("lyon", "rennes", 5),
        ("lyon", "lille", 2),
    ];
    let mut proximity = Proximity::new();
    for (from, to, millis) in times {
        proximity.insert(from.into(), to.into(), Duration::from_millis(millis));
    }
    let scene = scene("nearest", chosen(1), 1).with(|scene| {
        scene.states.push(("lyon", |cluster| {
            cluster.region = Some("south".to_owned());
            cluster.unschedulable = true;
        }));
        scene.request.inputs.origins = scene.snapshot().origins("south");
        scene.proximity = Some(proximity.clone());
    });
    assert_eq!(scene.shares(), "lille 1");
}

#[test]
fn the_last_resort_is_given_up_first() {
    let scene = scene("worst_fit", chosen(1), 6).with(|scene| {
        scene.request.current = vec![
            had("cloud", 2, false),
            had("lyon", 5, true),
            had("nantes", 1, false),
        ];
    });
    assert_eq!(scene.shares(), "lyon 5, +nantes 1");
}

fn taint(cluster: &mut Cluster, effect: TaintEffect) {
    cluster.taints.push(Taint {
        key: "power".to_owned(),
        value: String::new(),
        effect,
    });
}

#[rstest]
#[case::cordoned(|cluster: &mut Cluster| cluster.unschedulable = true, "lille 1, +lyon 3")]
#[case::tainted(|cluster: &mut Cluster| taint(cluster, TaintEffect::NoSchedule), "lille 1, +lyon 3")]
#[case::unreachable(|cluster: &mut Cluster| cluster.health = Health::Unreachable, "lille 1, +lyon 3")]
#[case::lost(|cluster: &mut Cluster| cluster.health = Health::Lost, "lyon 4")]
#[case::leaving(|cluster: &mut Cluster| cluster.health = Health::Leaving, "lyon 4")]
#[case::evacuated(|cluster: &mut Cluster| taint(cluster, TaintEffect::NoExecute), "lyon 4")]
#[case::evacuated_and_unreachable(|cluster: &mut Cluster| {
    cluster.health = Health::Unreachable;
    taint(cluster, TaintEffect::NoExecute);
}, "lyon 4")]
fn closed_clusters(#[case] state: Change, #[case] expected: &str) {
    let scene = scene("worst_fit", chosen(1), 4).with(|scene| {
        scene.request.current = vec![had("lille", 1, true)];
        scene.states.push(("lille", state));
    });
    assert_eq!(scene.shares(), expected);
    // And nothing new where nothing was.
    let new = scene.with(|scene| scene.request.current.clear());
    assert_eq!(new.shares(), "lyon 4");
}

/// What is unplaced as text: location, replicas, reason.
fn unplaced(scene: &Scene) -> String {
    let plan = scene.plan();
    let words: Vec<_> = plan
        .unplaced
        .iter()
        .map(|one| {
            let location = one.location.as_ref().map_or("-", ClusterName::as_str);
            format!("{location} {} {:?}", one.replicas, one.reason)
        })
        .collect();
    words.join(", ")
}

#[rstest]
#[case::full(chosen(1), 22, "lyon 3 NoRoom")]
#[case::by_location(given(&[("rennes", Some(4)), ("mars", Some(2))]), 1, "mars 2 UnknownCluster")]
#[case::too_few(chosen(7), 1, "- 2 NotEnoughClusters")]
#[case::too_few_and_full(chosen(6), 4, "rennes 1 NoRoom, - 4 NotEnoughClusters")]
fn unplaced_replicas_have_a_reason(
    #[case] targets: Targets,
    #[case] replicas: u32,
    #[case] expected: &str,
) {
    assert_eq!(unplaced(&scene("worst_fit", targets, replicas)), expected);
}

#[test]
fn only_what_room_would_help_is_without_room() {
    let alone = |change: Change| {
        scene(
            "worst_fit",
            given(&[("lyon", Some(7)), ("nantes", Some(1))]),
            1,
        )
        .with(|scene| {
            scene.request.overflow = Overflow::None;
            scene.states.push(("lyon", change));
        })
    };
    assert_eq!(unplaced(&alone(|_| {})), "lyon 2 NoRoom");
    let cordoned: Change = |cluster| cluster.unschedulable = true;
    assert_eq!(unplaced(&alone(cordoned)), "lyon 7 NotEligible");
    // Where it may overflow, more room elsewhere would do.
    let spilt = alone(cordoned).with(|scene| {
        scene.request.overflow = Overflow::Policy;
        scene.request.targets = given(&[("lyon", Some(20))]);
    });
    assert_eq!(unplaced(&spilt), "lyon 6 NoRoom");
    // No cluster has the label.
    let nowhere = scene("worst_fit", chosen(2), 3).with(|scene| {
        scene.request.eligibility.labels = vec![Requirement {
            key: "tier".to_owned(),
            operator: Operator::Exists,
            values: Vec::new(),
        }];
    });
    assert_eq!(unplaced(&nowhere), "- 6 NotEligible");
    // The policy has filtered what is full.
    let full = scene("best_fit", chosen(5), 1);
    assert_eq!(unplaced(&full), "- 1 NoRoom");
}

/// What runs elsewhere of a job makes up for what its location lacks.
#[test]
fn what_a_job_runs_elsewhere_is_placed() {
    let job = scene("worst_fit", given(&[("lyon", None)]), 4).with(|scene| {
        scene.request.current = vec![had("lyon", 1, true), had("nantes", 3, false)];
        scene.request.resizable = false;
    });
    assert_eq!(job.shares(), "lyon 1, +nantes 3");
    assert_eq!(unplaced(&job), "");
}

fn moving(from: &str, to: &str, replicas: u32) -> Move {
    Move {
        from: from.into(),
        to: to.into(),
        replicas,
    }
}

/// The shares with a move, and why it was refused.
fn moved(scene: &Scene, one: Move) -> (String, Option<MoveRefusal>) {
    let moves = [one];
    let mut request = scene.request.clone();
    request.moves = &moves;
    let policy = policy::by_name(scene.policy).unwrap();
    let plan = place(&scene.snapshot(), &request, policy);
    (text(&plan), plan.moves[0].refused.clone())
}

#[test]
fn moves_are_made() {
    let away = scene("worst_fit", given(&[("lille", None)]), 5).with(|scene| {
        scene.request.current = vec![had("lille", 2, true), had("cloud", 3, false)];
    });
    assert_eq!(away.shares(), "lille 2, +cloud 3");
    let (shares, refused) = moved(&away, moving("cloud", "nantes", 3));
    assert_eq!((shares.as_str(), refused), ("lille 2, +nantes 3", None));
    let (shares, refused) = moved(&away, moving("cloud", "lyon", 2));
    assert_eq!(
        (shares.as_str(), refused),
        ("lille 2, +cloud 1, +lyon 2", None)
    );
}

#[test]
fn a_move_is_explained() {
    let moves = [moving("lyon", "nantes", 1)];
    let scene = scene("worst_fit", chosen(1), 2).with(|scene| {
        scene.request.current = vec![had("lyon", 2, true)];
    });
    let mut request = scene.request.clone();
    request.moves = &moves;
    let plan = place(
        &scene.snapshot(),
        &request,
        policy::by_name("worst_fit").unwrap(),
    );
    assert_eq!(text(&plan), "lyon 1, +nantes 1");
    let from = "lyon".into();
    assert_eq!(plan.placements[1].why, Why::Moved { from });
    assert_eq!(plan.displaced_replicas(), 1);
}

/// What has grown stays as far as it fits, and the rest goes elsewhere.
#[test]
fn what_needs_more_than_before_stays_as_far_as_it_fits() {
    let grown = |reshaped: bool| {
        scene("worst_fit", given(&[("lille", None)]), 5).with(|scene| {
            scene.request.current = vec![had("lille", 4, true), had("lyon", 1, false)];
            scene.request.reshaped = reshaped;
        })
    };
    assert_eq!(grown(false).shares(), "lille 4, +lyon 1");
    assert_eq!(grown(true).shares(), "lille 2, +lyon 3");
}

/// A location that has room for what was to leave keeps it; without room it goes.
#[test]
fn a_location_keeps_what_was_to_leave() {
    let back = |leaving: u32| {
        scene("worst_fit", given(&[("lille", None)]), 3).with(|scene| {
            let lille = Current {
                leaving,
                ..had("lille", 0, true)
            };
            scene.request.current = vec![lille, had("lyon", 3, false)];
        })
    };
    assert_eq!(back(0).shares(), "lille 0, +lyon 3");
    assert_eq!(back(1).shares(), "lille 1, +lyon 2");
    assert_eq!(back(3).shares(), "lille 2, +lyon 1");
}

/// A chosen location that loses all is replaced, so the next decision leaves it at that.
#[test]
fn a_location_that_moves_is_replaced() {
    let before = scene("worst_fit", chosen(1), 2).with(|scene| {
        scene.request.current = vec![had("lyon", 2, true)];
        scene.request.overflow = Overflow::None;
    });
    let (shares, refused) = moved(&before, moving("lyon", "nantes", 2));
    assert_eq!((shares.as_str(), refused), ("nantes 2", None));
    let after = before.with(|scene| scene.request.current = vec![had("nantes", 2, true)]);
    assert_eq!(after.shares(), "nantes 2");
}

#[rstest]
#[case::no_room(moving("lyon", "lille", 3), MoveRefusal::NoRoom { room: 2 })]
#[case::more_than_there(moving("lyon", "nantes", 5), MoveRefusal::MoreThanThere { there: 4 })]
#[case::nothing_there(moving("lille", "nantes", 1), MoveRefusal::MoreThanThere { there: 0 })]
#[case::unknown(moving("lyon", "mars", 1), MoveRefusal::Filtered(Filter::Unknown))]
#[case::filtered(
    moving("lyon", "cloud", 1),
    MoveRefusal::Filtered(Filter::CloudNotAllowed)
)]
#[case::to_itself(moving("lyon", "lyon", 1), MoveRefusal::SameCluster)]
fn a_move_that_cannot_be_made_is_refused(#[case] one: Move, #[case] expected: MoveRefusal) {
    let scene = scene("worst_fit", chosen(1), 4).with(|scene| {
        scene.request.current = vec![had("lyon", 4, true)];
        scene.request.eligibility.cloud = false;
    });
    assert_eq!(moved(&scene, one), ("lyon 4".to_owned(), Some(expected)));
}

#[test]
fn nothing_moves_that_must_not() {
    let move_one = moving("lyon", "nantes", 1);
    let current = vec![had("lyon", 4, true)];
    let job = scene("worst_fit", chosen(1), 4).with(|scene| {
        scene.request.current = current.clone();
        scene.request.resizable = false;
    });
    let refused = ("lyon 4".to_owned(), Some(MoveRefusal::NotResizable));
    assert_eq!(moved(&job, move_one.clone()), refused);
    let alone = scene("worst_fit", chosen(1), 4).with(|scene| {
        scene.request.current = current;
        scene.request.overflow = Overflow::None;
    });
    let refused = ("lyon 4".to_owned(), Some(MoveRefusal::OverflowNotAllowed));
    assert_eq!(moved(&alone, move_one), refused);
}
