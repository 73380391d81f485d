//! JSON patches (RFC 6902), as kube-apiserver's library understands them.
//!
//! It is more lenient than the RFC: a `replace` adds a field that is not there, an index may count
//! from the end, and a field that is `null` is the same as none. Clients rely on it, so this is not
//! left to a library that is stricter.

use serde_json::{Map, Value};

use super::{MOST_COPIED, MOST_OPERATIONS, PatchError, print};
use crate::bounds::{self, DEPTH};
use crate::work;

/// Applies a JSON patch to an object.
pub fn json_patch(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations = operations(patch)?;
    if operations.len() > MOST_OPERATIONS {
        return Err(PatchError::TooLarge(operations.len()));
    }
    let mut document = Document {
        depth: bounds::depth(document),
        copied: 0,
        value: document.clone(),
    };
    for operation in operations {
        work::check_deadline()?;
        let operation = Operation(operation.as_object());
        operation
            .apply(&mut document)
            .map_err(PatchError::Unprocessable)?;
    }
    Ok(document.value)
}

/// The document while it is patched. An operation can make it twice as large or deep as it was,
/// so both are bounded before anything walks it.
struct Document {
    value: Value,
    /// It nests no deeper than this.
    depth: usize,
    /// Bytes of JSON that `copy` has added.
    copied: usize,
}

impl Document {
    /// Adds a value, which nests so deep.
    fn add(&mut self, path: &str, value: Value, depth: usize) -> Outcome {
        Place::find(&mut self.value, path)?.add(value)?;
        self.grown(path, depth)
    }

    /// A value of this depth was put at a path.
    fn grown(&mut self, path: &str, depth: usize) -> Outcome {
        self.depth = self.depth.max(steps(path) + depth);
        if self.depth > DEPTH {
            // The estimate only grows; what is there may have become flatter.
            if bounds::is_deeper_than(&self.value, DEPTH) {
                return Err(format!("the document nests deeper than {DEPTH} levels"));
            }
            self.depth = bounds::depth(&self.value);
        }
        Ok(())
    }

    /// How deep the value at a path nests at most.
    fn depth_at(&self, path: &str) -> usize {
        self.depth.saturating_sub(steps(path))
    }
}

/// How many levels below the document a path leads.
fn steps(path: &str) -> usize {
    path.matches('/').count()
}

/// The fields of operations that no JSON patch knows, each as field validation reports it: `json
/// patch unknown field "[0].foo"`.
pub fn unknown_json_patch_fields(patch: &Value) -> Vec<String> {
    let operations = patch.as_array().into_iter().flatten().enumerate();
    let fields = operations.flat_map(|(index, operation)| {
        let names = operation.as_object().into_iter().flat_map(Map::keys);
        names.map(move |name| (index, name))
    });
    fields
        .filter(|(_, name)| !["op", "path", "from", "value"].contains(&name.as_str()))
        .map(|(index, name)| format!("json patch unknown field \"[{index}].{name}\""))
        .collect()
}

/// The operations of a patch, which are objects with texts for `op`, `path` and `from`.
fn operations(patch: &Value) -> Result<&[Value], PatchError> {
    let refuse = |found: &Value, expected: &str| {
        let found = print::json_kind(found);
        Err(PatchError::BadRequest(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go {expected}"
        )))
    };
    let operations = match patch {
        Value::Array(operations) => operations.as_slice(),
        Value::Null => &[],
        other => return refuse(other, "value of type []handlers.jsonPatchOp"),
    };
    for operation in operations {
        let fields = match operation {
            Value::Object(fields) => fields,
            Value::Null => continue,
            other => return refuse(other, "value of type handlers.jsonPatchOp"),
        };
        for name in ["from", "op", "path"] {
            match fields.get(name) {
                None | Some(Value::Null | Value::String(_)) => {}
                Some(other) => {
                    let field = format!("struct field jsonPatchOp.{name} of type string");
                    return refuse(other, &field);
                }
            }
        }
    }
    Ok(operations)
}

/// One operation; none of its fields is sure to be there.
struct Operation<'a>(Option<&'a Map<String, Value>>);

type Outcome = Result<(), String>;

impl<'a> Operation<'a> {
    fn apply(&self, document: &mut Document) -> Outcome {
        match self.text("op").unwrap_or("unknown") {
            "add" => self.add(document),
            "remove" => Place::find(&mut document.value, self.path()?)?
                .remove()
                .map(drop),
            "replace" => self.replace(document),
            "move" => self.relocate(document),
            "test" => self.test(&mut document.value),
            "copy" => self.copy(document),
            other => Err(format!("Unexpected kind: {other}")),
        }
    }

