//! The kinds of `metrics.k8s.io/v1beta1`, which no generated type covers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::schema::{Form, List, ListKind, Object, PatchMerge, Schema};

/// The schemas of `NodeMetrics` and `PodMetrics`.
pub(super) fn schemas(types: &HashMap<String, Arc<Schema>>) -> [(&'static str, Arc<Schema>); 2] {
    let metadata = types.get(crate::schema::metadata::TYPE);
    let common = [
        ("apiVersion", text(None)),
        ("kind", text(None)),
        ("metadata", metadata.cloned().unwrap_or_default()),
        ("timestamp", text(Some("date-time"))),
        ("window", text(None)),
    ];
    let mut node = BTreeMap::from(common.clone().map(owned));
    node.insert("usage".into(), usage());
    let mut pod = BTreeMap::from(common.map(owned));
    pod.insert("containers".into(), containers());
    [
        (
            "NodeMetrics",
            object(node, &["timestamp", "window", "usage"]),
        ),
        (
            "PodMetrics",
            object(pod, &["timestamp", "window", "containers"]),
        ),
    ]
}

fn owned((name, schema): (&str, Arc<Schema>)) -> (String, Arc<Schema>) {
    (name.to_string(), schema)
}

fn of(form: Form) -> Arc<Schema> {
    Arc::new(Schema {
        form,
        ..Schema::default()
    })
}

fn text(format: Option<&str>) -> Arc<Schema> {
    of(Form::String(format.map(str::to_string)))
}

/// Quantities by the names of resources.
fn usage() -> Arc<Schema> {
    of(Form::Object(Object {
        additional: Some(of(Form::IntOrString)),
        ..Object::default()
    }))
}

fn containers() -> Arc<Schema> {
    let container = BTreeMap::from([("name", text(None)), ("usage", usage())].map(owned));
    of(Form::List(List {
        items: object(container, &["name", "usage"]),
        kind: ListKind::Atomic,
        patch_merge: Some(PatchMerge::Key("name".into())),
    }))
}

fn object(properties: BTreeMap<String, Arc<Schema>>, required: &[&str]) -> Arc<Schema> {
    of(Form::Object(Object {
        properties,
        required: required.iter().map(ToString::to_string).collect(),
        ..Object::default()
    }))
}
