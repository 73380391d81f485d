//! How people reach what is served: an address, a certificate, a token, and a kubeconfig with them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use control_plane::{Audit, Options, Tls, Tokens, User};
use lab::access;
use tokio::net::TcpListener;

use crate::arguments::Arguments;
use crate::folder::Folder;

/// An address that is taken, and what it takes to be let in.
pub(crate) struct ApiListener {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Tls,
    /// The administrator's.
    pub(crate) token: String,
    pub(crate) kubeconfig: PathBuf,
    audit: Option<Audit>,
}

impl ApiListener {
    /// Takes the address. Token and certificate are those of the folder, or are made there.
    pub(crate) async fn open(arguments: &Arguments, folder: &Folder) -> Result<Self> {
        let listener = listen(arguments.listen).await?;
        let address = listener.local_addr()?;
        let token = access::token(folder.path());
        let token = token.with_context(|| format!("the token in {}", folder.path().display()))?;
        Ok(Self {
            tls: Tls::open(&folder.join("tls"), &names(address, &arguments.tls_san))?,
            kubeconfig: folder.join("kubeconfig"),
            audit: audit(arguments)?,
            listener,
            address,
            token,
        })
    }

    /// Who is let in, and how the API is reached.
    pub(crate) fn access(&self) -> Access {
        Access {
            tokens: [(self.token.clone(), User::admin())].into(),
            authority: self.tls.authority().to_owned(),
            address: reached_here(self.address),
            audit: self.audit.clone(),
        }
    }

    /// Writes a kubeconfig with a context for each of these; the first is the current one.
    pub(crate) fn write_kubeconfig(&self, contexts: &[String]) -> Result<()> {
        let address = reached_here(self.address);
        let servers: Vec<_> = (contexts.iter())
            .map(|name| (name.as_str(), server(address, name)))
            .collect();
        let text = access::kubeconfig(&servers, self.tls.authority(), &self.token);
        access::write_secret(&self.kubeconfig, &text)
            .with_context(|| format!("cannot write {}", self.kubeconfig.display()))
    }
}

/// Who is let in to the control planes, and how they are reached.
#[derive(Clone)]
pub(crate) struct Access {
    tokens: Tokens,
    /// The authority of the API's certificate, as PEM.
    authority: String,
    address: SocketAddr,
    audit: Option<Audit>,
}

impl Access {
    /// The options of a control plane that follow from this.
    pub(crate) fn options(&self, name: &str) -> Options {
        Options {
            tokens: self.tokens.clone(),
            authority: Some(self.authority.clone()),
            issuer: Some(server(self.address, name)),
            audit: self.audit.as_ref().map(|audit| audit.named(name)),
            ..Options::default()
        }
    }
}

/// Where requests are recorded, if anywhere.
fn audit(arguments: &Arguments) -> Result<Option<Audit>> {
    let Some(file) = &arguments.audit_log else {
        return Ok(None);
    };
    let policy = arguments.audit_policy.as_ref().map(|policy| {
        let text = std::fs::read_to_string(policy);
        text.with_context(|| format!("cannot read {}", policy.display()))
    });
    let policy = policy.transpose()?;
    let audit = Audit::open(file, policy.as_deref());
    let what = || format!("cannot record requests in {} (--audit-log)", file.display());
    Ok(Some(audit.with_context(what)?))
}

/// The URL of a control plane.
fn server(address: SocketAddr, name: &str) -> String {
    format!("https://{address}/clusters/{name}")
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
