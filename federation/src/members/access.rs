//! From what a `MemberCluster` says of its access to a client configuration.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::client::AuthError;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, NamedAuthInfo, NamedCluster, NamedContext,
};
use kube::core::ApiResource;
use kube::{Api, Client, Config};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::time::Instant;

use super::bundle::digest_bits;
use crate::api::{KubeFedClusterReference, MemberClusterSpec, SecretReference};
use crate::operator::fence::{ApiRequests, Server, fenced_client};
use crate::operator::leader::Leadership;
use crate::operator::network::Network;

/// A way to a member, and a digest that changes when the way does.
#[derive(Clone, Debug)]
pub struct ResolvedAccess {
    /// Changes with address or credentials.
    pub digest: u128,
    /// The parts of a kubeconfig that are the way.
    kubeconfig: kube::config::Kubeconfig,
    context: Option<String>,
    /// Where they are from.
    source: String,
}

impl ResolvedAccess {
    /// The client configuration.
    async fn config(self) -> Result<Config, AccessError> {
        let options = KubeConfigOptions {
            context: self.context,
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(self.kubeconfig, &options).await;
        let config = config.map_err(|error| AccessError::Kubeconfig {
            path: self.source,
            problem: error.to_string(),
        })?;
        Ok(tuned(config))
    }
}

/// Why a member cannot be reached as its object says.
#[derive(Debug, thiserror::Error)]
enum AccessError {
    /// The operator was given no kubeconfig, and access names a context.
    #[error(
        "access.context needs a kubeconfig: start the operator with --kubeconfig=FILE, or use access.secretRef"
    )]
    NoKubeconfig,
    /// The operator's kubeconfig cannot be read or parsed; says which and why.
    #[error("{0}")]
    Unreadable(String),
    /// A kubeconfig does not make a configuration.
    #[error("kubeconfig {path}: {problem}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The hub did not give the object that access names.
    #[error("{what}: {source}")]
    Hub {
        /// The object.
        what: String,
        /// What the hub said.
        source: Box<kube::Error>,
    },
    /// The object that access names lacks something. Never holds a secret.
    #[error("{what}: {problem}")]
    Incomplete {
        /// The object.
        what: String,
        /// What it lacks.
        problem: String,
    },
}

/// The kubeconfig file that the operator was given. Whoever asks within a second gets what was read
/// for the one before; clones share it.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    path: PathBuf,
    last: Arc<Mutex<Option<(Instant, Content)>>>,
}

/// What a kubeconfig file holds, or what is wrong with it.
pub type Content = Result<Arc<kube::config::Kubeconfig>, String>;

/// How often an operator looks at the ways again, which may change without their objects: a
/// kubeconfig is edited, a Secret is renewed.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long a kubeconfig file counts as read.
const FRESH: Duration = Duration::from_secs(1);

impl Kubeconfig {
    /// A file; it is read when somebody asks.
    pub fn at(path: PathBuf) -> Self {
        let last = Arc::default();
        Self { path, last }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's content, or what is wrong with it, not older than a second.
    pub fn read(&self) -> Content {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last.as_ref().filter(|(since, _)| since.elapsed() < FRESH);
        if let Some((_, content)) = fresh {
            return content.clone();
        }
        let content = kube::config::Kubeconfig::read_from(&self.path)
            .map(Arc::new)
            .map_err(|error| format!("kubeconfig {}: {error}", self.path.display()));
        *last = Some((Instant::now(), content.clone()));
        content
    }
}

/// The way to a member now, or what is wrong with it; the kubeconfig is what the operator was given.
pub async fn resolve(
    hub: &Client,
    kubeconfig: Option<&Content>,
    spec: &MemberClusterSpec,
    deadline: Duration,
) -> Result<ResolvedAccess, String> {
    let way = within(deadline, find(hub, kubeconfig, spec)).await?;
    way.map_err(|error| error.to_string())
}

async fn find(
    hub: &Client,
    kubeconfig: Option<&Content>,
    spec: &MemberClusterSpec,
) -> Result<ResolvedAccess, AccessError> {
    let access = &spec.access;
    if let Some(context) = &access.context {
        let file = kubeconfig.ok_or(AccessError::NoKubeconfig)?;
        let file = (file.as_ref()).map_err(|problem| AccessError::Unreadable(problem.clone()))?;
        return Ok(way(file, Some(context.clone()), "given by --kubeconfig"));
    }
    if let Some(reference) = &access.secret_ref {
        return from_secret(hub, reference).await;
    }
    match &access.kube_fed_cluster {
        Some(reference) => from_kubefed(hub, reference).await,
        None => Err(AccessError::Incomplete {
            what: "access".to_owned(),
            problem: "give one of context, secretRef and kubeFedCluster".to_owned(),
        }),
    }
}

/// A client for a member, which writes only while this process leads.
///
/// A credential plugin runs in here. It blocks, and it cannot be stopped: it has a thread of its own,
/// which goes on when nobody waits for it any more.
async fn connect(
    network: Network,
    config: Config,
    leadership: Leadership,
    requests: ApiRequests,
) -> Result<Client, String> {
    let has_plugin = config.auth_info.exec.is_some();
    let make = move || fenced_client(&network, config, leadership, &requests, Server::Member);
    let made = if has_plugin {
        let made = tokio::task::spawn_blocking(make).await;
        made.map_err(|panic| panic.to_string())?
    } else {
        make()
    };
    made.map_err(|error| told(&error))
}

/// What people are told of an error. kube's own text of a credential plugin that fails has its
/// environment and its output, where secrets are.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(one) = cause {
        match one.downcast_ref() {
            Some(AuthError::AuthExecRun { out, .. }) => {
                return format!("its credential plugin has failed ({})", out.status);
            }
            Some(AuthError::AuthExecParse(_)) => {
                return "its credential plugin has printed no ExecCredential".to_owned();
            }
            _ => cause = one.source(),
        }
    }
    error.to_string()
}

