//! How a value is owned: as one field, item by item, or field by field.
//!
//! This is what structured-merge-diff makes of a schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::element::PathElement;
use crate::schema::{Form, List, ListKind, Object, PatchMerge, Schema};

/// How a value is owned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape<'s> {
    /// As one field.
    Scalar,
    /// A list; item by item unless it is atomic.
    List(ListShape<'s>),
    /// An object; field by field unless it is atomic.
    Map(MapShape<'s>),
}

/// A list: of a known schema, or of an unknown one, which is atomic.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListShape<'s>(Option<&'s List>);

/// An object: of a known schema, or of an unknown one, which is owned field by field.
#[derive(Clone, Copy, Debug)]
pub(super) struct MapShape<'s>(Option<&'s Object>);

impl<'s> Shape<'s> {
    /// The shape of a value, which decides where the schema allows any.
    pub(super) fn of(schema: &'s Schema, value: &Value) -> Self {
        match &schema.form {
            Form::Object(object) => Self::Map(MapShape(Some(object))),
            Form::List(list) => Self::List(ListShape(Some(list))),
            Form::Any => match value {
                Value::Array(_) => Self::List(ListShape(None)),
                Value::Object(_) | Value::Null => Self::Map(MapShape(None)),
                _ => Self::Scalar,
            },
            _ => Self::Scalar,
        }
    }
}

impl<'s> ListShape<'s> {
    /// It is owned as a whole.
    pub(super) fn is_atomic(self) -> bool {
        self.0.is_none_or(|list| list.kind == ListKind::Atomic)
    }

    pub(super) fn items(self) -> &'s Schema {
        self.0.map_or(&ANY, |list| &list.items)
    }

    /// Names an item; or says why it cannot be told from others.
    pub(super) fn element(self, item: &Value) -> Result<PathElement, String> {
        match self.0.map(|list| &list.kind) {
            Some(ListKind::Map(keys)) => self.keyed(keys, item),
            Some(ListKind::Set) => match item {
                Value::Object(_) => {
                    Err("associative list without keys has an element that's a map type".to_owned())
                }
                Value::Array(_) => {
                    Err("not supported: associative list with lists as elements".to_owned())
                }
                Value::Null => {
                    let reason =
                        "associative list without keys has an element that's an explicit null";
                    Err(reason.to_owned())
                }
                value => Ok(PathElement::Value(value.clone())),
            },
            Some(ListKind::Atomic) | None => {
                Err("invalid indexing of non-associative list".to_owned())
            }
        }
    }

    fn keyed(self, keys: &[String], item: &Value) -> Result<PathElement, String> {
        let fields = match item {
            Value::Object(fields) => fields,
            Value::Null => {
                return Err("associative list with keys may not have a null element".to_owned());
            }
            _ => {
                return Err("associative list with keys may not have non-map elements".to_owned());
            }
        };
        let values = keys.iter().filter_map(|key| {
            let value = fields.get(key).or_else(|| self.key_default(key))?;
            Some((key.clone(), value.clone()))
        });
        let values: Vec<_> = values.collect();
        if values.is_empty() {
            let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and \
                 doesn't have default values for any key fields)",
                keys.join(" ")
            ));
        }
        Ok(PathElement::key(values))
    }

    fn key_default(self, key: &str) -> Option<&'s Value> {
        match &self.items().form {
            Form::Object(object) => object.properties.get(key)?.default.as_ref(),
            _ => None,
        }
    }
}

impl<'s> MapShape<'s> {
    /// The shape of an object of this schema.
    pub(super) fn of(schema: &'s Schema) -> Self {
        match &schema.form {
            Form::Object(object) => Self(Some(object)),
            _ => Self(None),
        }
    }

    /// It is owned as a whole.
    pub(super) fn is_atomic(self) -> bool {
        self.0.is_some_and(|object| object.atomic)
    }

    /// A field of its own, not an entry of a map.
    pub(super) fn is_declared(self, name: &str) -> bool {
        self.0.is_some_and(|object| {
            object.properties.contains_key(name) || type_field(object, name).is_some()
        })
    }

