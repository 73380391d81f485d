//! What else a CRD's schema must keep to: what Kubernetes supports of `OpenAPI`, its own extensions,
//! and the rules.

use super::cardinality::Cardinality;
use super::cel::check::check_rule;
use super::cel::cost::Costs;
use super::cel::field_path;
use super::props::{Additional, Items, Props, Rule};
use crate::schema::{FieldError, Path};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// What is found: what is wrong with the schema, and what is wrong with its rules.
#[derive(Default)]
pub(super) struct Found {
    pub schema: Vec<FieldError>,
    pub rules: Vec<FieldError>,
}

impl Found {
    fn append(&mut self, mut other: Self) {
        self.schema.append(&mut other.schema);
        self.rules.append(&mut other.rules);
    }
}

/// What depends on where a schema is.
#[derive(Clone)]
struct Context {
    /// Why there must be no defaults.
    no_defaults: Option<String>,
    in_metadata: bool,
    /// The nearest place around where old values can't be found again.
    uncorrelatable: Option<String>,
    /// Rules can be looked at.
    has_rules: bool,
    /// How many values of an object are checked by this schema at most.
    cardinality: Cardinality,
}

/// Checks a schema. Its rules are looked at only if it is good otherwise.
pub(super) fn check(props: &Props, looks_at_rules: bool, path: &Path<'_>) -> Found {
    let context = Context {
        no_defaults: None,
        in_metadata: false,
        uncorrelatable: None,
        has_rules: looks_at_rules,
        cardinality: Cardinality::ONE,
    };
    let mut costs = Costs::default();
    let mut found = check_props(props, &context, true, (path, &mut costs));
    costs.check_total(path, &mut found.rules);
    found
}

fn check_props(
    props: &Props,
    context: &Context,
    is_root: bool,
    (path, costs): (&Path<'_>, &mut Costs),
) -> Found {
    let mut found = Found::default();
    standard(props, context, path, &mut found.schema);
    if props.unique_items {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes \
                      quadratic";
        found
            .schema
            .push(FieldError::forbidden(&path.field("uniqueItems"), detail));
    }
    descend(props, context, is_root, (path, costs), &mut found);
    extensions(props, path, &mut found.schema);
    list(props, path, &mut found.schema);
    rules(
        props,
        context,
        is_root || props.embedded_resource,
        (path, costs),
        &mut found,
    );
    found
}

/// What Kubernetes supports.
fn standard(props: &Props, context: &Context, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let type_name = props.type_name.as_str();
    if !type_name.is_empty() && !TYPES.contains(&type_name) {
        errors.push(FieldError::not_supported(
            &path.field("type"),
            type_name,
            &TYPES,
        ));
    }
    if let (Some(_), Some(reason)) = (&props.default, &context.no_defaults) {
        let detail = format!("must not be set {reason}");
        errors.push(FieldError::forbidden(&path.field("default"), detail));
    }
    for (is_there, name) in [
        (!props.id.is_empty(), "id"),
        (props.additional_items.is_some(), "additionalItems"),
        (!props.pattern_properties.is_empty(), "patternProperties"),
        (!props.definitions.is_empty(), "definitions"),
        (props.dependencies.is_some(), "dependencies"),
        (props.reference.is_some(), "$ref"),
    ] {
        if is_there {
            let detail = format!("{name} is not supported");
            errors.push(FieldError::forbidden(&path.field(name), detail));
        }
    }
    if type_name == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(&path.field("type"), detail));
    }
    if matches!(&props.items, Some(Items::Many(items)) if !items.is_empty()) {
        let detail = "items must be a schema object and not an array";
        errors.push(FieldError::forbidden(&path.field("items"), detail));
    }
    if context.in_metadata && props.embedded_resource {
        let detail = "must not be used inside of resource meta";
        let path = path.field("x-kubernetes-embedded-resource");
        errors.push(FieldError::forbidden(&path, detail));
    }
}

