//! What came of an evaluation: status, conditions, Events.

use std::collections::BTreeMap;

use federation::api::{
    ClusterScale, MultiClusterHorizontalPodAutoscaler as Autoscaler,
    MultiClusterHorizontalPodAutoscalerStatus as Status,
};
use federation::operator::conditions::{Conditions, whole_seconds};
use federation::operator::events::EventType;
use federation::operator::key::NamespacedName;
use federation::operator::status::{WriteError, apply_status};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use kube::Api;
use tracing::instrument;

use crate::controller::Controller;
use crate::decision::{Condition, ConditionKind, Decision, LocationReport, Verdict};
use crate::evaluate::EvaluateError;
use crate::status_format;
use crate::validate::Validated;

/// What came of an evaluation.
pub(crate) struct Outcome {
    pub(crate) decision: Decision,
    /// Conditions that are not decided stay as they were.
    keeps: bool,
    metrics: Option<String>,
    current_metrics: Vec<federation::api::MetricStatus>,
    clusters: Vec<ClusterScale>,
    scaled: Option<Timestamp>,
}

impl Outcome {
    /// Nothing could be decided.
    pub(crate) fn refused(condition: Condition) -> Self {
        Self {
            decision: Decision {
                conditions: vec![condition],
                ..Decision::default()
            },
            keeps: false,
            metrics: None,
            current_metrics: Vec::new(),
            clusters: Vec::new(),
            scaled: None,
        }
    }

    /// Something was decided; some members may not have answered.
    pub(crate) fn decided(
        spec: &Validated,
        decision: Decision,
        silent: &BTreeMap<String, String>,
    ) -> Self {
        let given: Vec<_> = spec.metrics.iter().map(|(metric, _)| metric).collect();
        let clusters = decision.locations.iter().map(|location| {
            let metrics = status_format::metrics(&given, &location.metrics, true);
            ClusterScale {
                cluster: location.cluster.clone(),
                current: location.current,
                desired: location.desired,
                metrics: (!metrics.is_empty()).then_some(metrics),
                limited_by: limited_by(location, silent.get(&location.cluster)),
            }
        });
        Self {
            keeps: true,
            metrics: Some(status_format::metrics(&given, &decision.metrics, false)),
            current_metrics: status_format::current(&given, &decision.metrics),
            clusters: clusters.collect(),
            scaled: None,
            decision,
        }
    }

    /// What came of it, as a label of a metric.
    pub(crate) fn result(&self) -> &'static str {
        let failed = |one: &Condition| !one.status && one.kind != ConditionKind::ScalingLimited;
        if self.decision.conditions.iter().any(failed) {
            "not_decided"
        } else {
            "unchanged"
        }
    }

    /// The numbers were written.
    pub(crate) fn scaled(&mut self, now: Timestamp) {
        self.scaled = Some(now);
        self.able(
            true,
            "SucceededRescale",
            format!("the target wants {} replicas now", self.decision.desired),
        );
    }

    /// The numbers were not written.
    pub(crate) fn not_written(&mut self, reason: &'static str, message: String) {
        self.decision.desired = self.decision.current;
        for cluster in &mut self.clusters {
            cluster.desired = cluster.current;
        }
        self.able(false, reason, message);
    }

    fn able(&mut self, status: bool, reason: &'static str, message: String) {
        let condition = Condition {
            kind: ConditionKind::AbleToScale,
            status,
            reason,
            message,
        };
        self.decision
            .conditions
            .retain(|one| one.kind != ConditionKind::AbleToScale);
        self.decision.conditions.insert(0, condition);
    }

    /// The change in a sentence.
    pub(crate) fn summary(&self) -> String {
        let changed = self
            .decision
            .locations
            .iter()
            .filter(|one| one.current != one.desired);
        let changed: Vec<_> = changed
            .map(|one| format!("{} {} → {}", one.cluster, one.current, one.desired))
            .collect();
        let clusters = if changed.is_empty() {
            String::new()
        } else {
            format!(" ({})", changed.join(", "))
        };
        let reason = self
            .decision
            .reason
            .as_deref()
            .unwrap_or("the replicas were divided again");
        format!(
            "New size: {}{clusters}; reason: {reason}",
            self.decision.desired
        )
    }

    fn status(self, before: &Status, generation: i64, now: Timestamp) -> Status {
        let scaled = self.scaled.map(|at| meta::Time(whole_seconds(at)));
        let mut conditions = Conditions::after(&before.conditions);
        for kind in ConditionKind::ALL {
            match self.decision.conditions.iter().find(|one| one.kind == kind) {
                Some(one) => conditions.set(
                    kind.name(),
                    one.status,
                    one.reason,
                    &one.message,
                    Some(generation),
                    now,
                ),
                None if self.keeps => conditions.keep(kind.name()),
                None => {}
            }
        }
        Status {
            observed_generation: Some(generation),
            last_scale_time: scaled.or_else(|| before.last_scale_time.clone()),
            // An autoscaler that is refused goes on showing what it saw last.
            current_replicas: if self.keeps {
                self.decision.current
            } else {
                before.current_replicas
            },
            desired_replicas: if self.keeps {
                self.decision.desired
            } else {
                before.desired_replicas
            },
            metrics: self.metrics,
            current_metrics: self.current_metrics,
            clusters: self.clusters,
            conditions: conditions.into_vec(),
        }
    }
}

