//! Probes: whether a member is healthy, which cluster it is, and so whether it is worked with.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Change, Inner};
use crate::members::delivery::lock;
use crate::members::health::{Probe, probe};
use crate::members::inventory::Inventory;
use crate::members::watching::{Deadlined as _, spread};
use crate::operator::queue::Priority;

/// A member that was away this long is listed anew: its watches may be dead without saying so.
const STALE_AFTER: Duration = Duration::from_secs(30);

/// How a member was found to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Ready,
    /// It does not say which cluster it is.
    Unidentified,
    /// Its probes succeed, and nothing else does.
    Failing,
    Silent,
}

impl Inner {
    /// Probes, and watches while the cluster is served, for ever.
    pub(super) async fn attend(self: Arc<Self>, stop: CancellationToken) {
        let mut admitted = self.admitted.subscribe();
        let mut watches: Option<CancellationToken> = None;
        let mut last_answer = Instant::now();
        let mut identity: Option<String> = None;
        let mut health = None;
        let mut next_probe = Instant::now();
        let mut probes = 0;
        loop {
            if next_probe <= Instant::now() {
                let deadline = self.options.deadline.min(Duration::from_secs(5));
                let probed = probe(&self.client, deadline).await;
                if let Probe::Ready(uid) = &probed {
                    let is_stale = last_answer.elapsed() > STALE_AFTER;
                    let is_other = identity.as_ref() != Some(uid);
                    last_answer = Instant::now();
                    if is_stale && watches.is_some() {
                        info!(cluster = %self.name, "answers again after a long time: listing it again");
                    }
                    if let Some(watches) = watches.take_if(|_| is_stale || is_other) {
                        watches.cancel();
                        self.forget(is_other);
                    }
                    if is_other {
                        identity = Some(uid.clone());
                        self.send(Change::Identified(uid.clone()));
                    }
                }
                health = Some(self.notify_health(health, probed).await);
                let pause = if health == Some(Health::Ready) {
                    self.options.probe_interval
                } else {
                    Duration::from_secs(1).min(self.options.probe_interval)
                };
                probes += 1;
                next_probe = Instant::now() + spread(pause, self.name.as_str(), probes);
            }
            let is_served = identity.is_some() && *admitted.borrow_and_update() == identity;
            if !is_served && let Some(watches) = watches.take() {
                watches.cancel();
                self.forget(true);
            }
            if is_served && watches.is_none() {
                let token = stop.child_token();
                self.clone().watch(&token);
                watches = Some(token);
            }
            // Writes go on while they alone fail: they show that it has recovered.
            let answers = matches!(health, Some(Health::Ready | Health::Failing));
            self.reconsider_open(answers && is_served);
            tokio::select! {
                biased;
                changed = admitted.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(next_probe) => {}
            }
        }
    }

    /// Sends what a probe changed.
    async fn notify_health(&self, before: Option<Health>, probed: Probe) -> Health {
        let silence = self.requests().silence();
        let (now, problem) = match probed {
            Probe::Unidentified(problem) => {
                self.send(Change::Unidentified(problem));
                return Health::Unidentified;
            }
            Probe::Silent(problem) => (Health::Silent, problem),
            Probe::Ready(_) if let Some(problem) = silence => (Health::Failing, problem),
            Probe::Ready(_) => {
                if before != Some(Health::Ready) {
                    let deadline = self.options.deadline.min(Duration::from_secs(5));
                    let version = self
                        .client
                        .apiserver_version()
                        .with_deadline(deadline)
                        .await;
                    let version = version.ok().map(|version| version.git_version);
                    self.send(Change::Reachable(version));
                }
                return Health::Ready;
            }
        };
        if before != Some(now) {
            warn!(cluster = %self.name, problem, "is not healthy");
            self.send(Change::Unreachable(problem));
        }
        now
    }

    /// What was acknowledged may be lost or changed; of another cluster, nothing is known.
    fn forget(&self, is_other: bool) {
        let mut inventory = lock(&self.inventory);
        if is_other {
            *inventory = Inventory::default();
        }
        self.pusher.forget(&inventory);
        inventory.forget_completeness();
    }

    pub(super) fn reconsider_open(&self, reachable: bool) {
        let open = reachable && lock(&self.inventory).is_complete();
        if self
            .open
            .send_if_modified(|now| std::mem::replace(now, open) != open)
            && open
        {
            // It may have lost what was acknowledged, and failed deliveries need not wait.
            let owners: Vec<u128> = self.bundles().keys().copied().collect();
            for owner in owners {
                self.queue.renew(owner, Priority::Low);
            }
        }
    }
}
