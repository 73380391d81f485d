//! From an HTTP request to the handler that answers it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::Method;
use tokio::time::timeout;

use super::call::Call;
use super::query::{ListOptions, Query};
use super::recording::Recording;
use super::response::{failure, plain};
use super::server::Server;
use super::status::ApiError;
use super::telemetry::Observed;
use super::{decode, discovery, health, issuer, patch, read, watch, writes};
use crate::access::User;
use crate::access::authentication::authenticate;
use crate::access::authorization::allowed;
use crate::access::client_certificates::Shown;
use crate::access::impersonation::impersonate;
use crate::access::request_info::{Asked, RequestInfo, ResourcePath};
use crate::kinds::Kinds;
use crate::serving::{Outside, Served, Sort};

/// How long a request that came over a connection may take, once its body is read: what
/// kube-apiserver has for `--request-timeout`. A watch is answered when it begins.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Answers a request. One that comes from within is made by a trusted user.
pub(crate) async fn handle(
    server: Arc<Server>,
    trusted: Option<User>,
    request: Request,
) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return complete(server, trusted, request).await;
    }
    // Whoever asked may go away: what was begun comes to its end all the same, holds its place among
    // the requests under way until then, and is recorded.
    let headers = request.headers().clone();
    let completed = tokio::spawn(complete(server, trusted, request)).await;
    completed.unwrap_or_else(|error| failure(&ApiError::internal(&error.to_string()), &headers))
}

async fn complete(server: Arc<Server>, trusted: Option<User>, request: Request) -> Response {
    let head = request.method() == Method::HEAD;
    let headers = request.headers().clone();
    let is_served = request.extensions().get::<Served>().is_some();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let asked = Asked {
        watch: query.flag("watch").unwrap_or(false),
        field_selector: query.text("fieldSelector"),
    };
    let info = RequestInfo::of(request.method(), request.uri().path(), asked);
    let observed =
        is_served.then(|| Observed::begin(&server.objects.registry.now(), info.as_ref()));
    let mut recording = Recording::begin(&server, &request);
    let asked = (info, query);
    let answered = answer(Arc::clone(&server), trusted, asked, request, &mut recording).await;
    let response = answered.unwrap_or_else(|error| failure(&error, &headers));
    let mut response = recording.end(response).await;
    if head {
        *response.body_mut() = Body::empty();
    }
    if let Some(observed) = observed {
        server.telemetry.count(observed, &response);
    }
    response
}

