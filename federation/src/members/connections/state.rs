//! Where the connection to one member stands. Pure: what happens comes in as values, and what is to
//! be done next goes out as one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, ResourceExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::{RESYNC_INTERVAL, Session};
use crate::api::MemberCluster;
use crate::members::access::{AccessProblem, Plugins, ResolvedAccess};
use crate::members::watching::spread;
use crate::operator::queue::Backoff;

/// Waits between tries of an access that does not serve.
const RETRIES: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
};

/// A Secret on the hub.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SecretName {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The connection to one member.
pub struct Connection<S> {
    member: Arc<MemberCluster>,
    open: Option<Open<S>>,
    /// Digest of the access for which a client is being made.
    attempt: Option<u128>,
    problem: Option<AccessProblem>,
    failures: Failures,
    plugins: Plugins,
    /// Counts what makes an access that is being resolved obsolete.
    revision: u64,
    /// It is being resolved for this revision.
    resolving: Option<u64>,
    due: Option<Instant>,
    /// Changes of the Secrets that it names are seen.
    is_watched: bool,
}

struct Open<S> {
    digest: u128,
    client: Client,
    session: Arc<S>,
}

/// What went wrong in a row.
#[derive(Default)]
struct Failures {
    count: u32,
    /// The access that did not serve is not tried before.
    not_before: Option<(u128, Instant)>,
}

/// What is to be done after an access was resolved.
#[derive(Debug)]
pub(super) enum Next {
    Nothing,
    /// A client is to be made. The permit is of its credential plugin, if it has one.
    Connect(Box<ResolvedAccess>, Option<OwnedSemaphorePermit>),
    /// What was reported wrong is not any more.
    Recovered,
    /// Something is wrong that has not been reported.
    Failed(AccessProblem),
}

/// Names a connection while something is done for it without a lock.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub(super) member: Arc<MemberCluster>,
    revision: u64,
}

impl Ticket {
    pub(super) fn name(&self) -> &str {
        self.member.metadata.name.as_deref().unwrap_or_default()
    }

    /// The connection, if it is still to the same object.
    pub(super) fn find_same<'a, S: Session>(
        &self,
        all: &'a mut BTreeMap<String, Connection<S>>,
    ) -> Option<&'a mut Connection<S>> {
        let connection = all.get_mut(self.name())?;
        connection.is_of(&self.member).then_some(connection)
    }

    /// The connection, if its access is still to be resolved for this ticket. Where it changed
    /// meanwhile, it is to be resolved again.
    pub(super) fn find<'a, S: Session>(
        &self,
        all: &'a mut BTreeMap<String, Connection<S>>,
    ) -> Option<&'a mut Connection<S>> {
        let connection = self.find_same(all)?;
        connection.resolving = None;
        (connection.revision == self.revision).then_some(connection)
    }
}

impl<S: Session> Connection<S> {
    /// One that is to be made at once.
    pub(super) fn new(member: Arc<MemberCluster>, is_watched: bool) -> Self {
        Self {
            member,
            open: None,
            attempt: None,
            problem: None,
            failures: Failures::default(),
            plugins: Plugins::default(),
            revision: 0,
            resolving: None,
            due: Some(Instant::now()),
            is_watched,
        }
    }

    /// The member as the hub has it.
    pub fn member(&self) -> &Arc<MemberCluster> {
        &self.member
    }

    /// The session, if one was opened.
    pub fn session(&self) -> Option<&Arc<S>> {
        self.open.as_ref().map(|open| &open.session)
    }

    /// What is wrong with the access; an open session goes on all the same.
    pub fn problem(&self) -> Option<&AccessProblem> {
        self.problem.as_ref()
    }

    /// A client for the member, or why there is none, for a person.
    pub fn client(&self) -> Result<Client, String> {
        match (&self.open, &self.problem) {
            (Some(open), _) => Ok(open.client.clone()),
            (None, Some(problem)) => Err(problem.message.clone()),
            (None, None) => Err("it is not connected yet".to_owned()),
        }
    }

    pub(super) fn is_of(&self, member: &MemberCluster) -> bool {
        self.member.metadata.uid == member.metadata.uid
    }

    /// Takes in the object as the hub has it now. Whether its access is to be resolved at once.
    pub(super) fn update(&mut self, member: Arc<MemberCluster>, is_watched: bool) -> bool {
        let is_moved = self.member.spec.access != member.spec.access;
        self.member = member;
        self.is_watched = is_watched;
        if is_moved {
            self.invalidate();
        }
        is_moved
    }

    /// The access may be another one: it is resolved again at once, and may be tried at once.
    pub(super) fn invalidate(&mut self) {
        self.revision += 1;
        self.failures = Failures::default();
        self.due = Some(Instant::now());
    }

