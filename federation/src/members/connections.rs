//! Connections to the members, one state machine for every operator: from what a `MemberCluster`
//! says of its access to a session at work.
//!
//! A member's access is resolved when its object is new or changed, when a Secret that it names
//! changes, and, where access comes from what cannot be watched (files, `KubeFedCluster`s), every
//! [`RESYNC_INTERVAL`]. When endpoint or credentials have changed, a client is made and a new session
//! is opened; until then the one before goes on, whatever is wrong with the access. What fails is
//! tried again with a growing wait. Nothing waits for another member.

mod member_access;
mod reader;
mod secrets;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use kube::{Client, ResourceExt as _};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};

use super::access::{AccessProblem, ResolvedAccess};
use crate::api::MemberCluster;
use crate::operator::context::OperatorContext;
use member_access::MemberAccess;
pub use reader::{MemberContents, MemberReader};
pub use state::Connection;
use state::{Next, SecretName, Ticket};

/// How often access is resolved again that comes from what cannot be watched.
pub const RESYNC_INTERVAL: Duration = Duration::from_secs(5);

/// What an operator opens for a member that it can reach. Dropped, it is closed.
pub trait Session: Send + Sync + Sized + 'static {
    /// What all sessions of an operator share.
    type Shared: Send + Sync + 'static;

    /// Opens a session with a member. Returns at once; work goes on in tasks of the session.
    fn open(shared: &Self::Shared, member: &Arc<MemberCluster>, client: Client) -> Self;
}

/// What happened to the connection to a member.
pub enum ConnectionEvent<S> {
    /// A session was opened. The one before it, if any, is to be dropped.
    Opened(Arc<S>),
    /// There is no access, or none to what the access has become. An open session goes on.
    Failed(AccessProblem),
    /// The access is the open session's again.
    Recovered,
}

/// Where access comes from.
trait Resolver: Send + Sync + 'static {
    /// The access of a member now, or what is wrong with it.
    fn resolve(
        &self,
        member: &MemberCluster,
    ) -> impl Future<Output = Result<ResolvedAccess, AccessProblem>> + Send;

    /// A client with this access. `on_slow` is called once if it is not there in time; it is waited
    /// for nevertheless.
    fn connect(
        &self,
        access: ResolvedAccess,
        on_slow: impl FnOnce(AccessProblem) + Send,
    ) -> impl Future<Output = Result<Client, AccessProblem>> + Send;
}

/// The connections of an operator to its members. Clones are the same.
pub struct Connections<S: Session>(Arc<Inner<S, MemberAccess>>);

impl<S: Session> Clone for Connections<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<S: Session, R> {
    resolver: R,
    shared: S::Shared,
    members: Mutex<BTreeMap<String, Connection<S>>>,
    /// Namespaces whose Secrets are watched; an empty name is all of them.
    watched: Mutex<BTreeSet<String>>,
    changed: Notify,
}

impl<S: Session> Connections<S> {
    /// Connections with the network, identity and access rules of an operator; to no member yet.
    pub fn new(context: &OperatorContext, shared: S::Shared) -> Self {
        Self(Arc::new(Inner::new(MemberAccess::of(context), shared)))
    }

    /// Takes in a member as the hub has it.
    pub fn apply(&self, member: Arc<MemberCluster>) {
        self.0.apply(member);
    }

    /// Forgets a member; its session is dropped.
    pub fn remove(&self, name: &str) {
        self.0.members().remove(name);
    }

    /// Forgets the members that are not among these.
    pub fn retain(&self, is_kept: impl Fn(&str) -> bool) {
        self.0.members().retain(|name, _| is_kept(name));
    }

    /// Reads the connections, ordered by the members' names. Nothing else happens to any of them
    /// meanwhile.
    pub fn read<T>(&self, read: impl FnOnce(&BTreeMap<String, Connection<S>>) -> T) -> T {
        read(&self.0.members())
    }

    /// A client for a member, or why there is none, for a person.
    pub fn client(&self, member: &str) -> Result<Client, String> {
        self.read(|all| match all.get(member) {
            Some(connection) => connection.client(),
            None => Err("it is not a member: see kubectl get memberclusters".to_owned()),
        })
    }

    /// Keeps the connections until stopped. What happens to one is given to `on_event` with its
    /// member, while nothing is locked.
    pub async fn run(
        &self,
        on_event: impl Fn(&Arc<MemberCluster>, ConnectionEvent<S>) + Sync,
        stop: &CancellationToken,
    ) {
        let inner = &*self.0;
        let secrets = secrets::watch(
            inner.resolver.watched_namespaces(),
            |secret| inner.secret_changed(secret),
            |namespace, is_watched| inner.set_watched(namespace, is_watched),
            stop,
        );
        futures::join!(inner.run(&on_event, stop), secrets);
    }
}

/// A step that is under way; what it gives is to be done next.
type Step<'a> = BoxFuture<'a, Option<Attempt>>;

/// A client that is to be made.
struct Attempt {
    ticket: Ticket,
    access: Box<ResolvedAccess>,
    /// Of a credential plugin, until it has ended.
    plugin: Option<OwnedSemaphorePermit>,
}

