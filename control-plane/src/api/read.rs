//! Getting and listing.

use std::num::NonZeroUsize;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::call::Call;
use super::query::ListOptions;
use super::status::ApiError;
use super::view::ListMeta;
use crate::meta::{name, namespace};
use crate::objects::Item;
use crate::selector::{FieldSelector, LabelSelector};
use crate::serving::holding;
use crate::store::{Key, List, Page};

/// Answers with one object.
pub(crate) async fn get(call: &Call) -> Result<Response, ApiError> {
    call.form()?;
    let asked = exact_revision(call.query.text("resourceVersion"))?;
    let latest = call.objects().store.revision();
    if asked > latest {
        return Err(ApiError::too_new(asked, latest));
    }
    let object = call.objects().store.get(&call.key(&call.path.name));
    let object = object.ok_or_else(|| ApiError::not_found(&call.resource, &call.path.name))?;
    let item = Item::Stored(object);
    let room = call.room_for(std::slice::from_ref(&item)).await?;
    Ok(holding(call.answer(200, &item).await?, room))
}

/// The resource version of a list as a number; 0 if it is empty.
fn revision(text: &str) -> Result<u64, ApiError> {
    exact_revision(text).map_err(|error| {
        ApiError::bad_request(format!("invalid resource version: {}", error.message))
    })
}

/// The resource version of an object or a watch as a number; 0 if it is empty.
pub(crate) fn exact_revision(text: &str) -> Result<u64, ApiError> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        ApiError::unforeseen(format!("resourceVersion: Invalid value: {text:?}: {why}"))
    })
}

/// Which objects a client wants.
pub(crate) struct Filter {
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
}

