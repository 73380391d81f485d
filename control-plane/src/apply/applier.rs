//! Applying a configuration.

use std::borrow::Cow;

use serde_json::{Map, Value};
use thiserror::Error;

use super::blank::blank;
use super::compare::{Comparison, Incomparable};
use super::conflict::Conflicts;
use super::element::same;
use super::field_set::FieldSet;
use super::invalid::{self, Origin};
use super::last_applied::{self, KUBECTL};
use super::managed::{self, Managed, Operation, Owner, OwnerId};
use super::merge::merge;
use super::remove::remove;
use super::shape::rooted;
use super::update::{NEVER_OWNED, name_or_unknown, updated};
use super::{Manager, Target};
use crate::schema::Schema;

/// The owner of what was there before anybody applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Why a configuration was not applied.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ApplyError {
    /// It must not be applied: 400 `BadRequest`.
    #[error("{0}")]
    BadRequest(String),
    /// Others own what it would change: 409 `Conflict`, with causes.
    #[error("{0}")]
    Conflicts(Conflicts),
    /// It is not of its type. The real server answers this with 500 and no reason.
    #[error("{0}")]
    Untyped(String),
}

/// Applies a configuration to an object, or creates one from it.
///
/// `live` is the object as it is stored, in the version of the request; `config` is what the client
/// sent. With `force`, fields of others are taken over. The result has its owners written into it,
/// but no defaults; it equals `live` if nothing has changed.
pub fn apply(
    live: Option<&Value>,
    config: &Value,
    target: &Target<'_>,
    manager: &Manager<'_>,
    force: bool,
) -> Result<Value, ApplyError> {
    check(config, target)?;
    let schema = rooted(target.schema);
    let nothing = Value::Object(Map::new());
    let mut object = live.unwrap_or(&nothing).clone();
    managed::strip(&mut object);
    let application = Application {
        live: &object,
        config,
        schema: &schema,
        target,
        manager,
    };
    let managed = application.owners_before(live)?;
    check_type(config, &schema, "patch", Origin::Sent, target)?;
    check_type(&object, &schema, "live", Origin::Stored, target)?;
    let applied = application.run(managed, force);
    let applied = match applied {
        Err(ApplyError::Conflicts(conflicts)) if manager.name == KUBECTL => {
            application.take_over(live, conflicts)
        }
        applied => applied,
    };
    let (mut object, managed) = applied?;
    if manager.name == KUBECTL {
        last_applied::refresh(&mut object, config);
    }
    managed.write_to(&mut object);
    Ok(object)
}

/// Refuses what is not an object to be applied here.
fn check(config: &Value, target: &Target<'_>) -> Result<(), ApplyError> {
    let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if api_version != target.api_version || kind != target.kind {
        let found = group_version_kind(api_version, kind);
        let reason = format!("invalid object type: {found}");
        return Err(ApplyError::BadRequest(reason));
    }
    if managed::encoded(config).is_some_and(Value::is_array) {
        let reason = "metadata.managedFields must be nil".to_owned();
        return Err(ApplyError::BadRequest(reason));
    }
    Ok(())
}

/// Refuses a configuration that is not of its type: with a field that nobody knows, or two items
/// of one key.
pub fn check_applied(config: &Value, target: &Target<'_>) -> Result<(), ApplyError> {
    check_type(
        config,
        &rooted(target.schema),
        "patch",
        Origin::Sent,
        target,
    )
}

fn check_type(
    object: &Value,
    schema: &Schema,
    name: &str,
    origin: Origin,
    target: &Target<'_>,
) -> Result<(), ApplyError> {
    invalid::check(object, schema, origin).map_err(|problem| {
        let object = described(object, target);
        ApplyError::Untyped(format!(
            "failed to create typed {name} object ({object}): {problem}"
        ))
    })
}

fn described(object: &Value, target: &Target<'_>) -> String {
    let metadata = object.get("metadata");
    let text = |name: &str| metadata.and_then(|metadata| metadata.get(name)?.as_str());
    let (namespace, name) = (text("namespace"), text("name"));
    format!(
        "{}/{}; {}",
        namespace.unwrap_or_default(),
        name.unwrap_or_default(),
        group_version_kind(target.api_version, target.kind)
    )
}

/// As the real server prints it; the core group has an empty name.
fn group_version_kind(api_version: &str, kind: &str) -> String {
    let slash = if api_version.contains('/') { "" } else { "/" };
    format!("{slash}{api_version}, Kind={kind}")
}

/// A configuration on its way into an object.
struct Application<'a> {
    /// Without managed fields.
    live: &'a Value,
    config: &'a Value,
    schema: &'a Schema,
    target: &'a Target<'a>,
    manager: &'a Manager<'a>,
}

