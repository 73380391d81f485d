//! Creating, replacing and deleting objects.

use std::borrow::Cow;

use axum::response::Response;
use serde_json::{Value, json};

use super::call::Call;
use super::decode;
use super::negotiate::BodyForm;
use super::query::{ListOptions, WriteOptions};
use super::read::read_list;
use super::status::ApiError;
use crate::access::admission;
use crate::access::authorization::{Attributes, allowed};
use crate::apply;
use crate::kinds::Resource;
use crate::meta::{metadata, name, text, uid};
use crate::objects::{
    Admission, Change, DeleteOptions, Error, RequestScope, check_delete, create_object, key_of,
    modify, wrong_uid,
};
use crate::serving::holding;

impl Call {
    /// What a write of this request is for.
    pub(crate) fn scope<'a>(&'a self, options: &'a WriteOptions) -> RequestScope<'a> {
        RequestScope {
            resource: &self.resource,
            namespace: self.namespace(),
            name: &self.path.name,
            subresource: &self.path.subresource,
            manager: manager(self, options),
            dry_run: options.dry_run,
            warnings: &self.warnings,
            effort: self.effort(),
            admission: self,
        }
    }

    /// What the request does to the path's object if it does this.
    fn attributes(&self, verb: &str) -> Attributes {
        Attributes {
            verb: verb.to_owned(),
            group: self.path.group.clone(),
            resource: self.path.plural.clone(),
            subresource: self.path.subresource.clone(),
            namespace: self.path.namespace.clone(),
            name: self.path.name.clone(),
            path: None,
        }
    }
}

impl Admission for Call {
    fn admit(&self, new: &mut Value, old: Option<&Value>) -> Result<(), Error> {
        let attributes = self.attributes(&self.verb);
        admission::admit(&self.server.access, &self.user, &attributes, new, old)
    }

    /// An update or an apply that creates needs the right to create, too.
    fn admit_create(&self) -> Result<(), Error> {
        let create = self.attributes("create");
        if self.verb == create.verb || allowed(&self.server.access, &self.user, &create) {
            return Ok(());
        }
        Err(create.refusal(&self.user))
    }
}

/// Who writes: what the query says, or else the beginning of the user agent.
fn manager<'a>(call: &Call, options: &'a WriteOptions) -> Cow<'a, str> {
    if !options.field_manager.is_empty() {
        return Cow::Borrowed(&options.field_manager);
    }
    let agent = call.headers.get(http::header::USER_AGENT);
    let agent = agent.and_then(|value| value.to_str().ok());
    Cow::Owned(apply::manager_name("", agent.unwrap_or_default()))
}

/// Answers a `POST` of an object.
pub(crate) async fn create(call: &Call) -> Result<Response, ApiError> {
    let form = BodyForm::of(&call.headers)?;
    call.form()?;
    let options = WriteOptions::of(&call.query, "CreateOptions", false)?;
    let decoded = || decode::object(call, &call.body, form, options.field_validation);
    let value = call.effort().run(0, decoded).await??;
    let value = call.resource.conversion.to_stored(value);
    let item = create_object(call.objects(), &call.scope(&options), value, true).await?;
    call.answer(201, &item).await
}

/// Answers a `PUT` of an object or of its status.
pub(crate) async fn update(call: &Call) -> Result<Response, ApiError> {
    let form = BodyForm::of(&call.headers)?;
    call.form()?;
    let options = WriteOptions::of(&call.query, "UpdateOptions", false)?;
    let decoded = || decode::object(call, &call.body, form, options.field_validation);
    let value = call.effort().run(0, decoded).await??;
    let value = call.resource.conversion.to_stored(value);
    check_name(call, &value)?;
    let (objects, scope) = (call.objects(), call.scope(&options));
    if objects.store.get(&call.key(&call.path.name)).is_none()
        && call.resource.traits.create_on_update
        && call.path.subresource.is_empty()
    {
        let mut value = value;
        let given = uid(&value).to_owned();
        if !given.is_empty() {
            return Err(wrong_uid(&scope, &given, "").into());
        }
        metadata(&mut value).remove("resourceVersion");
        let item = create_object(objects, &scope, value, true).await?;
        return call.answer(201, &item).await;
    }
    let change = Change {
        managed: true,
        must_name_revision: true,
    };
    let make = |_: &Value| Ok::<_, ApiError>(value.clone());
    let item = modify(objects, &scope, change, make).await?;
    call.answer(200, &item).await
}

