//! `mck8s explain`: why an object is placed as it is, and where one would be placed. Its clients can
//! only read.

mod admission;
mod documents;
mod object_name;

use std::env;
use std::ffi::OsString;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use federation::api::{MemberCluster, WorkloadMove};
use federation::members::{
    Deadlined as _, Kubeconfig, MemberContents, MemberReader, Read, Readable, list_all, mended,
};
use federation::operator::access_args::AccessArgs;
use federation::operator::args::duration;
use federation::operator::fence::read_only_client;
use federation::operator::redacted::redacted_message;
use futures::{StreamExt as _, stream};
use kube::api::DynamicObject;
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config};
use multi_cluster_scheduler::explain::{Kind, Known, recorded};
use serde::de::DeserializeOwned;

use crate::stdout;
use admission::Admission;
use object_name::ObjectName;

/// The kinds that have replicas.
const KINDS: [Kind; 2] = [Kind::Deployment, Kind::Job];

/// Members that are read at the same time.
const AT_ONCE: usize = 64;

/// What is explained, and from where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The object: mcd/NAME, mcj/NAME, or the NAME of either
    #[arg(value_name = "[KIND/]NAME", conflicts_with = "filename")]
    name: Option<ObjectName>,
    /// YAML file with objects to explain as if they were applied now, one after the other; "-" is
    /// standard input. Nothing is applied
    #[arg(short, long, value_name = "FILE")]
    filename: Option<PathBuf>,
    /// Namespace of the objects that name none [default: that of the hub's context]
    #[arg(short, long)]
    namespace: Option<String>,
    /// File with the access to the hub and, as further contexts, to the members [default: kubectl's,
    /// that is $KUBECONFIG or ~/.kube/config]
    #[arg(long, env = "MCK8S_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Which context of the kubeconfig is the hub [default: its current context]
    #[arg(long, env = "MCK8S_HUB_CONTEXT", value_name = "CONTEXT")]
    hub_context: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
    /// How long the hub may take for an answer, and a member for all of them
    #[arg(long, env = "MCK8S_DEADLINE", value_name = "TIME", default_value = "10s", value_parser = duration)]
    deadline: Duration,
}

/// The hub, to be read.
struct Hub {
    kubeconfig: Kubeconfig,
    client: Client,
    namespace: String,
    deadline: Duration,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let hub = Hub::of(&arguments).await?;
    let text = match (&arguments.name, &arguments.filename) {
        (Some(name), _) => explain_recorded(&hub, name).await?,
        (None, Some(file)) => explain_file(&arguments, &hub, file).await?,
        (None, None) => bail!("name an object, or a file with --filename"),
    };
    stdout::print(&text)
}

async fn explain_recorded(hub: &Hub, name: &ObjectName) -> Result<String> {
    let mut found = Vec::new();
    for kind in KINDS.into_iter().filter(|kind| name.is_of(*kind)) {
        let api: Api<DynamicObject> =
            Api::namespaced_with(hub.client.clone(), &hub.namespace, &kind.resource());
        let object = api.get_opt(&name.name).with_deadline(hub.deadline).await;
        if let Some(object) = object.map_err(|error| failed(&error))? {
            found.push(recorded(kind, &object).to_string());
        }
    }
    if found.is_empty() {
        bail!(
            "no {name} in the namespace {}: see kubectl get mcd,mcj --all-namespaces",
            hub.namespace
        );
    }
    Ok(found.join("\n"))
}

async fn explain_file(arguments: &Arguments, hub: &Hub, file: &Path) -> Result<String> {
    let (documents, others) = documents::read(file, &hub.namespace)?;
    let admission = Admission::start().await?;
    // Before the hub is asked for anything.
    let mut manifests = Vec::new();
    for document in &documents {
        manifests.push(admission.created(document).await?);
    }
    let members = hub.list(Api::all(hub.client.clone())).await?;
    let moves = hub.list(Api::all(hub.client.clone())).await?;
    let mut workloads = Vec::new();
    for kind in KINDS {
        let api = Api::all_with(hub.client.clone(), &kind.resource());
        let listed = hub.list(api).await?;
        workloads.extend(listed.into_iter().map(|object| (kind, object)));
    }
    for (document, manifest) in documents.iter().zip(&mut manifests) {
        let existing = workloads.iter().find_map(|(kind, object)| {
            let object = object.as_ref().ok()?;
            document.names(*kind, object).then_some(object)
        });
        if let Some(existing) = existing {
            *manifest = admission.changed(document, existing).await?;
        }
    }
    let mut known = known(arguments, hub, members, workloads).await;
    // One that cannot be read is not followed.
    let moves: Vec<WorkloadMove> = moves.into_iter().filter_map(Result::ok).collect();
    for object in moves {
        known.add_move(object);
    }
    let explained = known.would_be(&manifests);
    let explained = explained.map_err(|problem| anyhow!(problem))?;
    let mut parts = vec!["Nothing was applied. What would be decided now:\n".to_owned()];
    parts.extend(explained.iter().map(ToString::to_string));
    if !others.is_empty() {
        parts.push(format!(
            "Without replicas to place: {}\n",
            others.join(", ")
        ));
    }
    Ok(parts.join("\n"))
}

