//! How objects are shown: as they are, as rows of a table, or their metadata only.

use std::borrow::Cow;
use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::negotiate::{Form, Shape};
use super::status::ApiError;
use crate::kinds::{Conversion, Resource};
use crate::objects::{Item, pipeline};
use crate::tables::Table;

/// What a list says about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListMeta {
    pub(crate) revision: u64,
    pub(crate) continues: Option<String>,
    pub(crate) remaining: Option<usize>,
}

impl ListMeta {
    fn value(&self) -> Value {
        let mut fields = Map::new();
        fields.insert(
            "resourceVersion".to_owned(),
            self.revision.to_string().into(),
        );
        if let Some(token) = &self.continues {
            fields.insert("continue".to_owned(), token.clone().into());
        }
        if let Some(remaining) = self.remaining {
            fields.insert("remainingItemCount".to_owned(), remaining.into());
        }
        fields.into()
    }
}

/// Which part of an object a table's row carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Included {
    Nothing,
    Metadata,
    Object,
}

/// How the objects of a resource are shown to a client.
pub(crate) struct View<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) form: Form,
    included: Included,
    now: Timestamp,
    /// `"kind":"Pod","apiVersion":"v1"`
    kind: String,
}

impl<'a> View<'a> {
    pub(crate) fn new(
        resource: &'a Resource,
        form: Form,
        included: &str,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let included = match included {
            "None" => Included::Nothing,
            "Object" => Included::Object,
            "" | "Metadata" => Included::Metadata,
            _ if form.shape != Shape::Table => Included::Metadata,
            other => {
                let why = "must be 'Metadata', 'Object', 'None', or empty";
                let cause =
                    super::status::Cause::invalid("includeObject", &format!("{other:?}"), why);
                return Err(ApiError::invalid_in(
                    "meta.k8s.io",
                    "TableOptions",
                    "",
                    &[cause],
                ));
            }
        };
        let kind = format!(
            "\"kind\":{},\"apiVersion\":{}",
            Value::from(resource.kind.as_str()),
            Value::from(resource.api_version())
        );
        Ok(Self {
            resource,
            form,
            included,
            now,
            kind,
        })
    }

    /// An object on its own.
    pub(crate) fn single(&self, item: &Item) -> String {
        match self.form.shape {
            Shape::Object => self.full(item),
            Shape::Metadata => metadata_only(item.value()).to_string(),
            Shape::Table => self.table_of(item, true),
        }
    }

    /// An object of a watch. Of tables, only the first has column definitions.
    pub(crate) fn event(&self, item: &Item, first: bool) -> String {
        match self.form.shape {
            Shape::Table => self.table_of(item, first),
            _ => self.single(item),
        }
    }

    /// A bookmark at a revision.
    pub(crate) fn bookmark(&self, revision: u64, initial_events_end: bool) -> String {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        match self.form.shape {
            Shape::Object => format!("{{{},\"metadata\":{metadata}}}", self.kind),
            Shape::Metadata => {
                let partial = metadata_only(&json!({"metadata": metadata}));
                partial.to_string()
            }
            Shape::Table => {
                let made = Item::Made(json!({"metadata": metadata}));
                self.table_of(&made, false)
            }
        }
    }

    /// A list.
    pub(crate) fn list(&self, items: &[Item], meta: &ListMeta) -> String {
        let mut meta = meta.value();
        if self.resource.custom.is_some()
            && self.form.shape == Shape::Object
            && meta.get("continue").is_none()
        {
            // Custom resources say that nothing follows.
            meta["continue"] = "".into();
        }
        match self.form.shape {
            Shape::Table => self.table(items.iter(), &meta, true),
            Shape::Metadata => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| metadata_only(item.value()))
                    .collect();
                json!({
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": meta,
                    "items": items,
                })
                .to_string()
            }
            Shape::Object => {
                let kind = Value::from(self.resource.list_kind.as_str());
                let version = Value::from(self.resource.api_version());
                let mut text = format!(
                    "{{\"kind\":{kind},\"apiVersion\":{version},\"metadata\":{meta},\"items\":["
                );
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    self.push_list_item(&mut text, item);
                }
                text.push_str("]}");
                text
            }
        }
    }

    /// Items of built-in kinds have no type of their own in a list.
    fn push_list_item(&self, text: &mut String, item: &Item) {
        if self.resource.custom.is_some() {
            text.push_str(&self.full(item));
        } else {
            self.with_json(item, |json| text.push_str(json));
        }
    }

    fn full(&self, item: &Item) -> String {
        self.with_json(item, |json| {
            let mut text = String::with_capacity(json.len() + self.kind.len() + 2);
            let rest = json.strip_prefix('{').unwrap_or("}");
            let comma = if rest.starts_with('}') { "" } else { "," };
            // Writing to a text does not fail.
            let _ = write!(text, "{{{}{comma}{rest}", self.kind);
            text
        })
    }

    /// The JSON of what is stored, in this version.
    fn with_json<T>(&self, item: &Item, use_json: impl FnOnce(&str) -> T) -> T {
        match (item, self.resource.conversion) {
            (Item::Stored(object), Conversion::None) => {
                match pipeline::defaulted(self.resource, object.value()) {
                    Cow::Borrowed(_) => use_json(object.json()),
                    Cow::Owned(value) => use_json(&value.to_string()),
                }
            }
            (Item::Made(value), Conversion::None) => use_json(&value.to_string()),
            (item, conversion) => {
                let value = conversion.shown(item.value().clone());
                use_json(&value.to_string())
            }
        }
    }

    fn table_of(&self, item: &Item, columns: bool) -> String {
        let revision = crate::meta::text(item.value(), "/metadata/resourceVersion");
        let meta = if revision.is_empty() {
            json!({})
        } else {
            json!({"resourceVersion": revision})
        };
        self.table([item], &meta, columns)
    }

    fn table<'i>(
        &self,
        items: impl IntoIterator<Item = &'i Item>,
        meta: &Value,
        with_columns: bool,
    ) -> String {
        let table = Table::of(self.resource, self.now);
        let rows = items.into_iter().map(|item| {
            let cells = table.cells(&pipeline::defaulted(self.resource, item.value()));
            let mut row = format!("{{\"cells\":{}", Value::from(cells));
            let object = match self.included {
                Included::Nothing => None,
                Included::Metadata => Some(metadata_only(item.value()).to_string()),
                Included::Object => Some(self.full(item)),
            };
            if let Some(object) = object {
                let _ = write!(row, ",\"object\":{object}");
            } else {
                row.push_str(",\"object\":null");
            }
            row.push('}');
            row
        });
        let rows: Vec<String> = rows.collect();
        let columns = if with_columns {
            table.columns()
        } else {
            Value::Null
        };
        format!(
            "{{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{meta},\"columnDefinitions\":{columns},\"rows\":[{}]}}",
            rows.join(",")
        )
    }
}

fn metadata_only(value: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": value.get("metadata"),
    })
}
