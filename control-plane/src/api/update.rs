//! Changing objects: replacing and patching, whole or in part.

use std::sync::Arc;

use axum::response::Response;
use serde_json::Value;

use super::call::Call;
use super::create::create_object;
use super::negotiate::BodyForm;
use super::pipeline::{self, Writer};
use super::query::WriteOptions;
use super::status::{ApiError, Cause};
use super::view::Item;
use super::write::{after_write, manager, typed, untyped};
use super::{admission, decode, services, strategy};
use crate::kinds::Resource;
use crate::meta::{is_deleting, items, metadata, name, number, text, uid};
use crate::store::{Object, WriteError};

/// How often a change is tried anew when others write, too.
const ATTEMPTS: usize = 20;

/// Answers a `PUT` of an object or of its status.
pub(crate) async fn update(call: &Call) -> Result<Response, ApiError> {
    let form = BodyForm::of(&call.headers)?;
    call.form()?;
    let options = WriteOptions::of(&call.query, "UpdateOptions", false)?;
    let decoded = || decode::object(call, &call.body, form, options.field_validation);
    let value = call.work(call.body.len(), decoded).await?;
    let value = call.resource.conversion.to_stored(value);
    check_name(call, &value)?;
    if call.plane.store.get(&call.key(&call.path.name)).is_none()
        && call.resource.traits.create_on_update
        && call.path.subresource.is_empty()
    {
        let mut value = value;
        let given = uid(&value).to_owned();
        if !given.is_empty() {
            return Err(wrong_uid(call, &given, ""));
        }
        metadata(&mut value).remove("resourceVersion");
        let item = create_object(call, value, &options, true).await?;
        return call.answer(201, &item);
    }
    let change = Change {
        options: &options,
        managed: true,
        must_name_revision: true,
    };
    let item = modify(call, &change, |_| Ok(value.clone())).await?;
    call.answer(200, &item)
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

/// How an object is changed.
pub(crate) struct Change<'a> {
    pub(crate) options: &'a WriteOptions,
    /// Managed fields are still to be recorded.
    pub(crate) managed: bool,
    /// The new object must say which one it replaces, where the kind wants that.
    pub(crate) must_name_revision: bool,
}

/// Reads the object of the path, changes it, and writes it; again if somebody else was faster and
/// the change did not name a revision.
pub(crate) async fn modify(
    call: &Call,
    change: &Change<'_>,
    make: impl Fn(&Value) -> Result<Value, ApiError>,
) -> Result<Item, ApiError> {
    let resource = &call.resource;
    let name = call.path.name.as_str();
    for _ in 0..ATTEMPTS {
        let object = call.plane.store.get(&call.key(name));
        let object = object.ok_or_else(|| ApiError::not_found(resource, name))?;
        let old = typed(resource, object.value());
        let decide = || decide(call, change, &object, &old, make(&old)?);
        let size = call.body.len() + object.json().len();
        let new = call.work(size, decide).await?;
        match commit(call, change, &object, &old, new).await {
            Err(WriteError::Conflict { .. }) => {}
            Err(error) => return Err(ApiError::write(resource, name, &error)),
            Ok(item) => {
                after_write(call).await;
                return Ok(item);
            }
        }
    }
    Err(ApiError::conflict(resource, name, super::status::MODIFIED))
}

/// The object as it shall be stored, from what the change made of it.
fn decide(
    call: &Call,
    change: &Change<'_>,
    object: &Object,
    old: &Value,
    mut new: Value,
) -> Result<Value, ApiError> {
    check_revision(call, change, object, &new)?;
    if change.must_name_revision {
        check_uid(call, old, &new)?;
    }
    metadata(&mut new).insert(
        "resourceVersion".to_owned(),
        object.revision().to_string().into(),
    );
    prepare(call, change, old, &mut new)?;
    Ok(new)
}

/// Stores a changed object.
async fn commit(
    call: &Call,
    change: &Change<'_>,
    object: &Arc<Object>,
    old: &Value,
    new: Value,
) -> Result<Item, WriteError> {
    let resource = &call.resource;
    let dry_run = change.options.dry_run;
    if must_go(old, &new) {
        call.plane.remove(resource, object, dry_run).await?;
        return Ok(Item::Made(untyped(new)));
    }
    if new == *old {
        return Ok(Item::Stored(Arc::clone(object)));
    }
    call.plane.update(resource, object, new, dry_run).await
}

