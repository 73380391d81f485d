//! Watching: a stream of events, one JSON object a line.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, header};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::call::Call;
use super::negotiate::Form;
use super::query::ListOptions;
use super::read::{Filter, exact_revision, only};
use super::response::plain;
use super::status::ApiError;
use super::view::View;
use crate::kinds::Resource;
use crate::objects::Item;
use crate::sources::Clock;
use crate::store::{Change, Event, Page, Watch};

/// A watch that says nothing else ends after this time.
const TIMEOUT: Duration = Duration::from_mins(45);
/// How often a watch says how far it is, if the client wants to know.
const BOOKMARKS: Duration = Duration::from_mins(1);
/// How long before its end it says so, too: the next watch goes on from there.
const FAREWELL: Duration = Duration::from_secs(2);

/// Answers with a stream of events.
pub(crate) fn watch(call: &Call, options: &ListOptions) -> Result<Response, ApiError> {
    let form = call.form()?;
    call.view()?;
    let filter = Filter::of(call, options)?;
    let stream = Stream::begin(call, options, filter, form);
    let first = match stream {
        Ok(stream) => stream,
        // What is too old is reported in the stream.
        Err(error) if error.code == 410 => {
            return Ok(stream_response(call, form, Body::from(error_line(&error))));
        }
        Err(error) => return Err(error),
    };
    let lines = stream::unfold(first, |mut stream| async move {
        let line = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(line)), stream))
    });
    Ok(stream_response(call, form, Body::from_stream(lines)))
}

fn stream_response(call: &Call, form: Form, body: Body) -> Response {
    let mut response = plain(200, body);
    let content_type = HeaderValue::from_static(form.content_type());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    call.add_warnings(&mut response);
    response
}

fn line(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn error_line(error: &ApiError) -> String {
    line("ERROR", &error.status().to_string())
}

/// When a watch that ends at `end` says how far it is.
fn next_bookmark(now: Instant, end: Instant) -> Instant {
    let farewell = end.checked_sub(FAREWELL).filter(|&farewell| farewell > now);
    farewell.map_or(end, |farewell| farewell.min(now + BOOKMARKS))
}

/// The events of one watch.
struct Stream {
    watch: Watch,
    filter: Filter,
    resource: Arc<Resource>,
    form: Form,
    included: String,
    clock: Clock,
    /// What there was when the watch began.
    initial: VecDeque<Item>,
    /// After the initial objects, say that they were all.
    announce: Option<u64>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    /// Nothing was sent yet.
    fresh: bool,
    over: bool,
}

impl Stream {
    fn begin(
        call: &Call,
        options: &ListOptions,
        filter: Filter,
        form: Form,
    ) -> Result<Self, ApiError> {
        let store = &call.objects().store;
        let (table, namespace) = (&call.resource.table, call.namespace());
        let asked = exact_revision(&options.resource_version)?;
        let with_initial = match options.send_initial_events {
            Some(wanted) => wanted,
            None => asked == 0,
        };
        let mut initial = VecDeque::new();
        let mut announce = None;
        let mut after = asked;
        if with_initial {
            let list = store.list(table, namespace, &Page::default());
            let list = list.map_err(|error| ApiError::read(asked, error))?;
            if asked > list.revision {
                return Err(ApiError::too_new(asked, list.revision));
            }
            after = list.revision;
            let items = list.items.into_iter();
            let items = items.filter(|object| filter.matches(object.value()));
            initial.extend(items.map(Item::Stored));
            let announced = options.send_initial_events == Some(true) && options.bookmarks;
            announce = announced.then_some(after);
        } else if asked == 0 {
            after = store.revision();
        }
        let watch = match only(call, &filter) {
            Some(key) => store.watch_object(&key, after),
            None => store.watch(table, namespace, after),
        };
        let watch = watch.map_err(|expired| ApiError::expired(asked, expired))?;
        let now = Instant::now();
        let timeout = options.timeout_seconds.filter(|&seconds| seconds > 0);
        let timeout = timeout.map_or(TIMEOUT, Duration::from_secs);
        // A client may ask for a time that no clock reaches.
        let end = now.checked_add(timeout).unwrap_or(now + TIMEOUT);
        Ok(Self {
            watch,
            filter,
            resource: Arc::clone(&call.resource),
            form,
            included: call.query.text("includeObject").to_owned(),
            clock: Arc::clone(&call.objects().sources.clock),
            initial,
            announce,
            bookmarks: options.bookmarks,
            next_bookmark: next_bookmark(now, end),
            end,
            fresh: true,
            over: false,
        })
    }

    /// The next line; none at the end.
    async fn next(&mut self) -> Option<String> {
        if self.over {
            return None;
        }
        if let Some(item) = self.initial.pop_front() {
            return self.show("ADDED", &item);
        }
        if let Some(revision) = self.announce.take() {
            let bookmark = self.view()?.bookmark(revision, true);
            return Some(line("BOOKMARK", &bookmark));
        }
        loop {
            let wake = if self.bookmarks {
                self.end.min(self.next_bookmark)
            } else {
                self.end
            };
            let event = tokio::select! {
                biased;
                event = self.watch.next() => event?,
                () = sleep_until(wake) => {
                    if Instant::now() >= self.end {
                        return None;
                    }
                    self.next_bookmark = next_bookmark(Instant::now(), self.end);
                    let revision = self.watch.progress();
                    let bookmark = self.view()?.bookmark(revision, false);
                    return Some(line("BOOKMARK", &bookmark));
                }
            };
            match event {
                Ok(event) => {
                    if let Some((kind, item)) = self.seen(&event) {
                        return self.show(kind, &item);
                    }
                }
                Err(expired) => {
                    self.over = true;
                    let error = ApiError::expired(self.watch.progress(), expired);
                    return Some(error_line(&error));
                }
            }
        }
    }

    /// What an event is for one who sees only what the filter lets through.
    fn seen(&self, event: &Event) -> Option<(&'static str, Item)> {
        let object = Item::Stored(Arc::clone(&event.object));
        let now = event.change != Change::Deleted && self.filter.matches(event.object.value());
        let previous = event.previous.as_ref();
        let before = previous.filter(|object| self.filter.matches(object.value()));
        match (before, now) {
            (None, false) => None,
            (None, true) => Some(("ADDED", object)),
            (Some(_), true) => Some(("MODIFIED", object)),
            (Some(_), false) if event.change == Change::Deleted => Some(("DELETED", object)),
            // It has left the filter: as it was, at the revision at which it left.
            (Some(before), false) => {
                let mut value = before.value().clone();
                let revision = event.revision.to_string();
                let metadata = crate::meta::metadata(&mut value);
                metadata.insert("resourceVersion".to_owned(), Value::String(revision));
                Some(("DELETED", Item::Made(value)))
            }
        }
    }

    fn view(&self) -> Option<View<'_>> {
        let now = (self.clock)();
        View::new(&self.resource, self.form, &self.included, now).ok()
    }

    fn show(&mut self, kind: &str, item: &Item) -> Option<String> {
        let text = self.view()?.event(item, self.fresh);
        self.fresh = false;
        Some(line(kind, &text))
    }
}
