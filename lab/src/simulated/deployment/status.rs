//! A Deployment's status and conditions.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet, ReplicaSetCondition,
};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::family::{Family, size};
use super::rollout::Wanted;
use crate::simulated::context::{after, seconds, until, whole};

const AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// A Deployment's status while it is being worked out.
pub(super) struct Draft<'a> {
    deployment: &'a Deployment,
    /// Seconds without progress that are too many; none if that is not asked.
    deadline: Option<i32>,
    now: Timestamp,
    pub(super) status: DeploymentStatus,
}

impl<'a> Draft<'a> {
    pub(super) fn new(deployment: &'a Deployment, now: Timestamp) -> Self {
        let deadline = deployment.spec.as_ref();
        let deadline = deadline.and_then(|spec| spec.progress_deadline_seconds);
        Self {
            deployment,
            deadline: deadline.filter(|seconds| *seconds != i32::MAX),
            now,
            status: deployment.status.clone().unwrap_or_default(),
        }
    }

    /// Whether a rollout is to be waited for, so that its progress is told.
    pub(super) fn has_deadline(&self) -> bool {
        self.deadline.is_some()
    }

    pub(super) fn condition(&self, kind: &str) -> Option<&DeploymentCondition> {
        let conditions = self.status.conditions.as_deref().unwrap_or_default();
        conditions.iter().find(|one| one.type_ == kind)
    }

    /// Says that a rollout stands still because somebody wants it, or that it goes on.
    pub(super) fn note_pause(&mut self, paused: bool) {
        if !self.has_deadline() {
            return;
        }
        let reason = self
            .condition("Progressing")
            .and_then(|one| one.reason.as_deref());
        match (paused, reason) {
            (_, Some(TIMED_OUT)) | (true, Some(PAUSED)) => {}
            (true, _) => self.progressing("Unknown", PAUSED, "Deployment is paused".to_owned()),
            (false, Some(PAUSED)) => {
                let message = "Deployment is resumed".to_owned();
                self.progressing("Unknown", "DeploymentResumed", message);
            }
            (false, _) => {}
        }
    }

    /// Says something of the rollout.
    pub(super) fn progressing(&mut self, status: &str, reason: &str, message: String) {
        let condition = self.make("Progressing", status, reason, message);
        self.set(condition);
    }