impl Filter {
    pub(crate) fn of(call: &Call, options: &ListOptions) -> Result<Self, ApiError> {
        let labels =
            LabelSelector::parse(&options.label_selector).map_err(ApiError::bad_request)?;
        let selector = &options.field_selector;
        let fields = FieldSelector::parse(selector, &call.resource);
        Ok(Self {
            labels,
            fields: fields.map_err(ApiError::bad_request)?,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }
}

/// Answers with a list.
pub(crate) async fn list(call: &Call, options: &ListOptions) -> Result<Response, ApiError> {
    let view = call.view()?;
    let (items, meta) = read_list(call, options).await?;
    let room = call.room_for(&items).await?;
    let response = call.answer_list(&view, &items, &meta).await?;
    Ok(holding(response, room))
}

/// Bytes that an object has about, where nobody counts them.
const USUAL_SIZE: usize = 1024;

/// Reads a list, or a page of one.
pub(crate) async fn read_list(
    call: &Call,
    options: &ListOptions,
) -> Result<(Vec<Item>, ListMeta), ApiError> {
    let filter = Filter::of(call, options)?;
    let position = Position::of(call, options)?;
    if options.limit == 0
        && position.at.is_none()
        && position.after.is_none()
        && let Some(found) = read_named(call, &filter)
    {
        return Ok(found);
    }
    let limit = NonZeroUsize::new(options.limit);
    let page = Page {
        // A filter is applied before objects are counted.
        limit: limit.filter(|_| filter.is_empty()),
        at: position.at,
        after: position.after.clone(),
    };
    let store = &call.objects().store;
    let list = store.list(&call.resource.table, call.namespace(), &page);
    let list = list.map_err(|error| position.error(error, page.after.as_deref()))?;
    let filtered = if filter.is_empty() {
        0
    } else {
        list.items.len().saturating_mul(USUAL_SIZE)
    };
    let page = || paginate(list, &filter, options.limit);
    Ok(call.show(filtered, page).await?)
}

/// The one object that a filter may let through.
pub(crate) fn only(call: &Call, filter: &Filter) -> Option<Key> {
    let name = filter.fields.exact("metadata.name")?;
    let in_namespace = filter.fields.exact("metadata.namespace");
    let namespace = match (call.namespace(), call.resource.namespaced) {
        (Some(namespace), _) => Some(namespace),
        (None, false) => None,
        (None, true) => Some(in_namespace?),
    };
    Some(Key::new(&call.resource.table, namespace, name))
}

/// A list that can hold one object only need not look at the others.
fn read_named(call: &Call, filter: &Filter) -> Option<(Vec<Item>, ListMeta)> {
    let key = only(call, filter)?;
    let store = &call.objects().store;
    // First the revision: what is read is at least as new.
    let revision = store.revision();
    let object = store
        .get(&key)
        .filter(|object| filter.matches(object.value()));
    let meta = ListMeta {
        revision,
        ..ListMeta::default()
    };
    Some((object.map(Item::Stored).into_iter().collect(), meta))
}

fn paginate(list: List, filter: &Filter, limit: usize) -> (Vec<Item>, ListMeta) {
    let List {
        revision,
        items,
        mut next,
        remaining,
    } = list;
    let mut meta = ListMeta {
        revision,
        ..ListMeta::default()
    };
    let mut items = items;
    if filter.is_empty() {
        meta.remaining = next.is_some().then_some(remaining);
    } else {
        items.retain(|object| filter.matches(object.value()));
        if limit > 0 && items.len() > limit {
            items.truncate(limit);
            next = items.last().map(|object| path(object.value()));
        }
    }
    meta.continues = next.map(|after| token(revision, &after));
    (items.into_iter().map(Item::Stored).collect(), meta)
}

/// Where the store has an object, in the order of a list.
fn path(object: &Value) -> String {
    match namespace(object) {
        "" => name(object).to_owned(),
        namespace => format!("{namespace}/{}", name(object)),
    }
}

/// From where, and as of when a list is read.
struct Position {
    at: Option<u64>,
    after: Option<String>,
    asked: u64,
}

const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

impl Position {
    fn of(call: &Call, options: &ListOptions) -> Result<Self, ApiError> {
        if !options.continues.is_empty() {
            if !matches!(options.resource_version.as_str(), "" | "0") {
                let why = "specifying resource version is not allowed when using continue";
                return Err(ApiError::bad_request(why));
            }
            let (at, after) = read_token(&options.continues)?;
            return Ok(Self {
                at,
                after: Some(after),
                asked: at.unwrap_or(0),
            });
        }
        let asked = revision(&options.resource_version)?;
        let latest = call.objects().store.revision();
        if asked > latest {
            return Err(ApiError::too_new(asked, latest));
        }
        // Without a match, a limit asks for the very revision.
        let exact = options.match_exact || (options.limit > 0 && !options.match_given);
        Ok(Self {
            at: (exact && asked > 0).then_some(asked),
            after: None,
            asked,
        })
    }

    fn error(&self, error: crate::store::ReadError, after: Option<&str>) -> ApiError {
        let error = ApiError::read(self.asked, error);
        if let (410, Some(after)) = (error.code, after) {
            let token = token_of(-1, after);
            return ApiError {
                message: CONTINUE_EXPIRED.to_owned(),
                ..error
            }
            .continued(token);
        }
        if error.code == 410 {
            let message = "The resourceVersion for the provided list is too old.".to_owned();
            return ApiError { message, ..error };
        }
        error
    }
}

fn token(revision: u64, after: &str) -> String {
    token_of(i64::try_from(revision).unwrap_or(-1), after)
}

fn token_of(revision: i64, after: &str) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": after});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

/// The revision (none to go on with the latest) and the position.
fn read_token(text: &str) -> Result<(Option<u64>, String), ApiError> {
    let wrong = |why: &str| {
        ApiError::bad_request(format!(
            "invalid continue token: continue key is not valid: {why}"
        ))
    };
    let text = text.trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD.decode(text);
    let bytes = bytes.map_err(|error| wrong(&error.to_string()))?;
    let token: Value = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(&super::decode::syntax(&bytes, &error)))?;
    let version = token.get("v").and_then(Value::as_str).unwrap_or_default();
    if version != "meta.k8s.io/v1" {
        let why = format!("server does not recognize this encoded version {version}");
        return Err(wrong(&why));
    }
    let revision = token.get("rv").and_then(Value::as_i64).unwrap_or(0);
    if revision == 0 {
        return Err(wrong(
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ));
    }
    let start = token
        .get("start")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if start.is_empty() {
        return Err(wrong("encoded start key empty (version meta.k8s.io/v1)"));
    }
    Ok((u64::try_from(revision).ok(), start.to_owned()))
}