    fn field(&self, name: &str) -> Option<&'a Value> {
        self.0.and_then(|fields| fields.get(name))
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.field(name).and_then(Value::as_str)
    }

    fn path(&self) -> Result<&'a str, String> {
        self.text("path")
            .ok_or_else(|| missing("operation", "path"))
    }

    fn from(&self) -> Result<&'a str, String> {
        self.text("from")
            .ok_or_else(|| missing("operation", "from"))
    }

    fn add(&self, document: &mut Document) -> Outcome {
        let value = self.field("value").cloned().unwrap_or_default();
        let depth = bounds::depth(&value);
        document.add(self.path()?, value, depth)
    }

    fn replace(&self, document: &mut Document) -> Outcome {
        let value = self.field("value");
        let path = self.path()?;
        if path.is_empty() {
            // Anything else than a whole document is passed over.
            match value {
                Some(Value::Object(_) | Value::Array(_)) => {
                    document.value = value.cloned().unwrap_or_default();
                    document.depth = bounds::depth(&document.value);
                }
                Some(_) => {}
                None => return Err(missing("replace operation", "value")),
            }
            return Ok(());
        }
        let value = value.cloned().unwrap_or_default();
        let depth = bounds::depth(&value);
        Place::find(&mut document.value, path)?.replace(value)?;
        document.grown(path, depth)
    }

    fn relocate(&self, document: &mut Document) -> Outcome {
        let from = self.from()?;
        let depth = document.depth_at(from);
        let value = Place::find(&mut document.value, from)?.remove()?;
        document.add(self.path()?, value, depth)
    }

    fn copy(&self, document: &mut Document) -> Outcome {
        let from = self.from()?;
        let depth = document.depth_at(from);
        let place = Place::find(&mut document.value, from)?;
        let value = place.get()?;
        let size = value.map_or(0, |value| bounds::json_size(value, MOST_COPIED));
        let copied = document.copied.saturating_add(size);
        if copied > MOST_COPIED {
            return Err(format!(
                "Unable to copy, the accumulated size increase of copy is {copied}, exceeding the \
                 limit {MOST_COPIED}"
            ));
        }
        let value = value.cloned().unwrap_or_default();
        document.copied = copied;
        document.add(self.path()?, value, depth)
    }

    fn test(&self, document: &mut Value) -> Outcome {
        let path = self.path()?;
        let expected = self.field("value");
        let place;
        let found = if path.is_empty() {
            Some(&*document)
        } else {
            place = Place::find(document, path)?;
            place.get()?
        };
        let found = found.filter(|value| !value.is_null());
        match (found, expected) {
            (None, Some(Value::Null)) => Ok(()),
            (Some(found), Some(expected)) if found == expected => Ok(()),
            _ => Err(format!("testing value {path} failed: test failed")),
        }
    }
}

/// A place in a document: an object and a key, or a list and an index, whether there is something
/// or not.
struct Place<'d> {
    container: &'d mut Value,
    key: String,
}

impl<'d> Place<'d> {
    fn find(document: &'d mut Value, path: &str) -> Result<Self, String> {
        let not_found = || missing("doc", path);
        // What is before the first slash does not matter.
        let mut steps = path.split('/').skip(1).map(decode);
        let mut key = steps.next().ok_or_else(not_found)?;
        let mut container = document;
        for next in steps {
            let below = match container {
                Value::Object(fields) => fields.get_mut(&key),
                Value::Array(items) => index(&key, items.len())
                    .ok()
                    .and_then(|index| items.get_mut(index)),
                _ => None,
            };
            container = below.ok_or_else(not_found)?;
            key = next;
        }
        match container {
            Value::Object(_) | Value::Array(_) => Ok(Self { container, key }),
            _ => Err(not_found()),
        }
    }

    /// What is there; for objects, nothing is no mistake.
    fn get(&self) -> Result<Option<&Value>, String> {
        match &*self.container {
            Value::Object(fields) => Ok(fields.get(&self.key)),
            Value::Array(items) => {
                let item = items.get(index(&self.key, items.len())?);
                item.map(Some).ok_or_else(|| bad_index(&self.key))
            }
            _ => Ok(None),
        }
    }

    fn add(&mut self, value: Value) -> Outcome {
        match &mut *self.container {
            Value::Object(fields) => {
                fields.insert(self.key.clone(), value);
            }
            Value::Array(items) if self.key == "-" => items.push(value),
            Value::Array(items) => {
                let index = index(&self.key, items.len() + 1)?;
                if index > items.len() {
                    return Err(bad_index(&self.key));
                }
                items.insert(index, value);
            }
            _ => {}
        }
        Ok(())
    }

    fn replace(&mut self, value: Value) -> Outcome {
        match &mut *self.container {
            Value::Object(fields) => {
                fields.insert(self.key.clone(), value);
            }
            Value::Array(items) => {
                let index = index(&self.key, items.len())?;
                let item = items.get_mut(index).ok_or_else(|| bad_index(&self.key))?;
                *item = value;
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes away what is there, and gives it.
    fn remove(&mut self) -> Result<Value, String> {
        match &mut *self.container {
            Value::Object(fields) => {
                let removed = fields.remove(&self.key);
                removed.ok_or_else(|| missing("remove operation", &self.key))
            }
            Value::Array(items) => {
                let index = index(&self.key, items.len())?;
                if index >= items.len() {
                    return Err(bad_index(&self.key));
                }
                Ok(items.remove(index))
            }
            _ => Ok(Value::Null),
        }
    }
}

/// The index of an item; below zero it counts back from the length. It may be past the end.
fn index(key: &str, length: usize) -> Result<usize, String> {
    let index: isize = key.parse().map_err(|_| bad_index(key))?;
    if index >= 0 {
        return Ok(index.unsigned_abs());
    }
    let index = length.checked_sub(index.unsigned_abs());
    index.ok_or_else(|| bad_index(key))
}

fn decode(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

fn bad_index(key: &str) -> String {
    format!("Unable to access invalid index: {key}")
}

fn missing(what: &str, path: &str) -> String {
    format!("{what} is missing {path}: missing value")
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
