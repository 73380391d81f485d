//! One evaluation of one autoscaler, in five steps: dereference, validate, read, decide, act; and
//! a report of what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use federation::api::MultiClusterHorizontalPodAutoscaler as Autoscaler;
use federation::operator::events::EventType;
use federation::operator::finalizer::remove_kopf_finalizer;
use federation::operator::key::NamespacedName;
use federation::operator::redacted::redacted_message;
use federation::operator::status::WriteError;
use federation::prometheus::string_escaped;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use tokio::time::Instant;
use tracing::instrument;

use crate::act::{self, ActError};
use crate::calculator::PodKey;
use crate::controller::Controller;
use crate::decision::{self, Condition, ConditionKind, Decision, Layout, Snapshot};
use crate::members;
use crate::queries::{self, usage_of};
use crate::report::Outcome;
use crate::source::{Query, QueryResult};
use crate::state::{State, Target, Tracked};
use crate::validate::Validated;

/// What kept an evaluation from its end. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluateError {
    /// The original's finalizer was not removed.
    #[error("the finalizer of kopf was not removed: {0}")]
    Finalizer(WriteError),
    /// The replicas were not written.
    #[error("the replicas were not written: {}", redacted_message(.0.as_ref()))]
    Act(Box<kube::Error>),
    /// The status was not written.
    #[error("the status was not written: {0}")]
    Report(WriteError),
}

impl EvaluateError {
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Finalizer(_) => "finalizer",
            Self::Act(_) => "act",
            Self::Report(_) => "report",
        }
    }
}

/// An autoscaler that can be evaluated, with its target.
struct Subject {
    spec: Arc<Validated>,
    name: NamespacedName,
    target: Target,
    layout: Layout,
}

/// What was read for an evaluation.
struct Read {
    metrics: Vec<decision::Metric>,
    traffic: Option<BTreeMap<String, f64>>,
    /// When the oldest number was measured that counts.
    oldest: Option<Timestamp>,
    /// What could not be queried, by cluster.
    silent: BTreeMap<String, String>,
}

impl Controller {
    /// Evaluates an autoscaler; gives the time between its evaluations, none when it is gone.
    #[instrument(skip_all, fields(%key))]
    pub(crate) async fn evaluate(
        &self,
        key: &NamespacedName,
    ) -> Result<Option<Duration>, EvaluateError> {
        let (interval, deleting, held) = {
            let state = self.state();
            let Some(tracked) = state.autoscalers.get(key) else {
                return Ok(None);
            };
            let interval = tracked.interval().unwrap_or(self.options.interval);
            (interval, tracked.deleting, tracked.held.clone())
        };
        if let Some(held) = held {
            let _turn = self.writers.acquire().await;
            self.release(key, &held).await?;
        }
        if deleting {
            return Ok(None);
        }
        let subject = dereference(&self.state(), key);
        let subject = match subject {
            Ok(subject) => subject,
            Err(refusal) => {
                self.metrics.evaluated("refused");
                let _turn = self.writers.acquire().await;
                self.report(key, Outcome::refused(refusal)).await?;
                return Ok(Some(interval));
            }
        };
        let read = self.read(&subject, self.fresh_since(key, interval)).await;
        let _turn = self.writers.acquire().await;
        // Time has passed: what is known now counts.
        let Some((snapshot, decision)) = self.decide(key, &subject, read.metrics, read.traffic)
        else {
            return Ok(Some(interval));
        };
        let age = read
            .oldest
            .map(|oldest| snapshot.now.duration_since(oldest).as_secs_f64());
        self.metrics.age(key, age.map(|age| age.max(0.0)));
        self.metrics
            .replicas(key, decision.current, decision.desired);
        let outcome = Outcome::decided(subject.spec.as_ref(), decision, &read.silent);
        let outcome = self.act(key, &subject, &snapshot, outcome).await;
        let (outcome, acted) = match outcome {
            Ok(outcome) => (outcome, Ok(())),
            Err((outcome, error)) => (outcome, Err(error)),
        };
        self.report(key, outcome).await?;
        acted.map(|()| Some(interval))
    }