/// Checks the schemas within a schema.
fn descend(
    props: &Props,
    context: &Context,
    is_root: bool,
    (path, costs): (&Path<'_>, &mut Costs),
    found: &mut Found,
) {
    let additional = path.field("additionalProperties");
    let is_open = matches!(
        props.additional_properties,
        None | Some(Additional::Allowed(true))
    );
    if !is_open && !props.properties.is_empty() {
        let detail = "additionalProperties and properties are mutual exclusive";
        found
            .schema
            .push(FieldError::forbidden(&additional, detail));
    }
    if let Some(schema) = props.additional() {
        let mut context = context.clone();
        if context.in_metadata {
            let reason = "inside additionalProperties applying to object metadata";
            context.no_defaults = Some(reason.to_string());
        }
        context.cardinality = context.cardinality.times(props.max_properties);
        found.append(check_props(schema, &context, false, (&additional, costs)));
    }
    let properties = path.field("properties");
    for (name, property) in &props.properties {
        let mut context = context.clone();
        let is_meta = matches!(name.as_str(), "metadata" | "kind" | "apiVersion");
        if (is_root || props.embedded_resource) && is_meta {
            context.in_metadata = true;
            if is_root {
                context.no_defaults = Some(format!("in top-level {name}"));
            }
        }
        found.append(check_props(
            property,
            &context,
            false,
            (&properties.key(name), costs),
        ));
    }
    let below = Context {
        has_rules: false,
        ..context.clone()
    };
    if let Some(not) = &props.not {
        found.append(check_props(not, &below, false, (&path.field("not"), costs)));
    }
    for (name, list) in [
        ("allOf", &props.all_of),
        ("oneOf", &props.one_of),
        ("anyOf", &props.any_of),
    ] {
        let path = path.field(name);
        for (index, part) in list.iter().enumerate() {
            found.append(check_props(
                part,
                &below,
                false,
                (&path.index(index), costs),
            ));
        }
    }
    if let Some(item) = props.item() {
        let mut context = context.clone();
        if props.list_type() != Some("map") && context.uncorrelatable.is_none() {
            context.uncorrelatable = Some(path.to_string());
        }
        context.cardinality = context.cardinality.times(props.max_items);
        let path = path.field("items");
        found.append(check_props(item, &context, false, (&path, costs)));
    }
}

/// The extensions whose names begin with `x-kubernetes-`.
fn extensions(props: &Props, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    if props.preserve_unknown == Some(false) {
        let path = path.field("x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(
            &path,
            false,
            "must be true or undefined",
        ));
    }
    let type_name = props.type_name.as_str();
    let mut expect_type = |wanted: &str, extension: &str| {
        let detail = format!("must be {wanted} if {extension} is specified");
        let path = path.field("type");
        errors.push(if type_name.is_empty() {
            FieldError::required(&path, detail)
        } else {
            FieldError::invalid(&path, type_name, detail)
        });
    };
    if props.map_type.is_some() && type_name != "object" {
        expect_type("object", "x-kubernetes-map-type");
    }
    if props.list_type.is_some() && type_name != "array" {
        expect_type("array", "x-kubernetes-list-type");
    }
    for (extension, value, known) in [
        (
            "x-kubernetes-map-type",
            &props.map_type,
            &["atomic", "granular"][..],
        ),
        (
            "x-kubernetes-list-type",
            &props.list_type,
            &["atomic", "set", "map"],
        ),
    ] {
        if let Some(value) = value.as_deref().filter(|value| !known.contains(value)) {
            errors.push(FieldError::not_supported(
                &path.field(extension),
                value,
                known,
            ));
        }
    }
}

/// Sets and map lists.
fn list(props: &Props, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let path_of_items = path.field("items");
    if let (Some("set"), Some(item), "array") =
        (props.list_type(), props.item(), props.type_name.as_str())
    {
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let odd = match item.type_name.as_str() {
            "array" if !matches!(item.list_type(), None | Some("atomic")) => {
                Some("x-kubernetes-list-type")
            }
            "object" if item.map_type.as_deref() != Some("atomic") => Some("x-kubernetes-map-type"),
            _ => None,
        };
        if let Some(extension) = odd {
            let shown = item.list_type.clone();
            errors.push(FieldError::invalid(
                &path_of_items.field(extension),
                shown,
                detail,
            ));
        }
    }
    let path_of_type = path.field("x-kubernetes-list-type");
    if !props.list_map_keys.is_empty() {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        match props.list_type() {
            None => errors.push(FieldError::required(&path_of_type, detail)),
            Some("map") => {}
            Some(other) => errors.push(FieldError::invalid(&path_of_type, other, detail)),
        }
    }
    if props.list_type() == Some("map") {
        map_list(props, path, errors);
    }
    keyed_items(props, path, errors);
}

