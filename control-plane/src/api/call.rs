//! One request, with all that its handler needs.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;

use super::negotiate::{Form, not_acceptable};
use super::query::Query;
use super::response::respond;
use super::server::Server;
use super::status::ApiError;
use super::view::{ListMeta, View};
use crate::access::User;
use crate::access::request_info::ResourcePath;
use crate::kinds::{Kinds, Resource};
use crate::objects::Item;
use crate::objects::{Objects, Warnings};
use crate::schema::custom::CustomSchema;
use crate::serving::{Limits, Place};
use crate::store::Key;
use crate::work::{Effort, Undone};

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
    /// What answers may take together; none for one who is always let in.
    pub(super) limits: Option<Arc<Limits>>,
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
            limits: None,
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

    /// Waits for memory for an answer with these objects, by their JSON as it is stored. The
    /// answer holds it until it is sent.
    pub(crate) async fn room_for(&self, items: &[Item]) -> Result<Option<Place>, ApiError> {
        let Some(limits) = &self.limits else {
            return Ok(None);
        };
        let place = limits.answer(items.iter().map(Item::size).sum()).await;
        Ok(Some(place.map_err(|_| ApiError::too_many_requests())?))
    }

    /// Makes an answer with so many bytes of objects: away from the threads that serve, if they are
    /// many. Showing an object is less work than checking it.
    pub(crate) async fn show<T>(
        &self,
        bytes: usize,
        make: impl FnOnce() -> T,
    ) -> Result<T, Undone> {
        let effort = Effort {
            bytes: 0,
            factor: 1,
            ..self.effort()
        };
        effort.run(bytes / 4, make).await
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
    pub(crate) async fn answer(&self, code: u16, item: &Item) -> Result<Response, ApiError> {
        let view = self.view()?;
        let answer = || self.send(code, view.form, view.single(item));
        let answered = self.show(item.size(), answer).await;
        answered.map_err(|undone| match self.verb.as_str() {
            "get" => undone.into(),
            // What was written stays: nobody is told to do it again.
            _ => ApiError::overdue(),
        })
    }

    /// Answers with a list. What it takes of the memory for answers is taken already.
    pub(crate) async fn answer_list(
        &self,
        view: &View<'_>,
        items: &[Item],
        meta: &ListMeta,
    ) -> Result<Response, Undone> {
        let answer = || self.send(200, view.form, view.list(items, meta));
        self.show(items.iter().map(Item::size).sum(), answer).await
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

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
