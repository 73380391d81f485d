//! Who owns what after a write that is not an apply: its author owns what it changed.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::Value;

use super::blank::blank;
use super::compare::{Comparison, Incomparable};
use super::field_set::FieldSet;
use super::managed::{self, Managed, Operation, Owner, OwnerId};
use super::shape::rooted;
use super::{Manager, Target};
use crate::schema::Schema;
use crate::work;

/// Updates that are kept apart. One more, and the oldest are joined.
const MOST_UPDATES: usize = 10;

/// The owner of what the oldest updates changed.
const OLDEST_UPDATES: &str = "ancient-changes";

/// Writes into a new object who owns its fields.
///
/// `old` is the object as it is stored, none on a create; `new` the one that will be, with the
/// managed fields that the client sent. Who sends none does not mean to drop them; who sends an
/// empty list, or one empty entry, does.
pub fn update(old: Option<&Value>, new: &mut Value, target: &Target<'_>, manager: &Manager<'_>) {
    let known = before(old, new, target);
    managed::strip(new);
    if known.owners.is_empty() && old.is_some() {
        // Nobody asked for owners to be known.
        return;
    }
    let blank = blank(target.api_version, target.kind);
    let schema = rooted(target.schema);
    let old = old.unwrap_or(blank);
    // What cannot be compared has no owners: the object counts more than they do.
    if let Ok(managed) = updated(known, (old, new, blank), &schema, target, manager) {
        managed.write_to(new);
    }
}

/// The owners before the write.
fn before(old: Option<&Value>, new: &Value, target: &Target<'_>) -> Managed {
    let live = || {
        old.and_then(|old| Managed::of(old).ok())
            .unwrap_or_default()
    };
    if !target.subresource.is_empty() {
        return live();
    }
    if managed::is_reset(new) {
        return Managed::default();
    }
    match Managed::of(new) {
        Ok(sent) if !sent.owners.is_empty() => sent,
        _ => live(),
    }
}

/// The owners after a change from one object to another. A third, blank one has what counts as
/// being there in both.
pub(super) fn updated(
    mut managed: Managed,
    (old, new, blank): (&Value, &Value, &Value),
    schema: &Schema,
    target: &Target<'_>,
    manager: &Manager<'_>,
) -> Result<Managed, Incomparable> {
    let mut change = Comparison::of(old, new, blank, schema)?;
    change.leave_out(target.reset);
    for owner in &mut managed.owners {
        if work::check_deadline().is_err() {
            break;
        }
        owner.fields.fit(schema);
        owner.fields.subtract(&change.added);
        owner.fields.subtract(&change.modified);
        owner.fields.subtract(&change.removed);
    }
    let Comparison {
        added: mut fields,
        modified,
        ..
    } = change;
    fields.unite(modified);
    fields.subtract(&NEVER_OWNED);
    let id = update_id(target, manager);
    if !fields.is_empty() {
        if let Some(previous) = managed.take(&id) {
            fields.unite(previous.fields);
        }
        managed.put(Owner {
            id,
            api_version: target.api_version.to_owned(),
            time: Some(manager.time),
            fields,
        });
    }
    managed.drop_empty();
    join_oldest(&mut managed);
    Ok(managed)
}

fn update_id(target: &Target<'_>, manager: &Manager<'_>) -> OwnerId {
    OwnerId {
        manager: name_or_unknown(manager).into_owned(),
        operation: Operation::Update,
        api_version: Some(target.api_version.to_owned()),
        subresource: target.subresource.to_owned(),
    }
}

pub(super) fn name_or_unknown<'a>(manager: &Manager<'a>) -> Cow<'a, str> {
    match manager.name {
        "" => Cow::Borrowed("unknown"),
        name => Cow::Borrowed(name),
    }
}

/// Fields that the server sees to.
pub(super) static NEVER_OWNED: LazyLock<FieldSet> = LazyLock::new(|| {
    FieldSet::of(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
});

/// Joins the oldest updates of each version until there are no more than allowed.
fn join_oldest(managed: &mut Managed) {
    let updates = managed.owners.iter();
    let updates = updates.filter(|owner| owner.id.operation == Operation::Update);
    let mut updates: Vec<_> = updates
        .map(|owner| (owner.seconds(), owner.id.clone()))
        .collect();
    let mut excess = updates.len().saturating_sub(MOST_UPDATES);
    if excess == 0 {
        return;
    }
    updates.sort();
    let mut first_of_version = Vec::<Owner>::new();
    for (_, id) in updates {
        if excess == 0 || work::check_deadline().is_err() {
            break;
        }
        let Some(mut owner) = managed.take(&id) else {
            continue;
        };
        let version = &owner.api_version;
        let first = first_of_version
            .iter_mut()
            .find(|first| first.api_version == *version);
        let Some(bucket) = first else {
            first_of_version.push(owner);
            continue;
        };
        OLDEST_UPDATES.clone_into(&mut bucket.id.manager);
        bucket.id.subresource.clear();
        bucket.time = owner.time;
        bucket.fields.unite(std::mem::take(&mut owner.fields));
        excess -= 1;
    }
    for bucket in first_of_version {
        join(managed, bucket);
    }
}

fn join(managed: &mut Managed, mut owner: Owner) {
    if let Some(known) = managed.take(&owner.id) {
        owner.fields.unite(known.fields);
        owner.time = owner.time.max(known.time);
    }
    managed.put(owner);
}