fn map_list(props: &Props, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let path_of_keys = path.field("x-kubernetes-list-map-keys");
    if props.list_map_keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(&path_of_keys, detail));
    }
    let path_of_items = path.field("items");
    let Some(item) = props.item() else {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        errors.push(FieldError::required(&path_of_items, detail));
        return;
    };
    let type_name = item.type_name.as_str();
    if type_name != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(
            &path_of_items.field("type"),
            type_name,
            detail,
        ));
        return;
    }
    let properties = path_of_items.field("properties");
    for (index, key) in props.list_map_keys.iter().enumerate() {
        let mut complain = |detail: &str| {
            let keys = props.list_map_keys.clone();
            errors.push(FieldError::invalid(&path_of_keys, keys, detail));
        };
        if props
            .list_map_keys
            .iter()
            .take(index)
            .any(|other| other == key)
        {
            complain("must not contain duplicate entries");
        }
        match item.properties.get(key) {
            None => complain("entries must all be names of item properties"),
            Some(property) if matches!(property.type_name.as_str(), "array" | "object") => {
                let detail =
                    "must be a scalar type if parent array's x-kubernetes-list-type is map";
                let path = properties.key(key);
                errors.push(FieldError::invalid(&path.field("type"), type_name, detail));
            }
            Some(_) => {}
        }
    }
}

/// Items that are told apart are never null, nor are their keys.
fn keyed_items(props: &Props, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let (Some(item), Some(kind @ ("set" | "map"))) = (props.item(), props.list_type()) else {
        return;
    };
    let path = path.field("items");
    if item.nullable {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {kind}");
        errors.push(FieldError::forbidden(&path.field("nullable"), detail));
    }
    let path = path.field("properties");
    for key in props.list_map_keys.iter().filter(|_| kind == "map") {
        let Some(property) = item.properties.get(key) else {
            continue;
        };
        let path = path.key(key);
        if !item.required.contains(key) && property.default.is_none() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a \
                          default or be a required property";
            errors.push(FieldError::required(&path.field("default"), detail));
        }
        if property.nullable {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(&path.field("nullable"), detail));
        }
    }
}

fn rules(
    props: &Props,
    context: &Context,
    is_resource: bool,
    (path, costs): (&Path<'_>, &mut Costs),
    found: &mut Found,
) {
    let path = path.field("x-kubernetes-validations");
    for (index, rule) in props.validations.iter().enumerate() {
        rule_is_whole(rule, props, &path.index(index), &mut found.schema);
    }
    if !found.schema.is_empty() || !context.has_rules {
        return;
    }
    costs.enter(context.cardinality.of(props));
    for (index, rule) in props.validations.iter().enumerate() {
        let path = path.index(index);
        check_rule(
            rule,
            (props, is_resource),
            context.uncorrelatable.as_deref(),
            &path,
            (&mut found.rules, costs),
        );
    }
}

fn rule_is_whole(rule: &Rule, props: &Props, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    const REASONS: [&str; 4] = [
        "FieldValueDuplicate",
        "FieldValueForbidden",
        "FieldValueInvalid",
        "FieldValueRequired",
    ];
    const EMPTY: &str = "must be non-empty if specified";
    let (text, message) = (rule.expression.trim(), rule.message.trim());
    let path_of_message = path.field("message");
    if text.is_empty() {
        errors.push(FieldError::required(
            &path.field("rule"),
            "rule is not specified",
        ));
    } else if !rule.message.is_empty() && message.is_empty() {
        errors.push(FieldError::invalid(
            &path_of_message,
            rule.message.as_str(),
            EMPTY,
        ));
    } else if message.contains('\n') {
        let detail = "must not contain line breaks";
        errors.push(FieldError::invalid(
            &path_of_message,
            rule.message.as_str(),
            detail,
        ));
    } else if text.contains('\n') && message.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        errors.push(FieldError::required(&path_of_message, detail));
    }
    if !rule.message_expression.is_empty() && rule.message_expression.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.push(FieldError::required(
            &path.field("messageExpression"),
            detail,
        ));
    }
    if let Some(reason) = rule
        .reason
        .as_deref()
        .filter(|reason| !REASONS.contains(reason))
    {
        errors.push(FieldError::not_supported(
            &path.field("reason"),
            reason,
            &REASONS,
        ));
    }
    let (field, path) = (rule.field_path.as_str(), path.field("fieldPath"));
    if field.is_empty() {
        return;
    }
    if field.trim().is_empty() {
        errors.push(FieldError::invalid(&path, field, EMPTY));
    }
    if field.contains('\n') {
        errors.push(FieldError::invalid(
            &path,
            field,
            "must not contain line breaks",
        ));
    }
    if field_path::resolve(field, props, true).is_err() {
        errors.push(FieldError::invalid(&path, field, "must be a valid path"));
    }
}
