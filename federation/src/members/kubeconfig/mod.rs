//! A kubeconfig that is data: of a Secret or another object on the hub. Whoever may write that
//! object must not act with the operator's rights, so a kubeconfig from there runs no program,
//! reads no file and acts as no one else. What counts is listed here; anything else is an error.

mod fields;
mod values;

#[cfg(test)]
mod tests;

use kube::config::{
    AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};
use serde_json::Value;

use self::fields::{Fields, find};
use self::values::{
    Problem, base64, credential, host, name, printable, proxy, server, server_name,
};
use crate::operator::link_local::names_link_local;

/// The longest kubeconfig, in bytes; a Secret holds no more.
const LONGEST: usize = 1 << 20;
/// The longest server, proxy and name.
const LONGEST_NAME: usize = 2048;
/// The longest token, username or password.
const LONGEST_CREDENTIAL: usize = 64 << 10;

/// What cluster, user and context are called in a kubeconfig that is made here.
pub(super) const NAME: &str = "member";

const CLUSTER_FIELDS: [&str; 7] = [
    "server",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "tls-server-name",
    "proxy-url",
    // These do nothing here.
    "disable-compression",
    "extensions",
];
const USER_FIELDS: [&str; 6] = [
    "token",
    "username",
    "password",
    "client-certificate-data",
    "client-key-data",
    "extensions",
];

/// Why a kubeconfig does not count: the field, and what to write instead. Never holds what stands
/// there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct InvalidKubeconfig(String);

type Checked<T> = Result<T, InvalidKubeconfig>;

/// Reads a kubeconfig and takes what its current context names: a kubeconfig with one cluster, one
/// user and one context, all called [`NAME`].
pub(super) fn parse(bytes: &[u8]) -> Checked<Kubeconfig> {
    if bytes.len() > LONGEST {
        return Err(InvalidKubeconfig(format!(
            "is longer than {LONGEST} bytes; leave one cluster, user and context in it"
        )));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| InvalidKubeconfig("is not UTF-8 text".to_owned()))?;
    let document = yaml(text)?;
    let root = Fields::of("", "", &document)?;
    root.only(&[
        "apiVersion",
        "kind",
        "preferences",
        "clusters",
        "users",
        "contexts",
        "current-context",
        "extensions",
    ])?;
    let current = root.text("current-context", LONGEST_NAME)?;
    let current = current.ok_or_else(|| {
        root.wrong(
            "current-context",
            "is missing; name the context that counts",
        )
    })?;
    let contexts = root.entries("contexts", "context")?;
    let context = find(&contexts, current)
        .ok_or_else(|| root.wrong("current-context", "names no entry of contexts"))?;
    context.only(&["cluster", "user", "namespace", "extensions"])?;
    let named = |list: &str, field: &str| -> Checked<Option<Fields<'_>>> {
        let Some(name) = context.text(field, LONGEST_NAME)? else {
            return Ok(None);
        };
        let entries = root.entries(list, field)?;
        let entry = find(&entries, name);
        let entry =
            entry.ok_or_else(|| context.wrong(field, &format!("names no entry of {list}")))?;
        Ok(Some(entry.clone()))
    };
    let cluster = named("clusters", "cluster")?;
    let cluster = cluster.ok_or_else(|| context.wrong("cluster", "is missing"))?;
    let user = named("users", "user")?;
    Ok(of_parts(
        of_cluster(&cluster)?,
        user.as_ref().map(of_user).transpose()?.unwrap_or_default(),
    ))
}

/// The same from a server's address, its CA certificates (as base64) and a token.
pub(super) fn of_token(
    server: &str,
    authority: Option<&str>,
    insecure: bool,
    token: &str,
) -> Checked<Kubeconfig> {
    let field = |name: &str, problem: Problem| InvalidKubeconfig(format!("{name} {problem}"));
    let cluster = Cluster {
        server: Some(self::server(server).map_err(|problem| field("the server", problem))?),
        certificate_authority_data: authority
            .map(base64)
            .transpose()
            .map_err(|problem| field("the CA bundle", problem))?,
        insecure_skip_tls_verify: insecure.then_some(true),
        ..Cluster::default()
    };
    // A file that a Secret is made of ends with a newline.
    let token = credential(token.trim()).map_err(|problem| field("the token", problem))?;
    let user = AuthInfo {
        token: Some(token.into()),
        ..AuthInfo::default()
    };
    Ok(of_parts(cluster, user))
}