    /// Whether changes of what the access names are seen, so that nothing has to be polled.
    pub(super) fn set_watched(&mut self, is_watched: bool) {
        if self.is_watched && !is_watched {
            self.due = earlier(self.due, Some(Instant::now() + RESYNC_INTERVAL));
        }
        self.is_watched = is_watched;
    }

    /// Whether its access is read from this Secret.
    pub(super) fn names(&self, secret: &SecretName) -> bool {
        let reference = self.member.spec.access.secret_ref.as_ref();
        reference
            .is_some_and(|one| (&one.namespace, &one.name) == (&secret.namespace, &secret.name))
    }

    /// Whether its access is read from a Secret of this namespace; of any, if it is empty.
    pub(super) fn reads_secrets_of(&self, namespace: &str) -> bool {
        let reference = self.member.spec.access.secret_ref.as_ref();
        reference.is_some_and(|one| namespace.is_empty() || one.namespace == namespace)
    }

    /// When its access is to be resolved next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.resolving.is_none())
    }

    /// Begins to resolve the access, if that is due.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Ticket> {
        self.due().filter(|due| *due <= now)?;
        self.due = None;
        self.resolving = Some(self.revision);
        Some(Ticket {
            member: self.member.clone(),
            revision: self.revision,
        })
    }

    /// The access was resolved, or could not be.
    pub(super) fn resolved(
        &mut self,
        resolved: Result<ResolvedAccess, AccessProblem>,
        now: Instant,
    ) -> Next {
        self.due = self.poll(now);
        let access = match resolved {
            Ok(access) => access,
            Err(problem) => return self.failed(None, problem, now),
        };
        let digest = access.digest;
        if self.attempt == Some(digest) {
            return Next::Nothing;
        }
        if self.open.as_ref().is_some_and(|open| open.digest == digest) {
            return self.recovered();
        }
        if let Some((failed, not_before)) = self.failures.not_before
            && failed == digest
            && now < not_before
        {
            self.due = earlier(self.due, Some(not_before));
            return Next::Nothing;
        }
        match self.plugins.admit(&access) {
            Ok(plugin) => {
                self.attempt = Some(digest);
                Next::Connect(Box::new(access), plugin)
            }
            Err(problem) => self.failed(None, problem, now),
        }
    }

    /// Whether a client with this access is wanted.
    pub(super) fn attempts(&self, digest: u128) -> bool {
        self.attempt == Some(digest)
    }

    /// The client is not there in time. Whether that is to be reported.
    pub(super) fn is_slow(&mut self, digest: u128, problem: &AccessProblem) -> bool {
        self.attempts(digest) && self.note(problem)
    }

    /// No client could be made. Whether that is to be reported.
    pub(super) fn attempt_failed(
        &mut self,
        digest: u128,
        problem: &AccessProblem,
        now: Instant,
    ) -> bool {
        if !self.attempts(digest) {
            return false;
        }
        self.attempt = None;
        self.retry(Some(digest), now);
        self.note(problem)
    }

    /// A session was opened; gives the one before.
    pub(super) fn opened(
        &mut self,
        digest: u128,
        client: Client,
        session: Arc<S>,
    ) -> Option<Arc<S>> {
        self.attempt = None;
        self.problem = None;
        self.failures = Failures::default();
        let open = Open {
            digest,
            client,
            session,
        };
        self.open.replace(open).map(|before| before.session)
    }

    fn recovered(&mut self) -> Next {
        self.attempt = None;
        self.failures = Failures::default();
        match self.problem.take() {
            Some(_) => Next::Recovered,
            None => Next::Nothing,
        }
    }

    fn failed(&mut self, digest: Option<u128>, problem: AccessProblem, now: Instant) -> Next {
        self.retry(digest, now);
        if self.note(&problem) {
            Next::Failed(problem)
        } else {
            Next::Nothing
        }
    }

    /// It is resolved again after a wait that grows.
    fn retry(&mut self, digest: Option<u128>, now: Instant) {
        let failures = &mut self.failures;
        failures.count = failures.count.saturating_add(1);
        let wait = RETRIES.after(failures.count);
        let due = now + spread(wait, &self.member.name_any(), failures.count);
        failures.not_before = digest.map(|digest| (digest, due));
        self.due = earlier(self.due, Some(due));
    }

    fn note(&mut self, problem: &AccessProblem) -> bool {
        let is_new = self.problem.as_ref() != Some(problem);
        self.problem = Some(problem.clone());
        is_new
    }

    /// When what cannot be watched is looked at again.
    fn poll(&self, now: Instant) -> Option<Instant> {
        let is_secret = self.member.spec.access.secret_ref.is_some();
        let is_polled = !(is_secret && self.is_watched);
        is_polled.then(|| now + spread(RESYNC_INTERVAL, &self.member.name_any(), 0))
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
