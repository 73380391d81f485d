//! Overrides: JSON patches on the template for single clusters.
//!
//! A patch is input from people, and a few operations can ask for a lot: 64 `copy`s double a
//! document 64 times, moves nest it deeper than anything can walk. So each operation is checked
//! before it is done: for what it makes the document grow by (kube-apiserver bounds copies too), for
//! how deep it puts what it moves, and for the work that it is.

use federation::api::{ClusterOverride, PatchOperation};
use json_patch::{Patch, PatchOperation as Operation};
use serde_json::Value;

/// How much larger than it was `copy` operations may make a template, in bytes of JSON.
const MAX_GROWTH: usize = 1 << 20;
/// How deep a template may be nested; Kubernetes' own go down to about 20.
const MAX_DEPTH: usize = 64;
/// The work that the overrides of one object may be, in bytes moved, compared and read.
const MAX_WORK: usize = 64 << 20;
/// What an element of a list costs when others are put in before it, and a step of a path.
const ELEMENT: usize = 32;

/// The template as a cluster gets it, for no more than is left of the object's budget. The error names
/// the operation.
pub fn apply(
    template: &Value,
    overrides: &[ClusterOverride],
    cluster: &str,
    budget: &mut Budget,
) -> Result<Value, String> {
    budget.growth = MAX_GROWTH;
    // Copied, and read afterwards.
    budget.take(2 * Size::of(template).bytes)?;
    let mut patched = template.clone();
    for (position, one) in overrides
        .iter()
        .enumerate()
        .filter(|(_, one)| one.cluster == cluster)
    {
        for (step, operation) in one.patch.iter().enumerate() {
            budget.apply(&mut patched, operation).map_err(|problem| {
                format!("overrides[{position}].patch[{step}] for {cluster}: {problem}")
            })?;
        }
        check(&patched).map_err(|problem| {
            format!("overrides[{position}] for {cluster} makes of the template none: {problem}")
        })?;
    }
    Ok(patched)
}

/// What the overrides of an object may still cost.
pub struct Budget {
    /// Of the cluster's template.
    growth: usize,
    /// Of all clusters.
    work: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            growth: MAX_GROWTH,
            work: MAX_WORK,
        }
    }
}

impl Budget {
    fn take(&mut self, work: usize) -> Result<(), String> {
        let rest = self.work.checked_sub(work);
        self.work = rest.ok_or(
            "the overrides are too much work: write fewer, or shorter lists, or a smaller template",
        )?;
        Ok(())
    }

    fn apply(&mut self, document: &mut Value, operation: &PatchOperation) -> Result<(), String> {
        let operation: Operation = serde_json::to_value(operation)
            .and_then(serde_json::from_value)
            .map_err(|error| error.to_string())?;
        self.allow(document, &operation)?;
        json_patch::patch(document, &Patch(vec![operation])).map_err(|error| error.to_string())
    }

    /// Takes what the operation costs, if there is as much.
    fn allow(&mut self, document: &Value, operation: &Operation) -> Result<(), String> {
        let path = operation.path().as_str();
        let mut work = path.len() + shifted(document, path);
        let mut placed = Size::default();
        match operation {
            Operation::Add(add) => placed = Size::of(&add.value),
            Operation::Replace(replace) => placed = Size::of(&replace.value),
            Operation::Test(test) => work += Size::of(&test.value).bytes,
            Operation::Copy(copy) => {
                placed = Size::of_pointed(document, copy.from.as_str());
                self.growth = self.growth.checked_sub(placed.bytes).ok_or_else(|| {
                    format!(
                        "its copies make the template more than {MAX_GROWTH} bytes larger: write what is needed"
                    )
                })?;
            }
            Operation::Move(moved) => {
                placed = Size::of_pointed(document, moved.from.as_str());
                work += shifted(document, moved.from.as_str());
            }
            Operation::Remove(_) => {}
        }
        if path.matches('/').count() + placed.depth > MAX_DEPTH {
            return Err(format!(
                "it nests the template more than {MAX_DEPTH} levels deep"
            ));
        }
        self.take(work + placed.bytes)
    }
}

/// What moves when an element is put into the list at `path`, or taken out.
fn shifted(document: &Value, path: &str) -> usize {
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    match document.pointer(parent) {
        Some(Value::Array(list)) => list.len() * ELEMENT,
        _ => 0,
    }
}

/// How large a value is.
#[derive(Default)]
struct Size {
    /// About as many bytes of JSON.
    bytes: usize,
    /// Levels of lists and objects.
    depth: usize,
}

impl Size {
    fn of_pointed(document: &Value, pointer: &str) -> Self {
        document.pointer(pointer).map(Self::of).unwrap_or_default()
    }

    fn of(value: &Value) -> Self {
        let mut all = Self { bytes: 8, depth: 0 };
        let mut below = |size: Self| {
            all.bytes += size.bytes;
            all.depth = all.depth.max(size.depth + 1);
        };
        match value {
            Value::String(text) => all.bytes += text.len(),
            Value::Array(list) => list.iter().for_each(|one| below(Self::of(one))),
            Value::Object(object) => {
                for (key, one) in object {
                    let mut size = Self::of(one);
                    size.bytes += key.len();
                    below(size);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        all
    }
}

/// Whether the metadata can carry labels; the rest is for those who read it.
fn check(template: &Value) -> Result<(), String> {
    let is_map = |value: &Value| value.is_null() || value.is_object();
    let fields = [
        ("", template),
        ("metadata", &template["metadata"]),
        ("metadata.labels", &template["metadata"]["labels"]),
        ("metadata.annotations", &template["metadata"]["annotations"]),
        ("spec", &template["spec"]),
    ];
    match fields.iter().find(|(_, value)| !is_map(value)) {
        Some(("", _)) => Err("it is no object".to_owned()),
        Some((field, _)) => Err(format!("{field} is no object")),
        None if template.is_null() => Err("it is no object".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "overrides_tests.rs"]
mod tests;