    /// The schema of a field; any value where it is not known.
    pub(super) fn field(self, name: &str) -> &'s Schema {
        self.known_field(name).unwrap_or(&ANY)
    }

    /// The schema of a field; none if there must not be such a field.
    pub(super) fn known_field(self, name: &str) -> Option<&'s Schema> {
        let Some(object) = self.0 else {
            return Some(&ANY);
        };
        if let Some(schema) = type_field(object, name) {
            return Some(schema);
        }
        let known = object.properties.get(name).or(object.additional.as_ref());
        match known {
            Some(schema) => Some(schema),
            None if object.preserve_unknown || object.properties.is_empty() => Some(&ANY),
            None => None,
        }
    }
}

/// The schema of an object at the root: it has a type and metadata, said or not.
pub(super) fn rooted(schema: &Schema) -> Cow<'_, Schema> {
    let object = match &schema.form {
        Form::Object(object) if object.embedded_resource => return Cow::Borrowed(schema),
        Form::Object(object) => object.clone(),
        _ => Object {
            preserve_unknown: true,
            ..Object::default()
        },
    };
    let object = Object {
        embedded_resource: true,
        ..object
    };
    Cow::Owned(Schema {
        form: Form::Object(object),
        ..Schema::default()
    })
}

/// The fields that every Kubernetes object has, where its schema does not know them better.
fn type_field<'s>(object: &'s Object, name: &str) -> Option<&'s Schema> {
    if !object.embedded_resource {
        return None;
    }
    match name {
        "apiVersion" | "kind" => Some(&TEXT),
        "metadata" => match object.properties.get(name) {
            Some(known) if knows_metadata(known) => Some(known),
            _ => Some(&METADATA),
        },
        _ => None,
    }
}

fn knows_metadata(schema: &Schema) -> bool {
    match &schema.form {
        Form::Object(object) => object.properties.contains_key("ownerReferences"),
        _ => false,
    }
}

/// Any value.
pub(super) static ANY: Schema = plain(Form::Any);
static TEXT: Schema = plain(Form::String(None));

/// `ObjectMeta`.
static METADATA: LazyLock<Schema> = LazyLock::new(|| {
    let texts = Object {
        additional: Some(Arc::new(plain(Form::String(None)))),
        ..Object::default()
    };
    let references = List {
        items: Arc::new(plain(Form::Object(Object {
            preserve_unknown: true,
            atomic: true,
            ..Object::default()
        }))),
        kind: ListKind::Map(vec!["uid".to_owned()]),
        patch_merge: Some(PatchMerge::Key("uid".to_owned())),
    };
    let finalizers = List {
        items: Arc::new(plain(Form::String(None))),
        kind: ListKind::Set,
        patch_merge: Some(PatchMerge::Values),
    };
    let entries = List {
        items: Arc::new(plain(Form::Any)),
        kind: ListKind::Atomic,
        patch_merge: None,
    };
    let date = || Form::String(Some("date-time".to_owned()));
    let fields = [
        ("annotations", Form::Object(texts.clone())),
        ("creationTimestamp", date()),
        ("deletionGracePeriodSeconds", Form::Integer),
        ("deletionTimestamp", date()),
        ("finalizers", Form::List(finalizers)),
        ("generateName", Form::String(None)),
        ("generation", Form::Integer),
        ("labels", Form::Object(texts)),
        ("managedFields", Form::List(entries)),
        ("name", Form::String(None)),
        ("namespace", Form::String(None)),
        ("ownerReferences", Form::List(references)),
        ("resourceVersion", Form::String(None)),
        ("selfLink", Form::String(None)),
        ("uid", Form::String(None)),
    ];
    let properties: BTreeMap<_, _> = fields
        .into_iter()
        .map(|(name, form)| (name.to_owned(), Arc::new(plain(form))))
        .collect();
    plain(Form::Object(Object {
        properties,
        ..Object::default()
    }))
});

const fn plain(form: Form) -> Schema {
    Schema {
        type_name: None,
        form,
        description: None,
        nullable: false,
        default: None,
    }
}
