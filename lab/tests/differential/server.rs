//! The two servers.

use std::sync::Arc;

use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options, User};
use http::{Request, Response, header};
use kube::Client;
use kube::client::Body;
use lab::real::Cluster;
use secrecy::ExposeSecret;

const TOKEN: &str = "administrator";
/// Events that the embedded control plane keeps: more than the conversations make.
const HISTORY: usize = 5_000;

/// A server, and the administrator's token.
pub struct Server {
    client: Client,
    pub token: String,
    /// The real one.
    cluster: Option<Arc<Cluster>>,
}

impl Server {
    /// A real cluster's API server.
    pub async fn real(cluster: Arc<Cluster>) -> Self {
        let mut config = cluster.config().await.unwrap();
        // Each request brings its own credentials.
        let token = config.auth_info.token.take().unwrap();
        config.default_retry = false;
        Self {
            client: Client::try_from(config).unwrap(),
            token: token.expose_secret().to_owned(),
            cluster: Some(cluster),
        }
    }

    /// An embedded control plane with the same users.
    pub async fn embedded() -> Self {
        let administrator = User {
            uid: "admin".to_owned(),
            ..User::new("admin", &["system:masters"])
        };
        let options = Options {
            tokens: [(TOKEN.to_owned(), administrator)].into(),
            anonymous: true,
            ..Options::default()
        };
        let store = Store::memory(StoreOptions {
            history: HISTORY,
            ..StoreOptions::default()
        });
        let plane = ControlPlane::start(store, options).await.unwrap();
        Self {
            client: Client::new(plane.router(), "default"),
            token: TOKEN.to_owned(),
            cluster: None,
        }
    }

    /// Sends a request as it is. Fails only where there is no answer at all.
    pub async fn send(&self, request: Request<Vec<u8>>) -> kube::Result<Response<Body>> {
        self.client.send(request.map(Body::from)).await
    }

    /// Forgets what has happened so far; resource versions from before are too old then.
    pub async fn forget_history(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.expire_history().await.unwrap();
            return;
        }
        let path = "/api/v1/namespaces/kube-public";
        for count in 0..=HISTORY {
            let patch = format!(r#"{{"metadata":{{"annotations":{{"count":"{count}"}}}}}}"#);
            let request = Request::patch(path)
                .header(header::CONTENT_TYPE, "application/merge-patch+json")
                .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
            let request = request.body(patch.into_bytes()).unwrap();
            let answer = self.send(request).await.unwrap();
            assert!(answer.status().is_success(), "{answer:?}");
        }
    }
}
