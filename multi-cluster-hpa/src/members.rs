//! The members: what is open with each, and the pods of targets that they run.
//!
//! Nothing is ever written to a member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use federation::api::{CONDITION_READY, LABEL_OWNER, MemberCluster};
use federation::members::{
    Connection, Connections, Read, Readable, Session, mended, metadata, watch_selected,
};
use federation::operator::redacted::redacted_message;
use k8s_openapi::api::core::v1;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use crate::calculator::Pod;

/// The connections to the members, and what is known of their pods.
pub(crate) type Members = Connections<PodWatch>;

/// A watch on the pods of a member that have an owner on the hub.
pub(crate) struct PodWatch {
    pods: Arc<Mutex<Pods>>,
    _stop: DropGuard,
}

/// Pods by the uid of their owner on the hub and by name.
#[derive(Default)]
struct Pods {
    by_owner: BTreeMap<String, BTreeMap<String, Arc<Pod>>>,
    /// Owners by the names of their pods, to find those that go.
    owners: BTreeMap<PodName, String>,
    /// Those that a list has not mentioned yet.
    unseen: BTreeSet<PodName>,
    listed: bool,
    problem: Option<String>,
}

type PodName = (String, String);

impl Session for PodWatch {
    type Shared = ();

    fn open((): &(), member: &Arc<MemberCluster>, client: Client) -> Self {
        let (pods, stop) = (Arc::default(), CancellationToken::new());
        let watch = watch_pods(member.name_any(), client, Arc::clone(&pods), stop.clone());
        tokio::spawn(watch);
        Self {
            pods,
            _stop: stop.drop_guard(),
        }
    }
}

impl PodWatch {
    fn pods(&self) -> MutexGuard<'_, Pods> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the pods of a member until cancelled.
async fn watch_pods(
    cluster: String,
    client: Client,
    pods: Arc<Mutex<Pods>>,
    cancel: CancellationToken,
) {
    let api: Api<Readable<v1::Pod>> = Api::all(client);
    let selection = watcher::Config::default().labels(LABEL_OWNER);
    let lock = || pods.lock().unwrap_or_else(PoisonError::into_inner);
    let handle = |event: Event<Read<v1::Pod>>| lock().observe(&cluster, event);
    let failed = |error: &watcher::Error| lock().problem = Some(redacted_message(error));
    watch_selected(api, selection, handle, failed, &cancel).await;
}

/// Takes in a member as the hub has it.
pub(crate) fn apply(members: &Members, object: MemberCluster) {
    if object.is_refused() {
        // Another name has its pods.
        members.remove(&object.name_any());
    } else {
        members.apply(Arc::new(object));
    }
}

/// The pods of an owner on all members, in order.
pub(crate) fn pods(members: &Members, owner: &str) -> Vec<Arc<Pod>> {
    members.read(|all| {
        let sessions = all.values().filter_map(Connection::session);
        let pods = sessions.flat_map(|session| {
            let pods = session.pods();
            let pods = pods.by_owner.get(owner).into_iter();
            pods.flat_map(BTreeMap::values).cloned().collect::<Vec<_>>()
        });
        pods.collect()
    })
}

/// The members whose pods are not known now, and why.
pub(crate) fn unknown(members: &Members) -> BTreeMap<String, String> {
    members.read(|all| {
        let unknown = all.iter();
        unknown
            .filter_map(|(name, one)| Some((name.clone(), why_unknown(one)?)))
            .collect()
    })
}

/// Whether it is known of every member what it runs, or that it cannot be known.
pub(crate) fn are_settled(members: &Members) -> bool {
    let is_settled = |one: &Connection<PodWatch>| {
        let is_known = |session: &Arc<PodWatch>| {
            let pods = session.pods();
            pods.listed || pods.problem.is_some()
        };
        one.problem().is_some() || one.session().is_some_and(is_known)
    };
    members.read(|all| all.values().all(is_settled))
}

/// Why the pods of a member are not known; none if they are. Whether it answers is what the
/// scheduler says, which probes it every few seconds.
fn why_unknown(connection: &Connection<PodWatch>) -> Option<String> {
    if let Err(problem) = connection.client() {
        return Some(problem);
    }
    let pods = connection.session()?.pods();
    if !pods.listed {
        let problem = pods.problem.clone();
        return Some(problem.unwrap_or_else(|| "its pods are being listed".to_owned()));
    }
    let status = connection.member().status.as_ref()?;
    let mut conditions = status.conditions.iter();
    let ready = conditions.find(|one| one.type_ == CONDITION_READY)?;
    (ready.status == "False").then(|| ready.message.clone())
}

impl Pods {
    fn observe(&mut self, cluster: &str, event: Event<Read<v1::Pod>>) {
        // What cannot be read stays as it was last known.
        let readable = |pod: Read<v1::Pod>| mended(pod).ok();
        match event {
            Event::Init => {
                self.unseen = self.owners.keys().cloned().collect();
            }
            Event::InitApply(pod) => {
                self.unseen.remove(&name_of(&pod));
                if let Some(pod) = readable(pod) {
                    self.apply(cluster, &pod);
                }
            }
            Event::Apply(pod) => {
                if let Some(pod) = readable(pod) {
                    self.apply(cluster, &pod);
                }
            }
            Event::Delete(pod) => self.remove(&name_of(&pod)),
            Event::InitDone => {
                for name in std::mem::take(&mut self.unseen) {
                    self.remove(&name);
                }
                self.listed = true;
                self.problem = None;
            }
        }
    }

    fn apply(&mut self, cluster: &str, pod: &v1::Pod) {
        let name = (pod.namespace().unwrap_or_default(), pod.name_any());
        // Its owner's label may have changed.
        self.remove(&name);
        let Some(owner) = pod.labels().get(LABEL_OWNER) else {
            return;
        };
        match Pod::read(cluster, pod) {
            Ok(read) => {
                let pods = self.by_owner.entry(owner.clone()).or_default();
                pods.insert(name.1.clone(), Arc::new(read));
                self.owners.insert(name, owner.clone());
            }
            // The API server would not have taken it.
            Err(error) => debug!(cluster, %error, "a pod cannot be read"),
        }
    }

    fn remove(&mut self, name: &PodName) {
        let Some(owner) = self.owners.remove(name) else {
            return;
        };
        if let Some(pods) = self.by_owner.get_mut(&owner) {
            pods.remove(&name.1);
            if pods.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
    }
}

fn name_of(pod: &Read<v1::Pod>) -> PodName {
    let metadata = metadata(pod);
    (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}
