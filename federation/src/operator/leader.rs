//! Leader election on a `coordination.k8s.io/v1` Lease.
//!
//! The algorithm is client-go's (`tools/leaderelection`): a candidate takes a lease over only when
//! it has itself seen the record unchanged for the lease's duration, by its own monotonic clock;
//! every write carries the resourceVersion that was read, so that of two candidates one gets a
//! conflict. Times in the record are for people; nothing is decided by them.
//!
//! Not kube-lease-manager: it compares the record's times with `SystemTime` (so it is wrong when
//! clocks differ and in virtual time), writes without a resourceVersion, clears a lapsed lease
//! before it holds it, and offers no check that notices at once that the process was suspended.

use std::future::pending;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::clock::SharedClock;
use super::redacted::redacted_message;

/// Which lease, for whom, for how long.
#[derive(Debug, Clone)]
pub struct ElectionOptions {
    /// The lease's namespace; created if it is missing.
    pub namespace: String,
    /// The lease's name, one per operator.
    pub lease: String,
    /// This process; two running processes must never share an identity.
    pub identity: String,
    /// How long others wait for a silent leader. Whole seconds.
    pub duration: Duration,
    /// The time between two renewals, at most a third of `duration`.
    pub renew: Duration,
}

/// Whether this process is the leader.
#[derive(Debug, Clone)]
pub struct Leadership(watch::Receiver<Term>);

/// Until when this process may act.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Term {
    None,
    Until(Instant),
    Unlimited,
}

impl Leadership {
    /// For a process that is surely the only one.
    pub fn always() -> Self {
        Self(watch::channel(Term::Unlimited).1)
    }

    /// For a process that only reads.
    pub fn never() -> Self {
        Self(watch::channel(Term::None).1)
    }

    /// Whether this process may write now.
    ///
    /// Cheap, to be checked right before every write. It compares with a monotonic deadline, so it
    /// is false as soon as a process that was suspended past its lease goes on, before any timer
    /// or answer has arrived.
    pub fn is_leader(&self) -> bool {
        self.0.borrow().is_running()
    }

    /// Waits until this process is the leader.
    pub async fn acquired(&self) {
        let mut term = self.0.clone();
        while !term.borrow_and_update().is_running() {
            changed(&mut term).await;
        }
    }

    /// Waits until this process is the leader, and works then, until cancelled or until another one
    /// leads. That one starts from what is on the hub, and so shall this one.
    pub async fn work<E: From<LeaseLost>>(
        &self,
        work: impl Future<Output = Result<(), E>>,
        cancel: &CancellationToken,
    ) -> Result<(), E> {
        if cancel.run_until_cancelled(self.acquired()).await.is_none() {
            return Ok(());
        }
        tokio::select! {
            biased;
            result = work => result,
            () = self.lost() => Err(LeaseLost.into()),
        }
    }

    /// Waits until this process is not the leader.
    pub async fn lost(&self) {
        let mut term = self.0.clone();
        loop {
            let current = *term.borrow_and_update();
            if !current.is_running() {
                return;
            }
            tokio::select! {
                biased;
                () = current.lapsed() => {}
                () = changed(&mut term) => {}
            }
        }
    }
}

/// This process may not write any more.
#[derive(Debug, thiserror::Error)]
#[error("the lease is lost: another copy leads now, or the hub did not answer in time")]
pub struct LeaseLost;

impl Term {
    fn is_running(self) -> bool {
        match self {
            Self::None => false,
            Self::Until(deadline) => Instant::now() < deadline,
            Self::Unlimited => true,
        }
    }

    async fn lapsed(self) {
        match self {
            Self::None => {}
            Self::Until(deadline) => sleep_until(deadline).await,
            Self::Unlimited => pending().await,
        }
    }
}

