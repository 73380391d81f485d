//! `mck8s adopt`: what a former hub brought to the members becomes this hub's.
//!
//! A hub that was moved to another cluster has another uid, so it owns nothing, and finds objects of
//! its names on every member. Only labels are written, and only where this hub has an object of the
//! same kind, namespace and name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use federation::api::{
    LABEL_HUB, LABEL_OWNER, LABEL_OWNER_PREFIX, MultiClusterDeployment, MultiClusterJob,
    MultiClusterService,
};
use federation::members::{Deadlined as _, ManagedKind, list_metadata};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ListParams, ObjectMeta, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ApiResource;
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::{Map, Value, json};

use crate::stdout;

/// How long a cluster may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// What is adopted, and from where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// File with the access to the hub and, as further contexts, to the members
    #[arg(long, env = "MCK8S_KUBECONFIG", value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Which context of the kubeconfig is the hub [default: its current context]
    #[arg(long, env = "MCK8S_HUB_CONTEXT", value_name = "CONTEXT")]
    hub_context: Option<String>,
    /// Contexts that are members, comma-separated [default: all but the hub's]
    #[arg(long, value_name = "CONTEXTS", value_delimiter = ',')]
    member_contexts: Option<Vec<String>>,
    /// Uid of the former hub: what the label fogguru.eu/hub says of the objects on the members. It may
    /// be this hub's, where objects were deleted without a record and made again
    #[arg(long, value_name = "UID")]
    from_hub: String,
    /// Write the labels; without it, only what would be written is printed
    #[arg(long)]
    yes: bool,
}

/// An object on this hub: kind on the members, namespace and name.
type Name = (ManagedKind, String, String);

/// An object of the former hub on a member.
struct Found {
    kind: ManagedKind,
    metadata: ObjectMeta,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let file = Kubeconfig::read_from(&arguments.kubeconfig)
        .with_context(|| format!("kubeconfig {}", arguments.kubeconfig.display()))?;
    let hub_context = arguments.hub_context.or(file.current_context.clone());
    let hub_context = hub_context
        .context("the kubeconfig has no current context: name the hub's with --hub-context")?;
    let others = file.contexts.iter().map(|one| one.name.clone());
    let members = arguments
        .member_contexts
        .unwrap_or_else(|| others.filter(|name| *name != hub_context).collect());
    let hub = client(&file, &hub_context).await?;
    let namespaces: Api<Namespace> = Api::all(hub.clone());
    let uid = (namespaces
        .get_metadata("kube-system")
        .with_deadline(DEADLINE))
    .await?;
    let uid = uid.uid().unwrap_or_default();
    let owners = owners(&hub).await?;
    let (mut found, mut left) = (0, 0);
    for member in &members {
        let client = client(&file, member).await?;
        let adopted = adopt(&client, &arguments.from_hub, &uid, &owners, arguments.yes).await;
        for (object, result) in adopted.with_context(|| format!("cluster {member}"))? {
            left += usize::from(result.is_err());
            let result = match &result {
                Ok(owner) if arguments.yes => format!("adopted for {owner}"),
                Ok(owner) => format!("would be adopted for {owner}"),
                Err(why) => format!("left alone: {why}"),
            };
            found += 1;
            stdout::print(&format!("{member}: {object}: {result}\n"))?;
        }
    }
    let from = &arguments.from_hub;
    if found == 0 {
        let doubt =
            format!("Nothing on the members is labelled as of the hub {from}: is that its uid?\n");
        stdout::print(&doubt)?;
    } else if !arguments.yes {
        stdout::print("Nothing was written; add --yes to write the labels.\n")?;
    }
    if left > 0 {
        stdout::print(&format!("{left} objects are left alone.\n"))?;
    }
    Ok(())
}

async fn client(file: &Kubeconfig, context: &str) -> Result<Client> {
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(file.clone(), &options).await;
    let config = config.with_context(|| format!("context {context}"))?;
    Ok(Client::try_from(config)?)
}

/// The objects of this hub that may own objects on members, with their uids.
async fn owners(hub: &Client) -> Result<BTreeMap<Name, String>> {
    let mut owners = BTreeMap::new();
    let kinds = [
        (
            ManagedKind::Deployment,
            ApiResource::erase::<MultiClusterDeployment>(&()),
        ),
        (ManagedKind::Job, ApiResource::erase::<MultiClusterJob>(&())),
        (
            ManagedKind::Service,
            ApiResource::erase::<MultiClusterService>(&()),
        ),
    ];
    for (kind, resource) in kinds {
        for metadata in list(hub, &resource, ListParams::default()).await? {
            if metadata.deletion_timestamp.is_none() {
                let name = (kind, namespace(&metadata), name(&metadata));
                owners.insert(name, metadata.uid.unwrap_or_default());
            }
        }
    }
    Ok(owners)
}

