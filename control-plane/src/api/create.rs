//! Creating objects.

use axum::response::Response;
use serde_json::{Value, json};

use super::call::Call;
use super::negotiate::BodyForm;
use super::pipeline::{self, Writer};
use super::query::WriteOptions;
use super::status::{ApiError, Cause};
use super::view::Item;
use super::write::{after_write, manager};
use super::{admission, decode, strategy};
use crate::meta::{metadata, name, text};

/// How often another name is tried for one that was generated.
const ATTEMPTS: usize = 8;

/// Of a generated name, letters that the caller chooses at most.
const BASE: usize = 58;

/// Answers a `POST` of an object.
pub(crate) async fn create(call: &Call) -> Result<Response, ApiError> {
    let form = BodyForm::of(&call.headers)?;
    call.form()?;
    let options = WriteOptions::of(&call.query, "CreateOptions", false)?;
    let decoded = || decode::object(call, &call.body, form, options.field_validation);
    let value = call.work(call.body.len(), decoded).await?;
    let value = call.resource.conversion.to_stored(value);
    let item = create_object(call, value, &options, true).await?;
    call.answer(201, &item)
}

/// Creates an object that was decoded, or one that was applied and is managed already. Another name is tried if a generated one is taken.
pub(crate) async fn create_object(
    call: &Call,
    value: Value,
    options: &WriteOptions,
    manage: bool,
) -> Result<Item, ApiError> {
    let generated = name(&value).is_empty() && !text(&value, "/metadata/generateName").is_empty();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let prepare = || prepare(call, value.clone(), options, manage);
        let prepared = call.work(call.body.len(), prepare).await?;
        let created = call
            .plane
            .create(&call.resource, prepared, options.dry_run)
            .await;
        match created {
            Err(error) if generated && error.reason == "AlreadyExists" => {
                if attempts >= ATTEMPTS {
                    let message = format!(
                        "{}, the server was not able to generate a unique name for the object",
                        error.message
                    );
                    return Err(ApiError { message, ..error }.retry_after(1));
                }
            }
            other => {
                let item = other?;
                after_write(call).await;
                return Ok(item);
            }
        }
    }
}

/// All that happens to a new object before it is stored.
fn prepare(
    call: &Call,
    mut value: Value,
    options: &WriteOptions,
    manage: bool,
) -> Result<Value, ApiError> {
    let resource = &call.resource;
    if manage {
        pipeline::drop_nulls(resource, &mut value);
    }
    pipeline::default(resource, &mut value);
    admission::namespace_takes(call, name(&value))?;
    stamp(call, &mut value)?;
    if manage {
        let manager = manager(call, options);
        let writer = Writer {
            manager: &manager,
            subresource: "",
            time: call.plane.sources.now(),
        };
        pipeline::manage(resource, None, &mut value, &writer);
    }
    // What the server itself adds is nobody's.
    admission::create(call, &mut value)?;
    strategy::prepare_create(resource, &mut value);
    if resource.custom.is_some() {
        // The status that was sent is gone; kube-apiserver fills in the default one when it reads.
        pipeline::default(resource, &mut value);
    }
    if name(&value).is_empty() {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(ApiError::invalid(resource, "", &[cause]));
    }
    let causes = pipeline::validate_create(resource, &value);
    if !causes.is_empty() {
        return Err(ApiError::invalid(resource, name(&value), &causes));
    }
    pipeline::drop_nulls(resource, &mut value);
    super::services::allocate(call, &mut value, None)?;
    Ok(value)
}

/// Sets what only the server sets.
fn stamp(call: &Call, value: &mut Value) -> Result<(), ApiError> {
    // What is no number says nothing.
    let revision = text(value, "/metadata/resourceVersion").parse::<u64>();
    if revision.is_ok_and(|revision| revision > 0) {
        return Err(ApiError::unforeseen(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let sources = &call.plane.sources;
    let generated = text(value, "/metadata/generateName").to_owned();
    let metadata = metadata(value);
    for field in [
        "resourceVersion",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), sources.uid().into());
    metadata.insert("creationTimestamp".to_owned(), sources.now_text().into());
    let named = metadata.get("name").is_some_and(|name| name != "");
    if !named && !generated.is_empty() {
        let base: String = generated.chars().take(BASE).collect();
        metadata.insert(
            "name".to_owned(),
            format!("{base}{}", sources.suffix()).into(),
        );
    }
    if call.resource.traits.generation {
        metadata.insert("generation".to_owned(), json!(1));
    }
    Ok(())
}
