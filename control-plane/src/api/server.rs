//! What every request of a control plane shares.

use std::sync::Arc;

use serde_json::Value;

use super::openapi::Documents;
use super::telemetry::Telemetry;
use crate::access::Access;
use crate::audit::Audit;
use crate::objects::Objects;
use crate::work::Workbench;

/// Where the usage of nodes and pods comes from.
pub trait MetricsSource: Send + Sync {
    /// The `NodeMetrics` (metrics.k8s.io/v1beta1) of all nodes that are known.
    fn nodes(&self) -> Vec<Value>;
    /// The `PodMetrics` (metrics.k8s.io/v1beta1) of the pods of a namespace, or of all.
    fn pods(&self, namespace: Option<&str>) -> Vec<Value>;
}

/// Where the logs of containers come from.
pub trait LogSource: Send + Sync {
    /// The log of a container of a pod; none if it has none. The pod is as it is stored.
    fn log(&self, pod: &Value, container: &str) -> Option<String>;
}

/// What every request of a control plane shares.
pub(crate) struct Server {
    pub(crate) objects: Arc<Objects>,
    pub(crate) access: Arc<Access>,
    /// Records what is done, if there is one.
    pub(crate) audit: Option<Audit>,
    /// Serves metrics.k8s.io, if there is one.
    pub(crate) metrics: Option<Arc<dyn MetricsSource>>,
    /// Serves the logs of pods, if there is one.
    pub(crate) logs: Option<Arc<dyn LogSource>>,
    /// Metrics of the server itself.
    pub(crate) telemetry: Telemetry,
    /// Where long work is done.
    pub(crate) workbench: Workbench,
    pub(crate) documents: Documents,
}