/// The same from a way to a member. It must be found in time: `late` is told what is wrong when the
/// deadline is over. It is waited for nevertheless, because a credential plugin cannot be stopped:
/// whoever gave it up would start it again beside itself.
pub async fn connect_late(
    network: Network,
    way: ResolvedAccess,
    leadership: Leadership,
    requests: ApiRequests,
    deadline: Duration,
    late: impl FnOnce(String),
) -> Result<Client, String> {
    let config = way.config().await.map_err(|error| error.to_string())?;
    let mut client = pin!(connect(network, config, leadership, requests));
    match within(deadline, &mut client).await {
        Ok(client) => client,
        Err(problem) => {
            late(problem);
            client.await
        }
    }
}

/// The way to a member must be found in time.
async fn within<T>(deadline: Duration, step: impl Future<Output = T>) -> Result<T, String> {
    let late = |_| format!("its credentials were not there within {deadline:?}");
    tokio::time::timeout(deadline, step).await.map_err(late)
}

/// Only the parts of this context: another one's change must not restart this member.
fn way(
    kubeconfig: &kube::config::Kubeconfig,
    context: Option<String>,
    source: &str,
) -> ResolvedAccess {
    let wanted = context.or_else(|| kubeconfig.current_context.clone());
    let named = |named: &&NamedContext| Some(&named.name) == wanted.as_ref();
    let contexts: Vec<_> = kubeconfig.contexts.iter().filter(named).cloned().collect();
    let parts = contexts.first().and_then(|named| named.context.as_ref());
    let clusters = kubeconfig.clusters.iter();
    let users = kubeconfig.auth_infos.iter();
    let own = kube::config::Kubeconfig {
        clusters: clusters
            .filter(|named| parts.is_some_and(|context| context.cluster == named.name))
            .cloned()
            .collect(),
        auth_infos: users
            .filter(|named| parts.is_some_and(|context| context.user.as_ref() == Some(&named.name)))
            .cloned()
            .collect(),
        contexts,
        ..kube::config::Kubeconfig::default()
    };
    ResolvedAccess {
        digest: digest_of(&own),
        kubeconfig: own,
        context: wanted,
        source: source.to_owned(),
    }
}

async fn from_secret(
    hub: &Client,
    reference: &SecretReference,
) -> Result<ResolvedAccess, AccessError> {
    let what = format!("Secret {}/{}", reference.namespace, reference.name);
    let secrets: Api<Secret> = Api::namespaced(hub.clone(), &reference.namespace);
    let secret = secrets
        .get(&reference.name)
        .await
        .map_err(|source| AccessError::Hub {
            what: what.clone(),
            source: Box::new(source),
        })?;
    let data = secret.data.unwrap_or_default();
    let value = match &reference.key {
        Some(key) => data.get(key),
        None => data.get("kubeconfig").or_else(|| data.get("value")),
    };
    let incomplete = |problem: &str| AccessError::Incomplete {
        what: what.clone(),
        problem: problem.to_owned(),
    };
    let value = value.ok_or_else(|| incomplete("has no kubeconfig: put it under the key \"kubeconfig\", or name the key in access.secretRef.key"))?;
    // The parser's message may quote the text, which is secret.
    let text =
        std::str::from_utf8(&value.0).map_err(|_| incomplete("the kubeconfig is not text"))?;
    let kubeconfig = kube::config::Kubeconfig::from_yaml(text)
        .map_err(|_| incomplete("the kubeconfig is not valid YAML of that form"))?;
    Ok(way(&kubeconfig, None, &what))
}

