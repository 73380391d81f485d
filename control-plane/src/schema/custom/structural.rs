//! Whether a schema is structural: every value has one type, which is said outside of `allOf` and
//! the like.

use super::pattern;
use super::props::{Additional, Items, Props};
use crate::schema::{FieldError, Path};

/// Where a schema is.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Says what keeps a schema from being structural, in order.
pub(super) fn check(props: &Props, path: &Path<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    invariants(props, Level::Root, path, &mut errors);
    completeness(props, path, &mut errors);
    errors.sort_by_cached_key(ToString::to_string);
    errors
}

/// What a structural schema has no place for at all; none if there is nothing of it.
pub(super) fn unsupported(props: &Props) -> Option<String> {
    let named = [
        (!props.id.is_empty(), "id"),
        (!props.schema.is_empty(), "schema"),
        (
            props
                .reference
                .as_ref()
                .is_some_and(|name| !name.is_empty()),
            "$ref",
        ),
        (!props.pattern_properties.is_empty(), "patternProperties"),
        (props.dependencies.is_some(), "dependencies"),
        (props.additional_items.is_some(), "additionalItems"),
        (!props.definitions.is_empty(), "definitions"),
    ];
    if let Some((_, name)) = named.iter().find(|(is_there, _)| *is_there) {
        return Some(format!("OpenAPIV3Schema '{name}' is not supported"));
    }
    if props.preserve_unknown == Some(false) {
        let name = "x-kubernetes-preserve-unknown-fields";
        return Some(format!(
            "internal error: '{name}' must be true or undefined"
        ));
    }
    if matches!(props.items, Some(Items::Many(_))) {
        return Some("OpenAPIV3Schema 'items' must be a schema, but is an array".to_string());
    }
    let nested = props
        .all_of
        .iter()
        .chain(&props.any_of)
        .chain(&props.one_of);
    let nested = nested
        .chain(props.not.as_deref())
        .chain(props.item())
        .chain(props.additional());
    nested
        .chain(props.properties.values())
        .find_map(unsupported)
}

fn invariants(props: &Props, level: Level, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    if props.type_name == "array" && props.items.is_none() {
        errors.push(FieldError::required(
            &path.field("items"),
            "must be specified",
        ));
    }
    if let Some(item) = props.item() {
        invariants(item, Level::Item, &path.field("items"), errors);
    }
    let properties = path.field("properties");
    for (name, property) in &props.properties {
        invariants(property, Level::Field, &properties.key(name), errors);
    }
    let path_of_additional = path.field("additionalProperties");
    if props.additional_properties.is_some() && level == Level::Root {
        errors.push(FieldError::forbidden(
            &path_of_additional,
            "must not be used at the root",
        ));
    }
    if let Some(additional) = props.additional() {
        invariants(additional, Level::Field, &path_of_additional, errors);
    }
    extensions(props, path, errors);
    let pair = int_or_string();
    let skips_any_of = props.any_of == pair;
    let skips_all_of = props
        .all_of
        .first()
        .is_some_and(|first| first.any_of == pair);
    junctors(props, (skips_any_of, skips_all_of), path, errors);
    type_is_said(props, level, path, errors);
    metadata(props, level, path, errors);
}

fn extensions(props: &Props, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let detail = "must be false if x-kubernetes-int-or-string is true";
    for (is_set, name) in [
        (
            props.preserves_unknown(),
            "x-kubernetes-preserve-unknown-fields",
        ),
        (props.embedded_resource, "x-kubernetes-embedded-resource"),
    ] {
        if props.int_or_string && is_set {
            errors.push(FieldError::invalid(&path.field(name), true, detail));
        }
    }
}

fn type_is_said(props: &Props, level: Level, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let name = props.type_name.as_str();
    let path_of_type = path.field("type");
    if props.embedded_resource && name != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if name.is_empty() {
            FieldError::required(&path_of_type, detail)
        } else {
            FieldError::invalid(&path_of_type, name, detail)
        });
    } else if name.is_empty() && !props.int_or_string && !props.preserves_unknown() {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(&path_of_type, detail));
    }
    if props.embedded_resource && props.additional_properties.is_some() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(
            &path.field("additionalProperties"),
            detail,
        ));
    }
    if level == Level::Root && !name.is_empty() && name != "object" {
        let detail = "must be object at the root";
        errors.push(FieldError::invalid(&path_of_type, name, detail));
    }
    if props.embedded_resource && !props.preserves_unknown() && props.properties.is_empty() {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                      x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(&path.field("properties"), detail));
    }
}

/// Of an object's type and metadata, little can be said.
fn metadata(props: &Props, level: Level, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let is_object = level == Level::Root || props.embedded_resource;
    let path = path.field("properties");
    if is_object {
        for (name, wanted) in [
            ("kind", "string"),
            ("apiVersion", "string"),
            ("metadata", "object"),
        ] {
            let Some(property) = props.properties.get(name) else {
                continue;
            };
            if property.type_name != wanted {
                let (path, detail) = (path.key(name), format!("must be {wanted}"));
                let type_name = property.type_name.as_str();
                errors.push(FieldError::invalid(&path.field("type"), type_name, detail));
            }
        }
    }
    let Some(metadata) = props.properties.get("metadata") else {
        return;
    };
    let mut rest = metadata.clone();
    let is_name = |name: &String| matches!(name.as_str(), "name" | "generateName");
    if rest.properties.keys().all(is_name) {
        rest.properties.clear();
    }
    rest.type_name.clear();
    rest.default = None;
    if level == Level::Root && rest != Props::default() {
        let detail = "must not specify anything other than name and generateName, but metadata \
                      is implicitly specified";
        errors.push(FieldError::forbidden(&path.key("metadata"), detail));
    }
}

