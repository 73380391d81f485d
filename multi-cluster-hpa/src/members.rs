//! The members: ways to them, and the pods of targets that they run.
//!
//! Nothing is ever written to a member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::api::{CONDITION_READY, LABEL_OWNER, MemberCluster};
use federation::members::{
    AccessProblem, Content, Kubeconfig, LOOK_AGAIN, Plugins, Read, Readable, ResolvedAccess,
    connect_late, metadata, resolve, watch_selected,
};
use federation::operator::access_args::AccessRules;
use federation::operator::fence::ApiRequests;
use federation::operator::leader::Leadership;
use federation::operator::network::Network;
use federation::operator::redacted::redacted_message;
use k8s_openapi::api::core::v1;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info, warn};

use crate::calculator::Pod;

/// The members. Clones are the same.
#[derive(Clone)]
pub(crate) struct Members(Arc<Inner>);

struct Inner {
    network: Network,
    leadership: Leadership,
    requests: ApiRequests,
    hub: Client,
    kubeconfig: Option<Kubeconfig>,
    access: AccessRules,
    deadline: Duration,
    all: Mutex<BTreeMap<String, Registered>>,
    changed: tokio::sync::Notify,
}

/// A member of the registry.
struct Registered {
    object: MemberCluster,
    way: Option<Way>,
    /// Digest of the way for which a client is being made.
    attempt: Option<u128>,
    /// Why there is no way to it.
    problem: Option<String>,
    /// The credential plugins that run for it.
    plugins: Plugins,
}