async fn from_kubefed(
    hub: &Client,
    reference: &KubeFedClusterReference,
) -> Result<ResolvedAccess, AccessError> {
    let what = format!("KubeFedCluster {}/{}", reference.namespace, reference.name);
    let incomplete = |problem: &str| AccessError::Incomplete {
        what: what.clone(),
        problem: problem.to_owned(),
    };
    let failed = |source: kube::Error| AccessError::Hub {
        what: what.clone(),
        source: Box::new(source),
    };
    let clusters: Api<DynamicObject> =
        Api::namespaced_with(hub.clone(), &reference.namespace, &kubefed_resource());
    let cluster = clusters.get(&reference.name).await.map_err(failed)?;
    let spec = &cluster.data["spec"];
    let endpoint = spec["apiEndpoint"]
        .as_str()
        .ok_or_else(|| incomplete("has no spec.apiEndpoint"))?;
    let secret_name = spec["secretRef"]["name"]
        .as_str()
        .ok_or_else(|| incomplete("has no spec.secretRef.name"))?;
    let secrets: Api<Secret> = Api::namespaced(hub.clone(), &reference.namespace);
    let data = secrets
        .get(secret_name)
        .await
        .map_err(failed)?
        .data
        .unwrap_or_default();
    let token = data
        .get("token")
        .and_then(|token| String::from_utf8(token.0.clone()).ok());
    let token = token.ok_or_else(|| incomplete("its Secret has no token"))?;
    let mut own = Cluster {
        server: Some(endpoint.to_owned()),
        ..Cluster::default()
    };
    own.certificate_authority_data = spec["caBundle"].as_str().map(str::to_owned);
    if spec["disabledTLSValidations"]
        .as_array()
        .is_some_and(|off| off.iter().any(|one| one == "*"))
    {
        own.insecure_skip_tls_verify = Some(true);
        own.certificate_authority_data = None;
    }
    let named = "member".to_owned();
    let user = AuthInfo {
        token: Some(token.into()),
        ..AuthInfo::default()
    };
    let context = Context {
        cluster: named.clone(),
        user: Some(named.clone()),
        ..Context::default()
    };
    let kubeconfig = kube::config::Kubeconfig {
        clusters: vec![NamedCluster {
            name: named.clone(),
            cluster: Some(own),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: named.clone(),
            auth_info: Some(user),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: named.clone(),
            context: Some(context),
            ..NamedContext::default()
        }],
        ..kube::config::Kubeconfig::default()
    };
    Ok(way(&kubeconfig, Some(named), &what))
}

/// `core.kubefed.io/v1beta1` `KubeFedCluster`.
pub(super) fn kubefed_resource() -> ApiResource {
    ApiResource {
        group: "core.kubefed.io".to_owned(),
        version: "v1beta1".to_owned(),
        api_version: "core.kubefed.io/v1beta1".to_owned(),
        kind: "KubeFedCluster".to_owned(),
        plural: "kubefedclusters".to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{ExitStatus, Output};

    use super::*;

    #[test]
    fn what_a_credential_plugin_was_given_and_printed_is_told_nobody() {
        let failed = || AuthError::AuthExecRun {
            cmd: "KEY=secret plugin".to_owned(),
            out: Box::new(Output {
                status: ExitStatus::from_raw(256),
                stdout: b"secret".to_vec(),
                stderr: Vec::new(),
            }),
        };
        let at_the_start = kube::Error::Auth(failed());
        let in_a_request = kube::Error::Service(Box::new(failed()));
        for error in [at_the_start, in_a_request] {
            let text = "its credential plugin has failed (exit status: 1)";
            assert_eq!(told(&error), text);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_kubeconfig_is_read_once_for_all_who_ask_and_again_after_a_second() {
        let file = std::env::temp_dir().join(format!("kubeconfig-{}", std::process::id()));
        let write = |context: &str| fs::write(&file, format!("current-context: {context}"));
        let one = Kubeconfig::at(file.clone());
        let other = one.clone();
        let context = |file: &Kubeconfig| file.read().unwrap().current_context.clone();

        write("first").unwrap();
        assert_eq!(context(&one).as_deref(), Some("first"));
        write("second").unwrap();
        assert_eq!(context(&other).as_deref(), Some("first"));
        tokio::time::advance(FRESH).await;
        assert_eq!(context(&other).as_deref(), Some("second"));
        assert_eq!(context(&one).as_deref(), Some("second"));
        fs::remove_file(&file).unwrap();
        tokio::time::advance(FRESH).await;
        assert!(one.read().unwrap_err().contains("kubeconfig-"));
    }
}
