//! Watches that go on by themselves, and calls that end.

use std::future::Future;
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::bundle::digest_bits;
use super::outbox::Outbox;
use super::readable::{Item, Read, Warnings};
use crate::operator::redacted::redacted_message;

/// Seconds after which a watch ends and goes on by a new request. One whose way has gone silent is
/// given up five seconds later: what was missed must be seen before the room that is held for pods
/// that nobody has seen is given to others.
const LASTS: u32 = 40;

/// Waits between tries of a watch: 200 ms, doubled up to 5 s.
fn retry_delay(failures: u32, whose: &str) -> Duration {
    let delay = Duration::from_millis(200) * 2_u32.pow(failures.min(5));
    spread(delay.min(Duration::from_secs(5)), whose, failures)
}

/// A wait that is up to a quarter shorter, by whose it is and the how manieth: what has ended
/// together does not begin together, and a run in virtual time repeats.
pub(super) fn spread(wait: Duration, whose: &str, count: u32) -> Duration {
    let bits = digest_bits(format!("{whose} {count}").as_bytes());
    let parts = u32::try_from(bits % 1024).unwrap_or_default();
    wait * 3 / 4 + wait / 4 * parts / 1024
}

/// Why a watch was refused for want of rights, if that is what happened.
pub(crate) fn refusal(error: &watcher::Error) -> Option<String> {
    let (watcher::Error::InitialListFailed(cause) | watcher::Error::WatchStartFailed(cause)) =
        error
    else {
        return None;
    };
    match cause {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
            Some(status.message.clone())
        }
        _ => None,
    }
}

/// Hands all that happens to the objects of `api` to `handle`, and the watch's errors to `failed`,
/// until cancelled. It goes on after errors: by a new list where the old one does not reach any
/// more, and where it was refused, so that the next `InitDone` says that it is not any more. An
/// object that cannot be read is handed over as such: it is there, and is not to be taken for gone.
pub async fn watch_with<K>(
    api: Api<Item<K>>,
    handle: impl FnMut(Event<Read<K>>),
    failed: impl FnMut(&watcher::Error),
    cancel: &CancellationToken,
) where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    watch_selected(api, watcher::Config::default(), handle, failed, cancel).await;
}

/// As [`watch_with`], on the member of this name: those of many members are not tried again in step.
/// Nothing is read while `outbox` is full.
pub(crate) async fn watch_member<K>(
    cluster: &str,
    api: Api<Item<K>>,
    handle: impl FnMut(Event<Read<K>>),
    failed: impl FnMut(&watcher::Error),
    outbox: &Outbox,
    cancel: &CancellationToken,
) where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let all = watcher::Config::default();
    let ready = || outbox.ready();
    watch_spread(cluster, api, all, handle, failed, ready, cancel).await;
}

/// As [`watch_with`], of the objects that `selection` selects.
pub async fn watch_selected<K>(
    api: Api<Item<K>>,
    selection: watcher::Config,
    handle: impl FnMut(Event<Read<K>>),
    failed: impl FnMut(&watcher::Error),
    cancel: &CancellationToken,
) where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let ready = || std::future::ready(());
    watch_spread("", api, selection, handle, failed, ready, cancel).await;
}

async fn watch_spread<K, F: Future<Output = ()>>(
    cluster: &str,
    api: Api<Item<K>>,
    selection: watcher::Config,
    mut handle: impl FnMut(Event<Read<K>>),
    mut failed: impl FnMut(&watcher::Error),
    ready: impl Fn() -> F,
    cancel: &CancellationToken,
) where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let whose = format!("{cluster}{}", api.resource_url());
    let selection = selection.timeout(LASTS);
    let start = || watcher::watcher(api.clone(), selection.clone());
    let mut events = std::pin::pin!(start());
    let mut failures = 0;
    let mut warnings = Warnings::default();
    loop {
        let next = async {
            ready().await;
            events.next().await
        };
        let next = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            next = next => next,
        };
        match next {
            // A list begins before anybody knows whether it will be answered.
            Some(Ok(Event::Init)) => handle(Event::Init),
            Some(Ok(event)) => {
                failures = 0;
                let event = map_event(event, |Item(object)| object);
                if let Event::InitApply(object) | Event::Apply(object) = &event {
                    warnings.note(api.resource_url(), object);
                }
                handle(event);
            }
            Some(Err(error)) => {
                debug!(error = redacted_message(&error), "watch interrupted");
                failed(&error);
                let delay = retry_delay(failures, &whose);
                failures += 1;
                cancel.run_until_cancelled(tokio::time::sleep(delay)).await;
                if refusal(&error).is_some() {
                    events.set(start());
                }
            }
            None => return,
        }
    }
}

/// An event about another form of its object.
pub fn map_event<A, B>(event: Event<A>, map: impl FnOnce(A) -> B) -> Event<B> {
    match event {
        Event::Apply(object) => Event::Apply(map(object)),
        Event::Delete(object) => Event::Delete(map(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(map(object)),
        Event::InitDone => Event::InitDone,
    }
}

/// Ends a call that takes too long with an error like any other.
pub trait Deadlined: Future + Sized {
    /// The call's own result, or a 504 `Status` after `deadline`.
    fn with_deadline<T>(self, deadline: Duration) -> impl Future<Output = kube::Result<T>>
    where
        Self: Future<Output = kube::Result<T>>,
    {
        async move {
            tokio::time::timeout(deadline, self)
                .await
                .unwrap_or_else(|_| {
                    Err(kube::Error::Api(Box::new(
                        kube::core::Status::failure(
                            &format!("no answer within {deadline:?}"),
                            "Timeout",
                        )
                        .with_code(504),
                    )))
                })
        }
    }
}

impl<F: Future> Deadlined for F {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_together_is_tried_again_at_different_times_and_the_same_in_each_run() {
        let wait = Duration::from_secs(5);
        let all: std::collections::BTreeSet<_> = (0..100)
            .map(|member| spread(wait, &format!("cluster{member}"), 3))
            .collect();
        assert!(all.len() > 80, "{} different waits", all.len());
        assert!(all.iter().all(|one| *one <= wait && *one >= wait * 3 / 4));
        assert_eq!(spread(wait, "cluster1", 3), spread(wait, "cluster1", 3));
        assert_ne!(spread(wait, "cluster1", 3), spread(wait, "cluster1", 4));
    }
}
