//! What the placement core decides for an object: pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use federation::api::MoveRecord;
use k8s_openapi::jiff::Timestamp;
use placement::{
    ClusterName, Move, MoveRefusal, OwnerKey, Plan, PodShape, Proximity, Request, Snapshot,
    Stickiness, place,
};

use crate::decide::{Assignment, MemberView};
use crate::record::next_cursor;
use crate::unplaced;
use crate::validate::Validated;
use crate::workload::{Kind, Workload};

/// What an object is decided from.
pub struct Inputs<'a> {
    /// The clusters, their nodes and pods.
    pub snapshot: &'a Snapshot,
    /// Round-trip times between clusters, when a source gives them.
    pub proximity: Option<&'a Proximity>,
    /// Traffic by cluster, when a source gives it.
    pub traffic: Option<&'a BTreeMap<ClusterName, f64>>,
    /// The next position of `round_robin` in the namespace.
    pub cursor: u64,
    /// The assignment that the next one follows: the one on record, or what members hold of an object
    /// whose record is lost.
    pub before: Cow<'a, Assignment>,
    /// What clusters are limited to, because their schedulers cannot place more.
    pub limits: BTreeMap<ClusterName, u32>,
    /// The members, and what they run of the object.
    pub members: BTreeMap<ClusterName, MemberView>,
    /// The move that is under way after this decision.
    pub moving: Moving,
    /// Locations take back what runs elsewhere and they have room for.
    pub failback: bool,
}

/// What a decision does about moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Moving {
    /// None is under way.
    #[default]
    None,
    /// One goes on.
    GoesOn(MoveRecord),
    /// One begins, or is undone: its replicas change clusters with this decision.
    Begins(MoveRecord),
}

/// What was decided.
pub struct Decision {
    /// The next assignment.
    pub next: Assignment,
    /// The plan that it follows from.
    pub plan: Plan,
    /// The next position of `round_robin` in the namespace.
    pub cursor: u64,
    /// The move that was to begin, or to be undone.
    pub begun: Option<MoveRecord>,
    /// Why it did not.
    pub refused: Option<MoveRefusal>,
}

/// Decides an object; it is `now`.
pub fn decide(
    inputs: &Inputs<'_>,
    workload: &Workload,
    validated: &Validated,
    own_traffic: Option<&BTreeMap<ClusterName, f64>>,
    now: Timestamp,
) -> Decision {
    let (plan, cursor) = plan(inputs, workload, validated, own_traffic);
    let owner = OwnerKey(workload.owner_bits());
    let room = |cluster: &ClusterName| {
        if workload.key.kind == Kind::Job {
            // Its shares are fixed.
            return u32::MAX;
        }
        let room = inputs.snapshot.room(cluster, &validated.shape, owner);
        u32::try_from(room).unwrap_or(u32::MAX)
    };
    let mut next = inputs
        .before
        .next(&plan, validated, cursor, &inputs.members, room, now);
    let refused = plan.moves.first().and_then(|one| one.refused.clone());
    next.decision.moving = match &inputs.moving {
        // Where it runs is chosen again: nothing is left of a move.
        _ if chooses(&inputs.before, validated) => None,
        Moving::None => None,
        Moving::Begins(_) if refused.is_some() => None,
        Moving::GoesOn(record) | Moving::Begins(record) => Some(record.clone()),
    };
    Decision {
        next,
        begun: match &inputs.moving {
            Moving::Begins(record) if !plan.moves.is_empty() => Some(record.clone()),
            _ => None,
        },
        plan,
        refused,
        cursor: if chooses(&inputs.before, validated) {
            next_cursor(cursor)
        } else {
            inputs.cursor
        },
    }
}

