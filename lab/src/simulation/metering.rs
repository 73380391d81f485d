//! What a member's `metrics.k8s.io` says, and what goes wrong with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control_plane::MetricsSource;
use serde_json::Value;

use crate::simulated::Metrics;

/// How a member's metrics server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metering {
    /// It measures.
    #[default]
    Works,
    /// It knows of nothing.
    Lost,
    /// It repeats what it measured last.
    Stuck,
}

/// A member's metrics server. Clones are the same one.
#[derive(Clone)]
pub struct MetricsServer {
    metrics: Metrics,
    state: Arc<Mutex<(Metering, Vec<Value>)>>,
}

impl MetricsServer {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            state: Arc::default(),
        }
    }

    /// Breaks it, or mends it.
    pub fn set(&self, metering: Metering) {
        let pods = self.metrics.pods(None);
        *self.state() = (metering, pods);
    }

    fn state(&self) -> MutexGuard<'_, (Metering, Vec<Value>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetricsSource for MetricsServer {
    fn nodes(&self) -> Vec<Value> {
        self.metrics.nodes()
    }

    fn pods(&self, namespace: Option<&str>) -> Vec<Value> {
        let (metering, last) = self.state().clone();
        match metering {
            Metering::Works => self.metrics.pods(namespace),
            Metering::Lost => Vec::new(),
            // The API server leaves out those of other namespaces.
            Metering::Stuck => last,
        }
    }
}
