//! `metadata.managedFields`: who owns which fields.

use jiff::{Timestamp, Unit};
use serde_json::{Map, Value};

use super::field_set::FieldSet;

/// The owners of an object's fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Managed {
    pub(super) owners: Vec<Owner>,
}

/// Who owns fields, and which.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Owner {
    pub(super) id: OwnerId,
    /// The `apiVersion` that the fields are of.
    pub(super) api_version: String,
    /// When the owner last changed something.
    pub(super) time: Option<Timestamp>,
    pub(super) fields: FieldSet,
}

/// An owner, as it is told from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OwnerId {
    pub(super) manager: String,
    pub(super) operation: Operation,
    /// The `apiVersion` of updates; applies in all versions are one owner.
    pub(super) api_version: Option<String>,
    /// Empty for the object itself.
    pub(super) subresource: String,
}

/// How fields came to be owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// Managed fields that cannot be read, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undecodable(pub(super) String);

impl Managed {
    /// Those of an object; of none if there is none.
    pub(super) fn of(object: &Value) -> Result<Self, Undecodable> {
        let mut managed = Self::default();
        let entries = encoded(object).and_then(Value::as_array);
        for (index, entry) in entries.into_iter().flatten().enumerate() {
            managed.put(decode(index, entry)?);
        }
        Ok(managed)
    }

    /// Takes an owner out.
    pub(super) fn take(&mut self, id: &OwnerId) -> Option<Owner> {
        let index = self.owners.iter().position(|owner| owner.id == *id)?;
        Some(self.owners.swap_remove(index))
    }

    /// Adds an owner, in place of the one that was the same.
    pub(super) fn put(&mut self, owner: Owner) {
        match self.owners.iter_mut().find(|known| known.id == owner.id) {
            Some(known) => *known = owner,
            None => self.owners.push(owner),
        }
    }

    /// Drops the owners of nothing.
    pub(super) fn drop_empty(&mut self) {
        self.owners.retain(|owner| !owner.fields.is_empty());
    }

    /// Writes them into an object, in place of what it had.
    pub(super) fn write_to(mut self, object: &mut Value) {
        self.owners.sort_by(|a, b| a.order().cmp(&b.order()));
        let entries: Vec<Value> = self.owners.iter().map(Owner::encode).collect();
        let Some(object) = object.as_object_mut() else {
            return;
        };
        let metadata = object
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        let Some(metadata) = metadata.as_object_mut() else {
            return;
        };
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), Value::Array(entries));
        }
    }
}

/// What an object says of its managed fields.
pub(super) fn encoded(object: &Value) -> Option<&Value> {
    object.get("metadata")?.get("managedFields")
}

/// Takes the managed fields out of an object.
pub(super) fn strip(object: &mut Value) {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        metadata.remove("managedFields");
    }
}

/// The client wants all owners to be forgotten: it wrote an empty list, or one empty entry.
pub(super) fn is_reset(object: &Value) -> bool {
    match encoded(object).and_then(Value::as_array).map(Vec::as_slice) {
        Some([]) => true,
        Some([Value::Object(entry)]) => entry.is_empty(),
        _ => false,
    }
}

/// Gives the new object the old times where nothing else has changed: a write of what is there
/// already does not touch the object.
pub fn keep_times(old: &Value, new: &mut Value) {
    let entries = |object| encoded(object).and_then(Value::as_array);
    let (Some(old_entries), Some(new_entries)) = (entries(old), entries(new)) else {
        return;
    };
    let same_owners = old_entries.len() == new_entries.len()
        && old_entries.iter().zip(new_entries).all(same_but_time);
    if !same_owners || old_entries == new_entries || !same_but_managed_fields(old, new) {
        return;
    }
    let old_entries = old_entries.clone();
    if let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("managedFields".to_owned(), Value::Array(old_entries));
    }
}

fn same_but_time((old, new): (&Value, &Value)) -> bool {
    same_but("time", old, new)
}

fn same_but_managed_fields(old: &Value, new: &Value) -> bool {
    let metadata = match (old.get("metadata"), new.get("metadata")) {
        (Some(old), Some(new)) => same_but("managedFields", old, new),
        (old, new) => old == new,
    };
    metadata && same_but("metadata", old, new)
}

fn same_but(name: &str, old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return old == new;
    };
    let old = old.iter().filter(|(field, _)| *field != name);
    old.eq(new.iter().filter(|(field, _)| *field != name))
}

impl Owner {
    /// The order in which they are listed.
    fn order(&self) -> (Operation, i64, &str, &str, &str) {
        let id = &self.id;
        (
            id.operation,
            self.seconds(),
            &id.manager,
            &self.api_version,
            &id.subresource,
        )
    }

    /// When it last changed something, in seconds; 0 if that is not known.
    pub(super) fn seconds(&self) -> i64 {
        self.time.map_or(0, Timestamp::as_second)
    }

    fn encode(&self) -> Value {
        let operation = match self.id.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        let mut entry = Map::new();
        entry.insert("apiVersion".to_owned(), self.api_version.as_str().into());
        entry.insert("fieldsType".to_owned(), "FieldsV1".into());
        entry.insert("fieldsV1".to_owned(), self.fields.to_fields_v1());
        entry.insert("operation".to_owned(), operation.into());
        if !self.id.manager.is_empty() {
            entry.insert("manager".to_owned(), self.id.manager.as_str().into());
        }
        if !self.id.subresource.is_empty() {
            entry.insert(
                "subresource".to_owned(),
                self.id.subresource.as_str().into(),
            );
        }
        if let Some(time) = self.time.and_then(|time| time.round(Unit::Second).ok()) {
            entry.insert("time".to_owned(), time.to_string().into());
        }
        Value::Object(entry)
    }
}

fn decode(index: usize, entry: &Value) -> Result<Owner, Undecodable> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err(undecodable("operation must be `Apply` or `Update`")),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return Err(undecodable("apiVersion must not be empty"));
    }
    match text("fieldsType") {
        "FieldsV1" => {}
        "" => {
            let reason = format!("missing fieldsType in managed fields entry {index}");
            return Err(Undecodable(reason));
        }
        other => {
            let reason = format!("invalid fieldsType \"{other}\" in managed fields entry {index}");
            return Err(Undecodable(reason));
        }
    }
    let fields = entry.get("fieldsV1").unwrap_or(&Value::Null);
    let Some(fields) = FieldSet::from_fields_v1(fields) else {
        return Err(undecodable("error decoding set"));
    };
    let time = match entry.get("time").and_then(Value::as_str) {
        Some(time) => Some(time.parse().map_err(|_| undecodable("invalid time"))?),
        None => None,
    };
    Ok(Owner {
        id: OwnerId {
            manager: text("manager").to_owned(),
            operation,
            api_version: (operation == Operation::Update).then(|| api_version.to_owned()),
            subresource: text("subresource").to_owned(),
        },
        api_version: api_version.to_owned(),
        time,
        fields,
    })
}

fn undecodable(reason: &str) -> Undecodable {
    Undecodable(reason.to_owned())
}
