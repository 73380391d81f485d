//! One request, with all that its handler needs.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;

use super::negotiate::{Form, not_acceptable};
use super::query::Query;
use super::server::Server;
use super::status::ApiError;
use super::view::View;
use crate::access::User;
use crate::access::request_info::ResourcePath;
use crate::kinds::{Kinds, Resource};
use crate::objects::Item;
use crate::objects::{Objects, Warnings};
use crate::schema::custom::CustomSchema;
use crate::store::Key;
use crate::work::Effort;

/// A request for something that is served.
pub(crate) struct Call {
    pub(crate) server: Arc<Server>,
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) user: User,
    /// The verb that was authorized.
    pub(crate) verb: String,
    pub(crate) path: ResourcePath,
    pub(crate) resource: Arc<Resource>,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// It came over a connection, and not from a caller in this process.
    pub(crate) is_served: bool,
    pub(super) warnings: Warnings,
}

impl Call {
    pub(crate) fn new(
        (server, kinds): (Arc<Server>, Arc<Kinds>),
        user: User,
        (verb, path): (String, ResourcePath),
        resource: Arc<Resource>,
        (query, headers, body): (Query, HeaderMap, Bytes),
    ) -> Self {
        Self {
            server,
            kinds,
            user,
            verb,
            path,
            resource,
            query,
            headers,
            body,
            is_served: false,
            warnings: Warnings::default(),
        }
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.server.objects
    }

    /// The namespace that the path names, if its objects have one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        let namespace = self.path.namespace.as_str();
        (self.resource.namespaced && !namespace.is_empty()).then_some(namespace)
    }

    /// The key of an object of this resource.
    pub(crate) fn key(&self, name: &str) -> Key {
        Key::new(&self.resource.table, self.namespace(), name)
    }

    /// Tells the client something beside the answer.
    pub(crate) fn warn(&self, text: impl Into<String>) {
        self.warnings.add(text);
    }

    /// Where the work for this request is done: away from the threads that serve, if it is much
    /// and the request came over a connection. A caller in this process, such as a simulation, has
    /// it done at once.
    pub(crate) fn effort(&self) -> Effort<'_> {
        let compiled = self.resource.custom.as_ref();
        let compiled = compiled.and_then(|custom| custom.compiled.as_ref());
        let definition = ("apiextensions.k8s.io", "CustomResourceDefinition");
        let factor = if compiled.is_some_and(CustomSchema::has_rules) {
            16
        } else if self.resource.is(definition.0, definition.1) {
            1024
        } else {
            1
        };
        Effort {
            bench: self.is_served.then_some(&self.server.workbench),
            bytes: self.body.len(),
            factor,
        }
    }

    /// The form in which objects are answered.
    pub(crate) fn form(&self) -> Result<Form, ApiError> {
        let form = Form::of(&self.headers, true);
        form.map_err(|_| not_acceptable(!self.path.named))
    }

    /// How objects are shown to this client.
    pub(crate) fn view(&self) -> Result<View<'_>, ApiError> {
        let now = self.objects().sources.now();
        View::new(
            &self.resource,
            self.form()?,
            self.query.text("includeObject"),
            now,
        )
    }

    /// Answers with an object.
    pub(crate) fn answer(&self, code: u16, item: &Item) -> Result<Response, ApiError> {
        let view = self.view()?;
        Ok(self.send(code, view.form, view.single(item)))
    }

    /// Answers with a value as it is.
    pub(crate) fn answer_value(&self, code: u16, value: &Value) -> Response {
        let form = Form::of(&self.headers, false).unwrap_or(Form::JSON);
        self.send(code, form, value.to_string())
    }

    /// Answers with JSON, in the form that the client wants.
    pub(crate) fn send(&self, code: u16, form: Form, json: String) -> Response {
        let mut response = respond(code, form, json, &self.headers);
        self.add_warnings(&mut response);
        response
    }

    pub(crate) fn add_warnings(&self, response: &mut Response) {
        for text in self.warnings.all() {
            let value = format!("299 - {}", quoted(&text));
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                response.headers_mut().append(header::WARNING, value);
            }
        }
    }
}

/// As RFC 7230 quotes a text, in one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        if matches!(letter, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

/// An answer with JSON, in a form.
pub(crate) fn respond(code: u16, form: Form, json: String, headers: &HeaderMap) -> Response {
    let text = if form.yaml { yaml(json) } else { json };
    send(code, form.content_type(), text.into_bytes(), headers)
}

/// An answer of this type.
pub(crate) fn send(
    code: u16,
    content_type: &'static str,
    body: Vec<u8>,
    headers: &HeaderMap,
) -> Response {
    let mut response = compress::body(body, headers);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    let cache = HeaderValue::from_static("no-cache, private");
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}

fn yaml(json: String) -> String {
    let value = serde_json::from_str::<Value>(&json);
    let text = value
        .ok()
        .and_then(|value| serde_saphyr::to_string(&value).ok());
    // JSON is YAML, too.
    text.unwrap_or(json)
}

/// An answer that reports a failure.
pub(crate) fn failure(error: &ApiError, headers: &HeaderMap) -> Response {
    let form = Form::of(headers, false).unwrap_or(Form::JSON);
    let mut response = respond(error.code, form, error.status().to_string(), headers);
    if let Some(seconds) = error.retry_after_seconds() {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// An answer with text.
pub(crate) fn plain(code: u16, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// Compression of big answers.
mod compress {
    use std::io::Write;

    use axum::body::Body;
    use axum::response::Response;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::{HeaderMap, HeaderValue, header};

    /// Bytes. Less is not worth the work.
    const THRESHOLD: usize = 128 * 1024;

    pub(super) fn body(bytes: Vec<u8>, headers: &HeaderMap) -> Response {
        let wanted = headers.get(header::ACCEPT_ENCODING);
        let wanted = wanted.and_then(|value| value.to_str().ok());
        let gzip = wanted.is_some_and(|text| text.split(',').any(|name| name.trim() == "gzip"));
        if !gzip || bytes.len() < THRESHOLD {
            return Response::new(Body::from(bytes));
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let compressed = encoder.write_all(&bytes).and_then(|()| encoder.finish());
        let Ok(compressed) = compressed else {
            return Response::new(Body::from(bytes));
        };
        let mut response = Response::new(Body::from(compressed));
        let gzip = HeaderValue::from_static("gzip");
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, gzip);
        let vary = HeaderValue::from_static("Accept-Encoding");
        response.headers_mut().insert(header::VARY, vary);
        response
    }
}