/// Reads the members, all at once.
async fn known(
    arguments: &Arguments,
    hub: &Hub,
    members: Vec<Read<MemberCluster>>,
    workloads: Vec<(Kind, Read<DynamicObject>)>,
) -> Known {
    let (kubeconfig, rules) = (hub.kubeconfig.clone(), arguments.access.rules());
    let reader = MemberReader::new(hub.client.clone(), kubeconfig, rules, hub.deadline);
    let reader = &reader;
    let read = |member: Read<MemberCluster>| async move {
        match mended(member) {
            Ok(member) => {
                let contents = contents(reader, &member).await;
                Some((member, contents))
            }
            Err(unreadable) => {
                let name = unreadable.metadata.name.unwrap_or_default();
                eprintln!(
                    "mck8s: MemberCluster {name} is left out: {}",
                    unreadable.problem
                );
                None
            }
        }
    };
    let read = stream::iter(members).map(read).buffered(AT_ONCE);
    let members: Vec<_> = read.collect().await;
    let mut known = Known::default();
    for (member, contents) in members.into_iter().flatten() {
        known.add_member(&member, contents);
    }
    for (kind, object) in workloads {
        known.add_workload(kind, object);
    }
    known
}

/// What a member has. One that is not served is not asked.
async fn contents(reader: &MemberReader, member: &MemberCluster) -> Result<MemberContents, String> {
    if member.is_refused() {
        return Err("it is not served".to_owned());
    }
    let contents = reader.read(member).await;
    contents.map_err(|problem| problem.message)
}

impl Hub {
    /// All objects of a kind.
    async fn list<K>(&self, api: Api<Readable<K>>) -> Result<Vec<Read<K>>>
    where
        K: kube::Resource + Clone + DeserializeOwned + Debug,
    {
        let listed = list_all(&api, self.deadline).await;
        listed.map_err(|error| failed(&error))
    }

    async fn of(arguments: &Arguments) -> Result<Self> {
        let path = match &arguments.kubeconfig {
            Some(path) => path.clone(),
            None => kubectls_file(env::var_os("KUBECONFIG"), env::home_dir())?,
        };
        let kubeconfig = Kubeconfig::at(path.clone());
        let file = kubeconfig.read().map_err(|problem| anyhow!(problem))?;
        let context = arguments
            .hub_context
            .clone()
            .or(file.current_context.clone());
        let context = context
            .context("the kubeconfig has no current context: name the hub's with --hub-context")?;
        let options = KubeConfigOptions {
            context: Some(context.clone()),
            ..KubeConfigOptions::default()
        };
        let refused = |error: &(dyn std::error::Error + 'static)| {
            let problem = redacted_message(error);
            anyhow!(
                "kubeconfig {}, context {context}: {problem}",
                path.display()
            )
        };
        let config = Config::from_custom_kubeconfig((*file).clone(), &options).await;
        let mut config = config.map_err(|error| refused(&error))?;
        // The client's own retries would hide what the hub answers.
        config.default_retry = false;
        let namespace = arguments
            .namespace
            .as_ref()
            .unwrap_or(&config.default_namespace);
        Ok(Self {
            kubeconfig,
            namespace: namespace.clone(),
            client: read_only_client(config).map_err(|error| refused(&error))?,
            deadline: arguments.deadline,
        })
    }
}

/// The one file that kubectl reads.
fn kubectls_file(listed: Option<OsString>, home: Option<PathBuf>) -> Result<PathBuf> {
    let listed = listed.unwrap_or_default();
    let files = env::split_paths(&listed).filter(|file| !file.as_os_str().is_empty());
    let mut files = files.fuse();
    match (files.next(), files.next()) {
        (None, _) => {
            let home = home.context("name a kubeconfig with --kubeconfig: there is no home")?;
            Ok(home.join(".kube/config"))
        }
        (Some(file), None) => Ok(file),
        (Some(_), Some(_)) => bail!("KUBECONFIG has several files: name one with --kubeconfig"),
    }
}

fn failed(error: &kube::Error) -> anyhow::Error {
    anyhow!("the hub: {}", redacted_message(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubeconfig_is_kubectls_where_none_is_named() {
        let file = |listed: &str| kubectls_file(Some(listed.into()), Some("/home/me".into()));
        assert_eq!(file("").unwrap(), Path::new("/home/me/.kube/config"));
        assert_eq!(file(":/a:").unwrap(), Path::new("/a"));
        let several = file("/a:/b").unwrap_err().to_string();
        assert!(several.contains("--kubeconfig"), "{several}");
        assert!(kubectls_file(None, None).is_err());
    }
}
