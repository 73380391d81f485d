//! The fence: in a client that has it, a process that is not the leader cannot write.
//!
//! One choke point below every write is simpler to trust than a check before each; it also holds
//! for a leader that was suspended past its lease and goes on in the middle of a reconcile.

use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use kube::client::Body;
use kube::{Client, Config};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tower::util::option_layer;
use tower::{BoxError, Layer, Service};

use super::leader::Leadership;
use super::network::Network;
use super::token_file::TokenFile;

/// A client whose writes pass only while this process leads; what passes is counted.
pub fn fenced_client(
    network: &Network,
    mut config: Config,
    leadership: Leadership,
    requests: &ApiRequests,
    server: Server,
) -> kube::Result<Client> {
    let fence = Fence {
        leadership,
        requests: requests.clone(),
        server,
    };
    let token = option_layer(TokenFile::take(&mut config));
    let builder = network.builder(config)?;
    Ok(builder.with_layer(&token).with_layer(&fence).build())
}

/// A client for the hub that cannot write: every request but GET fails with [`NotLeader`].
pub fn read_only_client(config: Config) -> kube::Result<Client> {
    let (network, requests) = (Network::default(), ApiRequests::default());
    fenced_client(
        &network,
        config,
        Leadership::never(),
        &requests,
        Server::Hub,
    )
}

/// Requests to API servers, by server and method.
#[derive(Clone, Debug, Default)]
pub struct ApiRequests(Family<RequestLabels, Counter>);

/// Whom a client talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// The hub.
    Hub,
    /// A member.
    Member,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    server: &'static str,
    method: String,
}

impl Server {
    fn label(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Member => "member",
        }
    }
}

impl ApiRequests {
    /// Registers the counter.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "mck8s_api_requests",
            "Requests sent to API servers, by server and method",
            self.0.clone(),
        );
    }
}

/// The write was stopped: this process does not lead.
#[derive(Debug, thiserror::Error)]
#[error("not the leader: nothing was written")]
pub struct NotLeader;

/// Whether an error of a client came from its fence.
pub fn is_not_leader(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<NotLeader>() {
            return true;
        }
        cause = error.source();
    }
    false
}

struct Fence {
    leadership: Leadership,
    requests: ApiRequests,
    server: Server,
}

impl<S> Layer<S> for Fence {
    type Service = Fenced<S>;

    fn layer(&self, inner: S) -> Fenced<S> {
        Fenced {
            inner,
            leadership: self.leadership.clone(),
            requests: self.requests.clone(),
            server: self.server,
        }
    }
}

/// A service behind the fence.
struct Fenced<S> {
    inner: S,
    leadership: Leadership,
    requests: ApiRequests,
    server: Server,
}

impl<S, R> Service<http::Request<Body>> for Fenced<S>
where
    S: Service<http::Request<Body>, Response = R>,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Response = R;
    type Error = BoxError;
    type Future = Either<
        futures::future::MapErr<S::Future, fn(S::Error) -> BoxError>,
        Ready<Result<R, BoxError>>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.method() == http::Method::GET || self.leadership.is_leader() {
            let labels = RequestLabels {
                server: self.server.label(),
                method: request.method().to_string(),
            };
            self.requests.0.get_or_create(&labels).inc();
            let into: fn(S::Error) -> BoxError = Into::into;
            Either::Left(futures::TryFutureExt::map_err(
                self.inner.call(request),
                into,
            ))
        } else {
            Either::Right(ready(Err(Box::new(NotLeader))))
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use kube::api::{DeleteParams, Patch, PatchParams, PostParams};

    use super::*;

    #[tokio::test]
    async fn a_client_that_only_reads_sends_no_write() {
        let mut config = Config::new(http::Uri::from_static("http://127.0.0.1:1"));
        config.default_retry = false;
        let client = read_only_client(config).unwrap();
        let maps: Api<ConfigMap> = Api::default_namespaced(client);
        let stopped = |error: kube::Error| is_not_leader(&error);
        let (post, map) = (PostParams::default(), ConfigMap::default());
        assert!(stopped(maps.create(&post, &map).await.unwrap_err()));
        let patch = Patch::Merge(&map);
        let patched = maps.patch("a", &PatchParams::default(), &patch).await;
        assert!(stopped(patched.unwrap_err()));
        let deleted = maps.delete("a", &DeleteParams::default()).await;
        assert!(stopped(deleted.unwrap_err()));
        assert!(!stopped(maps.get("a").await.unwrap_err()), "it is sent");
    }
}
