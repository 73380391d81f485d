//! One control plane, put together: a store, the kinds that it serves, controllers, and who may use
//! it.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use thiserror::Error;

use crate::access::bindings::Bindings;
use crate::access::bootstrap::bootstrap;
use crate::access::keys::Keys;
use crate::access::{Access, Tokens, User, Verified};
use crate::api::{Documents, LogSource, MetricsSource, Server, Telemetry, handle};
use crate::audit::Audit;
use crate::builtin;
use crate::controllers;
use crate::kinds::Registry;
use crate::objects::{Objects, ServiceNetwork, Settling};
use crate::sources::Sources;
use crate::store::Store;
use crate::work::Workbench;

/// How a control plane behaves.
#[derive(Clone, Default)]
pub struct Options {
    /// Who may come in over HTTP. Nobody, by default.
    pub tokens: Tokens,
    /// Let everybody in as `system:anonymous`, as kube-apiserver does by default. Otherwise who
    /// has no token sees health and version only.
    pub anonymous: bool,
    /// Who issues the tokens of service accounts: a URL, which is also their audience by default.
    /// `https://kubernetes.default.svc` if none.
    pub issuer: Option<String>,
    /// The authority of the certificate that the API is served with, as PEM. Pods and Secrets of
    /// service accounts are told of it.
    pub authority: Option<String>,
    /// What tokens and certificates of clients are signed with. If none, keys are drawn when they
    /// are needed first, and gone with the control plane.
    pub keys: Option<Keys>,
    /// Time and randomness.
    pub sources: Sources,
    /// Where cluster IPs come from.
    pub service_network: ServiceNetwork,
    /// Records what is done, if there is one.
    pub audit: Option<Audit>,
    /// Serves metrics.k8s.io, if there is one.
    pub metrics: Option<Arc<dyn MetricsSource>>,
    /// Serves the logs of pods, if there is one.
    pub logs: Option<Arc<dyn LogSource>>,
}

/// The issuer of tokens if none is given.
const ISSUER: &str = "https://kubernetes.default.svc";

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
            registry: Registry::new(builtin::resources(options.metrics.is_some())),
            sources: options.sources,
            service_network: options.service_network,
            definitions,
        });
        let started = bootstrap(&objects).await;
        started.map_err(|error| StartError(error.to_string()))?;
        let issuer = options.issuer.unwrap_or_else(|| ISSUER.to_owned());
        let access = Arc::new(Access {
            objects: Arc::clone(&objects),
            tokens: options.tokens,
            anonymous: options.anonymous,
            issuer,
            authority: options.authority,
            keys: options.keys.map_or_else(OnceLock::new, OnceLock::from),
            bindings: Bindings::default(),
            verified: Verified::default(),
        });
        controllers::start(&access, waiting).await;
        Ok(Self(Arc::new(Server {
            access,
            objects,
            audit: options.audit,
            metrics: options.metrics,
            logs: options.logs,
            telemetry: Telemetry::new(),
            workbench: Workbench::default(),
            documents: Documents::default(),
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

    /// With another workbench. No router may have been made.
    #[cfg(test)]
    pub(crate) fn with_workbench(mut self, workbench: Workbench) -> Self {
        Arc::get_mut(&mut self.0).unwrap().workbench = workbench;
        self
    }

    fn serve(&self, user: Option<User>) -> Router {
        let server = Arc::clone(&self.0);
        Router::new().fallback(move |request: Request| {
            let (server, user) = (Arc::clone(&server), user.clone());
            async move { handle(server, user, request).await }
        })
    }
}