/// What kept a location from following its metrics.
fn limited_by(location: &LocationReport, silent: Option<&String>) -> Option<String> {
    let reason = match &location.verdict {
        Verdict::Followed => return silent.cloned(),
        Verdict::Limited(why) => why.clone(),
        Verdict::Kept(why) => format!("stays as it is: {why}"),
    };
    Some(match silent {
        Some(silent) => format!("{reason} ({silent})"),
        None => reason,
    })
}

/// Owner of the status fields that the autoscaler writes.
const STATUS_MANAGER: &str = "multi-cluster-hpa-status";

impl Controller {
    /// Writes the status, if it is another one, and records Events for what is new.
    #[instrument(skip_all, fields(%key))]
    pub(crate) async fn report(
        &self,
        key: &NamespacedName,
        outcome: Outcome,
    ) -> Result<(), EvaluateError> {
        let now = self.clock.now();
        let (before, status) = {
            let state = self.state();
            let Some(tracked) = state.autoscalers.get(key) else {
                return Ok(());
            };
            let before = tracked.reported.clone();
            let status = outcome.status(&before, tracked.generation, now);
            (before, status)
        };
        if status == before {
            return Ok(());
        }
        let api: Api<Autoscaler> = Api::namespaced(self.hub.clone(), &key.namespace);
        let written = apply_status(
            &api,
            &(),
            &key.name,
            STATUS_MANAGER,
            None,
            &status,
            self.options.deadline,
        );
        match written.await {
            Ok(_) => {}
            Err(WriteError::Gone) => return Ok(()),
            Err(error) => {
                if matches!(error, WriteError::Rejected(_)) {
                    let message = format!("the status was not written: {error}");
                    self.announce(key, EventType::Warning, "StatusRejected", &message);
                }
                return Err(EvaluateError::Report(error));
            }
        }
        for condition in degraded(&before, &status) {
            self.announce(
                key,
                EventType::Warning,
                &condition.reason,
                &condition.message,
            );
        }
        if let Some(tracked) = self.state().autoscalers.get_mut(key) {
            tracked.reported = status;
        }
        Ok(())
    }

    /// Records an Event on an autoscaler.
    pub(crate) fn announce(
        &self,
        key: &NamespacedName,
        kind: EventType,
        reason: &str,
        message: &str,
    ) {
        let about = self
            .state()
            .autoscalers
            .get(key)
            .map(|tracked| tracked.reference(key));
        if let Some(about) = about {
            self.recorder.record(about, kind, reason, message);
        }
    }
}

/// Conditions that have become false, or are so for another reason.
fn degraded<'a>(before: &Status, status: &'a Status) -> Vec<&'a meta::Condition> {
    let was = |condition: &meta::Condition| {
        before.conditions.iter().any(|one| {
            one.type_ == condition.type_
                && one.status == condition.status
                && one.reason == condition.reason
        })
    };
    let bad = |condition: &&meta::Condition| {
        condition.status == "False" && condition.type_ != ConditionKind::ScalingLimited.name()
    };
    let conditions = status.conditions.iter().filter(bad);
    conditions.filter(|condition| !was(condition)).collect()
}
