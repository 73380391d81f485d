//! Strategic merge patches: lists.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::directive::{DIRECTIVE, bad_type, unknown_directive};
use super::{PatchError, print};
use crate::schema::Schema;
use crate::work;

/// How a list is merged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ListMerge<'a> {
    /// The patch takes its place.
    Replace,
    /// Each value once.
    Values,
    /// Items with the same value under this key are merged.
    Key(&'a str),
}

impl<'a> ListMerge<'a> {
    fn key(self) -> Option<&'a str> {
        match self {
            Self::Key(key) => Some(key),
            _ => None,
        }
    }
}

/// Merges a patch into an item, which is an object.
type MergeItem = fn(
    Map<String, Value>,
    Map<String, Value>,
    Option<&Schema>,
) -> Result<Map<String, Value>, PatchError>;

/// The schema of the items, and how they are merged.
pub(super) type Items<'a> = (Option<&'a Schema>, MergeItem);

/// Merges the items of a patch into a list.
///
/// The items of the patch are in its order; the others keep theirs, among them.
pub(super) fn merge_list(
    items: Vec<Value>,
    patch: Vec<Value>,
    merge: &ListMerge<'_>,
    of_items: Items<'_>,
) -> Result<Vec<Value>, PatchError> {
    work::check_deadline()?;
    if *merge == ListMerge::Replace {
        return Ok(patch);
    }
    if items.is_empty() && patch.is_empty() {
        return Ok(items);
    }
    let (merged, patch, before) = if all_of_one_type(&items, &patch)? == Kind::Objects {
        let Some(key) = merge.key() else {
            let reason = "cannot merge lists without merge key for struct";
            return Err(PatchError::Internal(reason.to_owned()));
        };
        let (items, patch) = follow_directives(items, patch, key)?;
        let before = items.clone();
        (merge_by_key(items, &patch, key, of_items)?, patch, before)
    } else {
        let mut seen = HashSet::new();
        let all = items.iter().chain(&patch);
        let merged = all.filter(|item| seen.insert(*item)).cloned().collect();
        (merged, patch, items)
    };
    sort(merged, &patch, &before, *merge)
}

/// Deletes values from a list. Objects are not deleted so, but merged.
pub(super) fn delete_items(
    mut items: Vec<Value>,
    gone: Vec<Value>,
    merge: &ListMerge<'_>,
    of_items: Items<'_>,
) -> Result<Vec<Value>, PatchError> {
    if items.is_empty() && gone.is_empty() {
        return Ok(items);
    }
    if all_of_one_type(&items, &gone)? == Kind::Objects {
        let merge = match merge {
            ListMerge::Replace => &ListMerge::Values,
            merge => merge,
        };
        return merge_list(items, gone, merge, of_items);
    }
    let gone: HashSet<Value> = gone.into_iter().collect();
    items.retain(|item| !gone.contains(item));
    Ok(items)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Objects,
    Others,
}

/// All items of both lists are of one type, and none is a list.
fn all_of_one_type(items: &[Value], patch: &[Value]) -> Result<Kind, PatchError> {
    let mut all = items.iter().chain(patch);
    let Some(first) = all.next() else {
        let reason = "no elements in any of the given slices";
        return Err(PatchError::Internal(reason.to_owned()));
    };
    if first.is_array() {
        let reason = "lists of lists are not supported";
        return Err(PatchError::Unprocessable(reason.to_owned()));
    }
    if all.any(|item| print::type_name(item) != print::type_name(first)) {
        let lists = Value::Array(vec![items.into(), patch.into()]);
        let lists = print::plain(&lists);
        return Err(PatchError::Internal(format!(
            "list element types are not identical: {lists}"
        )));
    }
    match first {
        Value::Object(_) => Ok(Kind::Objects),
        _ => Ok(Kind::Others),
    }
}

/// Deletes what the patch says is to be deleted. Gives the list and what there is to be merged.
fn follow_directives(
    mut items: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut rest = Vec::new();
    let mut gone = HashSet::new();
    let mut replace = false;
    for item in patch {
        let fields = as_object(&item)?;
        let Some(directive) = fields.get(DIRECTIVE) else {
            rest.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                gone.insert(key_of(fields, key)?.clone());
            }
            Some("replace") => replace = true,
            Some("merge") => {
                let reason = "merging lists cannot yet be specified in the patch";
                return Err(PatchError::Internal(reason.to_owned()));
            }
            _ => return Err(unknown_directive(directive, fields)),
        }
    }
    items.retain(|item| item.get(key).is_none_or(|value| !gone.contains(value)));
    Ok(if replace {
        (rest, Vec::new())
    } else {
        (items, rest)
    })
}

fn merge_by_key(
    mut items: Vec<Value>,
    patch: &[Value],
    key: &str,
    of_items: Items<'_>,
) -> Result<Vec<Value>, PatchError> {
    let (schema, merge_item) = of_items;
    let mut known = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        if let Some(value) = item.get(key) {
            known.entry(value.clone()).or_insert(index);
        }
    }
    for item in patch {
        let fields = as_object(item)?;
        let value = key_of(fields, key)?;
        let there = known.get(value).and_then(|&index| items.get_mut(index));
        if let Some(Value::Object(there)) = there {
            let merged = merge_item(std::mem::take(there), fields.clone(), schema)?;
            *there = merged;
        } else {
            known.entry(value.clone()).or_insert(items.len());
            items.push(item.clone());
        }
    }
    Ok(items)
}

