//! From what a `MemberCluster` says of its access to a client.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::access_sources::{from_kubefed, from_secret};
use super::bundle::digest_bits;
use super::kubeconfig_file::{Content, parts_of};
use crate::api::MemberClusterSpec;
use crate::operator::access_args::AccessRules;
use crate::operator::fence::{ApiRequests, Server, fenced_client};
use crate::operator::leader::Leadership;
use crate::operator::network::Network;
use crate::operator::redacted::redacted_message;

/// The most credential plugins that run for one member at the same time. One that hangs cannot be
/// stopped, and the kubeconfig may change while it does.
const MOST_PLUGINS: usize = 3;

/// Why there is no access to a member. The message holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AccessProblem {
    /// What kind of problem it is.
    pub reason: AccessReason,
    /// What is wrong, and what to do.
    pub message: String,
}

/// The kinds of problems with access, as reasons of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessReason {
    /// It does not answer, or what leads to it is not there.
    Unreachable,
    /// The kubeconfig has what does not count, or lacks what must be there.
    InvalidKubeconfig,
    /// Access is not read from that namespace.
    AccessNamespaceNotAllowed,
    /// The address is not one of a member.
    ServerAddressNotAllowed,
}

impl AccessReason {
    /// As a condition's reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::InvalidKubeconfig => "InvalidKubeconfig",
            Self::AccessNamespaceNotAllowed => "AccessNamespaceNotAllowed",
            Self::ServerAddressNotAllowed => "ServerAddressNotAllowed",
        }
    }

    /// The problem of this kind.
    pub fn problem(self, message: impl Into<String>) -> AccessProblem {
        AccessProblem {
            reason: self,
            message: message.into(),
        }
    }
}

/// The access to a member, and a digest that changes when endpoint or credentials do.
#[derive(Clone, Debug)]
pub struct ResolvedAccess {
    /// Changes with address or credentials.
    pub digest: u128,
    /// The parts of a kubeconfig that it consists of.
    kubeconfig: kube::config::Kubeconfig,
    context: String,
    /// Where they are from.
    source: String,
    /// Names may not resolve to link-local addresses.
    refuses_link_local: bool,
}

impl ResolvedAccess {
    pub(super) fn new(
        kubeconfig: kube::config::Kubeconfig,
        context: &str,
        source: impl Into<String>,
        refuses_link_local: bool,
    ) -> Self {
        Self {
            digest: digest_of(&kubeconfig),
            kubeconfig,
            context: context.to_owned(),
            source: source.into(),
            refuses_link_local,
        }
    }

    /// A credential plugin runs when a client is made.
    fn has_plugin(&self) -> bool {
        let users = self.kubeconfig.auth_infos.iter();
        let mut users = users.filter_map(|named| named.auth_info.as_ref());
        users.any(|user| user.exec.is_some() || user.auth_provider.is_some())
    }

    /// The client configuration.
    async fn config(self) -> Result<Config, AccessProblem> {
        let options = KubeConfigOptions {
            context: Some(self.context),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(self.kubeconfig, &options).await;
        let config = config.map_err(|error| {
            let problem = redacted_message(&error);
            let message = format!("kubeconfig {}: {problem}", self.source);
            AccessReason::InvalidKubeconfig.problem(message)
        })?;
        Ok(tuned(config))
    }
}

/// The access to a member now, or what is wrong with it; the kubeconfig is what the operator was given.
pub(super) async fn resolve(
    hub: &Client,
    kubeconfig: Option<&Content>,
    spec: &MemberClusterSpec,
    rules: &AccessRules,
    deadline: Duration,
) -> Result<ResolvedAccess, AccessProblem> {
    with_deadline(deadline, find(hub, kubeconfig, spec, rules)).await?
}

async fn find(
    hub: &Client,
    kubeconfig: Option<&Content>,
    spec: &MemberClusterSpec,
    rules: &AccessRules,
) -> Result<ResolvedAccess, AccessProblem> {
    let access = &spec.access;
    if let Some(context) = &access.context {
        let file = kubeconfig.ok_or_else(|| {
            AccessReason::Unreachable.problem(
                "access.context needs a kubeconfig: start the operator with --kubeconfig=FILE, or use access.secretRef",
            )
        })?;
        let unreadable = |problem: &String| AccessReason::InvalidKubeconfig.problem(problem);
        let file = file.as_ref().map_err(unreadable)?;
        let parts = parts_of(file, context);
        return Ok(ResolvedAccess::new(
            parts,
            context,
            "given by --kubeconfig",
            false,
        ));
    }
    if let Some(reference) = &access.secret_ref {
        return from_secret(hub, reference, rules).await;
    }
    match &access.kube_fed_cluster {
        Some(reference) => from_kubefed(hub, reference, rules).await,
        None => Err(AccessReason::Unreachable
            .problem("access: give one of context, secretRef and kubeFedCluster")),
    }
}

/// The credential plugins that run for one member. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Plugins(Arc<Semaphore>);

impl Default for Plugins {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_PLUGINS)))
    }
}

