//! Strategic merge patches: objects.
//!
//! Like a merge patch, but lists of the types that say so are merged item by item, and directives in
//! the patch say more: `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/…`, `$setElementOrder/…`.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::directive::{DIRECTIVE, bad_format, bad_type, unknown_directive};
use super::strategic_list::{ListMerge, check_order, delete_items, merge_list, sort_as_wanted};
use super::{PatchError, print};
use crate::schema::{Form, PatchMerge, Schema};
use crate::work;

const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// Applies a strategic merge patch to an object of a built-in type.
pub fn strategic_merge_patch(
    document: &Value,
    patch: &Value,
    schema: &Schema,
) -> Result<Value, PatchError> {
    let mut patch = match patch {
        Value::Object(patch) => patch.clone(),
        Value::Null => Map::new(),
        other => {
            let found = print::json_kind(other);
            return Err(PatchError::BadRequest(format!(
                "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
            )));
        }
    };
    let document = document.as_object().cloned().unwrap_or_default();
    replace_selector(&document, &mut patch);
    merge_object(document, patch, Some(schema)).map(Value::Object)
}

/// Says that the selector of a `PodDisruptionBudget` is replaced. Of all built-in types, it is the
/// one object that is not merged (`patchStrategy: replace`).
fn replace_selector(document: &Map<String, Value>, patch: &mut Map<String, Value>) {
    let is_budget = document
        .get("kind")
        .is_some_and(|kind| kind == "PodDisruptionBudget");
    let before = document.get("spec").and_then(|spec| spec.get("selector"));
    let selector = patch
        .get_mut("spec")
        .and_then(|spec| spec.get_mut("selector"));
    if let (true, Some(Value::Object(_)), Some(Value::Object(selector))) =
        (is_budget, before, selector)
    {
        selector.insert(DIRECTIVE.to_owned(), "replace".into());
    }
}

/// Merges a patch into an object. Of what has no schema, lists are replaced.
fn merge_object(
    mut object: Map<String, Value>,
    mut patch: Map<String, Value>,
    schema: Option<&Schema>,
) -> Result<Map<String, Value>, PatchError> {
    work::check_deadline()?;
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(unknown_directive(directive, &patch)),
        };
    }
    retain_keys(&mut object, &mut patch)?;
    merge_ordered_lists(&mut object, &mut patch, schema)?;
    for (name, value) in patch {
        if name.starts_with(DELETE_FROM_LIST) {
            let name = target_of(&name, DELETE_FROM_LIST, "primitive list")?;
            delete_from_list(&mut object, name, value, schema)?;
        } else {
            merge_field(&mut object, name, value, schema)?;
        }
    }
    Ok(object)
}

fn merge_field(
    object: &mut Map<String, Value>,
    name: String,
    patch: Value,
    schema: Option<&Schema>,
) -> Result<(), PatchError> {
    let schema = field(schema, &name);
    let merged = match (object.remove(&name), patch) {
        (_, Value::Null) => None,
        (Some(Value::Object(object)), Value::Object(patch)) => {
            Some(Value::Object(merge_object(object, patch, schema)?))
        }
        (Some(Value::Array(items)), Value::Array(patch)) => {
            let (merge, schema) = how_to_merge(schema);
            Some(Value::Array(merge_list(
                items,
                patch,
                &merge,
                (schema, merge_object),
            )?))
        }
        (_, patch) => without_directives(without_nulls(patch)),
    };
    if let Some(merged) = merged {
        object.insert(name, merged);
    }
    Ok(())
}

/// Follows `$deleteFromPrimitiveList`. Of a field that is no list, it is like a patch.
fn delete_from_list(
    object: &mut Map<String, Value>,
    name: &str,
    patch: Value,
    schema: Option<&Schema>,
) -> Result<(), PatchError> {
    match (object.get_mut(name), patch) {
        (Some(_), Value::Null) => {
            object.remove(name);
        }
        (Some(Value::Array(items)), Value::Array(gone)) => {
            let (merge, schema) = how_to_merge(field(schema, name));
            *items = delete_items(std::mem::take(items), gone, &merge, (schema, merge_object))?;
        }
        (Some(Value::Object(fields)), Value::Object(patch)) => {
            let merged = merge_object(std::mem::take(fields), patch, field(schema, name))?;
            *fields = merged;
        }
        (Some(found), patch) if print::type_name(found) == print::type_name(&patch) => {
            *found = patch;
        }
        _ => {}
    }
    Ok(())
}