async fn answer(
    server: Arc<Server>,
    trusted: Option<User>,
    (info, query): (Option<RequestInfo>, Query),
    request: Request,
    recording: &mut Recording,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let Some(info) = info else {
        return Err(ApiError::bad_request("the path is not UTF-8"));
    };
    let limits = parts.extensions.get::<Served>();
    let limits = limits.map(|served| Arc::clone(&served.0));
    let attributes = info.attributes();
    recording.asks(&attributes, &info);
    let outside = parts.extensions.get::<Outside>().is_some();
    let user = match trusted {
        Some(user) if !outside => user,
        _ => match authenticate(
            &server.access,
            &parts.headers,
            parts.extensions.get::<Shown>(),
        )? {
            Some(user) => user,
            None if is_public(&info.path) => User::anonymous(),
            None if server.access.anonymous && !outside => User::anonymous(),
            None => return Err(ApiError::unauthorized()),
        },
    };
    recording.is_from(&user);
    let impersonated = impersonate(&server.access, &user, &parts.headers)?;
    recording.acts_as(impersonated.as_ref());
    let user = impersonated.unwrap_or(user);
    let is_method = info.is_method(&parts.method);
    if !allowed(&server.access, &user, &attributes) {
        return Err(attributes.refusal(&user).into());
    }
    recording.is_allowed();
    let sort = sort(&user, &info, &parts.method);
    let place = limits.as_ref().map(|limits| limits.enter(sort));
    let place = place.transpose();
    let place = place.map_err(|_| ApiError::too_many_requests())?;
    let kinds = server.objects.registry.now();
    if info.resource.is_none() && info.path == "/metrics" && parts.method == Method::GET {
        return Ok(server.telemetry.answer(limits.as_deref()));
    }
    let RequestInfo {
        verb,
        resource: Some(path),
        ..
    } = info
    else {
        return other(&server, &kinds, &info, &query, &parts).await;
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
    let (body, memory) = match &limits {
        None => (decode::read(body).await?, None),
        Some(limits) => decode::read_within(body, limits).await?,
    };
    recording.sends(&body);
    let mut call = Call::new(
        (server, kinds),
        user,
        (verb, path),
        resource,
        (query, parts.headers, body),
    );
    call.is_served = limits.is_some();
    call.limits = limits.filter(|_| sort != Sort::Exempt);
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
    let writes = !matches!(parts.method, Method::GET | Method::HEAD);
    if !call.is_served {
        return Ok(respond(call, is_method, writes).await);
    }
    let responded = async move {
        let _held = (place, memory);
        respond(call, is_method, writes).await
    };
    in_time(responded, writes).await
}

/// Answers in time, or says that there is no answer yet. What `goes_on` comes to its end then, and
/// holds its place until it has.
async fn in_time(
    responded: impl Future<Output = Response> + Send + 'static,
    goes_on: bool,
) -> Result<Response, ApiError> {
    let responded = if goes_on {
        timeout(TIMEOUT, tokio::spawn(responded)).await
    } else {
        timeout(TIMEOUT, responded).await.map(Ok)
    };
    let responded = responded.map_err(|_| ApiError::overdue())?;
    responded.map_err(|error| ApiError::internal(&error.to_string()))
}

/// Answers a request for a resource, also if it fails.
async fn respond(call: Call, is_method: bool, writes: bool) -> Response {
    let answered = serve(&call, is_method).await;
    let definition = ("apiextensions.k8s.io", "CustomResourceDefinition");
    if call.resource.is(definition.0, definition.1) && writes {
        // Who has written a definition finds it in force.
        call.objects().definitions.wait().await;
    }
    answered.unwrap_or_else(|error| {
        let mut response = failure(&error, &call.headers);
        call.add_warnings(&mut response);
        response
    })
}

/// How a request counts among those that are under way.
fn sort(user: &User, info: &RequestInfo, method: &Method) -> Sort {
    let is_lease = info.resource.as_ref().is_some_and(|resource| {
        (resource.group.as_str(), resource.plural.as_str()) == ("coordination.k8s.io", "leases")
    });
    let is_administrator = user.groups.iter().any(|group| group == "system:masters");
    if is_public(&info.path) || is_lease || is_administrator || info.verb == "watch" {
        Sort::Exempt
    } else if matches!(*method, Method::GET | Method::HEAD) {
        Sort::Reading
    } else {
        Sort::Writing
    }
}

/// Paths that tell nothing about anybody.
fn is_public(path: &str) -> bool {
    ["/healthz", "/livez", "/readyz", "/version", "/version/"].contains(&path)
}

/// What is no resource: discovery, health and the like.
async fn other(
    server: &Server,
    kinds: &Arc<Kinds>,
    info: &RequestInfo,
    query: &Query,
    parts: &http::request::Parts,
) -> Result<Response, ApiError> {
    let path = info.path.trim_end_matches('/');
    let is_discovery = ["/api", "/apis", "/version"].contains(&path)
        || path.starts_with("/api/")
        || path.starts_with("/apis/") && path.split('/').count() > 3;
    if is_discovery && !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(ApiError::method_not_allowed());
    }
    if let Some(response) = health::answer(path, query, server.objects.store.health()) {
        return Ok(response);
    }
    let is_served = parts.extensions.get::<Served>().is_some();
    let bench = is_served.then_some(&server.workbench);
    let documents = &server.documents;
    let answered = documents.answer(kinds, path, &parts.headers, bench);
    if let Some(answered) = answered.await? {
        return Ok(answered);
    }
    if let Some(answered) = issuer::answer(&server.access, path, &parts.headers)? {
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

/// Answers a request for a resource that is served, by the verb that was authorized; refuses a
/// method that does not stand for it.
async fn serve(call: &Call, is_method: bool) -> Result<Response, ApiError> {
    let ResourcePath {
        namespace,
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
        return super::subresources::serve(call, is_method).await;
    }
    let verb = call.verb.as_str();
    // Objects with a namespace are not written across namespaces.
    let is_place = match verb {
        "get" | "update" | "patch" | "delete" => *named,
        "create" | "deletecollection" => !(*named || resource.namespaced && cluster_wide),
        _ => true,
    };
    if !is_method || !is_place || !resource.verbs.contains(&verb) {
        return Err(ApiError::method_not_allowed());
    }
    if resource.traits.virtual_ {
        return super::virtuals::serve(call, verb).await;
    }
    match verb {
        "get" => read::get(call).await,
        "list" => read::list(call, &ListOptions::of(&call.query, false)?).await,
        "watch" => {
            let mut options = ListOptions::of(&call.query, true)?;
            if *named {
                options.field_selector = format!("metadata.name={}", call.path.name);
            }
            watch::watch(call, &options)
        }
        "create" => writes::create(call).await,
        "update" => writes::update(call).await,
        "patch" => patch::patch(call).await,
        "delete" => writes::delete(call).await,
        "deletecollection" => writes::delete_collection(call).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
