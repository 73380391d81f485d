//! Watches that go on by themselves, and calls that end.

use std::future::Future;
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::readable::{Item, Read, Warnings};
use crate::operator::redacted::redacted_message;

/// Seconds after which a watch ends and goes on by a new request. One whose way has gone silent is
/// given up five seconds later: what was missed must be seen before the room that is held for pods
/// that nobody has seen is given to others.
const LASTS: u32 = 40;

/// Waits between tries of a watch: 200 ms, doubled up to 5 s. Without jitter, so that a run in
/// virtual time repeats; the members' outages do not coincide anyway.
fn retry_delay(failures: u32) -> Duration {
    let delay = Duration::from_millis(200) * 2_u32.pow(failures.min(5));
    delay.min(Duration::from_secs(5))
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

/// As [`watch_with`], of the objects that `selection` selects.
pub async fn watch_selected<K>(
    api: Api<Item<K>>,
    selection: watcher::Config,
    mut handle: impl FnMut(Event<Read<K>>),
    mut failed: impl FnMut(&watcher::Error),
    cancel: &CancellationToken,
) where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let selection = selection.timeout(LASTS);
    let start = || watcher::watcher(api.clone(), selection.clone());
    let mut events = std::pin::pin!(start());
    let mut failures = 0;
    let mut warnings = Warnings::default();
    loop {
        let next = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            next = events.next() => next,
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
                let delay = retry_delay(failures);
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
    fn within<T>(self, deadline: Duration) -> impl Future<Output = kube::Result<T>>
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
