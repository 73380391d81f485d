//! The annotation that a client-side `kubectl apply` leaves.
//!
//! When `kubectl` changes over to server-side apply, its own earlier fields are no conflict; and it
//! finds the annotation up to date when it changes back.

use serde_json::{Map, Value};

use super::Target;
use super::compare::Comparison;
use super::element::json;
use super::field_set::FieldSet;
use super::invalid::{self, Origin};
use crate::schema::Schema;

/// The only manager that this is for.
pub(super) const KUBECTL: &str = "kubectl";

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How large all annotations together may be, in bytes.
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// The fields that the annotation proves to be kubectl's: those that still are as it applied them.
pub(super) fn still_as_applied(
    live: &Value,
    schema: &Schema,
    target: &Target<'_>,
) -> Option<FieldSet> {
    let applied: Value = serde_json::from_str(annotation(live)?).ok()?;
    let is_same_version = applied.get("apiVersion")?.as_str() == Some(target.api_version);
    if !is_same_version || applied.get("kind").is_none() {
        return None;
    }
    invalid::check(&applied, schema, Origin::Sent).ok()?;
    // The real server does not allow repeated items here, either.
    invalid::check(live, schema, Origin::Sent).ok()?;
    let change = Comparison::of(&applied, live, &Value::Null, schema).ok()?;
    let mut fields = FieldSet::of_value(&applied, schema);
    fields.subtract(&change.modified);
    fields.subtract(&change.added);
    fields.subtract(&change.removed);
    Some(fields)
}

/// Brings the annotation up to date, if there is one.
pub(super) fn refresh(object: &mut Value, config: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut config = config.clone();
    if let Some(annotations) = annotations_mut(&mut config) {
        annotations.remove(ANNOTATION);
    }
    let text = format!("{}\n", json(&config));
    let Some(annotations) = annotations_mut(object) else {
        return;
    };
    annotations.insert(ANNOTATION.to_owned(), text.into());
    let size = annotations.iter().map(|(name, value)| {
        let value = value.as_str().map_or(0, str::len);
        name.len() + value
    });
    if size.sum::<usize>() > MOST_ANNOTATIONS {
        annotations.remove(ANNOTATION);
    }
}

fn annotation(object: &Value) -> Option<&str> {
    let annotations = object.get("metadata")?.get("annotations")?;
    let text = annotations.get(ANNOTATION)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

fn annotations_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let metadata = object.get_mut("metadata")?;
    metadata.get_mut("annotations")?.as_object_mut()
}