fn check_name(call: &Call, value: &Value) -> Result<(), ApiError> {
    let (given, expected) = (name(value), call.path.name.as_str());
    if given.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({expected} based on URL) was undeterminable: name must be provided"
        )));
    }
    if given != expected {
        let message = format!(
            "the name of the object ({given}) does not match the name on the URL ({expected})"
        );
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}

/// Answers a `DELETE` of an object.
pub(crate) async fn delete(call: &Call) -> Result<Response, ApiError> {
    call.form()?;
    let options = options(call)?;
    let resource = &call.resource;
    check_delete(resource, &call.path.name)?;
    if resource.is("batch", "Job")
        && options.propagation.is_none()
        && options.orphan_dependents.is_none()
    {
        call.warn("child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning");
    }
    let key = call.key(&call.path.name);
    let deleted = call.objects().delete(resource, &key, &options).await?;
    let cascades = options.orphan_dependents == Some(false);
    let code = if !deleted.gone && cascades { 202 } else { 200 };
    if deleted.gone && !resource.traits.returns_deleted {
        return Ok(call.answer_value(code, &success(resource, deleted.item.value())));
    }
    call.answer(code, &deleted.item).await
}

/// The `Status` that reports a deletion.
fn success(resource: &Resource, value: &Value) -> Value {
    let mut details = json!({
        "name": name(value),
        "kind": resource.plural,
        "uid": uid(value),
    });
    if !resource.group.is_empty() {
        details["group"] = resource.group.clone().into();
    }
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    })
}

/// The options of a deletion, of the body or of the query.
fn options(call: &Call) -> Result<DeleteOptions, ApiError> {
    if call.body.is_empty() {
        return DeleteOptions::of(&call.query, None);
    }
    let form = BodyForm::of(&call.headers)?;
    let expected = decode::Expected {
        group: "meta.k8s.io",
        version: "v1",
        kind: "DeleteOptions",
    };
    let body = decode::parse(&call.body, form, &expected).map_err(|error| {
        let why = error.message.split_once("): ").map_or("", |(_, why)| why);
        let why = why.rsplit_once(" (").map_or(why, |(why, _)| why);
        ApiError::unforeseen(why)
    })?;
    let body = body.value;
    let kind = text(&body, "/kind");
    if !matches!(kind, "" | "DeleteOptions") {
        let why = decode::not_registered(text(&body, "/apiVersion"), kind);
        return Err(ApiError::unforeseen(why));
    }
    DeleteOptions::of(&call.query, Some(&body))
}

/// Answers a `DELETE` of a collection with what was in it.
pub(crate) async fn delete_collection(call: &Call) -> Result<Response, ApiError> {
    let options = options(call)?;
    let list_options = ListOptions::of(&call.query, false)?;
    let view = call.view()?;
    let (items, meta) = read_list(call, &list_options).await?;
    // Before anything is deleted: what is deleted can't be answered again.
    let room = call.room_for(&items).await?;
    for item in &items {
        let value = item.value();
        check_delete(&call.resource, name(value))?;
        let key = key_of(&call.resource, value);
        match call.objects().delete(&call.resource, &key, &options).await {
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let answered = call.answer_list(&view, &items, &meta).await;
    let response = answered.map_err(|_| ApiError::overdue())?;
    Ok(holding(response, room))
}