/// Adopts what a member holds of the former hub; each object, and for which owner or why not.
async fn adopt(
    member: &Client,
    from: &str,
    hub: &str,
    owners: &BTreeMap<Name, String>,
    write: bool,
) -> Result<Vec<(String, Result<String, String>)>> {
    let selector = ListParams::default().labels(&format!("{LABEL_HUB}={from}"));
    let mut found = Vec::new();
    for kind in ManagedKind::ALL {
        let listed = list(member, &kind.resource(), selector.clone()).await?;
        found.extend(listed.into_iter().map(|metadata| Found { kind, metadata }));
    }
    // Who an owner of the former hub is here, as its main object's name says.
    let renamed: BTreeMap<String, (String, String)> = (found.iter())
        .filter_map(|one| {
            let before = label(&one.metadata, LABEL_OWNER)?;
            let key = (one.kind, namespace(&one.metadata), name(&one.metadata));
            let owner = format!("MultiCluster{} {}/{}", one.kind.name(), key.1, key.2);
            Some((before, (owners.get(&key)?.clone(), owner)))
        })
        .collect();
    let mut results = Vec::new();
    for one in &found {
        let object = format!(
            "{} {}/{}",
            one.kind.name(),
            namespace(&one.metadata),
            name(&one.metadata)
        );
        let result = match labels(&one.metadata, hub, &renamed) {
            None => Err("this hub has no object of that kind and name".to_owned()),
            Some((labels, _)) if has(&one.metadata, &labels) => continue,
            Some((labels, owner)) if write => {
                let written = relabel(member, &one.kind.resource(), &one.metadata, &labels).await;
                written.map(|()| owner).map_err(|error| error.to_string())
            }
            Some((_, owner)) => Ok(owner),
        };
        results.push((object, result));
    }
    if results.iter().any(|(_, result)| result.is_ok()) {
        adopt_namespaces(member, &selector, hub, write, &mut results).await?;
    }
    Ok(results)
}

/// The namespaces that the former hub made there are this one's, too.
async fn adopt_namespaces(
    member: &Client,
    selector: &ListParams,
    hub: &str,
    write: bool,
    results: &mut Vec<(String, Result<String, String>)>,
) -> Result<()> {
    let resource = ApiResource::erase::<Namespace>(&());
    for metadata in list(member, &resource, selector.clone()).await? {
        let labels = Map::from_iter([(LABEL_HUB.to_owned(), json!(hub))]);
        let owner = "this hub".to_owned();
        let result = if write {
            let written = relabel(member, &resource, &metadata, &labels).await;
            written.map(|()| owner).map_err(|error| error.to_string())
        } else {
            Ok(owner)
        };
        results.push((format!("Namespace {}", name(&metadata)), result));
    }
    Ok(())
}

/// The changed labels of an object, and its owners here; none if it has none.
fn labels(
    metadata: &ObjectMeta,
    hub: &str,
    renamed: &BTreeMap<String, (String, String)>,
) -> Option<(Map<String, Value>, String)> {
    let mut labels = Map::from_iter([(LABEL_HUB.to_owned(), json!(hub))]);
    let mut owners = Vec::new();
    for (label, value) in metadata.labels.iter().flatten() {
        if label == LABEL_OWNER {
            let (uid, owner) = renamed.get(value)?;
            labels.insert(label.clone(), json!(uid));
            owners.push(owner.as_str());
        } else if let Some(before) = label.strip_prefix(LABEL_OWNER_PREFIX) {
            labels.insert(label.clone(), Value::Null);
            if let Some((uid, owner)) = renamed.get(before) {
                labels.insert(format!("{LABEL_OWNER_PREFIX}{uid}"), json!("true"));
                owners.push(owner.as_str());
            }
        }
    }
    (!owners.is_empty()).then(|| (labels, owners.join(", ")))
}

/// Whether the labels are so already.
fn has(metadata: &ObjectMeta, labels: &Map<String, Value>) -> bool {
    (labels.iter()).all(|(name, value)| value.as_str() == label(metadata, name).as_deref())
}

/// Writes labels, if the object is still as it was listed.
async fn relabel(
    member: &Client,
    resource: &ApiResource,
    metadata: &ObjectMeta,
    labels: &Map<String, Value>,
) -> kube::Result<()> {
    let api: Api<DynamicObject> = match &metadata.namespace {
        Some(namespace) => Api::namespaced_with(member.clone(), namespace, resource),
        None => Api::all_with(member.clone(), resource),
    };
    let patch = json!({ "metadata": {
        "uid": metadata.uid, "resourceVersion": metadata.resource_version, "labels": labels,
    } });
    let params = PatchParams {
        field_manager: Some("mck8s-adopt".to_owned()),
        ..PatchParams::default()
    };
    let name = name(metadata);
    api.patch_metadata(&name, &params, &Patch::Merge(&patch))
        .with_deadline(DEADLINE)
        .await
        .map(drop)
}

async fn list(
    client: &Client,
    resource: &ApiResource,
    params: ListParams,
) -> kube::Result<Vec<ObjectMeta>> {
    let api = Api::all_with(client.clone(), resource);
    list_metadata(&api, params, DEADLINE).await
}

fn label(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.labels.as_ref()?.get(name).cloned()
}

fn namespace(metadata: &ObjectMeta) -> String {
    metadata.namespace.clone().unwrap_or_default()
}

fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}