impl<S: Session, R: Resolver> Inner<S, R> {
    fn new(resolver: R, shared: S::Shared) -> Self {
        Self {
            resolver,
            shared,
            members: Mutex::default(),
            watched: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn apply(&self, member: Arc<MemberCluster>) {
        let is_watched = self.is_watched(&member);
        let mut members = self.members();
        let name = member.name_any();
        let connection = members.get_mut(&name);
        let is_due = if let Some(connection) = connection.filter(|one| one.is_of(&member)) {
            connection.update(member, is_watched)
        } else {
            members.insert(name, Connection::new(member, is_watched));
            true
        };
        drop(members);
        if is_due {
            self.changed.notify_one();
        }
    }

    fn secret_changed(&self, secret: &SecretName) {
        let mut members = self.members();
        let named = members.values_mut().filter(|one| one.names(secret));
        named.for_each(Connection::invalidate);
        drop(members);
        self.changed.notify_one();
    }

    /// Whether all changes of the Secret that a member names are seen.
    fn is_watched(&self, member: &MemberCluster) -> bool {
        let reference = member.spec.access.secret_ref.as_ref();
        let watched = self.watched();
        reference.is_some_and(|one| watched.contains("") || watched.contains(&one.namespace))
    }

    fn set_watched(&self, namespace: &str, is_watched: bool) {
        if is_watched {
            self.watched().insert(namespace.to_owned());
        } else {
            self.watched().remove(namespace);
        }
        let mut members = self.members();
        let named = members.values_mut();
        named
            .filter(|one| one.reads_secrets_of(namespace))
            .for_each(|one| one.set_watched(is_watched));
        drop(members);
        self.changed.notify_one();
    }

    async fn run(
        &self,
        on_event: &(impl Fn(&Arc<MemberCluster>, ConnectionEvent<S>) + Sync),
        stop: &CancellationToken,
    ) {
        let mut steps: FuturesUnordered<Step<'_>> = FuturesUnordered::new();
        loop {
            let now = Instant::now();
            let (due, next) = self.due(now);
            for ticket in due {
                steps.push(Box::pin(self.resolve(ticket, on_event)));
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(attempt) = steps.next() => {
                    if let Some(attempt) = attempt {
                        steps.push(Box::pin(self.connect(attempt, on_event)));
                    }
                }
                () = self.changed.notified() => {}
                () = wait_until(next) => {}
            }
        }
    }

    /// The members whose access is to be resolved now, and when the next one is.
    fn due(&self, now: Instant) -> (Vec<Ticket>, Option<Instant>) {
        let mut members = self.members();
        let due = members.values_mut().filter_map(|one| one.begin(now));
        let due = due.collect();
        let next = members.values().filter_map(Connection::due).min();
        (due, next)
    }

    /// Resolves a member's access, and says whether a client is to be made with it.
    async fn resolve(
        &self,
        ticket: Ticket,
        on_event: &(impl Fn(&Arc<MemberCluster>, ConnectionEvent<S>) + Sync),
    ) -> Option<Attempt> {
        let resolved = self.resolver.resolve(&ticket.member).await;
        let next = {
            let mut members = self.members();
            ticket
                .find(&mut members)?
                .resolved(resolved, Instant::now())
        };
        match next {
            Next::Nothing => None,
            Next::Connect(access, plugin) => Some(Attempt {
                ticket,
                access,
                plugin,
            }),
            Next::Recovered => {
                on_event(&ticket.member, ConnectionEvent::Recovered);
                None
            }
            Next::Failed(problem) => {
                report(&ticket, problem, on_event);
                None
            }
        }
    }

    /// Makes a client and opens a session with it, if the member's access is still this one.
    async fn connect(
        &self,
        attempt: Attempt,
        on_event: &(impl Fn(&Arc<MemberCluster>, ConnectionEvent<S>) + Sync),
    ) -> Option<Attempt> {
        let Attempt {
            ticket,
            access,
            plugin,
        } = attempt;
        let digest = access.digest;
        let on_slow = |problem: AccessProblem| {
            let is_new = {
                let mut members = self.members();
                let connection = ticket.find_same(&mut members);
                connection.is_some_and(|one| one.is_slow(digest, &problem))
            };
            if is_new {
                report(&ticket, problem, on_event);
            }
        };
        let span = info_span!("connect", member = ticket.name());
        let client = self.resolver.connect(*access, on_slow);
        let client = client.instrument(span).await;
        drop(plugin);
        match client {
            Ok(client) => self.open(&ticket, digest, client, on_event),
            Err(problem) => {
                let is_new = {
                    let mut members = self.members();
                    let connection = ticket.find_same(&mut members)?;
                    connection.attempt_failed(digest, &problem, Instant::now())
                };
                if is_new {
                    report(&ticket, problem, on_event);
                }
            }
        }
        None
    }

    /// Opens a session, if the client is still the one that is wanted.
    fn open(
        &self,
        ticket: &Ticket,
        digest: u128,
        client: Client,
        on_event: &impl Fn(&Arc<MemberCluster>, ConnectionEvent<S>),
    ) {
        let (member, session, before) = {
            let mut members = self.members();
            let connection = ticket.find_same(&mut members);
            let Some(connection) = connection.filter(|one| one.attempts(digest)) else {
                return;
            };
            let member = connection.member().clone();
            let session = Arc::new(S::open(&self.shared, &member, client.clone()));
            let before = connection.opened(digest, client, session.clone());
            (member, session, before)
        };
        info!(cluster = ticket.name(), "connected");
        on_event(&member, ConnectionEvent::Opened(session));
        drop(before);
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<String, Connection<S>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watched(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says once what is wrong.
fn report<S>(
    ticket: &Ticket,
    problem: AccessProblem,
    on_event: &impl Fn(&Arc<MemberCluster>, ConnectionEvent<S>),
) {
    warn!(cluster = ticket.name(), %problem, "no access to the member as its object says");
    on_event(&ticket.member, ConnectionEvent::Failed(problem));
}

/// Waits until then; for ever, if there is no time.
async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