/// `$retainKeys` lists all fields that the object shall have.
fn retain_keys(
    object: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
) -> Result<(), PatchError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let invalid = || bad_format("retainKeys");
    let keys = keys.as_array().ok_or_else(invalid)?;
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let is_retained = |name: &str| keys.contains(name);
    let is_directive =
        |name: &str| name.starts_with(DELETE_FROM_LIST) || name.starts_with(SET_ORDER);
    let mut written = patch.iter().filter(|(_, value)| !value.is_null());
    if written.any(|(name, _)| !is_directive(name) && !is_retained(name)) {
        return Err(invalid());
    }
    object.retain(|name, _| is_retained(name));
    Ok(())
}

/// Merges the lists for which the patch has `$setElementOrder`, and puts them in that order.
fn merge_ordered_lists(
    object: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    schema: Option<&Schema>,
) -> Result<(), PatchError> {
    let directives = patch.keys().filter(|name| name.starts_with(SET_ORDER));
    let directives: Vec<String> = directives.cloned().collect();
    for directive in directives {
        let Some(order) = patch.remove(&directive) else {
            continue;
        };
        let order = into_list(order)?;
        let name = target_of(&directive, SET_ORDER, "setElementOrder list")?;
        let items = object.get(name).cloned().map(into_list).transpose()?;
        let wanted = patch.remove(name).map(into_list).transpose()?;
        let (merge, schema) = how_to_merge(field(schema, name));
        check_order(wanted.as_deref().unwrap_or_default(), &order, &merge)?;
        let merged = match (items.clone(), wanted.clone()) {
            (None, None) => continue,
            (Some(items), None) => items,
            (None, Some(wanted)) => {
                let kept = wanted.into_iter().filter_map(without_directives);
                kept.collect()
            }
            (Some(items), Some(wanted)) => {
                merge_list(items, wanted, &merge, (schema, merge_object))?
            }
        };
        let (items, wanted) = (items.unwrap_or_default(), wanted.unwrap_or_default());
        let merged = sort_as_wanted(merged, &order, &items, &wanted, &merge)?;
        object.insert(name.to_owned(), Value::Array(merged));
    }
    Ok(())
}

fn into_list(value: Value) -> Result<Vec<Value>, PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(bad_type(&Value::Array(Vec::new()), &other)),
    }
}

/// The field that a directive with a slash is about.
fn target_of<'a>(directive: &'a str, prefix: &str, what: &str) -> Result<&'a str, PatchError> {
    match directive.split_once('/') {
        Some((start, target)) if start == prefix => Ok(target),
        _ => Err(bad_format(what)),
    }
}

fn field<'s>(schema: Option<&'s Schema>, name: &str) -> Option<&'s Schema> {
    match &schema?.form {
        Form::Object(object) => {
            let field = object.properties.get(name).or(object.additional.as_ref());
            field.map(|field| &**field)
        }
        _ => None,
    }
}

/// How a list is merged, and the schema of its items.
fn how_to_merge(schema: Option<&Schema>) -> (ListMerge<'_>, Option<&Schema>) {
    let Some(Form::List(list)) = schema.map(|schema| &schema.form) else {
        return (ListMerge::Replace, None);
    };
    let merge = match &list.patch_merge {
        None => ListMerge::Replace,
        Some(PatchMerge::Values) => ListMerge::Values,
        Some(PatchMerge::Key(key)) => ListMerge::Key(key),
    };
    (merge, Some(&list.items))
}

/// The value without `null` fields of objects.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, field)| !field.is_null());
            Value::Object(
                fields
                    .map(|(name, field)| (name, without_nulls(field)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        value => value,
    }
}

/// The value without the objects that are only directives; none if it is one itself.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => None,
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let fields =
                fields.filter_map(|(name, field)| Some((name, without_directives(field)?)));
            Some(Value::Object(fields.collect()))
        }
        Value::Array(items) => {
            let items = items.into_iter().filter_map(without_directives);
            Some(Value::Array(items.collect()))
        }
        value => Some(value),
    }
}

#[cfg(test)]
#[path = "strategic_tests.rs"]
mod tests;
