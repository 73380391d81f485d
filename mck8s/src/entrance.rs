//! How people reach what is served: an address, a certificate, a token, and a kubeconfig with them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use control_plane::{Tls, Tokens, User};
use lab::access;
use tokio::net::TcpListener;

use crate::arguments::Arguments;
use crate::folder::Folder;

/// An address that is taken, and what it takes to be let in.
pub(crate) struct Entrance {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Tls,
    /// The administrator's.
    pub(crate) token: String,
    pub(crate) kubeconfig: PathBuf,
}

impl Entrance {
    /// Takes the address. Token and certificate are those of the folder, or are made there.
    pub(crate) async fn open(arguments: &Arguments, folder: &Folder) -> Result<Self> {
        let listener = listen(arguments.listen).await?;
        let address = listener.local_addr()?;
        let token = access::token(folder.path());
        let token = token.with_context(|| format!("the token in {}", folder.path().display()))?;
        Ok(Self {
            tls: Tls::open(&folder.join("tls"), &names(address, &arguments.tls_san))?,
            kubeconfig: folder.join("kubeconfig"),
            listener,
            address,
            token,
        })
    }

    /// Who may do what.
    pub(crate) fn tokens(&self) -> Tokens {
        [(self.token.clone(), User::admin())].into()
    }

    /// Writes a kubeconfig with a context for each of these; the first is the current one.
    pub(crate) fn write_kubeconfig(&self, contexts: &[String]) -> Result<()> {
        let address = reached_here(self.address);
        let server = |name: &str| format!("https://{address}/clusters/{name}");
        let servers: Vec<_> = (contexts.iter())
            .map(|name| (name.as_str(), server(name)))
            .collect();
        let text = access::kubeconfig(&servers, self.tls.authority(), &self.token);
        access::write_secret(&self.kubeconfig, &text)
            .with_context(|| format!("cannot write {}", self.kubeconfig.display()))
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}: choose another address with --listen, as 127.0.0.1:0 for \
             any port that is free"
        )
    })
}

/// What the certificate covers: what leads here from this machine, and what people name.
fn names(address: SocketAddr, further: &[String]) -> Vec<String> {
    let here = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let address = (!address.ip().is_unspecified()).then(|| address.ip().to_string());
    let names = here
        .into_iter()
        .chain(address)
        .chain(further.iter().cloned());
    names.collect()
}

/// How this machine reaches what listens there.
fn reached_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
