//! From an HTTP request to the handler that answers it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::Method;

use super::call::{Call, failure, plain};
use super::query::{ListOptions, Query};
use super::server::Server;
use super::status::ApiError;
use super::{decode, discovery, health, openapi, patch, read, watch, writes};
use crate::access::User;
use crate::access::authentication::{authenticate, impersonate};
use crate::access::authorization::{Attributes, allowed};
use crate::access::target::{ResourcePath, Target};
use crate::access::tls::Outside;
use crate::kinds::Kinds;

/// Answers a request. One that comes from within is made by a trusted user.
pub(crate) async fn handle(
    server: Arc<Server>,
    trusted: Option<User>,
    request: Request,
) -> Response {
    let head = request.method() == Method::HEAD;
    let headers = request.headers().clone();
    let answered = answer(server, trusted, request).await;
    let mut response = answered.unwrap_or_else(|error| failure(&error, &headers));
    if head {
        *response.body_mut() = Body::empty();
    }
    response
}

async fn answer(
    server: Arc<Server>,
    trusted: Option<User>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let watches = query.flag("watch").unwrap_or(false);
    let Some(mut target) = Target::of(&parts.method, parts.uri.path(), watches) else {
        return Err(ApiError::bad_request("the path is not UTF-8"));
    };
    let outside = parts.extensions.get::<Outside>().is_some();
    let user = match trusted {
        Some(user) if !outside => user,
        _ => match authenticate(&server.access, &parts.headers)? {
            Some(user) => user,
            None if is_public(&target.path) => User::anonymous(),
            None if server.access.anonymous && !outside => User::anonymous(),
            None => return Err(ApiError::unauthorized()),
        },
    };
    let user = impersonate(&server.access, &user, &parts.headers)?.unwrap_or(user);
    name_by_selector(&mut target, &query);
    let attributes = Attributes::of(&target);
    if !allowed(&server.objects, &user, &attributes) {
        return Err(attributes.refusal(&user).into());
    }
    let kinds = server.objects.registry.now();
    let Some(path) = target.resource.clone() else {
        return other(&kinds, &target, &query, &parts);
    };
    let versions = kinds.versions(&path.group);
    if versions.is_empty() {
        return Ok(not_found());
    }
    let Some(resource) = kinds
        .find(&path.group, &path.version, &path.plural)
        .cloned()
    else {
        return if kinds.is_custom(&path.group) {
            Ok(not_found())
        } else {
            Err(ApiError::no_such_resource())
        };
    };
    let body = decode::read(body).await?;
    let call = Call::new(
        (server, kinds),
        user,
        (target, path),
        resource,
        (query, parts.headers, body),
    );
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(finish(call, parts.method).await);
    }
    // Whoever asked may go away: what was begun comes to its end all the same.
    let finished = tokio::spawn(finish(call, parts.method)).await;
    finished.map_err(|error| ApiError::internal(&error.to_string()))
}

/// Answers a request for a resource that is served, with what the client is told beside.
async fn finish(call: Call, method: Method) -> Response {
    if let Some(warning) = call
        .resource
        .custom
        .as_ref()
        .and_then(|custom| custom.deprecation.clone())
    {
        call.warn(warning);
    }
    if call.resource.is("", "Endpoints") {
        let instead = "use discovery.k8s.io/v1 EndpointSlice";
        call.warn(format!("v1 Endpoints is deprecated in v1.33+; {instead}"));
    }
    let answered = serve(&call, &method).await;
    let definition = call
        .resource
        .is("apiextensions.k8s.io", "CustomResourceDefinition");
    if definition && !matches!(method, Method::GET | Method::HEAD) {
        // Who has written a definition finds it in force.
        call.objects().definitions.wait().await;
    }
    answered.unwrap_or_else(|error| {
        let mut response = failure(&error, &call.headers);
        call.add_warnings(&mut response);
        response
    })
}

