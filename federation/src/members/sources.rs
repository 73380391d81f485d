//! Sources of `MemberCluster` objects: the contexts of the kubeconfig that the operator was given,
//! and `KubeFedCluster` objects. A source writes (and removes) its own objects and nothing else;
//! what people set on them (region, taints, labels, a cordon) is theirs and stays.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::access_sources::kubefed_resource;
use super::bundle::digest_bits;
use super::kubeconfig_file::Kubeconfig;
use super::readable::{Item, Read, metadata, or_metadata};
use super::watching::Deadlined as _;
use crate::api::{LABEL_SOURCE, MemberCluster};
use crate::operator::access_args::AccessNamespaces;
use crate::operator::redacted::redacted_message;

/// How often a source is read again.
const INTERVAL: Duration = Duration::from_secs(2);
/// How often what is known to be written is written all the same: somebody may have removed it.
const REWRITE: Duration = Duration::from_secs(30);
const DEADLINE: Duration = Duration::from_secs(10);

/// Keeps a `MemberCluster` for every context of the file but the hub's (or for the named ones),
/// until cancelled. The file is read again every two seconds.
pub async fn follow_kubeconfig(
    hub: Client,
    kubeconfig: Kubeconfig,
    hub_context: Option<String>,
    only: Option<Vec<String>>,
    cancel: CancellationToken,
) {
    let read = || {
        let file = kubeconfig.read()?;
        if file.contexts.is_empty() {
            return Err(format!("{} has no contexts", kubeconfig.path().display()));
        }
        let contexts = file.contexts.iter().map(|named| named.name.clone());
        let wanted = contexts.filter(|name| match &only {
            Some(only) => only.contains(name),
            None => Some(name) != hub_context.as_ref(),
        });
        Ok(wanted
            .map(|context| {
                (
                    dns_label(&context),
                    json!({ "access": { "context": context } }),
                )
            })
            .collect())
    };
    follow_source(&hub, "kubeconfig", async || read(), |_| true, &cancel).await;
}

/// Keeps a `MemberCluster` for every `KubeFedCluster` of these namespaces, until cancelled. Where the
/// kind is unknown to the hub, there are none.
pub async fn follow_kubefed(hub: Client, namespaces: AccessNamespaces, cancel: CancellationToken) {
    let resource = kubefed_resource();
    let clusters: Vec<Api<Item<DynamicObject>>> = match &namespaces {
        AccessNamespaces::All => vec![Api::all_with(hub.clone(), &resource)],
        AccessNamespaces::Only(names) => {
            let of = |name: &String| Api::namespaced_with(hub.clone(), name, &resource);
            names
                .iter()
                .filter(|name| !name.is_empty())
                .map(of)
                .collect()
        }
    };
    let read = async || {
        let mut found = BTreeMap::new();
        for clusters in &clusters {
            match clusters
                .list(&ListParams::default())
                .with_deadline(DEADLINE)
                .await
            {
                Ok(list) => found.extend(
                    (list.items.into_iter())
                        .map(|Item(cluster)| member_of_kubefed(&or_metadata(cluster))),
                ),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(redacted_message(&error)),
            }
        }
        Ok(found)
    };
    // One of a namespace that is not read any more says so in its status, and is not removed.
    let covers = |member: &MemberCluster| {
        let reference = member.spec.access.kube_fed_cluster.as_ref();
        reference.is_none_or(|reference| namespaces.allow(&reference.namespace))
    };
    follow_source(&hub, "kubefed", read, covers, &cancel).await;
}

fn member_of_kubefed(cluster: &DynamicObject) -> (String, Value) {
    let name = cluster.name_any();
    let reference = json!({ "namespace": cluster.namespace().unwrap_or_default(), "name": name });
    let mut spec = json!({ "access": { "kubeFedCluster": reference } });
    if let Some(region) = cluster.data["status"]["region"]
        .as_str()
        .filter(|region| !region.is_empty())
    {
        spec["region"] = json!(region);
    }
    (dns_label(&name), spec)
}

