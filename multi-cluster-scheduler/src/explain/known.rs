//! What a scheduler that starts now would know, and what it would decide.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use federation::api::{
    CONDITION_FAILED_OVER, ClusterVerdict, MemberCluster, WorkloadMove, WorkloadStatus,
};
use federation::members::{MemberContents, Read};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use placement::{ClusterName, Health, OwnerKey, Proximity, Snapshot};

use super::explanation::{Explanation, Share, unplaced_row};
use super::{Manifest, asked};
use crate::decide::{Assignment, MemberView, Obstacle, verdicts};
use crate::index::{assignment_of, cluster_of, moved_workload, returns_with_spec};
use crate::plan::{self, Decision, Inputs, Moving, hold};
use crate::record::next_cursor;
use crate::validate::{Invalid, Validated, validate};
use crate::workload::{Key, Kind, Workload};

/// The hub's objects and what the members have, read once.
#[derive(Default)]
pub struct Known {
    pub(super) snapshot: Snapshot,
    /// Those that count as members, without what they run.
    members: BTreeMap<ClusterName, MemberView>,
    /// Why a member gets nothing new, where more than its object is to be said.
    problems: BTreeMap<ClusterName, String>,
    workloads: BTreeMap<Key, Workload>,
    moves: BTreeMap<Key, Vec<WorkloadMove>>,
    /// The next position of `round_robin`, by namespace.
    cursors: BTreeMap<String, u64>,
    proximity: Option<Proximity>,
}

impl Known {
    /// Takes in a member, and what it has or why that is not known. Round-trip times are those of its
    /// status.
    pub fn add_member(&mut self, object: &MemberCluster, contents: Result<MemberContents, String>) {
        let name = ClusterName::from(object.name_any());
        if object.is_refused() {
            let problem = "nothing is served under this name: see kubectl describe memberclusters";
            self.problems.insert(name, problem.to_owned());
            return;
        }
        let contents = contents.and_then(|contents| recorded_cluster(object, contents));
        let member = MemberView {
            open: contents.is_ok(),
            leaving: object.metadata.deletion_timestamp.is_some(),
            ..MemberView::default()
        };
        let health = health_of(object, member);
        self.snapshot
            .upsert_cluster(cluster_of(&name, object, health));
        match contents {
            Ok(contents) => {
                for node in contents.nodes {
                    self.snapshot.upsert_node(&name, node);
                }
                for (key, pod) in contents.pods {
                    self.snapshot.upsert_pod(&name, key, pod);
                }
            }
            Err(problem) => {
                self.problems.insert(name.clone(), problem);
            }
        }
        for near in object.status.iter().flat_map(|status| &status.nearest) {
            let time = Duration::try_from_secs_f64(near.round_trip_millis / 1000.0);
            if let Ok(time) = time {
                let proximity = self.proximity.get_or_insert_default();
                proximity.insert(name.clone(), near.cluster.as_str().into(), time);
            }
        }
        self.members.insert(name, member);
    }

    /// Takes in an object that the hub has, after the members. What is on record of it holds its room,
    /// as when the scheduler starts.
    pub fn add_workload(&mut self, kind: Kind, object: Read<DynamicObject>) {
        let workload = match object {
            Ok(object) => Workload::read(kind, &object),
            Err(unreadable) => Workload::unreadable(kind, unreadable),
        };
        let assignment = assignment_of(&workload);
        if assignment.decision.sequence > 0 {
            let cursor = self
                .cursors
                .entry(workload.key.namespace.clone())
                .or_default();
            *cursor = next_cursor(assignment.decision.cursor).max(*cursor);
            let is_over = workload.deleted_at.is_some() || workload.has_ended_by(&workload.status);
            if let (false, Ok(validated)) = (is_over, validate(&workload)) {
                let owner = OwnerKey(workload.owner_bits());
                hold(&mut self.snapshot, owner, &assignment, &validated.shape);
            }
        }
        self.workloads.insert(workload.key.clone(), workload);
    }

    /// Takes in a move.
    pub fn add_move(&mut self, object: WorkloadMove) {
        let workload = moved_workload(&object);
        self.moves.entry(workload).or_default().push(object);
    }

    /// What would be decided if these were applied now, one after the other. Nothing that is known
    /// changes. Refused is what the scheduler would refuse.
    pub fn would_be(&self, manifests: &[Manifest]) -> Result<Vec<Explanation>, String> {
        let mut trial = Trial {
            known: self,
            snapshot: self.snapshot.fork(),
            cursors: self.cursors.clone(),
        };
        let explained = manifests.iter().map(|manifest| trial.explain(manifest));
        let explained: Result<_, Invalid> = explained.collect();
        explained.map_err(|Invalid(problem)| problem)
    }

    /// What is known of each member when an assignment is made. What it runs of the object is what the
    /// scheduler has reported last.
    fn views(&self, status: &WorkloadStatus) -> BTreeMap<ClusterName, MemberView> {
        let view = |(name, member): (&ClusterName, &MemberView)| {
            let mut placements = status.placements.iter();
            let share = placements.find(|one| one.cluster == name.as_str());
            let view = MemberView {
                available: share.map_or(0, |share| share.available),
                holds: share.is_some(),
                ..*member
            };
            (name.clone(), view)
        };
        self.members.iter().map(view).collect()
    }