/// What the placement core says of an object now, and with which position of `round_robin`.
pub fn plan(
    inputs: &Inputs<'_>,
    workload: &Workload,
    validated: &Validated,
    own_traffic: Option<&BTreeMap<ClusterName, f64>>,
) -> (Plan, u64) {
    let before = &inputs.before;
    let cursor = if chooses(before, validated) {
        inputs.cursor
    } else {
        before.decision.cursor
    };
    let resizable = workload.key.kind != Kind::Job;
    let moves = moves(inputs, validated);
    let ask = |limits: &BTreeMap<ClusterName, u32>| {
        let mut request = request(inputs, workload, validated, own_traffic, limits);
        request.moves = &moves;
        place(inputs.snapshot, &request, validated.policy)
    };
    let mut limits = inputs.limits.clone();
    let mut plan = ask(&limits);
    if !limits.is_empty() && plan.unplaced_replicas() > 0 {
        // What has no other place stays where it waits.
        let without_limits = ask(&BTreeMap::new()).unplaced_replicas();
        let mut surplus = plan.unplaced_replicas().saturating_sub(without_limits);
        for one in before.current(resizable) {
            if let Some(limit) = limits.get_mut(&one.cluster) {
                let more = one.replicas.saturating_sub(*limit).min(surplus);
                *limit += more;
                surplus -= more;
            }
        }
        plan = ask(&limits);
    }
    (plan, cursor)
}

/// Holds room for the replicas of an assignment that are not seen as pods yet.
pub fn hold(snapshot: &mut Snapshot, owner: OwnerKey, assignment: &Assignment, shape: &PodShape) {
    for one in &assignment.placements {
        let cluster = ClusterName::from(one.cluster.as_str());
        snapshot.reserve(&cluster, owner, shape, one.replicas);
    }
}

fn request<'a>(
    inputs: &'a Inputs<'_>,
    workload: &Workload,
    validated: &'a Validated,
    own_traffic: Option<&'a BTreeMap<ClusterName, f64>>,
    limits: &BTreeMap<ClusterName, u32>,
) -> Request<'a> {
    let before = &inputs.before;
    let is_new = chooses(before, validated);
    let resizable = workload.key.kind != Kind::Job;
    let mut current = before.current(resizable);
    for one in &mut current {
        let limit = limits.get(&one.cluster).copied();
        one.replicas = one.replicas.min(limit.unwrap_or(u32::MAX));
        one.leaving = one
            .leaving
            .min(limit.map_or(u32::MAX, |limit| limit - one.replicas));
    }
    let origins = validated.origin.iter();
    let origins = origins.flat_map(|origin| inputs.snapshot.origins(origin));
    Request {
        owner: OwnerKey(workload.owner_bits()),
        shape: &validated.shape,
        targets: validated.targets.clone(),
        replicas: validated.replicas,
        scheduling: validated.scheduling,
        eligibility: validated.eligibility.clone(),
        overflow: validated.overflow,
        current,
        resizable,
        moves: &[],
        stickiness: if is_new && before.decision.sequence > 0 {
            Stickiness::Rechoose
        } else if inputs.failback {
            Stickiness::Failback
        } else {
            Stickiness::Stay
        },
        reshaped: (before.decision.shape.as_ref())
            .is_some_and(|shape| *shape != unplaced::digest(&validated.shape)),
        limits: limits.clone(),
        inputs: placement::Inputs {
            traffic: own_traffic.or(inputs.traffic),
            proximity: inputs.proximity,
            origins: origins.collect(),
            cursor: if is_new {
                inputs.cursor
            } else {
                before.decision.cursor
            },
            seed: validated.seed,
            parameters: validated.parameters.clone(),
        },
    }
}

/// The move that this decision makes.
fn moves(inputs: &Inputs<'_>, validated: &Validated) -> Vec<Move> {
    match &inputs.moving {
        Moving::Begins(record) if !chooses(&inputs.before, validated) => {
            let (from, to) = record.direction();
            vec![Move {
                from: ClusterName::from(from),
                to: ClusterName::from(to),
                replicas: record.replicas,
            }]
        }
        _ => Vec::new(),
    }
}

/// Whether locations are chosen, for the first time or again.
fn chooses(before: &Assignment, validated: &Validated) -> bool {
    before.decision.sequence == 0 || before.decision.key != validated.decision_key
}
