//! Creating objects.

use serde_json::{Value, json};

use super::admission::NewObject;
use super::error::Taken;
use super::pipeline::{self, Writer};
use super::{Cause, Error, Item, Objects, RequestScope, admission, services, strategy};
use crate::kinds::Resource;
use crate::meta::{metadata, name, text};

/// How often another name is tried for one that was generated.
const ATTEMPTS: usize = 8;

/// Of a generated name, letters that the caller chooses at most.
const BASE: usize = 58;

/// Creates an object that was decoded, or one that was applied and is managed already. Another name is tried if a generated one is taken.
pub(crate) async fn create_object(
    objects: &Objects,
    scope: &RequestScope<'_>,
    mut value: Value,
    manage: bool,
) -> Result<Item, Error> {
    let resource = scope.resource;
    let admit = || {
        if manage {
            pipeline::drop_nulls(resource, &mut value);
        }
        pipeline::default(resource, &mut value);
        scope.admission.admit(&mut value, None)?;
        Ok::<_, Error>(value)
    };
    let value = scope.effort.run(0, admit).await??;
    let generated = name(&value).is_empty() && !text(&value, "/metadata/generateName").is_empty();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let prepare = || prepare(objects, scope, value.clone(), manage);
        let prepared = scope.effort.run(0, prepare).await??;
        let complete = services::allocation(objects, scope, &prepared, None);
        let created = objects.create_completed(resource, prepared, scope.dry_run, complete);
        match created.await {
            Err(Error::AlreadyExists { name, .. }) if generated => {
                if attempts >= ATTEMPTS {
                    return Err(Error::already_exists(resource, &name, Taken::Generated));
                }
            }
            other => return other,
        }
    }
}

/// All that happens to a new object before it is stored.
fn prepare(
    objects: &Objects,
    scope: &RequestScope<'_>,
    mut value: Value,
    manage: bool,
) -> Result<Value, Error> {
    let resource = scope.resource;
    NewObject::of(resource, &scope.key(name(&value))).check(&objects.store)?;
    stamp(objects, resource, &mut value)?;
    if manage {
        let writer = Writer {
            manager: &scope.manager,
            subresource: "",
            time: objects.sources.now(),
        };
        pipeline::manage(resource, None, &mut value, &writer);
    }
    // What the server itself adds is nobody's.
    admission::create(objects, resource, &mut value)?;
    strategy::prepare_create(resource, &mut value);
    if resource.custom.is_some() {
        // The status that was sent is gone; kube-apiserver fills in the default one when it reads.
        pipeline::default(resource, &mut value);
    }
    if name(&value).is_empty() {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(Error::invalid(resource, "", &[cause]));
    }
    let causes = pipeline::validate_create(resource, &value);
    if !causes.is_empty() {
        return Err(Error::invalid(resource, name(&value), &causes));
    }
    pipeline::drop_nulls(resource, &mut value);
    scope.admission.admit_create()?;
    services::complete(scope, &mut value);
    Ok(value)
}

/// Sets what only the server sets.
fn stamp(objects: &Objects, resource: &Resource, value: &mut Value) -> Result<(), Error> {
    // What is no number says nothing.
    let revision = text(value, "/metadata/resourceVersion").parse::<u64>();
    if revision.is_ok_and(|revision| revision > 0) {
        return Err(Error::Unforeseen(
            "resourceVersion should not be set on objects to be created".to_owned(),
        ));
    }
    let sources = &objects.sources;
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
    if resource.traits.generation {
        metadata.insert("generation".to_owned(), json!(1));
    }
    Ok(())
}
