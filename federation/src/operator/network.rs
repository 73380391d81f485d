//! How requests reach API servers: over the machine's network or, in a simulation, in process.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use futures::future::BoxFuture;
use http::{Request, Response};
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt as _, DynBody};
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, service_fn};

/// What is answered to a request.
pub type Answer = Response<Box<DynBody>>;

/// A request on its way, and what comes of it.
pub type Exchange = BoxFuture<'static, Result<Answer, BoxError>>;

/// A network that is simulated: it knows who answers at a URL, how long the way takes, and whether
/// it is open.
pub trait SimulatedNetwork: Send + Sync {
    /// Brings a request to whoever its URL names, and the answer back.
    fn send(&self, request: Request<Body>) -> Exchange;
}

/// The network that clients are made for.
#[derive(Clone, Default)]
pub struct Network(Option<Arc<dyn SimulatedNetwork>>);

/// What a client sends its requests through.
pub(super) type Stack = BoxService<Request<Body>, Answer, BoxError>;

impl Network {
    /// A simulated one. The default is the machine's.
    pub fn simulated(network: Arc<dyn SimulatedNetwork>) -> Self {
        Self(Some(network))
    }

    pub(super) fn builder(&self, config: Config) -> kube::Result<ClientBuilder<Stack>> {
        let Some(network) = self.0.clone() else {
            return ClientBuilder::try_from(config);
        };
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .map_err(BoxError::from)
            .service(service_fn(move |request| network.send(request)));
        Ok(ClientBuilder::new(
            BoxService::new(service),
            config.default_namespace,
        ))
    }
}

impl Debug for Network {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() {
            "simulated"
        } else {
            "the machine's"
        })
    }
}