/// Paths that tell nothing about anybody.
fn is_public(path: &str) -> bool {
    ["/healthz", "/livez", "/readyz", "/version", "/version/"].contains(&path)
}

/// A list of one name is allowed to one who may list that name.
fn name_by_selector(target: &mut Target, query: &Query) {
    let Some(resource) = &mut target.resource else {
        return;
    };
    if !resource.named
        && matches!(target.verb.as_str(), "list" | "watch")
        && let Some(name) = query.text("fieldSelector").strip_prefix("metadata.name=")
        && !name.contains(['=', ',', '/', '%'])
    {
        name.trim_start_matches('=').clone_into(&mut resource.name);
    }
}

/// What is no resource: discovery, health and the like.
fn other(
    kinds: &Kinds,
    target: &Target,
    query: &Query,
    parts: &http::request::Parts,
) -> Result<Response, ApiError> {
    let path = target.path.trim_end_matches('/');
    let is_discovery = ["/api", "/apis", "/version"].contains(&path)
        || path.starts_with("/api/")
        || path.starts_with("/apis/") && path.split('/').count() > 3;
    if is_discovery && !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(ApiError::method_not_allowed());
    }
    if let Some(response) = health::answer(path, query) {
        return Ok(response);
    }
    if let Some(answered) = openapi::answer(kinds, path, &parts.headers) {
        return Ok(answered);
    }
    match discovery::answer(kinds, path, &parts.headers)? {
        Some(response) => Ok(response),
        None => Ok(not_found()),
    }
}

pub(crate) fn not_found() -> Response {
    plain(404, "404 page not found\n")
}

/// Answers a request for a resource that is served.
async fn serve(call: &Call, method: &Method) -> Result<Response, ApiError> {
    let ResourcePath {
        namespace,
        name,
        subresource,
        rest,
        named,
        ..
    } = &call.path;
    let resource = &call.resource;
    if !rest.is_empty() && !matches!(subresource.as_str(), "proxy") {
        return Err(ApiError::no_such_resource());
    }
    let cluster_wide = namespace.is_empty();
    let wrong_scope = if resource.namespaced {
        cluster_wide && *named
    } else {
        !cluster_wide && !resource.is("", "Namespace")
    };
    if wrong_scope && resource.custom.is_some() {
        return Ok(not_found());
    }
    if wrong_scope {
        return Err(ApiError::no_such_resource());
    }
    if !subresource.is_empty() {
        return super::subresources::serve(call).await;
    }
    let verb = match (method.as_str(), *named) {
        ("GET", _) if call.target.verb == "watch" => "watch",
        ("GET", false) => "list",
        ("GET", true) => "get",
        ("POST", false) => "create",
        ("PUT", true) => "update",
        ("PATCH", true) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => return Err(ApiError::method_not_allowed()),
    };
    if !resource.verbs.contains(&verb) {
        return Err(ApiError::method_not_allowed());
    }
    if resource.namespaced && cluster_wide && matches!(verb, "deletecollection") {
        return Err(ApiError::method_not_allowed());
    }
    if resource.traits.virtual_ {
        return super::virtuals::serve(call, verb).await;
    }
    let _ = name;
    match verb {
        "get" => read::get(call),
        "list" => read::list(call, &ListOptions::of(&call.query, false)?),
        "watch" => {
            let mut options = ListOptions::of(&call.query, true)?;
            if *named {
                options.field_selector = format!("metadata.name={name}");
            }
            watch::watch(call, &options)
        }
        "create" => {
            if resource.namespaced && cluster_wide {
                return Err(ApiError::method_not_allowed_on_all(call));
            }
            writes::create(call).await
        }
        "update" => writes::update(call).await,
        "patch" => patch::patch(call).await,
        "delete" => writes::delete(call).await,
        _ => writes::delete_collection(call).await,
    }
}

impl ApiError {
    /// Objects with a namespace are not created across namespaces.
    fn method_not_allowed_on_all(_call: &Call) -> Self {
        Self::method_not_allowed()
    }
}