    /// Removes the original's finalizer: it left one on every object that it served, and nothing else
    /// removes it, so that such an object could never be deleted. If the object has changed
    /// meanwhile, its next revision leads here again.
    async fn release(&self, key: &NamespacedName, held: &ObjectMeta) -> Result<(), EvaluateError> {
        let api: Api<Autoscaler> = Api::namespaced(self.hub.clone(), &key.namespace);
        match remove_kopf_finalizer(&api, held, self.options.deadline).await {
            Ok(()) | Err(WriteError::Stale) => Ok(()),
            Err(error) => Err(EvaluateError::Finalizer(error)),
        }
    }

    /// Makes all queries that the autoscaler needs, at once.
    #[instrument(skip_all)]
    async fn read(&self, subject: &Subject, since: Instant) -> Read {
        let namespace = &subject.name.namespace;
        let pods = members::pods(&self.members, &subject.target.uid);
        let keys: BTreeSet<PodKey> = pods.iter().map(|pod| pod.key.clone()).collect();
        let clusters: BTreeSet<String> = keys.iter().map(|key| key.cluster.clone()).collect();
        let traffic = subject.spec.needs_traffic().then(|| {
            let query = &self.options.pod_traffic_query;
            Query::PromQl(query.replace("{namespace}", &string_escaped(namespace)))
        });
        let queries: Vec<Vec<Query>> = (subject.spec.metrics.iter())
            .map(|(_, metric)| metric.queries(namespace, &clusters))
            .collect();
        let all: BTreeSet<&Query> = queries.iter().flatten().chain(&traffic).collect();
        let results = all.into_iter().map(async |query| {
            let result = self.query(query, since).await;
            let result = result.map_err(|error| {
                self.metrics.unanswered(error.category());
                error.to_string()
            });
            (query.clone(), result)
        });
        let results: BTreeMap<_, _> = (futures::future::join_all(results).await)
            .into_iter()
            .collect();
        let mut oldest: Option<Timestamp> = None;
        let metrics = subject.spec.metrics.iter().zip(&queries);
        let metrics = metrics.map(|((metric, query), queries)| {
            let (reading, measured) =
                queries::reading(&metric.kind, query, &results, queries, &keys);
            oldest = measured.map_or(oldest, |one| Some(oldest.map_or(one, |old| old.min(one))));
            decision::Metric {
                reading,
                ..metric.clone()
            }
        });
        let metrics = metrics.collect();
        let traffic = traffic.and_then(|query| results.get(&query)?.as_ref().ok());
        let silent = clusters.iter().filter_map(|cluster| {
            let result = results.get(&usage_of(cluster, namespace))?;
            Some((cluster.clone(), result.as_ref().err()?.clone()))
        });
        Read {
            metrics,
            traffic: traffic.and_then(|result: &Arc<QueryResult>| queries::traffic(result, &keys)),
            oldest,
            silent: silent.collect(),
        }
    }

    /// Decides on what is known now; none when the autoscaler or its target is not the same any more:
    /// then it is evaluated again.
    #[instrument(skip_all)]
    fn decide(
        &self,
        key: &NamespacedName,
        subject: &Subject,
        metrics: Vec<decision::Metric>,
        traffic: Option<BTreeMap<String, f64>>,
    ) -> Option<(Snapshot, Decision)> {
        let pods = members::pods(&self.members, &subject.target.uid);
        let unknown = members::unknown(&self.members);
        let mut state = self.state();
        let latest = dereference(&state, key).ok()?;
        let same_target = latest.target.uid == subject.target.uid;
        if !same_target || !Arc::ptr_eq(&latest.spec, &subject.spec) {
            return None;
        }
        let spec = latest.target.spec.ok()?;
        let mut layout = latest.layout;
        let tracked = state.autoscalers.get_mut(key)?;
        layout.has_stale_entries &= tracked.pruned_generation != Some(latest.target.generation);
        let now = self.clock.now();
        tracked.follow_the_clock(now, Instant::now());
        let snapshot = Snapshot {
            now,
            defaults: self.options.defaults,
            scaling: subject.spec.scaling(now),
            replica_scheduling: spec.placement.replica_scheduling,
            replicas: spec.replicas,
            layout,
            pods,
            unknown,
            metrics,
            traffic,
        };
        let began = Instant::now();
        let decision = decision::decide(&snapshot, &mut tracked.history);
        self.metrics.decided(began.elapsed());
        Some((snapshot, decision))
    }

