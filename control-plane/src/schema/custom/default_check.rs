//! Whether the defaults in a schema are valid by that schema.

use super::node::Node;
use super::props::Props;
use super::rules::{self, Place};
use super::{embedded, shape, validate};
use crate::schema::{FieldError, Path};

/// Checks every default in a schema, except those of fields that are not named: they must have
/// none.
pub(super) fn check(props: &Props, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    if props.default.is_some() {
        check_default(props, &path.field("default"), errors);
    }
    if let Some(item) = props.item() {
        check(item, &path.field("items"), errors);
    }
    let path = path.field("properties");
    for (name, property) in &props.properties {
        check(property, &path.key(name), errors);
    }
}

fn check_default(props: &Props, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let Some(default) = &props.default else {
        return;
    };
    let schema = shape::of(props);
    let mut pruned = default.clone();
    schema.prune_value(&mut pruned);
    if pruned != *default {
        let detail = "must not have unknown fields";
        errors.push(FieldError::invalid(path, default.clone(), detail));
    }
    let before = errors.len();
    embedded::check(&schema, default, path, errors);
    if errors.len() > before {
        return;
    }
    let node = Node::new(props, false);
    let found = validate::validate(&node, default, &Path::ROOT, None);
    if !found.is_empty() {
        errors.extend(found.into_iter().map(|error| error.within(path)));
        return;
    }
    // A default may stand where there was nothing, and where it was the same before.
    for old in [Some(default), None] {
        let place = Place {
            old,
            correlation: None,
            around: None,
        };
        rules::check(&node, default, place, path, errors);
        if errors.len() > before {
            return;
        }
    }
}
