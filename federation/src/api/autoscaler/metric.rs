//! What an autoscaler measures.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, ExternalMetricSource, MetricSpec, ObjectMetricSource,
    PodsMetricSource, ResourceMetricSource,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A metric, and what it shall be: `type` says which of the other fields is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Which field is given.
    #[serde(rename = "type")]
    pub type_: MetricType,
    /// Usage of a resource by the pods, from the members' `metrics.k8s.io`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceMetricSource>,
    /// The same of one container of each pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_resource: Option<ContainerResourceMetricSource>,
    /// A metric that every pod has, from Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsMetricSource>,
    /// A metric of one object, from Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectMetricSource>,
    /// A metric of something outside, from Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalMetricSource>,
    /// The result of a query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusMetricSource>,
}

impl Metric {
    /// The metric as Kubernetes has it; none for one that only exists here.
    pub fn kubernetes(&self) -> Option<MetricSpec> {
        let type_ = match self.type_ {
            MetricType::Resource => "Resource",
            MetricType::ContainerResource => "ContainerResource",
            MetricType::Pods => "Pods",
            MetricType::Object => "Object",
            MetricType::External => "External",
            MetricType::Prometheus => return None,
        };
        Some(MetricSpec {
            type_: type_.to_owned(),
            resource: self.resource.clone(),
            container_resource: self.container_resource.clone(),
            pods: self.pods.clone(),
            object: self.object.clone(),
            external: self.external.clone(),
        })
    }
}

/// Where a metric comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MetricType {
    /// `resource` is given.
    Resource,
    /// `containerResource` is given.
    ContainerResource,
    /// `pods` is given.
    Pods,
    /// `object` is given.
    Object,
    /// `external` is given.
    External,
    /// `prometheus` is given.
    Prometheus,
}

/// The result of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrometheusMetricSource {
    /// `PromQL`. One number counts for all clusters; a vector with the label `cluster_name` gives
    /// each cluster its own.
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// What it shall be.
    pub target: PrometheusTarget,
}

/// What the result of a query shall be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusTarget {
    /// Which field is given.
    #[serde(rename = "type")]
    pub type_: PrometheusTargetType,
    /// The result itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Quantity>,
    /// The result divided by the number of pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_value: Option<Quantity>,
}

/// What is compared with the result of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PrometheusTargetType {
    /// The result itself.
    Value,
    /// The result divided by the number of pods.
    AverageValue,
}