/// A way to a member that is taken.
struct Way {
    digest: u128,
    client: Client,
    pods: Pods,
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

impl Members {
    pub(crate) fn new(
        network: Network,
        leadership: Leadership,
        requests: ApiRequests,
        hub: Client,
        kubeconfig: Option<Kubeconfig>,
        access: AccessRules,
        deadline: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            network,
            leadership,
            requests,
            hub,
            kubeconfig,
            access,
            deadline,
            all: Mutex::default(),
            changed: tokio::sync::Notify::new(),
        }))
    }

    /// Takes in a member as the hub has it.
    pub(crate) fn applied(&self, object: MemberCluster) {
        let mut all = self.all();
        if object.is_refused() {
            // Another name has its pods.
            all.remove(&object.name_any());
            return;
        }
        match all.get_mut(&object.name_any()) {
            Some(known) if known.object.metadata.uid == object.metadata.uid => {
                let moved = known.object.spec.access != object.spec.access;
                known.object = object;
                if !moved {
                    return;
                }
            }
            _ => {
                let registered = Registered {
                    way: None,
                    attempt: None,
                    problem: None,
                    plugins: Plugins::default(),
                    object,
                };
                all.insert(registered.object.name_any(), registered);
            }
        }
        self.0.changed.notify_one();
    }

    /// Forgets the members that are not among these.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.all().retain(|name, _| is_there(name));
    }

    /// A client for a member, or why there is none.
    pub(crate) fn client(&self, cluster: &str) -> Result<Client, String> {
        let all = self.all();
        let registered = all
            .get(cluster)
            .ok_or("it is no member: see kubectl get memberclusters")?;
        registered.client().map_err(str::to_owned)
    }

    /// The pods of an owner on all members, in order.
    pub(crate) fn pods(&self, owner: &str) -> Vec<Arc<Pod>> {
        let all = self.all();
        let ways = all.values().filter_map(|one| one.way.as_ref());
        let pods = ways.filter_map(|way| way.pods.by_owner.get(owner));
        pods.flat_map(BTreeMap::values).cloned().collect()
    }

    /// The members whose pods are not known now, and why.
    pub(crate) fn unknown(&self) -> BTreeMap<String, String> {
        let all = self.all();
        let unknown = all
            .iter()
            .filter_map(|(name, one)| Some((name.clone(), one.unknown()?)));
        unknown.collect()
    }

    /// Whether it is known of every member what it runs, or that it cannot be known.
    pub(crate) fn are_settled(&self) -> bool {
        let settled = |one: &Registered| {
            one.problem.is_some()
                || one
                    .way
                    .as_ref()
                    .is_some_and(|way| way.pods.listed || way.pods.problem.is_some())
        };
        self.all().values().all(settled)
    }

    /// Follows the ways until cancelled.
    pub(crate) async fn follow(&self, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            let objects: Vec<_> = self.all().values().map(|one| one.object.clone()).collect();
            let file = self.0.kubeconfig.as_ref().map(Kubeconfig::read);
            let looks = objects
                .iter()
                .map(|object| self.follow_way(object, file.as_ref()));
            cancel
                .run_until_cancelled(futures::future::join_all(looks))
                .await;
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = self.0.changed.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Looks at the way to a member; if it is another one, goes it.
    async fn follow_way(&self, object: &MemberCluster, file: Option<&Content>) {
        let Inner {
            hub,
            access,
            deadline,
            ..
        } = &*self.0;
        let way = resolve(hub, file, &object.spec, access, *deadline).await;
        let mut all = self.all();
        let Some(registered) = same(&mut all, object) else {
            return;
        };
        if registered.object.metadata.generation != object.metadata.generation {
            return;
        }
        match way {
            Err(problem) => registered.no_way(problem),
            Ok(way) if registered.attempt == Some(way.digest) => {}
            Ok(way) if registered.digest() == Some(way.digest) => {
                (registered.attempt, registered.problem) = (None, None);
            }
            Ok(way) => match registered.plugins.admit(&way) {
                Ok(plugin) => {
                    registered.attempt = Some(way.digest);
                    let connected = self.clone().connect(object.clone(), way);
                    tokio::spawn(async move {
                        connected.await;
                        drop(plugin);
                    });
                }
                Err(problem) => registered.no_way(problem),
            },
        }
    }

    /// Makes a client and watches the member with it, if its way is still this one.
    async fn connect(self, object: MemberCluster, way: ResolvedAccess) {
        let digest = way.digest;
        let late = |problem| {
            if let Some(registered) = same(&mut self.all(), &object) {
                registered.no_way(problem);
            }
        };
        let (network, leadership) = (self.0.network.clone(), self.0.leadership.clone());
        let (requests, deadline) = (self.0.requests.clone(), self.0.deadline);
        let client = connect_late(network, way, leadership, requests, deadline, late).await;
        let mut all = self.all();
        let attempted = |one: &&mut Registered| one.attempt == Some(digest);
        let Some(registered) = same(&mut all, &object).filter(attempted) else {
            return;
        };
        registered.attempt = None;
        match client {
            Err(problem) => registered.no_way(problem),
            Ok(client) => {
                let name = object.name_any();
                info!(cluster = name, "connecting");
                registered.problem = None;
                registered.way = Some(self.start(name, digest, client));
            }
        }
    }

    /// Watches the pods that have an owner on the hub.
    fn start(&self, cluster: String, digest: u128, client: Client) -> Way {
        let stop = CancellationToken::new();
        let (api, cancel): (Api<Readable<v1::Pod>>, _) = (Api::all(client.clone()), stop.clone());
        let selection = watcher::Config::default().labels(LABEL_OWNER);
        // What is watched ends with the members, which hold it.
        let members = Arc::downgrade(&self.0);
        let change = move |cluster: &str, change: &dyn Fn(&mut Pods)| {
            if let Some(members) = members.upgrade() {
                Self(members).change(cluster, digest, change);
            }
        };
        tokio::spawn(async move {
            let handle = |event: Event<Read<v1::Pod>>| {
                change(&cluster, &|pods| pods.observe(&cluster, event.clone()));
            };
            let failed = |error: &watcher::Error| {
                let problem = redacted_message(error);
                change(&cluster, &|pods| pods.problem = Some(problem.clone()));
            };
            watch_selected(api, selection, handle, failed, &cancel).await;
        });
        Way {
            digest,
            client,
            pods: Pods::default(),
            _stop: stop.drop_guard(),
        }
    }

    /// Changes the pods of a member, if its way is still this one.
    fn change(&self, cluster: &str, digest: u128, change: impl FnOnce(&mut Pods)) {
        let mut all = self.all();
        let way = all.get_mut(cluster).and_then(|one| one.way.as_mut());
        if let Some(way) = way.filter(|way| way.digest == digest) {
            change(&mut way.pods);
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Registered>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The member, if it is still the one of this object.
fn same<'a>(
    all: &'a mut BTreeMap<String, Registered>,
    object: &MemberCluster,
) -> Option<&'a mut Registered> {
    let registered = all.get_mut(&object.name_any())?;
    (registered.object.metadata.uid == object.metadata.uid).then_some(registered)
}

impl Registered {
    fn digest(&self) -> Option<u128> {
        self.way.as_ref().map(|way| way.digest)
    }

    /// One that is connected goes on by the old way until there is a new one.
    fn no_way(&mut self, problem: AccessProblem) {
        let problem = problem.message;
        if self.problem.as_ref() != Some(&problem) {
            let cluster = self.object.name_any();
            warn!(cluster, problem, "cannot be reached as its object says");
        }
        self.problem = Some(problem);
    }

    fn client(&self) -> Result<Client, &str> {
        match (&self.way, &self.problem) {
            (Some(way), _) => Ok(way.client.clone()),
            (None, Some(problem)) => Err(problem),
            (None, None) => Err("it is not connected yet"),
        }
    }

    /// Why its pods are not known; none if they are. Whether it answers is what the scheduler says,
    /// which looks at it every few seconds.
    fn unknown(&self) -> Option<String> {
        if let Err(problem) = self.client() {
            return Some(problem.to_owned());
        }
        let pods = &self.way.as_ref()?.pods;
        if !pods.listed {
            let problem = pods.problem.clone();
            return Some(problem.unwrap_or_else(|| "its pods are being listed".to_owned()));
        }
        let status = self.object.status.as_ref()?;
        let ready = status
            .conditions
            .iter()
            .find(|one| one.type_ == CONDITION_READY)?;
        (ready.status == "False").then(|| ready.message.clone())
    }
}

impl Pods {
    fn observe(&mut self, cluster: &str, event: Event<Read<v1::Pod>>) {
        // What cannot be read stays as it was last known.
        let readable = |pod: Read<v1::Pod>| pod.or_else(|pod| pod.mended().ok_or(pod)).ok();
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
