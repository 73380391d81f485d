//! From a spec to what is evaluated. This is the only place that rejects; what the CRD's schema and
//! rules can express has been refused by the API server before.

use std::time::Duration;

use federation::api::{
    Distribution, Metric, MetricType, MultiClusterHorizontalPodAutoscalerSpec as Spec,
    PrometheusMetricSource, PrometheusTargetType, Schedule, Scope,
};
use k8s_openapi::api::autoscaling::v2::{MetricTarget, ResourceMetricSource};

use crate::behavior::{Behavior, Bounds};
use crate::decision::{self, Kind, Reading, Scaling, Target};
use crate::queries::MetricQuery;
use crate::schedule::{self, Written, bounds};
use crate::source::promql;

/// An autoscaler that can be evaluated.
pub(crate) struct Validated {
    scaling: Scaling,
    /// The fewest of each location, where the object says it.
    min_per_cluster: Option<u32>,
    schedules: Vec<schedule::Schedule>,
    /// The metrics, and how each is queried.
    pub(crate) metrics: Vec<(decision::Metric, MetricQuery)>,
    /// The time between two evaluations, where the object says it.
    pub(crate) interval: Option<Duration>,
}

/// Why a spec cannot be served: which field, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Invalid(pub(crate) String);

impl Validated {
    /// What the object asks for at this time.
    pub(crate) fn scaling(&self, now: jiff::Timestamp) -> Scaling {
        let bounds = bounds(self.scaling.bounds, &self.schedules, now);
        Scaling {
            bounds,
            min_per_cluster: self.min_per_cluster.unwrap_or(bounds.min.min(1)),
            ..self.scaling.clone()
        }
    }

    /// Whether it must be known where requests arrive.
    pub(crate) fn needs_traffic(&self) -> bool {
        self.scaling.distribution == decision::Distribution::Traffic
    }
}

/// Checks an autoscaler of a namespace.
pub(crate) fn validate(namespace: &str, spec: &Spec) -> Result<Validated, Invalid> {
    let min = spec.min_replicas.unwrap_or(1);
    let behavior = spec.behavior.as_ref().map(Behavior::read).transpose();
    let metrics = if spec.metrics.is_empty() {
        vec![cpu_at_80_percent()]
    } else {
        spec.metrics.clone()
    };
    let metrics = metrics.iter().map(|one| metric(namespace, one));
    let schedules = spec.schedules.iter().map(|one| read_schedule(one, spec));
    Ok(Validated {
        scaling: Scaling {
            bounds: Bounds {
                min,
                max: spec.max_replicas.unwrap_or(Spec::DEFAULT_MAX),
            },
            zero_is_allowed: min == 0
                || spec.schedules.iter().any(|one| one.min_replicas == Some(0)),
            min_per_cluster: min.min(1),
            scope: match spec.scope {
                Scope::PerCluster => decision::Scope::PerCluster,
                Scope::Global => decision::Scope::Global,
            },
            distribution: match spec.distribution {
                Distribution::Load => decision::Distribution::Load,
                Distribution::Traffic => decision::Distribution::Traffic,
            },
            behavior: behavior.map_err(|error| Invalid(error.to_string()))?,
        },
        min_per_cluster: spec.min_replicas_per_cluster,
        schedules: schedules.collect::<Result<_, _>>()?,
        metrics: metrics.collect::<Result<_, _>>()?,
        interval: (spec.evaluation_interval_seconds)
            .map(|seconds| Duration::from_secs(u64::from(seconds))),
    })
}

/// What `autoscaling/v2` fills in.
fn cpu_at_80_percent() -> Metric {
    Metric {
        type_: MetricType::Resource,
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(80),
                ..MetricTarget::default()
            },
        }),
        container_resource: None,
        pods: None,
        object: None,
        external: None,
        prometheus: None,
    }
}

fn read_schedule(one: &Schedule, spec: &Spec) -> Result<schedule::Schedule, Invalid> {
    let limits = (
        one.min_replicas.or(spec.min_replicas).unwrap_or(1),
        one.max_replicas
            .or(spec.max_replicas)
            .unwrap_or(Spec::DEFAULT_MAX),
    );
    if limits.0 > limits.1 {
        return Err(Invalid(format!(
            "spec.schedules: {:?} has minReplicas {} above maxReplicas {}: give both",
            one.name.as_ref().unwrap_or(&one.schedule),
            limits.0,
            limits.1
        )));
    }
    let written = Written {
        cron: &one.schedule,
        time_zone: one.time_zone.as_deref(),
        duration: &one.duration,
        min: one.min_replicas,
        max: one.max_replicas,
    };
    schedule::Schedule::read(&written).map_err(|error| Invalid(error.to_string()))
}

fn metric(namespace: &str, given: &Metric) -> Result<(decision::Metric, MetricQuery), Invalid> {
    let invalid = |error: decision::MetricError| Invalid(error.to_string());
    match given.kubernetes() {
        Some(spec) => {
            let ask = MetricQuery::of(namespace, &spec).map_err(Invalid)?;
            Ok((decision::Metric::read(&spec).map_err(invalid)?, ask))
        }
        None => prometheus(given.prometheus.as_ref()),
    }
}

fn prometheus(
    given: Option<&PrometheusMetricSource>,
) -> Result<(decision::Metric, MetricQuery), Invalid> {
    let given = given.ok_or_else(|| {
        Invalid("spec.metrics: type Prometheus without prometheus: write prometheus: {query: …, target: {type: AverageValue, averageValue: \"100\"}}".to_owned())
    })?;
    promql::check(&given.query)
        .map_err(|error| Invalid(format!("spec.metrics: prometheus.query: {error}")))?;
    let kind = Kind::Prometheus {
        query: given.query.clone(),
    };
    let target = MetricTarget {
        type_: match given.target.type_ {
            PrometheusTargetType::Value => "Value",
            PrometheusTargetType::AverageValue => "AverageValue",
        }
        .to_owned(),
        value: given.target.value.clone(),
        average_value: given.target.average_value.clone(),
        average_utilization: None,
    };
    let metric = decision::Metric {
        target: Target::read(&kind, &target).map_err(|error| Invalid(error.to_string()))?,
        kind,
        reading: Reading::Failed("not read yet".to_owned()),
    };
    Ok((metric, MetricQuery::ByCluster(given.query.clone())))
}