impl Plugins {
    /// Lets one more run, if this access has one: what is given is kept until it has ended.
    pub(super) fn admit(
        &self,
        access: &ResolvedAccess,
    ) -> Result<Option<OwnedSemaphorePermit>, AccessProblem> {
        if !access.has_plugin() {
            return Ok(None);
        }
        let permit = self.0.clone().try_acquire_owned();
        permit.map(Some).map_err(|_| {
            AccessReason::Unreachable.problem(format!(
                "{MOST_PLUGINS} credential plugins that were started for it have not ended; end them, or restart the operator"
            ))
        })
    }
}

/// A client for a member, which writes only while this process leads.
///
/// A credential plugin runs in here. It blocks, and it cannot be stopped: it has a thread of its own,
/// which goes on when nothing waits for it any more.
async fn make_client(
    network: Network,
    config: Config,
    leadership: Leadership,
    requests: ApiRequests,
    has_plugin: bool,
) -> Result<Client, AccessProblem> {
    let make = move || fenced_client(&network, config, leadership, &requests, Server::Member);
    let made = if has_plugin {
        let made = tokio::task::spawn_blocking(make).await;
        made.map_err(|panic| AccessReason::Unreachable.problem(redacted_message(&panic)))?
    } else {
        make()
    };
    made.map_err(|error| {
        let reason = match &error {
            kube::Error::Auth(_) => AccessReason::Unreachable,
            _ => AccessReason::InvalidKubeconfig,
        };
        reason.problem(redacted_message(&error))
    })
}

/// The same from a resolved access. It must be there in time: `on_slow` is told what is wrong when
/// the deadline is over. It is waited for nevertheless, because a credential plugin cannot be stopped:
/// if it were given up, it would be started again beside itself.
pub(super) async fn connect(
    network: Network,
    access: ResolvedAccess,
    leadership: Leadership,
    requests: ApiRequests,
    deadline: Duration,
    on_slow: impl FnOnce(AccessProblem),
) -> Result<Client, AccessProblem> {
    let has_plugin = access.has_plugin();
    let network = if access.refuses_link_local {
        network.without_link_local()
    } else {
        network
    };
    let config = access.config().await?;
    let client = make_client(network, config, leadership, requests, has_plugin);
    let mut client = pin!(client);
    match with_deadline(deadline, &mut client).await {
        Ok(client) => client,
        Err(problem) => {
            on_slow(problem);
            client.await
        }
    }
}

/// The access to a member must be there in time.
async fn with_deadline<T>(
    deadline: Duration,
    step: impl Future<Output = T>,
) -> Result<T, AccessProblem> {
    let late = |_| {
        let message = format!("its credentials were not there within {deadline:?}");
        AccessReason::Unreachable.problem(message)
    };
    tokio::time::timeout(deadline, step).await.map_err(late)
}

/// Retries are ours to decide: the client's own would hide what a member answers.
fn tuned(mut config: Config) -> Config {
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config
}

/// Secrets are in what is digested, and do not come out of it again. (The serializer of the
/// kubeconfig's types leaves tokens out on purpose, so they are added.)
fn digest_of(kubeconfig: &kube::config::Kubeconfig) -> u128 {
    let secrets: Vec<_> = kubeconfig
        .auth_infos
        .iter()
        .filter_map(|named| named.auth_info.as_ref())
        .map(|auth| {
            [&auth.token, &auth.password, &auth.client_key_data].map(|secret| {
                secret
                    .as_ref()
                    .map(|secret| secret.expose_secret().to_owned())
            })
        })
        .collect();
    let clusters = (kubeconfig.clusters.iter()).filter_map(|named| named.cluster.as_ref());
    let users = (kubeconfig.auth_infos.iter()).filter_map(|named| named.auth_info.as_ref());
    let files = clusters
        .map(|cluster| &cluster.certificate_authority)
        .chain(users.flat_map(|user| [&user.client_certificate, &user.client_key]))
        .flatten();
    // One that cannot be read is said when the configuration is made.
    let files: Vec<_> = files.map(|file| std::fs::read(file).ok()).collect();
    digest_bits(
        json!([
            serde_json::to_value(kubeconfig).unwrap_or_default(),
            secrets,
            files
        ])
        .to_string()
        .as_bytes(),
    )
}