    /// Writes the numbers, if they are others.
    #[instrument(skip_all)]
    async fn act(
        &self,
        key: &NamespacedName,
        subject: &Subject,
        snapshot: &Snapshot,
        mut outcome: Outcome,
    ) -> Result<Outcome, (Outcome, EvaluateError)> {
        let Some(wanted) = outcome.decision.wanted.clone() else {
            self.metrics.evaluated(outcome.result());
            return Ok(outcome);
        };
        let deadline = self.options.deadline;
        let target = &subject.name;
        let written = act::apply(&self.hub, target, &subject.target.uid, &wanted, deadline).await;
        match written {
            Ok(()) => {
                if snapshot.layout.has_stale_entries
                    && let Some(tracked) = self.state().autoscalers.get_mut(key)
                {
                    tracked.pruned_generation = Some(subject.target.generation);
                }
                if !outcome.decision.has_changed() {
                    self.metrics.evaluated(outcome.result());
                    return Ok(outcome);
                }
                self.metrics.evaluated("scaled");
                let behavior = snapshot.scaling.behavior.as_ref();
                if let Some(tracked) = self.state().autoscalers.get_mut(key) {
                    tracked
                        .history
                        .scaled(&outcome.decision, snapshot.now, behavior);
                }
                outcome.scaled(snapshot.now);
                self.announce(
                    key,
                    EventType::Normal,
                    "SuccessfulRescale",
                    &outcome.summary(),
                );
                Ok(outcome)
            }
            Err(ActError::Conflict(message)) => {
                self.metrics.evaluated("conflict");
                outcome.not_written("FieldConflict", message);
                Ok(outcome)
            }
            Err(ActError::Api(error)) => {
                self.metrics.evaluated("failed");
                outcome.not_written("FailedUpdateScale", redacted_message(error.as_ref()));
                Err((outcome, EvaluateError::Act(error)))
            }
        }
    }
}

impl Tracked {
    fn interval(&self) -> Option<Duration> {
        self.spec.as_ref().ok()?.interval
    }

    /// A clock that jumps moves the record along: windows are times that have passed.
    fn follow_the_clock(&mut self, now: Timestamp, instant: Instant) {
        if let Some((then, since)) = self.evaluated {
            let passed = SignedDuration::try_from(instant.duration_since(since));
            let jump = now
                .duration_since(then)
                .checked_sub(passed.unwrap_or_default());
            let jump = jump.unwrap_or_default();
            if jump.abs() > SignedDuration::from_secs(1) {
                self.history.shift(jump);
            }
        }
        self.evaluated = Some((now, instant));
    }
}

/// Finds the target, and what stands in the way.
fn dereference(state: &State, key: &NamespacedName) -> Result<Subject, Condition> {
    let Some(tracked) = state.autoscalers.get(key) else {
        return Err(unable("Gone", "the autoscaler is gone".to_owned()));
    };
    let spec = match &tracked.spec {
        Ok(spec) => spec.clone(),
        Err(invalid) => return Err(unable("InvalidSpec", invalid.to_string())),
    };
    let name = tracked.target.clone().unwrap_or_else(|| key.clone());
    let claims = state.claims(&name);
    let rivals: Vec<_> = claims
        .iter()
        .filter(|other| *other != key)
        .map(|other| other.name.clone())
        .collect();
    if !rivals.is_empty() {
        let message = format!(
            "MultiClusterDeployment {} is also the target of {}: an object is scaled by one autoscaler; delete the others, or put all metrics into one",
            name.name,
            rivals.join(", ")
        );
        return Err(unable("AmbiguousTarget", message));
    }
    let missing = || {
        let message = format!(
            "there is no MultiClusterDeployment {name}: create it, or correct spec.scaleTargetRef.name"
        );
        unable("FailedGetScale", message)
    };
    let target = state.targets.get(&name).filter(|target| !target.deleting);
    let target = target.ok_or_else(missing)?.clone();
    let invalid = |problem: String| {
        unable(
            "FailedGetScale",
            format!("MultiClusterDeployment {name}: {problem}"),
        )
    };
    let spec_of_target = target
        .spec
        .as_ref()
        .map_err(|problem| invalid(problem.clone()))?;
    let layout = Layout::read(spec_of_target, &target.status);
    let layout = layout.map_err(|error| invalid(error.to_string()))?;
    Ok(Subject {
        spec,
        name,
        target,
        layout,
    })
}

fn unable(reason: &'static str, message: String) -> Condition {
    Condition {
        kind: ConditionKind::AbleToScale,
        status: false,
        reason,
        message,
    }
}
