//! One control plane, put together: a store, the kinds that it serves, controllers, and who may use
//! it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use thiserror::Error;

use crate::access::bootstrap::bootstrap;
use crate::access::issued::IssuedTokens;
use crate::access::{Access, Tokens, User};
use crate::api::{LogSource, MetricsSource, Server, handle};
use crate::controllers;
use crate::kinds::Registry;
use crate::objects::{Objects, ServiceNetwork, Settling};
use crate::sources::Sources;
use crate::store::Store;

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

/// A Kubernetes API server over a store. Clones share it; it ends with the last clone and router.
#[derive(Clone)]
pub struct ControlPlane(Arc<Server>);

impl ControlPlane {
    /// Starts a control plane, within a Tokio runtime. Namespaces and roles that every cluster has
    /// are made if they are missing.
    pub async fn start(store: Store, options: Options) -> Result<Self, StartError> {
        let (definitions, waiting) = Settling::new();
        let objects = Arc::new(Objects {
            store,
            registry: Registry::new(options.metrics.is_some()),
            sources: options.sources,
            service_network: options.service_network,
            definitions,
        });
        let started = bootstrap(&objects).await;
        started.map_err(|error| StartError(error.to_string()))?;
        controllers::start(&objects, waiting).await;
        Ok(Self(Arc::new(Server {
            access: Access {
                objects: Arc::clone(&objects),
                tokens: options.tokens,
                anonymous: options.anonymous,
                issued: IssuedTokens::default(),
            },
            objects,
            metrics: options.metrics,
            logs: options.logs,
        })))
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
        &self.0.objects.store
    }

    fn serve(&self, user: Option<User>) -> Router {
        let server = Arc::clone(&self.0);
        Router::new().fallback(move |request: Request| {
            let (server, user) = (Arc::clone(&server), user.clone());
            async move { handle(server, user, request).await }
        })
    }
}
