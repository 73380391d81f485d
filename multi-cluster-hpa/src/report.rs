//! What came of an evaluation: status, conditions, Events.

use std::collections::BTreeMap;

use federation::api::{
    ClusterScale, MultiClusterHorizontalPodAutoscaler as Autoscaler,
    MultiClusterHorizontalPodAutoscalerStatus as Status,
};
use federation::members::Deadlined as _;
use federation::operator::events::EventType;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::decision::{Condition, ConditionKind, Decision, LocationReport, Verdict};
use crate::evaluate::EvaluateError;
use crate::operator::Operator;
use crate::state::Key;
use crate::validate::Validated;
use crate::words;

/// What came of an evaluation.
pub(crate) struct Outcome {
    pub(crate) decision: Decision,
    /// Conditions that nothing was said about stay as they were.
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
        let asked: Vec<_> = spec.metrics.iter().map(|(metric, _)| metric).collect();
        let clusters = decision.locations.iter().map(|location| {
            let metrics = words::metrics(&asked, &location.metrics, true);
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
            metrics: Some(words::metrics(&asked, &decision.metrics, false)),
            current_metrics: words::current(&asked, &decision.metrics),
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
    pub(crate) fn news(&self) -> String {
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
            .unwrap_or("the replicas were divided anew");
        format!(
            "New size: {}{clusters}; reason: {reason}",
            self.decision.desired
        )
    }

    fn status(self, before: &Status, generation: i64, now: Timestamp) -> Status {
        let scaled = self.scaled.map(|at| meta::Time(whole_seconds(at)));
        let mut conditions = Vec::new();
        for kind in [
            ConditionKind::AbleToScale,
            ConditionKind::ScalingActive,
            ConditionKind::ScalingLimited,
        ] {
            let known = before
                .conditions
                .iter()
                .find(|one| one.type_ == kind.name());
            match self.decision.conditions.iter().find(|one| one.kind == kind) {
                Some(decided) => conditions.push(written(decided, known, generation, now)),
                None if self.keeps => conditions.extend(known.cloned()),
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
            conditions,
        }
    }
}

/// What kept a location from following its metrics.
fn limited_by(location: &LocationReport, silent: Option<&String>) -> Option<String> {
    let said = match &location.verdict {
        Verdict::Followed => return silent.cloned(),
        Verdict::Limited(why) => why.clone(),
        Verdict::Kept(why) => format!("stays as it is: {why}"),
    };
    Some(match silent {
        Some(silent) => format!("{said} ({silent})"),
        None => said,
    })
}

fn written(
    decided: &Condition,
    known: Option<&meta::Condition>,
    generation: i64,
    now: Timestamp,
) -> meta::Condition {
    let status = if decided.status { "True" } else { "False" };
    let since = known.filter(|one| one.status == status);
    meta::Condition {
        type_: decided.kind.name().to_owned(),
        status: status.to_owned(),
        reason: decided.reason.to_owned(),
        message: decided.message.clone(),
        observed_generation: Some(generation),
        last_transition_time: since.map_or_else(
            || meta::Time(whole_seconds(now)),
            |one| one.last_transition_time.clone(),
        ),
    }
}

/// The API server keeps no parts of seconds.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

impl Operator {
    /// Writes the status, if it is another one, and says what is new.
    pub(crate) async fn report(&self, key: &Key, outcome: Outcome) -> Result<(), EvaluateError> {
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
        let patch = json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterHorizontalPodAutoscaler",
            "metadata": { "name": key.name, "namespace": key.namespace }, "status": status,
        });
        let params = PatchParams::apply("multi-cluster-hpa-status").force();
        let patch = Patch::Apply(&patch);
        let answer = api
            .patch_status(&key.name, &params, &patch)
            .within(self.options.deadline)
            .await;
        match answer {
            Ok(_) => {}
            // It is gone.
            Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(()),
            Err(error) => return Err(EvaluateError::Report(Box::new(error))),
        }
        for condition in news(&before, &status) {
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
    pub(crate) fn announce(&self, key: &Key, kind: EventType, reason: &str, message: &str) {
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
fn news<'a>(before: &Status, status: &'a Status) -> Vec<&'a meta::Condition> {
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