/// Reads the source again and again, and writes what changed. It removes those that it covers.
async fn follow_source(
    hub: &Client,
    source: &'static str,
    read: impl AsyncFn() -> Result<BTreeMap<String, Value>, String>,
    covers: impl Fn(&MemberCluster) -> bool,
    cancel: &CancellationToken,
) {
    let mut written: Option<(Instant, BTreeMap<String, Value>)> = None;
    let mut read_before = BTreeMap::new();
    let mut last_problem = String::new();
    loop {
        // What is missing once may be a file that is being written.
        let found = read().await.map(|found| {
            let mut wanted = std::mem::replace(&mut read_before, found.clone());
            wanted.extend(found);
            wanted
        });
        let result = match found {
            Ok(wanted)
                if written
                    .as_ref()
                    .is_some_and(|(since, last)| *last == wanted && since.elapsed() < REWRITE) =>
            {
                Ok(())
            }
            Ok(wanted) => write(hub, source, &wanted, &covers)
                .await
                .map(|()| written = Some((Instant::now(), wanted))),
            Err(problem) => Err(problem),
        };
        match result {
            Ok(()) => last_problem.clear(),
            Err(problem) if problem != last_problem => {
                warn!(
                    source,
                    problem, "members cannot be read or written; those known stay as they are"
                );
                last_problem = problem;
            }
            Err(_) => {}
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn write(
    hub: &Client,
    source: &str,
    wanted: &BTreeMap<String, Value>,
    covers: &impl Fn(&MemberCluster) -> bool,
) -> Result<(), String> {
    let members: Api<MemberCluster> = Api::all(hub.clone());
    let listed = Api::<Item<MemberCluster>>::all(hub.clone())
        .list(&ListParams::default())
        .with_deadline(DEADLINE)
        .await
        .map_err(|error| redacted_message(&error))?;
    let source_of = |member: &Read<MemberCluster>| {
        let labels = metadata(member).labels.as_ref();
        labels.and_then(|labels| labels.get(LABEL_SOURCE).cloned())
    };
    let known: BTreeMap<String, Read<MemberCluster>> = (listed.items.into_iter())
        .map(|Item(member)| (metadata(&member).name.clone().unwrap_or_default(), member))
        .collect();
    // What is refused for one keeps no other.
    let mut problem = None;
    let mut failed = |name: &str, error: &kube::Error| {
        problem.get_or_insert_with(|| format!("{name}: {}", redacted_message(error)));
    };
    for (name, spec) in wanted {
        if known
            .get(name)
            .is_some_and(|member| source_of(member).as_deref() != Some(source))
        {
            // Somebody else's object of that name: a person's, or another source's.
            continue;
        }
        let object = json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster",
            "metadata": { "name": name, "labels": { LABEL_SOURCE: source } },
            "spec": spec,
        });
        let params = PatchParams::apply(&format!("mck8s-source-{source}")).force();
        let written = members
            .patch(name, &params, &Patch::Apply(&object))
            .with_deadline(DEADLINE)
            .await;
        match written {
            Ok(_) if !known.contains_key(name) => {
                info!(cluster = name, source, "found a member cluster");
            }
            Ok(_) => {}
            Err(error) => failed(name, &error),
        }
    }
    for (name, member) in &known {
        let is_own =
            source_of(member).as_deref() == Some(source) && member.as_ref().map_or(true, covers);
        // One that is leaving is drained first.
        let is_leaving = metadata(member).deletion_timestamp.is_some();
        if is_own && !is_leaving && !wanted.contains_key(name) {
            let preconditions = Preconditions {
                uid: metadata(member).uid.clone(),
                resource_version: None,
            };
            let params = DeleteParams {
                preconditions: Some(preconditions),
                ..DeleteParams::default()
            };
            match members.delete(name, &params).with_deadline(DEADLINE).await {
                Ok(_) => info!(cluster = name, source, "a member cluster has left"),
                Err(error) => failed(name, &error),
            }
        }
    }
    problem.map_or(Ok(()), Err)
}

/// A context's name as a DNS label: itself where it is one; otherwise what can stay of it and a
/// digest, so that two contexts never share a name.
fn dns_label(context: &str) -> String {
    let is_label = !context.is_empty()
        && context.len() <= 63
        && context
            .bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        && !context.starts_with('-')
        && !context.ends_with('-');
    if is_label {
        return context.to_owned();
    }
    let kept: String = context
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(50)
        .collect();
    let digest = digest_bits(context.as_bytes()) & 0xff_ffff;
    format!("{}-{digest:06x}", kept.trim_matches('-'))
        .trim_start_matches('-')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::dns_label;

    #[test]
    fn a_context_that_is_no_label_gets_one_of_its_own() {
        assert_eq!(dns_label("cluster1"), "cluster1");
        let eks = dns_label("arn:aws:eks:eu-west-1:1234:cluster/Prod");
        assert!(
            eks.starts_with("arn-aws-eks-eu-west-1-1234-cluster-prod-"),
            "{eks}"
        );
        assert_ne!(dns_label("Prod"), dns_label("prOd"));
        assert!(!dns_label("@@").starts_with('-'));
    }
}
