//! Changing objects: replacing and patching, whole or in part.

use std::sync::Arc;

use serde_json::Value;

use super::error::MODIFIED;
use super::pipeline::{self, Writer};
use super::write::untyped;
use super::{Cause, Error, Item, Objects, RequestScope, admission, services, strategy, typed};
use crate::kinds::Resource;
use crate::meta::{is_deleting, items, metadata, name, number, text, uid};
use crate::store::{Object, WriteError};

/// How often a change is tried anew when others write, too.
const ATTEMPTS: usize = 20;

/// How an object is changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// Managed fields are still to be recorded.
    pub(crate) managed: bool,
    /// The new object must say which one it replaces, where the kind wants that.
    pub(crate) must_name_revision: bool,
}

/// Reads the object of the path, changes it, and writes it; again if somebody else was faster and
/// the change did not name a revision.
pub(crate) async fn modify<E: From<Error>>(
    objects: &Objects,
    scope: &RequestScope<'_>,
    change: Change,
    make: impl Fn(&Value) -> Result<Value, E>,
) -> Result<Item, E> {
    let (resource, name) = (scope.resource, scope.name);
    for _ in 0..ATTEMPTS {
        let object = objects.store.get(&scope.key(name));
        let object = object.ok_or_else(|| Error::not_found(resource, name))?;
        let old = typed(resource, object.value());
        let decide = || {
            let mut new = make(&old)?;
            if change.managed {
                pipeline::drop_nulls(resource, &mut new);
            }
            pipeline::default(resource, &mut new);
            scope.admission.admit(&mut new, Some(&old))?;
            decide::<E>(objects, scope, change, &object, (&old, new))
        };
        let new = scope.effort.run(object.json().len(), decide).await;
        let new = new.map_err(Error::from)??;
        match commit(objects, scope, &object, &old, new).await {
            Err(WriteError::Conflict { .. }) => {}
            Err(error) => return Err(Error::write(resource, name, &error).into()),
            Ok(item) => return Ok(item),
        }
    }
    Err(Error::conflict(resource, name, MODIFIED).into())
}

/// The object as it shall be stored, from what the change made of it.
fn decide<E: From<Error>>(
    objects: &Objects,
    scope: &RequestScope<'_>,
    change: Change,
    object: &Object,
    (old, mut new): (&Value, Value),
) -> Result<Value, E> {
    check_revision(scope, change, object, &new)?;
    if change.must_name_revision {
        check_uid(scope, old, &new)?;
    }
    metadata(&mut new).insert(
        "resourceVersion".to_owned(),
        object.revision().to_string().into(),
    );
    prepare(objects, scope, change, old, &mut new)?;
    Ok(new)
}

/// Stores a changed object.
async fn commit(
    objects: &Objects,
    scope: &RequestScope<'_>,
    object: &Arc<Object>,
    old: &Value,
    new: Value,
) -> Result<Item, WriteError> {
    let resource = scope.resource;
    let dry_run = scope.dry_run;
    if goes(resource, old, &new) {
        objects.remove(resource, object, dry_run).await?;
        return Ok(Item::Made(untyped(new)));
    }
    if new == *old {
        return Ok(Item::Stored(Arc::clone(object)));
    }
    let complete = services::allocation(objects, scope, &new, Some(old));
    let updated = objects.update_completed(resource, object, new, dry_run, complete);
    updated.await
}

/// The new object replaces the one that it names.
fn check_revision(
    scope: &RequestScope<'_>,
    change: Change,
    object: &Object,
    new: &Value,
) -> Result<(), Error> {
    let resource = scope.resource;
    let name = scope.name;
    let given = text(new, "/metadata/resourceVersion");
    if matches!(given, "" | "0") {
        if change.must_name_revision && resource.traits.conditional_update {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                "0",
                "must be specified for an update",
            );
            return Err(Error::invalid_in(
                &resource.group,
                &resource.plural,
                name,
                &[cause],
            ));
        }
        return Ok(());
    }
    let given: u64 = given.parse().map_err(|_| {
        Error::Unforeseen(format!(
            "strconv.ParseUint: parsing {given:?}: invalid syntax"
        ))
    })?;
    if given == object.revision() {
        Ok(())
    } else {
        Err(Error::conflict(resource, name, MODIFIED))
    }
}

/// The new object is meant for the one that is there, and not for an earlier one of its name.
fn check_uid(scope: &RequestScope<'_>, old: &Value, new: &Value) -> Result<(), Error> {
    let (given, there) = (uid(new), uid(old));
    if given.is_empty() || given == there {
        return Ok(());
    }
    Err(wrong_uid(scope, given, there))
}

/// All that happens to a changed object before it is stored.
fn prepare(
    objects: &Objects,
    scope: &RequestScope<'_>,
    change: Change,
    old: &Value,
    new: &mut Value,
) -> Result<(), Error> {
    let resource = scope.resource;
    let subresource = scope.subresource;
    admission::update(scope, new, old);
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
        let writer = Writer {
            manager: &scope.manager,
            subresource,
            time: objects.sources.now(),
        };
        pipeline::manage(resource, Some(old), new, &writer);
    }
    strategy::prepare_update(resource, subresource, new, old);
    services::prepare_update(scope, new, old);
    let causes = pipeline::validate_update(resource, subresource, new, old);
    if !causes.is_empty() {
        return Err(Error::invalid(resource, name(new), &causes));
    }
    pipeline::drop_nulls(resource, new);
    services::complete(scope, new);
    pipeline::keep_times(old, new);
    Ok(())
}

/// The last finalizer of a deleted object is gone. Namespaces have finalizers of their own, too.
pub(crate) fn goes(resource: &Resource, old: &Value, new: &Value) -> bool {
    let is_waited_for = resource.is("", "Namespace") && !items(new, "/spec/finalizers").is_empty();
    items(new, "/metadata/finalizers").is_empty()
        && is_deleting(old)
        && number(old, "/metadata/deletionGracePeriodSeconds").unwrap_or(0) == 0
        && !is_waited_for
}

/// The refusal of a change that was meant for another object of the same name.
pub(crate) fn wrong_uid(scope: &RequestScope<'_>, given: &str, there: &str) -> Error {
    let resource = scope.resource;
    let name = scope.name;
    let group = resource.custom.as_ref().map(|_| resource.group.as_str());
    let place = [group, Some(resource.plural.as_str()), scope.namespace];
    let place: Vec<&str> = place.into_iter().flatten().collect();
    let place = place.join("/");
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{place}/{name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {given}, UID in object meta: {there}"
    );
    Error::conflict(resource, name, &why)
}
