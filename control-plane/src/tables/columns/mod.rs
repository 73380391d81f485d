//! The columns of built-in kinds, those of kube-apiserver's printers.

pub(crate) mod cluster;
pub(crate) mod core;
pub(crate) mod workloads;

use jiff::Timestamp;
use serde_json::Value;

use super::cells::{containers, images, label_selector, number_at, text_at};
use super::duration::age;
use crate::kinds::PrinterColumn;
use crate::meta::name;

impl PrinterColumn {
    fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }
}

/// Name and time of creation, of kinds without columns of their own.
pub(crate) fn created() -> Vec<PrinterColumn> {
    let created = |object: &Value, _: Timestamp| text_at(object, "/metadata/creationTimestamp");
    vec![the_name(), column("Created At", "date", created)]
}

/// Name and age.
pub(crate) fn aged() -> Vec<PrinterColumn> {
    vec![the_name(), the_age()]
}

fn column(
    name: &'static str,
    kind: &'static str,
    cell: impl Fn(&Value, Timestamp) -> Value + Send + Sync + 'static,
) -> PrinterColumn {
    PrinterColumn {
        name,
        kind,
        priority: 0,
        cell: Box::new(cell),
    }
}

/// A column with text.
fn text(
    name: &'static str,
    cell: impl Fn(&Value) -> Value + Send + Sync + 'static,
) -> PrinterColumn {
    column(name, "string", move |object, _| cell(object))
}

/// A column with the text at a pointer.
fn text_of(name: &'static str, pointer: &'static str) -> PrinterColumn {
    text(name, move |object| text_at(object, pointer))
}

/// A column with a number at a pointer, 0 if there is none.
fn number(name: &'static str, pointer: &'static str) -> PrinterColumn {
    column(name, "integer", move |object, _| number_at(object, pointer))
}

fn the_name() -> PrinterColumn {
    text("Name", |object| name(object).into())
}

fn the_age() -> PrinterColumn {
    column("Age", "string", age)
}

/// What runs in a workload: the pointers of its containers and of its selector.
fn workload(template: &'static str, selector: Option<&'static str>) -> Vec<PrinterColumn> {
    let mut columns = vec![
        text("Containers", move |object| containers(object, template)).wide(),
        text("Images", move |object| images(object, template)).wide(),
    ];
    if let Some(selector) = selector {
        columns.push(text("Selector", move |object| label_selector(object, selector)).wide());
    }
    columns
}
