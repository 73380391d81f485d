//! When each Deployment was first seen on each member.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::Notify;

/// When each Deployment was first seen on each member.
#[derive(Default)]
pub(super) struct Seen {
    times: Mutex<BTreeMap<String, Vec<Instant>>>,
    changed: Notify,
}

impl Seen {
    pub(super) async fn follow(self: Arc<Self>, client: Client) {
        let api: Api<PartialObjectMeta<Deployment>> = Api::all(client);
        let mut known = std::collections::BTreeSet::new();
        let mut events = std::pin::pin!(watcher(api, Config::default()));
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object)) if known.insert(object.uid()) => {
                    let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
                    times
                        .entry(object.name_any())
                        .or_default()
                        .push(Instant::now());
                    drop(times);
                    self.changed.notify_waiters();
                }
                _ => {}
            }
        }
    }

    /// When the last of the names was seen for the last time of `each`.
    pub(super) async fn all(
        &self,
        names: &[String],
        each: usize,
        limit: Duration,
    ) -> Result<Instant> {
        let found = async {
            loop {
                let changed = self.changed.notified();
                {
                    let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
                    let complete = |name: &String| {
                        times
                            .get(name)
                            .filter(|times| times.len() >= each)?
                            .iter()
                            .max()
                            .copied()
                    };
                    if let Some(all) = names.iter().map(complete).collect::<Option<Vec<_>>>() {
                        return all.into_iter().max();
                    }
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, found)
            .await
            .ok()
            .flatten()
            .context("not every Deployment was seen on every member")
    }
}
