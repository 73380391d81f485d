//! Lists once, then watches from there; again from the beginning when the history is gone.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tracing::debug;

use super::{Cache, ObjectKey, lock};

/// The wait before a list or watch that failed is tried again. The API server is in the same
/// process.
const RETRY: Duration = Duration::from_secs(1);

/// Objects in a page of a list.
const PAGE: u32 = 500;

impl<K> Cache<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    /// Follows the objects of `api` until it is dropped.
    pub async fn follow(self, api: Api<K>) {
        loop {
            let mut revision = match self.list(&api).await {
                Ok(revision) => Some(revision),
                Err(error) => {
                    debug!(%error, "not listed");
                    None
                }
            };
            while let Some(from) = revision {
                revision = self.watch(&api, from).await;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Takes in all that there is. Gives the revision of the list.
    async fn list(&self, api: &Api<K>) -> kube::Result<String> {
        lock(&self.0.state).begin_list();
        let mut listed = BTreeSet::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = api.list(&page).await?;
            for object in list.items {
                listed.insert(ObjectKey::of(&object));
                self.change(|state| state.apply_listed(object));
            }
            let next = list.metadata.continue_.filter(|token| !token.is_empty());
            let Some(next) = next else {
                let revision = list.metadata.resource_version.unwrap_or_default();
                let gone = lock(&self.0.state).end_list(number(&revision), &listed);
                for key in gone {
                    self.change(|state| state.take(&key));
                }
                self.0.synced.send_replace(true);
                return Ok(revision);
            };
            page = page.continue_token(&next);
        }
    }

    /// Takes in what happens after a revision, until the watch ends. Gives the revision to go on
    /// from; none if that is no longer known, or the API server does not answer.
    async fn watch(&self, api: &Api<K>, from: String) -> Option<String> {
        let mut revision = from;
        let events = match api.watch(&WatchParams::default(), &revision).await {
            Ok(events) => events,
            Err(error) => {
                debug!(%error, "not watched");
                return None;
            }
        };
        let mut events = pin!(events);
        let mut is_silent = true;
        while let Some(event) = events.next().await {
            is_silent = false;
            let observed = match event {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    let observed = object.meta().resource_version.clone();
                    self.change(|state| state.apply_watched(object));
                    observed
                }
                Ok(WatchEvent::Deleted(object)) => {
                    self.change(|state| state.apply_deleted(&object));
                    object.meta().resource_version.clone()
                }
                Ok(WatchEvent::Bookmark(bookmark)) => {
                    let observed = bookmark.metadata.resource_version;
                    lock(&self.0.state).advance(number(&observed));
                    Some(observed)
                }
                Ok(WatchEvent::Error(status)) => {
                    debug!(%status.message, "watch refused");
                    return None;
                }
                Err(error) => {
                    debug!(%error, "watch interrupted");
                    return None;
                }
            };
            revision = observed.unwrap_or(revision);
        }
        // One that ends without a word is no API server at work, and is not asked again at once.
        (!is_silent).then_some(revision)
    }
}

fn number(revision: &str) -> u64 {
    revision.parse().unwrap_or(0)
}
