//! Many control planes behind one listener, each under `/clusters/NAME`.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::Uri;
use http::uri::PathAndQuery;
use tower::ServiceExt;

const PREFIX: &str = "/clusters/";

/// Control planes by name. Clones share them.
#[derive(Clone, Default)]
pub struct Host(Arc<RwLock<BTreeMap<String, Router>>>);

impl Host {
    /// With no control plane.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves a router under `/clusters/NAME`, in place of one that had the name.
    pub fn insert(&self, name: &str, router: Router) {
        let mut routers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        routers.insert(name.to_owned(), router);
    }

    /// Serves nothing under this name any more. Streams that are open go on.
    pub fn remove(&self, name: &str) {
        let mut routers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        routers.remove(name);
    }

    /// The names that are served.
    pub fn names(&self) -> Vec<String> {
        let routers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        routers.keys().cloned().collect()
    }

    /// All of them.
    pub fn router(&self) -> Router {
        self.serve(None)
    }

    /// All of them, and a router for the paths that lead to none.
    pub fn router_over(&self, root: Router) -> Router {
        self.serve(Some(root))
    }

    fn serve(&self, root: Option<Router>) -> Router {
        let host = self.clone();
        Router::new().fallback(move |request: Request| {
            let (host, root) = (host.clone(), root.clone());
            async move { host.answer(root, request).await }
        })
    }

    async fn answer(&self, root: Option<Router>, mut request: Request) -> Response {
        let router = match (self.find(request.uri()), root) {
            (Some((router, uri)), _) => {
                *request.uri_mut() = uri;
                router
            }
            (None, Some(root)) if !request.uri().path().starts_with(PREFIX) => root,
            (None, _) => return crate::api::not_found(),
        };
        match router.oneshot(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// The router that a path leads to, and the path within it.
    fn find(&self, uri: &Uri) -> Option<(Router, Uri)> {
        let rest = uri.path().strip_prefix(PREFIX)?;
        let (name, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let router = {
            let routers = self.0.read().unwrap_or_else(PoisonError::into_inner);
            routers.get(name)?.clone()
        };
        let path = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let path: PathAndQuery = path.parse().ok()?;
        Some((router, Uri::from(path)))
    }
}