/// Checks that the items of a patch are all in the wanted order, `$setElementOrder`.
pub(super) fn check_order(
    patch: &[Value],
    order: &[Value],
    merge: &ListMerge<'_>,
) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    if merge.key().is_some() {
        for item in patch {
            as_object(item)?;
        }
    }
    let deleted = |item: &&Value| item.get(DIRECTIVE).is_some_and(|what| what == "delete");
    let mut wanted = order.iter().peekable();
    for item in patch.iter().filter(|item| !deleted(item)) {
        let mut found = wanted.peek().is_some() && item.get(DIRECTIVE).is_some();
        while !found && let Some(candidate) = wanted.next() {
            found = same_item(item, candidate, *merge)?;
        }
        if !found {
            let (patch, order) = (patch.into(), order.into());
            let (patch, order) = (print::plain(&patch), print::plain(&order));
            return Err(PatchError::Internal(format!(
                "The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n"
            )));
        }
    }
    Ok(())
}

fn same_item(a: &Value, b: &Value, merge: ListMerge<'_>) -> Result<bool, PatchError> {
    match merge.key() {
        Some(key) => Ok(key_of(as_object(a)?, key)? == key_of(as_object(b)?, key)?),
        None => Ok(a == b),
    }
}

/// Sorts a merged list as `$setElementOrder` wants it.
pub(super) fn sort_as_wanted(
    merged: Vec<Value>,
    order: &[Value],
    before: &[Value],
    patch: &[Value],
    merge: &ListMerge<'_>,
) -> Result<Vec<Value>, PatchError> {
    all_of_one_type(before, patch)?;
    match merge.key() {
        Some(key) => sort(merged, order, &after_deletions(before, patch, key), *merge),
        None => sort(merged, order, before, *merge),
    }
}

/// The places of items in a list: what is new comes in for what is deleted.
fn after_deletions(before: &[Value], patch: &[Value], key: &str) -> Vec<Value> {
    let directive = |item: &Value| item.get(DIRECTIVE).cloned();
    let deleted: HashSet<_> = patch
        .iter()
        .filter(|item| directive(item).is_some_and(|what| what == "delete"))
        .map(|item| item.get(key))
        .collect();
    let kept = before
        .iter()
        .filter(|item| !deleted.contains(&item.get(key)));
    let kept: Vec<&Value> = kept.collect();
    let known: HashSet<_> = kept.iter().map(|item| item.get(key)).collect();
    let new = patch.iter().filter(|item| directive(item).is_none());
    let new = new.filter(|item| !known.contains(&item.get(key)));
    let places = kept.iter().copied().chain(new);
    places.take(before.len()).cloned().collect()
}

/// Sorts the items that are in `order` by it, and puts the others where they were before.
fn sort(
    merged: Vec<Value>,
    order: &[Value],
    before: &[Value],
    merge: ListMerge<'_>,
) -> Result<Vec<Value>, PatchError> {
    let ids = |items: &[Value]| -> Result<Vec<Value>, PatchError> {
        items.iter().map(|item| id(item, merge)).collect()
    };
    let (order, before) = (places(ids(order)?), places(ids(before)?));
    let mut ordered = Vec::new();
    let mut others = Vec::new();
    for item in merged {
        let id = id(&item, merge)?;
        let then = before.get(&id).copied();
        match order.get(&id) {
            Some(&now) => ordered.push((now, then, item)),
            None => others.push((then, item)),
        }
    }
    ordered.sort_by_key(|(now, ..)| *now);
    others.sort_by_key(|(then, _)| *then);
    let mut ordered = ordered.into_iter().peekable();
    let mut sorted = Vec::new();
    for (then, item) in others {
        // Every item of the patch that is new, or was before this one, comes first.
        while let Some((.., next)) = ordered
            .next_if(|(_, earlier, _)| earlier.is_none() || then.is_none() || *earlier <= then)
        {
            sorted.push(next);
        }
        sorted.push(item);
    }
    sorted.extend(ordered.map(|(.., item)| item));
    Ok(sorted)
}

/// Where each item is first.
fn places(ids: Vec<Value>) -> HashMap<Value, usize> {
    let mut places = HashMap::with_capacity(ids.len());
    for (index, id) in ids.into_iter().enumerate() {
        places.entry(id).or_insert(index);
    }
    places
}

/// What an item is told from others by.
fn id(item: &Value, merge: ListMerge<'_>) -> Result<Value, PatchError> {
    match merge.key() {
        Some(key) => key_of(as_object(item)?, key).cloned(),
        None => Ok(item.clone()),
    }
}

fn as_object(item: &Value) -> Result<&Map<String, Value>, PatchError> {
    let object = item.as_object();
    object.ok_or_else(|| bad_type(&Value::Object(Map::new()), item))
}

fn key_of<'a>(item: &'a Map<String, Value>, key: &str) -> Result<&'a Value, PatchError> {
    item.get(key).ok_or_else(|| {
        let item = print::plain(&Value::Object(item.clone()));
        PatchError::Internal(format!(
            "map: {item} does not contain declared merge key: {key}"
        ))
    })
}