    fn make(&self, kind: &str, status: &str, reason: &str, message: String) -> DeploymentCondition {
        DeploymentCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_update_time: Some(whole(self.now)),
            last_transition_time: Some(whole(self.now)),
        }
    }

    /// Sets a condition. One that says the same already stays as it is, message and all.
    fn set(&mut self, mut condition: DeploymentCondition) {
        if let Some(known) = self.condition(&condition.type_) {
            if known.status == condition.status && known.reason == condition.reason {
                return;
            }
            if known.status == condition.status {
                condition
                    .last_transition_time
                    .clone_from(&known.last_transition_time);
            }
        }
        self.remove(&condition.type_.clone());
        self.status
            .conditions
            .get_or_insert_default()
            .push(condition);
    }

    fn remove(&mut self, kind: &str) {
        let conditions = self.status.conditions.get_or_insert_default();
        conditions.retain(|one| one.type_ != kind);
    }

    /// Counts what there is.
    pub(super) fn count(&mut self, family: &Family, wanted: &Wanted) {
        let sum = |count: fn(&ReplicaSet) -> i32| family.all().map(|set| count(set)).sum::<i32>();
        let some = |count: i32| (count > 0).then_some(count);
        let actual = |set: &ReplicaSet| set.status.as_ref().map_or(0, |status| status.replicas);
        let available = sum(|set| {
            let status = set.status.as_ref();
            status
                .and_then(|status| status.available_replicas)
                .unwrap_or(0)
        });
        let ready = sum(|set| {
            let status = set.status.as_ref();
            status.and_then(|status| status.ready_replicas).unwrap_or(0)
        });
        let updated = family.new.as_deref().map_or(0, actual);
        self.status.observed_generation = self.deployment.metadata.generation;
        self.status.replicas = some(sum(actual));
        self.status.updated_replicas = some(updated);
        self.status.ready_replicas = some(ready);
        self.status.available_replicas = some(available);
        self.status.unavailable_replicas = some(sum(size) - available);
        let enough = available >= wanted.replicas - wanted.unavailable();
        let (status, reason, message) = if enough {
            (
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
            )
        } else {
            (
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            )
        };
        let condition = self.make("Available", status, reason, message.to_owned());
        self.set(condition);
    }

    /// All wanted replicas are of the present template and available, and no others are left.
    pub(super) fn is_complete(&self, wanted: &Wanted) -> bool {
        let status = &self.status;
        let all = |count: Option<i32>| count.unwrap_or(0) == wanted.replicas;
        all(status.updated_replicas) && all(status.replicas) && all(status.available_replicas)
    }

    /// Tells how far a rollout has come since the status that is stored.
    pub(super) fn note_progress(&mut self, family: &Family, wanted: &Wanted) {
        let stored = self.deployment.status.clone().unwrap_or_default();
        let known = self.condition("Progressing").cloned();
        let reason = known.as_ref().and_then(|one| one.reason.as_deref());
        let all_new = self.status.replicas == self.status.updated_replicas;
        if !self.has_deadline() {
            self.remove("Progressing");
        } else if !(all_new && reason == Some(AVAILABLE)) {
            let name = match &family.new {
                Some(set) => format!("ReplicaSet {:?}", set.name_any()),
                None => format!("Deployment {:?}", self.deployment.name_any()),
            };
            if self.is_complete(wanted) {
                let message = format!("{name} has successfully progressed.");
                self.progressing("True", AVAILABLE, message);
            } else if self.has_progressed(&stored) {
                let message = format!("{name} is progressing.");
                let mut next = self.make("Progressing", "True", "ReplicaSetUpdated", message);
                // It says anew when there was progress last, even if nothing else changes.
                if let Some(known) = known.filter(|known| known.status == "True") {
                    next.last_transition_time = known.last_transition_time;
                }
                self.remove("Progressing");
                self.set(next);
            } else if self.left().is_some_and(|left| left.is_zero()) {
                let message = format!("{name} has timed out progressing.");
                self.progressing("False", TIMED_OUT, message);
            }
        }
        self.note_failures(family);
    }

    fn has_progressed(&self, stored: &DeploymentStatus) -> bool {
        let now = &self.status;
        let count = |count: Option<i32>| count.unwrap_or(0);
        let old =
            |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
        count(now.updated_replicas) > count(stored.updated_replicas)
            || old(now) < old(stored)
            || count(now.ready_replicas) > count(stored.ready_replicas)
            || count(now.available_replicas) > count(stored.available_replicas)
    }

    /// The time until a rollout without further progress has failed; none if it is complete, has
    /// failed already, or is not waited for.
    pub(super) fn left(&self) -> Option<Duration> {
        let condition = self.condition("Progressing")?;
        if matches!(condition.reason.as_deref(), Some(AVAILABLE | TIMED_OUT)) {
            return None;
        }
        let since = condition.last_update_time.as_ref()?.0;
        // The stored time lacks the fraction of a second.
        let deadline = seconds(i64::from(self.deadline?) + 1);
        Some(until(self.now, after(since, deadline)))
    }

    /// What keeps `ReplicaSets` from making pods, the new one's first.
    fn note_failures(&mut self, family: &Family) {
        let failure = |set: &Arc<ReplicaSet>| {
            let conditions = set.status.as_ref()?.conditions.as_deref()?;
            conditions
                .iter()
                .find(|one| one.type_ == "ReplicaFailure")
                .cloned()
        };
        let first = family.new.as_ref().and_then(failure);
        match first.or_else(|| family.old.iter().find_map(failure)) {
            Some(condition) => self.set(as_own(condition)),
            None => self.remove("ReplicaFailure"),
        }
    }

    /// The status as a merge patch, or nothing if it is stored so already.
    pub(super) fn patch(mut self) -> Option<Value> {
        self.status.conditions = self.status.conditions.filter(|all| !all.is_empty());
        if self.deployment.status.as_ref() == Some(&self.status) {
            return None;
        }
        let status = self.status;
        Some(json!({
            "observedGeneration": status.observed_generation,
            "replicas": status.replicas,
            "updatedReplicas": status.updated_replicas,
            "readyReplicas": status.ready_replicas,
            "availableReplicas": status.available_replicas,
            "unavailableReplicas": status.unavailable_replicas,
            "collisionCount": status.collision_count,
            "conditions": status.conditions,
        }))
    }
}

fn as_own(condition: ReplicaSetCondition) -> DeploymentCondition {
    DeploymentCondition {
        type_: condition.type_,
        status: condition.status,
        reason: condition.reason,
        message: condition.message,
        last_update_time: condition.last_transition_time.clone(),
        last_transition_time: condition.last_transition_time,
    }
}
