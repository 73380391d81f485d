//! Schemas and objects for tests.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{FieldSet, Manager, Target};
use crate::schema::{Form, List, ListKind, Object, Schema};

/// Fields, each with its schema.
pub(super) fn object(fields: &[(&str, Schema)]) -> Schema {
    let properties = fields.iter();
    let properties =
        properties.map(|(name, schema)| ((*name).to_owned(), Arc::new(schema.clone())));
    form(Form::Object(Object {
        properties: properties.collect(),
        ..Object::default()
    }))
}

pub(super) fn atomic(mut schema: Schema) -> Schema {
    if let Form::Object(object) = &mut schema.form {
        object.atomic = true;
    }
    schema
}

pub(super) fn map_of(values: Schema) -> Schema {
    form(Form::Object(Object {
        additional: Some(Arc::new(values)),
        ..Object::default()
    }))
}

pub(super) fn list(items: Schema, kind: ListKind) -> Schema {
    form(Form::List(List {
        items: Arc::new(items),
        kind,
        patch_merge: None,
    }))
}

pub(super) fn keyed(keys: &[&str], items: Schema) -> Schema {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    list(items, ListKind::Map(keys))
}

pub(super) fn text() -> Schema {
    form(Form::String(None))
}

pub(super) fn number() -> Schema {
    form(Form::Integer)
}

pub(super) fn form(form: Form) -> Schema {
    Schema {
        form,
        ..Schema::default()
    }
}

fn with_default(schema: Schema, default: &str) -> Schema {
    Schema {
        default: Some(default.into()),
        ..schema
    }
}

/// A good part of a Deployment, with its kinds of lists.
pub(super) fn deployment_schema() -> Schema {
    let port = object(&[
        ("containerPort", number()),
        ("protocol", with_default(text(), "TCP")),
        ("name", text()),
    ]);
    let container = object(&[
        ("name", text()),
        ("image", text()),
        ("args", list(text(), ListKind::Atomic)),
        (
            "env",
            keyed(&["name"], object(&[("name", text()), ("value", text())])),
        ),
        ("ports", keyed(&["containerPort", "protocol"], port)),
        (
            "resources",
            object(&[
                ("limits", map_of(form(Form::IntOrString))),
                ("requests", map_of(form(Form::IntOrString))),
            ]),
        ),
    ]);
    let pod = object(&[
        ("containers", keyed(&["name"], container)),
        ("restartPolicy", text()),
        ("nodeSelector", atomic(map_of(text()))),
        ("terminationGracePeriodSeconds", number()),
    ]);
    let template = object(&[
        (
            "metadata",
            object(&[("labels", map_of(text())), ("annotations", map_of(text()))]),
        ),
        ("spec", pod),
    ]);
    let condition = object(&[("type", text()), ("status", text()), ("message", text())]);
    object(&[
        (
            "spec",
            object(&[
                ("replicas", number()),
                ("paused", form(Form::Boolean)),
                (
                    "selector",
                    atomic(object(&[("matchLabels", map_of(text()))])),
                ),
                ("template", template),
                (
                    "strategy",
                    object(&[
                        ("type", text()),
                        (
                            "rollingUpdate",
                            object(&[("maxSurge", form(Form::IntOrString))]),
                        ),
                    ]),
                ),
            ]),
        ),
        (
            "status",
            object(&[
                ("replicas", number()),
                ("conditions", keyed(&["type"], condition)),
            ]),
        ),
    ])
}

/// A Deployment as a client writes it.
pub(super) fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [
                    {"name": "web", "image": "nginx:1", "ports": [{"containerPort": 80}]},
                ]},
            },
        },
    })
}

/// A place to write to, that tests share.
pub(super) struct World {
    pub(super) schema: Schema,
    pub(super) reset: FieldSet,
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
}

impl World {
    pub(super) fn deployments() -> Self {
        Self {
            schema: deployment_schema(),
            reset: FieldSet::of(&[&["status"]]),
            api_version: "apps/v1",
            kind: "Deployment",
        }
    }

    /// A custom resource, whose objects have the fields of a schema.
    pub(super) fn custom(fields: &[(&str, Schema)]) -> Self {
        Self {
            schema: object(fields),
            reset: FieldSet::default(),
            api_version: "example.org/v1",
            kind: "Custom",
        }
    }

    pub(super) fn target(&self) -> Target<'_> {
        Target {
            api_version: self.api_version,
            kind: self.kind,
            subresource: "",
            schema: &self.schema,
            reset: &self.reset,
        }
    }

    /// An object of this kind with these fields.
    pub(super) fn object(&self, fields: Value) -> Value {
        let mut object = fields;
        if let Some(object) = object.as_object_mut() {
            object.insert("apiVersion".to_owned(), self.api_version.into());
            object.insert("kind".to_owned(), self.kind.into());
            object
                .entry("metadata")
                .or_insert_with(|| json!({"name": "it"}));
        }
        object
    }

    /// An object after a create or update by a manager.
    pub(super) fn updated(
        &self,
        old: Option<&Value>,
        new: Value,
        name: &str,
        second: i64,
    ) -> Value {
        let mut new = new;
        super::update(old, &mut new, &self.target(), &manager(name, second));
        new
    }

    /// An object after an apply.
    pub(super) fn applied(
        &self,
        live: Option<&Value>,
        config: &Value,
        name: &str,
        second: i64,
    ) -> Result<Value, super::ApplyError> {
        super::apply(live, config, &self.target(), &manager(name, second), false)
    }

    pub(super) fn forced(
        &self,
        live: Option<&Value>,
        config: &Value,
        name: &str,
        second: i64,
    ) -> Result<Value, super::ApplyError> {
        super::apply(live, config, &self.target(), &manager(name, second), true)
    }
}

pub(super) fn manager(name: &str, second: i64) -> Manager<'_> {
    Manager {
        name,
        time: Timestamp::from_second(second).unwrap(),
    }
}

/// What a manager owns of an object.
pub(super) fn owned_by(object: &Value, name: &str) -> Option<Value> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let entry = entries.iter().find(|entry| entry["manager"] == name)?;
    Some(entry["fieldsV1"].clone())
}

/// The managers of an object, in order.
pub(super) fn managers(object: &Value) -> Vec<&str> {
    let entries = object["metadata"]["managedFields"].as_array();
    let entries = entries.into_iter().flatten();
    entries
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect()
}

/// The object without its owners.
pub(super) fn content(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("managedFields");
    object
}