/// Waits for a change; for ever, once the election is over.
async fn changed(term: &mut watch::Receiver<Term>) {
    if term.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// One candidate.
pub struct Election {
    leases: Api<Lease>,
    namespaces: Api<Namespace>,
    options: ElectionOptions,
    clock: SharedClock,
    term: watch::Sender<Term>,
    /// The lease as this process has written it last, if nothing went wrong since.
    held: Option<Lease>,
    /// What another holder wrote last, and when that was first seen here.
    observed: Option<(LeaseSpec, Instant)>,
}

/// Why a turn of the election failed. It is tried again.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error("{}", redacted_message(.0))]
    Hub(#[from] kube::Error),
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

impl Election {
    /// A candidate, and the view on it for those who act.
    pub fn new(client: Client, options: ElectionOptions, clock: SharedClock) -> (Self, Leadership) {
        let (term, leadership) = watch::channel(Term::None);
        let election = Self {
            leases: Api::namespaced(client.clone(), &options.namespace),
            namespaces: Api::all(client),
            options,
            clock,
            term,
            held: None,
            observed: None,
        };
        (election, Leadership(leadership))
    }

    /// Stands for election until `stop`, then releases the lease.
    ///
    /// A leader that has lost its lease goes on as a candidate. Cancel `stop` only when the work
    /// that needs the lease has ended: the next leader begins right after the release.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                pause = self.turn_and_pause() => pause,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep(pause) => {}
            }
        }
        self.term.send_replace(Term::None);
        if let Err(error) = self.release().await {
            tracing::warn!(lease = self.options.lease, %error, "could not release the lease; the next leader waits until it lapses");
        }
    }

    async fn turn_and_pause(&mut self) -> Duration {
        let was_leader = self.term.borrow().is_running();
        let turn = self.turn().await;
        let is_leader = self.term.borrow().is_running();
        let lease = &self.options.lease;
        match (was_leader, is_leader) {
            (false, true) => tracing::info!(lease, identity = self.options.identity, "leading"),
            (true, false) => {
                tracing::warn!(lease, identity = self.options.identity, "no longer leading");
            }
            _ => {}
        }
        match turn {
            Ok(()) if is_leader => self.options.renew,
            Ok(()) => self.options.renew / 2,
            Err(error) => {
                tracing::debug!(lease, %error, "the lease could not be read or written");
                self.options.renew / 5
            }
        }
    }

    /// Renews the lease, takes it, or checks it.
    async fn turn(&mut self) -> Result<(), TurnError> {
        // Dropped when the write fails, so that the next turn reads the lease again.
        if let Some(held) = self.held.take() {
            return self.take(held).await;
        }
        match self
            .answer(self.leases.get_opt(&self.options.lease))
            .await?
        {
            None => self.create().await,
            Some(lease) if self.may_take(&lease) => self.take(lease).await,
            Some(_) => {
                self.term.send_replace(Term::None);
                Ok(())
            }
        }
    }

    /// Whether the lease is free, ours, or unchanged for as long as its holder asked for.
    fn may_take(&mut self, lease: &Lease) -> bool {
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.options.identity {
            return true;
        }
        let now = Instant::now();
        match &self.observed {
            Some((seen, since)) if *seen == spec => {
                let seconds = spec
                    .lease_duration_seconds
                    .and_then(|seconds| u64::try_from(seconds).ok());
                now >= *since + seconds.map_or(self.options.duration, Duration::from_secs)
            }
            _ => {
                self.observed = Some((spec, now));
                false
            }
        }
    }

    /// Writes this process into the lease, against the resourceVersion that was read.
    async fn take(&mut self, mut lease: Lease) -> Result<(), TurnError> {
        let before = lease.spec.take().unwrap_or_default();
        lease.spec = Some(self.holding(before));
        let sent = Instant::now();
        let written = self.replace(&lease).await?;
        self.lead(written, sent);
        Ok(())
    }

    async fn create(&mut self) -> Result<(), TurnError> {
        let lease = Lease {
            metadata: named(&self.options.lease),
            spec: Some(LeaseSpec {
                acquire_time: Some(MicroTime(self.clock.now())),
                lease_transitions: Some(0),
                holder_identity: Some(self.options.identity.clone()),
                ..self.holding(LeaseSpec::default())
            }),
        };
        let parameters = PostParams::default();
        let mut sent = Instant::now();
        let mut created = self.answer(self.leases.create(&parameters, &lease)).await;
        // An API server answers "not found" to a create when the namespace is missing.
        if matches!(&created, Err(TurnError::Hub(kube::Error::Api(status))) if status.is_not_found())
        {
            self.create_namespace().await?;
            sent = Instant::now();
            created = self.answer(self.leases.create(&parameters, &lease)).await;
        }
        self.lead(created?, sent);
        Ok(())
    }

    async fn create_namespace(&self) -> Result<(), TurnError> {
        let namespace = Namespace {
            metadata: named(&self.options.namespace),
            ..Namespace::default()
        };
        match self
            .answer(self.namespaces.create(&PostParams::default(), &namespace))
            .await
        {
            Err(TurnError::Hub(kube::Error::Api(status))) if status.is_already_exists() => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// The record after this process has taken or renewed what was `before`.
    fn holding(&self, before: LeaseSpec) -> LeaseSpec {
        let now = Some(MicroTime(self.clock.now()));
        let renewed = before.holder_identity.as_ref() == Some(&self.options.identity);
        let transitions = before.lease_transitions.unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.options.identity.clone()),
            lease_duration_seconds: i32::try_from(self.options.duration.as_secs()).ok(),
            acquire_time: if renewed {
                before.acquire_time
            } else {
                now.clone()
            },
            lease_transitions: Some(if renewed {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            renew_time: now,
            ..before
        }
    }

    /// Leads from a write that was sent at `sent` and has succeeded.
    ///
    /// Others count from when they see the write, which is later than `sent`. A fifth of the
    /// duration is left for the requests that are on their way when the term ends.
    fn lead(&mut self, written: Lease, sent: Instant) {
        self.held = Some(written);
        self.observed = None;
        let term = self.options.duration * 4 / 5;
        self.term.send_replace(Term::Until(sent + term));
    }

    /// Gives the lease back, if it is ours, so that the next leader need not wait.
    async fn release(&self) -> Result<(), TurnError> {
        let Some(mut lease) = self
            .answer(self.leases.get_opt(&self.options.lease))
            .await?
        else {
            return Ok(());
        };
        let spec = lease.spec.take().unwrap_or_default();
        if spec.holder_identity.as_ref() != Some(&self.options.identity) {
            return Ok(());
        }
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            renew_time: Some(MicroTime(self.clock.now())),
            ..spec
        });
        self.replace(&lease).await.map(|_| ())
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, TurnError> {
        let parameters = PostParams::default();
        let replaced = self.leases.replace(&self.options.lease, &parameters, lease);
        self.answer(replaced).await
    }

    /// The hub's answer, if it comes in time for another attempt within the term.
    async fn answer<T>(
        &self,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, TurnError> {
        let patience = self.options.renew / 2;
        match timeout(patience, request).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(TurnError::Silent(patience)),
        }
    }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
#[path = "leader_tests.rs"]
mod tests;