    /// What was said of each cluster, and what is known besides.
    fn verdicts(&self, plan: &placement::Plan) -> Vec<ClusterVerdict> {
        let mut all: Vec<_> = verdicts(plan).collect();
        let mut seen = BTreeSet::new();
        for one in &mut all {
            seen.insert(one.cluster.clone());
            if let Some(problem) = self.problems.get(one.cluster.as_str()) {
                one.verdict = format!("{}: {problem}", one.verdict);
            }
        }
        let others = self.problems.iter();
        let others = others.filter(|(name, _)| !seen.contains(name.as_str()));
        all.extend(others.map(|(name, problem)| ClusterVerdict {
            cluster: name.to_string(),
            verdict: format!("not chosen: {problem}"),
        }));
        all
    }
}

/// What is decided in a fork.
struct Trial<'a> {
    known: &'a Known,
    snapshot: Snapshot,
    cursors: BTreeMap<String, u64>,
}

impl Trial<'_> {
    fn explain(&mut self, manifest: &Manifest) -> Result<Explanation, Invalid> {
        let existing = self.known.workloads.get(manifest.key());
        let workload = manifest.applied_to(existing);
        let validated = validate(&workload)?;
        let before = assignment_of(&workload);
        let has_ended = workload.has_ended_by(&workload.status);
        let mut notes = notes(&workload, &validated, existing.is_some());
        let (next, clusters) = if has_ended || workload.deleted_at.is_some() {
            notes
                .push("it has ended or is being deleted: its assignment stays as it is".to_owned());
            (before.clone(), before.decision.clusters.clone())
        } else {
            let decision = self.decide(&workload, &validated, &before);
            notes.extend(notes_of_decision(&decision.next));
            (decision.next, self.known.verdicts(&decision.plan))
        };
        let ran = |cluster: &str| {
            let mut placements = before.placements.iter();
            let share = placements.find(|one| one.cluster == cluster);
            share.map_or(0, |share| share.replicas)
        };
        let shares = next.placements.iter();
        let state = match existing {
            None => "new",
            Some(existing) if existing.spec == workload.spec => "unchanged",
            Some(_) => "changed",
        };
        Ok(Explanation {
            title: format!("{} ({state})", workload.key),
            asked: asked::by(&workload),
            decision: format!("Would be decided: {} replicas placed", next.placed()),
            counted: "NOW",
            shares: shares
                .map(|one| Share::of(one, ran(&one.cluster)))
                .collect(),
            unplaced: (next.unplaced_by.iter())
                .map(|one| unplaced_row(one, None))
                .collect(),
            notes,
            conditions: Vec::new(),
            clusters,
        })
    }

    /// Decides an object as the scheduler does, and holds its room for those that come after it.
    fn decide(
        &mut self,
        workload: &Workload,
        validated: &Validated,
        before: &Assignment,
    ) -> Decision {
        let cursor = self.cursors.entry(workload.key.namespace.clone());
        let cursor = cursor.or_default();
        let moving = before.decision.moving.clone();
        let moving = moving.map_or(Moving::None, Moving::GoesOn);
        let moves = self.known.moves.get(&workload.key).into_iter().flatten();
        let answered = workload.status.observed_generation;
        let inputs = Inputs {
            snapshot: &self.snapshot,
            proximity: self.known.proximity.as_ref(),
            traffic: None,
            cursor: *cursor,
            before: Cow::Borrowed(before),
            limits: BTreeMap::new(),
            members: self.known.views(&workload.status),
            failback: moving == Moving::None && returns_with_spec(workload, answered, moves),
            moving,
        };
        // Since when replicas are unplaced is not shown.
        let now = Timestamp::UNIX_EPOCH;
        let decision = plan::decide(&inputs, workload, validated, None, now);
        *cursor = decision.cursor.max(*cursor);
        let owner = OwnerKey(workload.owner_bits());
        for one in &before.placements {
            self.snapshot.release(&one.cluster.as_str().into(), owner);
        }
        hold(&mut self.snapshot, owner, &decision.next, &validated.shape);
        decision
    }
}

/// Of a name that has another cluster than the one on record, nothing counts.
fn recorded_cluster(
    object: &MemberCluster,
    contents: MemberContents,
) -> Result<MemberContents, String> {
    let recorded = object.status.as_ref();
    let recorded = recorded.and_then(|status| status.cluster_uid.as_deref());
    if recorded.is_none_or(|uid| uid == contents.cluster_uid) {
        return Ok(contents);
    }
    Err("another cluster answers under this name than the one on record".to_owned())
}

fn health_of(object: &MemberCluster, member: MemberView) -> Health {
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    let mut failed_over = conditions.filter(|one| one.type_ == CONDITION_FAILED_OVER);
    if member.leaving {
        Health::Leaving
    } else if member.open {
        Health::Ready
    } else if failed_over.any(|one| one.status == "True") {
        Health::Lost
    } else {
        Health::Unreachable
    }
}

/// Where the scheduler may know more.
fn notes(workload: &Workload, validated: &Validated, exists: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let draws = validated.policy.name() == "random" && !validated.parameters.contains_key("seed");
    if draws && !exists {
        notes.push(
            "random draws by the uid, which a new object does not have yet: set policyParameters.seed to know the clusters before"
                .to_owned(),
        );
    }
    if validated.policy.name() == "most_traffic" {
        notes.push(
            "traffic is not known here: a scheduler with --prometheus-url ranks by it".to_owned(),
        );
    }
    if let Some(problem) = &workload.damaged_record {
        notes.push(format!(
            "the status is no valid record and counts as none: {problem}"
        ));
    }
    notes
}

fn notes_of_decision(next: &Assignment) -> Vec<String> {
    let obstacle = next.obstacle.as_ref().map(|obstacle| match obstacle {
        Obstacle::UnknownCluster(message) | Obstacle::NoEligibleCluster(message) => message.clone(),
    });
    next.fallback.clone().into_iter().chain(obstacle).collect()
}
