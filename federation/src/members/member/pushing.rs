//! Deliveries: what is queued for a member is brought to it, a few owners at a time.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{Instrument as _, debug, info_span};

use super::{Change, Inner};
use crate::members::bundle::{Bundle, ObjectKey};
use crate::members::failure::Outcome;
use crate::operator::queue::Job;

impl Inner {
    /// Delivers what is queued, a few at a time, while the member is open.
    pub(super) async fn push_all(self: Arc<Self>) {
        let slots = Arc::new(Semaphore::new(self.options.parallel));
        let mut open = self.open.subscribe();
        loop {
            if open.wait_for(|open| *open).await.is_err() {
                return;
            }
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            let Some(job) = self.queue.next().await else {
                return;
            };
            // It may have closed while there was nothing to do.
            if open.wait_for(|open| *open).await.is_err() {
                return;
            }
            let inner = self.clone();
            tokio::spawn(async move {
                let owner = *job.key();
                let Some((bundle, outcome)) = inner.push(owner).await else {
                    return job.succeed();
                };
                inner.finish(job, &outcome);
                inner.send(Change::Delivered {
                    owner,
                    generation: bundle.generation,
                    last: bundle.ending.is_some(),
                    outcome,
                });
                drop(slot);
            });
        }
    }

    /// Ends a delivery: when the next one of this owner is due.
    fn finish(&self, job: Job<u128>, outcome: &Outcome) {
        let owner = *job.key();
        let Err(failure) = outcome else {
            self.refusals.forget(owner);
            let now = Instant::now();
            match self.pusher.next(self.keys(owner).into_iter()) {
                Some(due) => job.succeed_until(due.saturating_duration_since(now)),
                None => job.succeed(),
            }
            return;
        };
        debug!(cluster = %self.name, %failure, "delivery failed");
        if failure.kind.is_permanent() {
            job.succeed_until(self.refusals.refused(owner));
        } else {
            self.refusals.forget(owner);
            job.fail();
        }
    }

    /// The objects that the owner shall have here.
    pub(super) fn keys(&self, owner: u128) -> Vec<ObjectKey> {
        let bundles = self.bundles();
        let items = bundles
            .get(&owner)
            .into_iter()
            .flat_map(|bundle| &bundle.items);
        items.map(|item| item.key.clone()).collect()
    }

    /// One delivery of what the owner shall have here now, if it shall have anything.
    async fn push(&self, owner: u128) -> Option<(Bundle, Outcome)> {
        let bundle = self.bundles().get(&owner).cloned()?;
        let key = format!("{}/{}", bundle.owner.namespace, bundle.owner.name);
        let span = info_span!("deliver", cluster = %self.name, kind = bundle.owner.kind, key);
        let pushed = self.pusher.push(&bundle, &self.inventory).instrument(span);
        let outcome = match pushed.await {
            Ok(kept) => {
                if let Some(kept) = kept {
                    self.send(Change::NamespaceKept(kept));
                }
                Ok(())
            }
            Err(failure) => Err(failure),
        };
        if outcome.is_ok() && bundle.items.is_empty() {
            // Unless another one was handed over meanwhile.
            let mut bundles = self.bundles();
            if bundles.get(&owner) == Some(&bundle) {
                bundles.remove(&owner);
            }
        }
        match &outcome {
            Ok(()) => self.requests().succeeded(),
            Err(failure) => self.requests().delivery_failed(failure),
        }
        Some((bundle, outcome))
    }
}
