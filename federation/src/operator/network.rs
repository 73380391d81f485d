//! How requests reach API servers: over the machine's network or, in a simulation, in process.

use std::fmt::{Debug, Formatter};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt as _, DynBody};
use percent_encoding::percent_decode_str;
use tower::util::BoxService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _, service_fn};

use super::link_local::is_link_local;

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
pub struct Network {
    simulated: Option<Arc<dyn SimulatedNetwork>>,
    refuses_link_local: bool,
}

/// What a client sends its requests through.
pub(super) type Stack = BoxService<Request<Body>, Answer, BoxError>;

impl Network {
    /// A simulated one. The default is the machine's.
    pub fn simulated(network: Arc<dyn SimulatedNetwork>) -> Self {
        Self {
            simulated: Some(network),
            refuses_link_local: false,
        }
    }

    /// The same, without connections to names that resolve to link-local addresses.
    #[must_use]
    pub fn without_link_local(&self) -> Self {
        Self {
            refuses_link_local: true,
            ..self.clone()
        }
    }

    pub(super) fn builder(&self, config: Config) -> kube::Result<ClientBuilder<Stack>> {
        let Some(network) = self.simulated.clone() else {
            return if self.refuses_link_local {
                guarded(config)
            } else {
                ClientBuilder::try_from(config)
            };
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

/// What kube makes of a configuration, with a resolver that refuses link-local addresses: a name is
/// resolved at every connection, and whoever owns it may change what it means. Through a proxy, that is
/// the proxy's name; the member's is resolved there.
fn guarded(config: Config) -> kube::Result<ClientBuilder<Stack>> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
    tcp.enforce_http(false);
    let Some(proxy) = config.proxy_url.clone() else {
        return connecting_by(tcp, config);
    };
    match proxy.scheme_str() {
        Some("http") => connecting_by(tunnel(proxy, tcp), config),
        Some("https") => {
            let tls = config.rustls_https_connector_with_connector(tcp)?;
            connecting_by(tunnel(proxy, tls), config)
        }
        Some("socks5") => connecting_by(SocksV5::new(proxy, tcp), config),
        _ => Err(kube::Error::ProxyProtocolUnsupported {
            proxy_url: Box::new(proxy),
        }),
    }
}

/// A tunnel through an HTTP proxy, with the user and the password that its URL has.
fn tunnel<C>(proxy: Uri, connector: C) -> Tunnel<C> {
    let user = proxy.authority().and_then(|one| {
        let (user, _) = one.as_str().rsplit_once('@')?;
        let user: Vec<u8> = percent_decode_str(user).collect();
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(user))).ok()
    });
    let tunnel = Tunnel::new(proxy, connector);
    match user {
        Some(user) => tunnel.with_auth(user),
        None => tunnel,
    }
}

fn connecting_by<C>(connector: C, config: Config) -> kube::Result<ClientBuilder<Stack>>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let tls = config.rustls_https_connector_with_connector(connector)?;
    let mut connector = TimeoutConnector::new(tls);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let client: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .service(client)
        .map_response(|answer: Response<_>| {
            answer.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>)
        });
    Ok(ClientBuilder::new(
        BoxService::new(service),
        config.default_namespace,
    ))
}

/// Resolves names, but not to link-local addresses.
#[derive(Clone)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolved = self.0.call(name);
        Box::pin(async move {
            let addresses: Vec<_> = resolved.await?.collect();
            if addresses.iter().any(|one| is_link_local(one.ip())) {
                return Err(io::Error::other(
                    "its name resolves to a link-local address, and --allow-link-local-servers is off",
                ));
            }
            Ok(addresses.into_iter())
        })
    }
}

impl Debug for Network {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.simulated.is_some() {
            "simulated"
        } else {
            "the machine's"
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// What a proxy gets first of a client of a member.
    async fn first_bytes(proxy: &str) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut config = Config::new(Uri::from_static("https://member.example:6443"));
        config.proxy_url = Some(proxy.replace("PROXY", &address).parse().unwrap());
        config.default_retry = false;
        let network = Network::default().without_link_local();
        let client = network.builder(config).unwrap().build();
        let proxy = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::with_capacity(4096);
            stream.read_buf(&mut bytes).await.unwrap();
            bytes
        };
        let (bytes, answer) = tokio::join!(proxy, client.apiserver_version());
        assert!(answer.is_err(), "the proxy has closed");
        bytes
    }

    #[tokio::test]
    async fn a_member_with_a_proxy_is_reached_through_it() {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let head = text(first_bytes("http://PROXY").await);
        assert!(
            head.starts_with("CONNECT member.example:6443 HTTP/1.1\r\n"),
            "{head}"
        );
        let head = text(first_bytes("http://me:p%40ss@PROXY").await);
        let user = format!("Basic {}\r\n", STANDARD.encode("me:p@ss"));
        assert!(head.contains(&user), "{head}");
        assert!(first_bytes("socks5://PROXY").await.starts_with(&[5]));
        // A TLS handshake.
        assert!(first_bytes("https://PROXY").await.starts_with(&[22]));
    }

    /// `0.0.0.0` has no name of its own, but resolvers take it for one.
    #[tokio::test]
    async fn names_are_not_resolved_to_link_local_addresses() {
        let mut resolver = Resolver(GaiResolver::new());
        let mut resolve = |name: &str| resolver.call(name.parse().unwrap());
        assert!(resolve("localhost").await.is_ok());
        for name in ["169.254.169.254", "0xa9fea9fe", "2852039166", "0.0.0.0"] {
            let error = resolve(name).await.unwrap_err().to_string();
            assert!(error.contains("--allow-link-local-servers"), "{error}");
        }
    }
}
