//! Kinds that are answered and not stored: reviews, bindings and metrics.

use axum::response::Response;
use serde_json::{Value, json};

use super::call::Call;
use super::negotiate::BodyForm;
use super::query::{ListOptions, WriteOptions};
use super::status::ApiError;
use super::view::ListMeta;
use super::{decode, pods, reviews};
use crate::meta::{name, namespace};
use crate::objects::Item;

use super::server::MetricsSource;
use crate::selector::LabelSelector;

/// Answers a request for such a kind.
pub(crate) async fn serve(call: &Call, verb: &str) -> Result<Response, ApiError> {
    match (call.resource.group.as_str(), verb) {
        ("metrics.k8s.io", verb) => metrics(call, verb).await,
        // The parts of this control plane are no components of their own.
        ("", "list") => {
            let nothing = ListMeta::default();
            Ok(call.answer_list(&call.view()?, &[], &nothing).await?)
        }
        ("", "get") => Err(ApiError::not_found(&call.resource, &call.path.name)),
        ("", "create") => {
            let form = BodyForm::of(&call.headers)?;
            let expected = decode::Expected::of(&call.resource);
            let binding = decode::parse(&call.body, form, &expected)?.value;
            pods::bind(call, name(&binding)).await
        }
        _ => {
            let form = BodyForm::of(&call.headers)?;
            let options = WriteOptions::of(&call.query, "CreateOptions", false)?;
            let review = decode::object(call, &call.body, form, options.field_validation)?;
            Ok(call.answer_value(201, &reviews::review(call, review)?))
        }
    }
}

async fn metrics(call: &Call, verb: &str) -> Result<Response, ApiError> {
    let Some(source) = call.server.metrics.as_ref() else {
        return Err(ApiError::no_such_resource());
    };
    let all = measured(call, source.as_ref());
    if verb == "get" {
        let mut found = all.into_iter();
        let found = found.find(|item| name(item) == call.path.name);
        let found = found.ok_or_else(|| ApiError::not_found(&call.resource, &call.path.name))?;
        return call.answer(200, &Item::Made(found)).await;
    }
    let options = ListOptions::of(&call.query, false)?;
    let labels = LabelSelector::parse(&options.label_selector).map_err(ApiError::bad_request)?;
    let items: Vec<Item> = all
        .into_iter()
        .filter(|item| labels.matches(item))
        .map(Item::Made)
        .collect();
    let meta = ListMeta::default();
    Ok(call.answer_list(&call.view()?, &items, &meta).await?)
}

/// What the source knows, without its types.
fn measured(call: &Call, source: &dyn MetricsSource) -> Vec<Value> {
    let mut all = if call.resource.namespaced {
        source.pods(call.namespace())
    } else {
        source.nodes()
    };
    all.retain(|item| {
        call.namespace()
            .is_none_or(|wanted| namespace(item) == wanted)
    });
    for item in &mut all {
        if let Some(fields) = item.as_object_mut() {
            fields.remove("kind");
            fields.remove("apiVersion");
            fields.entry("metadata").or_insert_with(|| json!({}));
        }
    }
    all
}