/// The first field whose host has a link-local address, as far as its text shows.
pub(super) fn link_local_field(kubeconfig: &Kubeconfig) -> Option<&'static str> {
    let cluster = kubeconfig.clusters.first()?.cluster.as_ref()?;
    let is_link_local = |url: &Option<String>| {
        let url = url.as_ref();
        url.is_some_and(|url| host(url).is_none_or(|host| names_link_local(&host)))
    };
    if is_link_local(&cluster.server) {
        Some("server")
    } else {
        is_link_local(&cluster.proxy_url).then_some("proxy-url")
    }
}

fn of_parts(cluster: Cluster, user: AuthInfo) -> Kubeconfig {
    let name = || NAME.to_owned();
    Kubeconfig {
        clusters: vec![NamedCluster {
            name: name(),
            cluster: Some(cluster),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: name(),
            auth_info: Some(user),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: name(),
            context: Some(Context {
                cluster: name(),
                user: Some(name()),
                ..Context::default()
            }),
            ..NamedContext::default()
        }],
        current_context: Some(name()),
        ..Kubeconfig::default()
    }
}

fn of_cluster(fields: &Fields<'_>) -> Checked<Cluster> {
    fields.only(&CLUSTER_FIELDS)?;
    fields.flag("disable-compression")?;
    let server = fields.value("server", LONGEST_NAME, server)?;
    Ok(Cluster {
        server: Some(server.ok_or_else(|| fields.wrong("server", "is missing"))?),
        certificate_authority_data: fields.value("certificate-authority-data", LONGEST, base64)?,
        insecure_skip_tls_verify: fields.flag("insecure-skip-tls-verify")?,
        tls_server_name: fields.value("tls-server-name", LONGEST_NAME, server_name)?,
        proxy_url: fields.value("proxy-url", LONGEST_NAME, proxy)?,
        ..Cluster::default()
    })
}

fn of_user(fields: &Fields<'_>) -> Checked<AuthInfo> {
    fields.only(&USER_FIELDS)?;
    let user = AuthInfo {
        token: (fields.value("token", LONGEST_CREDENTIAL, credential)?).map(Into::into),
        username: fields.value("username", LONGEST_CREDENTIAL, name)?,
        password: (fields.value("password", LONGEST_CREDENTIAL, printable)?).map(Into::into),
        client_certificate_data: fields.value("client-certificate-data", LONGEST, base64)?,
        client_key_data: (fields.value("client-key-data", LONGEST, base64)?).map(Into::into),
        ..AuthInfo::default()
    };
    for (field, missing) in [
        (
            "username",
            user.username.is_none() && user.password.is_some(),
        ),
        (
            "password",
            user.username.is_some() && user.password.is_none(),
        ),
        (
            "client-certificate-data",
            user.client_certificate_data.is_none() && user.client_key_data.is_some(),
        ),
        (
            "client-key-data",
            user.client_certificate_data.is_some() && user.client_key_data.is_none(),
        ),
    ] {
        if missing {
            return Err(fields.wrong(field, "is missing beside its other half"));
        }
    }
    Ok(user)
}

/// YAML (and JSON, which is YAML) as a value. Aliases are replayed within a budget, so that a small
/// text does not become a large value.
fn yaml(text: &str) -> Checked<Value> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 100_000,
            max_nodes: 50_000,
            max_depth: 32,
            max_aliases: 100,
            max_anchors: 100,
            max_documents: 1,
            max_total_scalar_bytes: LONGEST,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
        },
        with_snippet: false,
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        // The parser's own message quotes the text.
        let place = error.location().map(|place| {
            let (line, column) = (place.line(), place.column());
            format!(" at line {line}, column {column}")
        });
        let place = place.unwrap_or_default();
        InvalidKubeconfig(format!("is not valid YAML{place}, or too large"))
    })
}