impl Application<'_> {
    /// Who owned what before. What nobody is known to own belongs to one owner.
    fn owners_before(&self, live: Option<&Value>) -> Result<Managed, ApplyError> {
        let Some(live) = live else {
            return Ok(Managed::default());
        };
        let managed = Managed::of(live).map_err(|error| {
            ApplyError::Untyped(format!("failed to decode managed fields: {}", error.0))
        })?;
        if !managed.owners.is_empty() {
            return Ok(managed);
        }
        let blank = blank(self.target.api_version, self.target.kind);
        let first = Manager {
            name: BEFORE_FIRST_APPLY,
            time: self.manager.time,
        };
        let change = (blank, self.live, blank);
        let managed = updated(managed, change, self.schema, self.target, &first);
        managed.map_err(|Incomparable| {
            let problem = invalid::check(self.live, self.schema, Origin::Stored);
            let problem = problem.err().unwrap_or_default();
            ApplyError::Untyped(format!(
                "failed to create manager for existing fields: failed to convert new object ({}) \
                 to smd typed: {problem}",
                described(self.live, self.target)
            ))
        })
    }

    fn run(&self, mut managed: Managed, force: bool) -> Result<(Value, Managed), ApplyError> {
        for owner in &mut managed.owners {
            owner.fields.fit(self.schema);
        }
        let merged = merge(self.live, self.config, self.schema)
            .map_err(|invalid| ApplyError::Untyped(format!("failed to merge config: {invalid}")))?;
        let mut fields = FieldSet::of_value(self.config, self.schema);
        fields.subtract_all(self.target.reset);
        let mut lasting = fields.clone();
        lasting.subtract(&NEVER_OWNED);
        let id = self.id();
        let previous = managed.take(&id);
        let time = previous.as_ref().and_then(|previous| previous.time);
        managed.put(Owner {
            id: id.clone(),
            api_version: self.target.api_version.to_owned(),
            time,
            fields,
        });
        let object = match previous {
            Some(previous) if previous.fields != lasting => {
                self.prune(merged, &managed, &previous.fields)
            }
            _ => merged,
        };
        self.take_from_others(&object, &mut managed, &id, force)?;
        let changed = !same(self.live, &object);
        for owner in managed.owners.iter_mut().filter(|owner| owner.id == id) {
            // Not before: an object whose name is applied keeps its metadata.
            owner.fields.subtract(&NEVER_OWNED);
            if changed {
                owner.time = Some(self.manager.time);
            }
        }
        managed.drop_empty();
        let object = if changed { object } else { self.live.clone() };
        Ok((object, managed))
    }

    fn id(&self) -> OwnerId {
        OwnerId {
            manager: name_or_unknown(self.manager).into_owned(),
            operation: Operation::Apply,
            api_version: None,
            subresource: self.target.subresource.to_owned(),
        }
    }

    /// Removes what the manager applied before but does not apply now, and nobody else owns.
    fn prune(&self, merged: Value, managed: &Managed, previous: &FieldSet) -> Value {
        let schema = self.schema;
        let previous = previous.with_named_fields(schema);
        let present = FieldSet::of_value(&merged, schema).with_named_fields(schema);
        // Without all that was applied before …
        let pruned = remove(&merged, &previous, schema);
        // … but with what anybody owns now …
        let mut gone = present.clone();
        gone.subtract(&FieldSet::of_value(&pruned, schema).with_named_fields(schema));
        for owner in &managed.owners {
            gone.subtract(&owner.fields.with_named_fields(schema));
        }
        let pruned = remove(&merged, &gone, schema);
        // … and with what was below it and of nobody.
        let mut gone = present;
        gone.subtract(&FieldSet::of_value(&pruned, schema).with_named_fields(schema));
        let gone = gone.intersection(&previous);
        match remove(&merged, &gone, schema) {
            Cow::Owned(pruned) => pruned,
            Cow::Borrowed(_) => merged,
        }
    }

    /// Takes the fields that change from their owners, or says that they are owned.
    fn take_from_others(
        &self,
        object: &Value,
        managed: &mut Managed,
        id: &OwnerId,
        force: bool,
    ) -> Result<(), ApplyError> {
        let change = Comparison::of(self.live, object, &Value::Null, self.schema);
        let mut change = change
            .map_err(|Incomparable| ApplyError::Untyped("failed to compare objects".to_owned()))?;
        change.leave_out(self.target.reset);
        let written = change.written();
        if !force {
            let others = managed.owners.iter().filter(|owner| owner.id != *id);
            let conflicts = others
                .map(|owner| (owner.id.clone(), owner.fields.intersection(&written)))
                .collect();
            if let Some(conflicts) = Conflicts::new(conflicts) {
                return Err(ApplyError::Conflicts(conflicts));
            }
        }
        let others = managed.owners.iter_mut().filter(|owner| owner.id != *id);
        for owner in others {
            owner.fields.subtract(&written);
            owner.fields.subtract(&change.removed);
        }
        Ok(())
    }

    /// Applies in spite of conflicts if they are only over what kubectl itself applied before, on
    /// the client's side.
    fn take_over(
        &self,
        live: Option<&Value>,
        conflicts: Conflicts,
    ) -> Result<(Value, Managed), ApplyError> {
        let own = last_applied::still_as_applied(self.live, self.schema, self.target);
        let others = match own {
            Some(own) => conflicts.except(&own),
            None => Some(conflicts),
        };
        match others {
            Some(conflicts) => Err(ApplyError::Conflicts(conflicts)),
            None => self.run(self.owners_before(live)?, true),
        }
    }
}
