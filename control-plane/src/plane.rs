//! One control plane: a store, the kinds that it serves, and who may use it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Request;
use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use crate::access::bootstrap::bootstrap;
use crate::access::{Tokens, User};
use crate::api::dispatch::handle;
use crate::api::services::ServiceNetwork;
use crate::api::tokens::Issued;
use crate::controllers::{self, Changes, definitions};
use crate::kinds::Registry;
use crate::sources::Sources;
use crate::store::Store;
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

/// How a control plane behaves.
#[derive(Clone, Default)]
pub struct Options {
    /// Who may come in over HTTP. Nobody, by default.
    pub tokens: Tokens,
    /// Let everybody in as `system:anonymous`, as kube-apiserver does by default. Otherwise who
    /// has no token sees health and version only.
    pub anonymous: bool,
    /// Time and randomness.
    pub sources: Sources,
    /// Where cluster IPs come from.
    pub service_network: ServiceNetwork,
    /// Serves metrics.k8s.io, if there is one.
    pub metrics: Option<Arc<dyn MetricsSource>>,
    /// Serves the logs of pods, if there is one.
    pub logs: Option<Arc<dyn LogSource>>,
}

/// Why a control plane could not start.
#[derive(Clone, Debug, Error)]
#[error("the control plane could not start: {0}")]
pub struct StartError(String);

/// What every request of a control plane shares.
pub(crate) struct Plane {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) sources: Sources,
    pub(crate) options: Options,
    pub(crate) changes: Changes,
    pub(crate) workbench: Workbench,
    tokens: Mutex<BTreeMap<String, Issued>>,
}

impl Plane {
    /// Keeps a token that was given out, and forgets those that have expired.
    pub(crate) fn keep_token(&self, token: String, issued: Issued, now: Timestamp) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, issued| issued.is_alive(now));
        tokens.insert(token, issued);
    }

    /// A token that was given out.
    pub(crate) fn token(&self, token: &str) -> Option<Issued> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).cloned()
    }
}

/// A Kubernetes API server over a store. Clones share it; it ends with the last clone and router.
#[derive(Clone)]
pub struct ControlPlane(Arc<Plane>);

impl ControlPlane {
    /// Starts a control plane, within a Tokio runtime. Namespaces and roles that every cluster has
    /// are made if they are missing.
    pub async fn start(store: Store, options: Options) -> Result<Self, StartError> {
        let (changes, reports) = Changes::new();
        let plane = Arc::new(Plane {
            store,
            registry: Registry::new(options.metrics.is_some()),
            sources: options.sources.clone(),
            options,
            changes,
            workbench: Workbench::default(),
            tokens: Mutex::default(),
        });
        let started = bootstrap(&plane).await;
        started.map_err(|error| StartError(error.message))?;
        definitions::settle(&plane).await;
        // It ends when nobody can write any more.
        tokio::spawn(controllers::run(Arc::downgrade(&plane), reports));
        Ok(Self(plane))
    }

    /// The API for those who show a token.
    pub fn router(&self) -> Router {
        self.serve(None)
    }

    /// The API for a caller in this process, who is this user without showing a token.
    pub fn router_for(&self, user: User) -> Router {
        self.serve(Some(user))
    }

    /// The store beneath.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    fn serve(&self, user: Option<User>) -> Router {
        let plane = Arc::clone(&self.0);
        Router::new().fallback(move |request: Request| {
            let (plane, user) = (Arc::clone(&plane), user.clone());
            async move { handle(plane, user, request).await }
        })
    }
}
