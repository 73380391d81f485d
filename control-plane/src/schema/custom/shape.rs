//! The shape of a CRD's type: what is shared with built-in types.

use std::sync::Arc;

use super::props::{Additional, Props};
use crate::schema::{Form, List, ListKind, Object, Schema};

/// The shape of a structural schema.
pub(super) fn of(props: &Props) -> Arc<Schema> {
    Arc::new(Schema {
        type_name: None,
        form: form(props),
        description: (!props.description.is_empty()).then(|| props.description.clone()),
        nullable: props.nullable,
        default: props.default.clone(),
    })
}

fn form(props: &Props) -> Form {
    if props.int_or_string {
        return Form::IntOrString;
    }
    match props.type_name.as_str() {
        "array" => list(props),
        "string" => Form::String((!props.format.is_empty()).then(|| props.format.clone())),
        "integer" => Form::Integer,
        "number" => Form::Number,
        "boolean" => Form::Boolean,
        _ => object(props),
    }
}

fn object(props: &Props) -> Form {
    let is_bare = props.properties.is_empty() && props.additional_properties.is_none();
    let preserve_unknown = props.preserves_unknown();
    if is_bare && preserve_unknown && !props.embedded_resource {
        return Form::Any;
    }
    let properties = props.properties.iter();
    Form::Object(Object {
        properties: properties
            .map(|(name, props)| (name.clone(), of(props)))
            .collect(),
        required: props.required.clone(),
        additional: props
            .additional_properties
            .as_ref()
            .map(|additional| match additional {
                Additional::Schema(props) => of(props),
                // The fields are kept, but nothing is known of what is in them.
                Additional::Allowed(_) => Arc::new(Schema {
                    form: Form::Object(Object::default()),
                    nullable: true,
                    ..Schema::default()
                }),
            }),
        preserve_unknown,
        atomic: props.map_type.as_deref() == Some("atomic"),
        embedded_resource: props.embedded_resource,
    })
}

fn list(props: &Props) -> Form {
    let mut items = props.item().map(of).unwrap_or_default();
    if props.preserves_unknown() {
        preserve(&mut items);
    }
    Form::List(List {
        items,
        kind: match props.list_type() {
            Some("map") => ListKind::Map(props.list_map_keys.clone()),
            Some("set") => ListKind::Set,
            _ => ListKind::Atomic,
        },
        patch_merge: None,
    })
}

/// A list that preserves unknown fields does so in its items.
fn preserve(schema: &mut Arc<Schema>) {
    match &mut Arc::make_mut(schema).form {
        Form::Object(object) => object.preserve_unknown = true,
        Form::List(list) => preserve(&mut list.items),
        _ => {}
    }
}
