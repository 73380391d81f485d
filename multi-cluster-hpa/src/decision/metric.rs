//! A metric of the object, and what was read of it.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{MetricSpec, MetricTarget};
use placement::{QuantityError, parse_milli};

use crate::calculator::{PodKey, Sample};

/// A metric of the object.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Where it comes from.
    pub kind: Kind,
    /// What it shall be.
    pub target: Target,
    /// What was read.
    pub reading: Reading,
}

/// Where a metric comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Usage of a resource by pods.
    Resource {
        /// `cpu`, `memory`, …
        resource: String,
    },
    /// Usage of a resource by one container of each pod.
    ContainerResource {
        /// `cpu`, `memory`, …
        resource: String,
        /// Its name.
        container: String,
    },
    /// A metric that every pod has.
    Pods {
        /// Its name.
        metric: String,
    },
    /// A metric of one object.
    Object {
        /// Its name.
        metric: String,
        /// The API version of the object, as it is written.
        api_version: Option<String>,
        /// The kind of the object.
        kind: String,
        /// The name of the object.
        object: String,
    },
    /// A metric of something outside.
    External {
        /// Its name.
        metric: String,
    },
    /// The result of a query.
    Prometheus {
        /// The query.
        query: String,
    },
}

/// What a metric shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Percent of the requests, on average. Only of resources.
    Utilization(i32),
    /// Thousandths a pod, on average.
    AverageValue(i64),
    /// Thousandths. Only of Object, External and Prometheus.
    Value(i64),
}

/// What was read of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// A sample a pod. What is stale or not a number is left out.
    Pods(BTreeMap<PodKey, Sample>),
    /// One value for all clusters, in thousandths.
    Total(i64),
    /// A value a cluster, in thousandths.
    ByCluster(BTreeMap<String, i64>),
    /// Nothing, and why.
    Failed(String),
}

/// Why a metric cannot be read from an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// A type that is none, or whose part is missing.
    #[error(
        "spec.metrics: type {0:?} without its part: write e.g. {{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 50}}}}}}"
    )]
    Type(String),
    /// A target that this type cannot have.
    #[error("spec.metrics: the target of {metric} is of type {found:?}: write one of {allowed}")]
    Target {
        /// The metric.
        metric: String,
        /// The target's type.
        found: String,
        /// The types that it can have.
        allowed: &'static str,
    },
    /// A target without its number, or with one that is not above zero.
    #[error("spec.metrics: the target of {metric} needs {field} above zero")]
    Amount {
        /// The metric.
        metric: String,
        /// The field.
        field: &'static str,
    },
    /// A target whose number is no quantity.
    #[error("spec.metrics: the target of {metric}: {source}")]
    Quantity {
        /// The metric.
        metric: String,
        /// What is wrong.
        source: QuantityError,
    },
}

impl Kind {
    /// The reason of the condition `ScalingActive` when nothing can be computed from it.
    pub const fn failure(&self) -> &'static str {
        match self {
            Self::Resource { .. } => "FailedGetResourceMetric",
            Self::ContainerResource { .. } => "FailedGetContainerResourceMetric",
            Self::Pods { .. } => "FailedGetPodsMetric",
            Self::Object { .. } => "FailedGetObjectMetric",
            Self::External { .. } => "FailedGetExternalMetric",
            Self::Prometheus { .. } => "FailedGetPrometheusMetric",
        }
    }

    /// Its name, for people: `cpu`, `cpu of nginx`, `http_requests`, a query.
    pub fn name(&self) -> String {
        match self {
            Self::Resource { resource } => resource.clone(),
            Self::ContainerResource {
                resource,
                container,
            } => format!("{resource} of {container}"),
            Self::Pods { metric } | Self::External { metric } => metric.clone(),
            Self::Object {
                metric,
                kind,
                object,
                ..
            } => format!("{metric} of {kind}/{object}"),
            Self::Prometheus { query } => query.clone(),
        }
    }
}

impl Metric {
    /// Whether its proposal depends on what runs: else it is ⌈value / target⌉.
    pub(super) fn counts_pods(&self) -> bool {
        let is_value = matches!(self.reading, Reading::Total(_) | Reading::ByCluster(_));
        !is_value || !matches!(self.target, Target::AverageValue(_))
    }

    /// Reads one of the five types of `autoscaling/v2`. What was read of it is still `Failed`.
    pub fn read(spec: &MetricSpec) -> Result<Self, MetricError> {
        let (kind, target) = parts(spec).ok_or_else(|| MetricError::Type(spec.type_.clone()))?;
        let target = Target::read(&kind, target)?;
        Ok(Self {
            kind,
            target,
            reading: Reading::Failed("not read yet".to_owned()),
        })
    }
}

fn parts(spec: &MetricSpec) -> Option<(Kind, &MetricTarget)> {
    Some(match spec.type_.as_str() {
        "Resource" => {
            let part = spec.resource.as_ref()?;
            let resource = part.name.clone();
            (Kind::Resource { resource }, &part.target)
        }
        "ContainerResource" => {
            let part = spec.container_resource.as_ref()?;
            let kind = Kind::ContainerResource {
                resource: part.name.clone(),
                container: part.container.clone(),
            };
            (kind, &part.target)
        }
        "Pods" => {
            let part = spec.pods.as_ref()?;
            let metric = part.metric.name.clone();
            (Kind::Pods { metric }, &part.target)
        }
        "Object" => {
            let part = spec.object.as_ref()?;
            let kind = Kind::Object {
                metric: part.metric.name.clone(),
                api_version: part.described_object.api_version.clone(),
                kind: part.described_object.kind.clone(),
                object: part.described_object.name.clone(),
            };
            (kind, &part.target)
        }
        "External" => {
            let part = spec.external.as_ref()?;
            let metric = part.metric.name.clone();
            (Kind::External { metric }, &part.target)
        }
        _ => return None,
    })
}

impl Target {
    /// Reads the target of a metric of this kind.
    pub fn read(kind: &Kind, target: &MetricTarget) -> Result<Self, MetricError> {
        let (utilization, average, value) = ("Utilization", "AverageValue", "Value");
        let (allowed, known): (&[_], _) = match kind {
            Kind::Resource { .. } | Kind::ContainerResource { .. } => {
                (&[utilization, average], "Utilization, AverageValue")
            }
            Kind::Pods { .. } => (&[average], "AverageValue"),
            _ => (&[value, average], "Value, AverageValue"),
        };
        if !allowed.contains(&target.type_.as_str()) {
            return Err(MetricError::Target {
                metric: kind.name(),
                found: target.type_.clone(),
                allowed: known,
            });
        }
        let missing = |field| MetricError::Amount {
            metric: kind.name(),
            field,
        };
        if target.type_ == utilization {
            let percent = target.average_utilization.filter(|percent| *percent > 0);
            let percent = percent.ok_or_else(|| missing("averageUtilization"))?;
            return Ok(Self::Utilization(percent));
        }
        let (field, quantity) = if target.type_ == average {
            ("averageValue", &target.average_value)
        } else {
            ("value", &target.value)
        };
        let quantity = quantity.as_ref().ok_or_else(|| missing(field))?;
        let milli = parse_milli(&quantity.0).map_err(|source| MetricError::Quantity {
            metric: kind.name(),
            source,
        })?;
        match milli {
            ..=0 => Err(missing(field)),
            _ if target.type_ == average => Ok(Self::AverageValue(milli)),
            _ => Ok(Self::Value(milli)),
        }
    }
}
