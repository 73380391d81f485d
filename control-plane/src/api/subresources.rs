//! Parts of objects and actions on them.

use axum::response::Response;

use super::call::Call;
use super::status::ApiError;
use super::{patch, pods, read, scale, tokens, writes};

/// Answers a request for a subresource; refuses a method that does not stand for its verb.
pub(crate) async fn serve(call: &Call, is_method: bool) -> Result<Response, ApiError> {
    let name = call.path.subresource.as_str();
    let Some(found) = call.resource.subresource(name) else {
        return Err(if call.resource.custom.is_some() {
            ApiError::not_found(&call.resource, &call.path.name)
        } else {
            ApiError::no_such_resource()
        });
    };
    let verb = call.verb.as_str();
    if !is_method || !found.verbs.contains(&verb) {
        return Err(ApiError::method_not_allowed());
    }
    match (name, verb) {
        ("scale", "get") => scale::get(call),
        ("scale", "update") => scale::update(call).await,
        ("scale", _) => scale::patch(call).await,
        ("binding", _) => pods::bind(call, &call.path.name).await,
        ("eviction", _) => pods::evict(call).await,
        ("log", _) => pods::log(call),
        ("token", _) => tokens::create(call),
        ("exec" | "attach" | "portforward" | "proxy", _) => Err(unreachable_kubelet(call)),
        (_, "get") => read::get(call).await,
        (_, "update") => writes::update(call).await,
        _ => patch::patch(call).await,
    }
}

/// What only a kubelet could do.
fn unreachable_kubelet(call: &Call) -> ApiError {
    let name = &call.path.name;
    if call.objects().store.get(&call.key(name)).is_none() {
        return ApiError::not_found(&call.resource, name);
    }
    let what = &call.path.subresource;
    ApiError::new(
        501,
        "NotImplemented",
        format!("{what} is not served: no kubelet is behind this API server"),
    )
}