/// The new object replaces the one that it names.
fn check_revision(
    call: &Call,
    change: &Change<'_>,
    object: &Object,
    new: &Value,
) -> Result<(), ApiError> {
    let resource = &call.resource;
    let name = call.path.name.as_str();
    let given = text(new, "/metadata/resourceVersion");
    if matches!(given, "" | "0") {
        if change.must_name_revision && resource.traits.conditional_update {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                "0",
                "must be specified for an update",
            );
            return Err(ApiError::invalid_in(
                &resource.group,
                &resource.plural,
                name,
                &[cause],
            ));
        }
        return Ok(());
    }
    let given: u64 = given.parse().map_err(|_| {
        ApiError::unforeseen(format!(
            "strconv.ParseUint: parsing {given:?}: invalid syntax"
        ))
    })?;
    if given == object.revision() {
        Ok(())
    } else {
        Err(ApiError::conflict(resource, name, super::status::MODIFIED))
    }
}

/// The new object is meant for the one that is there, and not for an earlier one of its name.
fn check_uid(call: &Call, old: &Value, new: &Value) -> Result<(), ApiError> {
    let (given, there) = (uid(new), uid(old));
    if given.is_empty() || given == there {
        return Ok(());
    }
    Err(wrong_uid(call, given, there))
}

/// All that happens to a changed object before it is stored.
fn prepare(call: &Call, change: &Change<'_>, old: &Value, new: &mut Value) -> Result<(), ApiError> {
    let resource: &Resource = &call.resource;
    let subresource = call.path.subresource.as_str();
    if change.managed {
        pipeline::drop_nulls(resource, new);
    }
    pipeline::default(resource, new);
    admission::update(call, new, old);
    let fields = metadata(new);
    fields.remove("selfLink");
    for field in ["uid", "creationTimestamp", "deletionTimestamp"] {
        let kept = old
            .pointer("/metadata")
            .and_then(|metadata| metadata.get(field));
        // A uid or a time of deletion that the object does not have is refused below.
        let stays = field == "uid" && fields.contains_key(field)
            || field == "deletionTimestamp" && kept.is_none();
        if !stays {
            crate::meta::put(fields, field, kept.cloned());
        }
    }
    if !fields.contains_key("deletionGracePeriodSeconds")
        && let Some(kept) = old.pointer("/metadata/deletionGracePeriodSeconds")
    {
        fields.insert("deletionGracePeriodSeconds".to_owned(), kept.clone());
    }

    if change.managed {
        let manager = manager(call, change.options);
        let writer = Writer {
            manager: &manager,
            subresource,
            time: call.plane.sources.now(),
        };
        pipeline::manage(resource, Some(old), new, &writer);
    }
    strategy::prepare_update(resource, subresource, new, old);
    services::prepare_update(call, new, old);
    let causes = pipeline::validate_update(resource, subresource, new, old);
    if !causes.is_empty() {
        return Err(ApiError::invalid(resource, name(new), &causes));
    }
    pipeline::drop_nulls(resource, new);
    services::allocate(call, new, Some(old))?;
    pipeline::keep_times(old, new);
    Ok(())
}

/// The last finalizer of a deleted object is gone.
fn must_go(old: &Value, new: &Value) -> bool {
    items(new, "/metadata/finalizers").is_empty()
        && is_deleting(old)
        && number(old, "/metadata/deletionGracePeriodSeconds").unwrap_or(0) == 0
        && items(new, "/spec/finalizers").is_empty()
}

/// The refusal of a change that was meant for another object of the same name.
pub(crate) fn wrong_uid(call: &Call, given: &str, there: &str) -> ApiError {
    let resource = &call.resource;
    let name = &call.path.name;
    let group = resource.custom.as_ref().map(|_| resource.group.as_str());
    let place = [group, Some(resource.plural.as_str()), call.namespace()];
    let place: Vec<&str> = place.into_iter().flatten().collect();
    let place = place.join("/");
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{place}/{name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {given}, UID in object meta: {there}"
    );
    ApiError::conflict(resource, name, &why)
}