/// The one pattern of types below `anyOf` that is permitted.
fn int_or_string() -> Vec<Props> {
    let of = |name: &str| Props {
        type_name: name.to_string(),
        ..Props::default()
    };
    vec![of("integer"), of("string")]
}

/// Checks what is below `allOf` and the like. `skips` says that `anyOf`, here or in the first
/// `allOf`, is the pattern for whole numbers and texts.
fn junctors(props: &Props, skips: (bool, bool), path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let lists = [
        ("anyOf", &props.any_of),
        ("allOf", &props.all_of),
        ("oneOf", &props.one_of),
    ];
    for (name, list) in lists {
        if name == "anyOf" && skips.0 {
            continue;
        }
        let path = path.field(name);
        for (index, part) in list.iter().enumerate() {
            let skips = (name == "allOf" && index == 0 && skips.1, false);
            nested(part, skips, &path.index(index), errors);
        }
    }
    if let Some(not) = &props.not {
        nested(not, (false, false), &path.field("not"), errors);
    }
    if !props.pattern.is_empty()
        && let Err(error) = pattern::compiled(&props.pattern)
    {
        let detail =
            format!("must be a valid regular expression, but isn't: error parsing regexp: {error}");
        let pattern = props.pattern.as_str();
        errors.push(FieldError::invalid(&path.field("pattern"), pattern, detail));
    }
}

fn nested(props: &Props, skips: (bool, bool), path: &Path<'_>, errors: &mut Vec<FieldError>) {
    junctors(props, skips, path, errors);
    if let Some(item) = props.item() {
        nested(item, (false, false), &path.field("items"), errors);
    }
    let properties = path.field("properties");
    for (name, property) in &props.properties {
        nested(property, (false, false), &properties.key(name), errors);
    }
    let additional = !matches!(
        props.additional_properties,
        None | Some(Additional::Allowed(false))
    );
    for (is_there, name, wanted) in [
        (!props.type_name.is_empty(), "type", "empty"),
        (additional, "additionalProperties", "undefined"),
        (props.default.is_some(), "default", "undefined"),
        (!props.title.is_empty(), "title", "empty"),
        (!props.description.is_empty(), "description", "empty"),
        (props.nullable, "nullable", "false"),
        (
            props.preserves_unknown(),
            "x-kubernetes-preserve-unknown-fields",
            "false",
        ),
        (
            props.embedded_resource,
            "x-kubernetes-embedded-resource",
            "false",
        ),
        (props.int_or_string, "x-kubernetes-int-or-string", "false"),
        (
            !props.list_map_keys.is_empty(),
            "x-kubernetes-list-map-keys",
            "empty",
        ),
        (
            props.list_type.is_some(),
            "x-kubernetes-list-type",
            "undefined",
        ),
        (
            props.map_type.is_some(),
            "x-kubernetes-map-type",
            "undefined",
        ),
        (
            !props.validations.is_empty(),
            "x-kubernetes-validations",
            "empty",
        ),
    ] {
        if is_there {
            let detail = format!("must be {wanted} to be structural");
            errors.push(FieldError::forbidden(&path.field(name), detail));
        }
    }
    if props.properties.contains_key("metadata") {
        let detail = "must not be specified in a nested context";
        errors.push(FieldError::forbidden(&properties.key("metadata"), detail));
    }
}

/// Every field and item that is named below `allOf` and the like of the root is also named outside.
fn completeness(props: &Props, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    below(props, Some(props), (path, path), errors);
}

/// Goes down `allOf` and the like. `paths` are those outside and of where it is said.
fn below(
    props: &Props,
    outside: Option<&Props>,
    paths: (&Path<'_>, &Path<'_>),
    errors: &mut Vec<FieldError>,
) {
    let (path, said) = paths;
    if let Some(not) = &props.not {
        complete(not, outside, (path, &said.field("not")), errors);
    }
    for (name, list) in [
        ("allOf", &props.all_of),
        ("anyOf", &props.any_of),
        ("oneOf", &props.one_of),
    ] {
        let said = said.field(name);
        for (index, part) in list.iter().enumerate() {
            complete(part, outside, (path, &said.index(index)), errors);
        }
    }
}

/// `outside` is what is said of the same value outside.
fn complete(
    props: &Props,
    outside: Option<&Props>,
    paths: (&Path<'_>, &Path<'_>),
    errors: &mut Vec<FieldError>,
) {
    let (path, said) = paths;
    let Some(known) = outside else {
        let detail = format!("because it is defined in {said}");
        errors.push(FieldError::required(path, detail));
        return;
    };
    below(props, outside, paths, errors);
    if let Some(item) = props.item() {
        let paths = (&path.field("items"), &said.field("items"));
        complete(item, known.item(), paths, errors);
    }
    let (path, said) = (path.field("properties"), said.field("properties"));
    for (name, property) in &props.properties {
        let paths = (&path.key(name), &said.key(name));
        complete(property, known.properties.get(name), paths, errors);
    }
}
