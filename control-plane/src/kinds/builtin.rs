//! What a row of the table of built-in kinds has. The rows are in [`crate::builtin`].

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Conversion;
use crate::schema::builtin::validate::Rules;

/// A built-in kind: all that does not follow from its schema and from discovery.
#[derive(Debug)]
pub(crate) struct Builtin {
    /// The API group; empty for the core.
    pub(crate) group: &'static str,
    pub(crate) kind: &'static str,
    /// The versions that are served, the preferred one first, and how they differ from what is
    /// stored.
    pub(crate) versions: &'static [(&'static str, Conversion)],
    pub(crate) traits: Traits,
    /// Why it is not read in protobuf; none if it has a message.
    pub(crate) without_message: Option<&'static str>,
    /// Fills in what was left out.
    pub(crate) defaults: fn(&mut Value),
    /// Does to a new object what the server itself does, beyond defaults. The object has its name
    /// and its uid; it is not validated yet.
    pub(crate) prepare_create: fn(&mut Value),
    /// The same for an object that replaces another one: the object itself, not a subresource.
    pub(crate) prepare_update: fn(&mut Value, &Value),
    /// The status of a new object, if the kind has a status subresource.
    pub(crate) initial_status: fn(&Value) -> Value,
    /// What is valid; none if it is never stored.
    pub(crate) validation: Option<Rules>,
    /// Metadata that a write to the status restores, beside the generation.
    pub(crate) restored_by_status: &'static [&'static str],
    /// Restores what an update must not change, in place of the rule: a subresource, the new
    /// object, the old one.
    pub(crate) restore: Option<fn(&str, &mut Value, &Value)>,
    /// JSON pointers of metadata whose changes the generation counts, beside the spec.
    pub(crate) counted_metadata: &'static [&'static str],
    /// The columns of its tables.
    pub(crate) columns: fn() -> Vec<PrinterColumn>,
    /// What field selectors may name, beside name and namespace.
    pub(crate) selectable: &'static [Selectable],
}

/// How the objects of a kind are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each stands for a rule of its own"
)]
pub(crate) struct Traits {
    /// `metadata.generation` counts changes of the spec.
    pub(crate) generation: bool,
    /// An update of what does not exist creates it.
    pub(crate) create_on_update: bool,
    /// An update has to name the resource version that it replaces.
    pub(crate) conditional_update: bool,
    /// A deletion answers with the object and not with a `Status`.
    pub(crate) returns_deleted: bool,
    /// Deleting takes time: the object is marked first.
    pub(crate) graceful: bool,
    /// A deletion that does not say otherwise keeps the dependents, as old APIs do.
    pub(crate) orphans_dependents: bool,
    /// It is answered, never stored.
    pub(crate) virtual_: bool,
}

/// A field that a selector may name.
#[derive(Debug)]
pub(crate) struct Selectable {
    /// As in selectors: `status.phase`.
    pub(crate) label: &'static str,
    /// Where it is in what is stored.
    pub(crate) pointer: &'static str,
    /// What counts where it is not there.
    pub(crate) absent: &'static str,
}

/// Makes a cell of a table.
pub(crate) type Cell = Box<dyn Fn(&Value, Timestamp) -> Value + Send + Sync>;

/// A column of a table of a built-in kind.
pub(crate) struct PrinterColumn {
    pub(crate) name: &'static str,
    /// `string`, `integer`, `boolean` or `date`.
    pub(crate) kind: &'static str,
    /// 0 is always shown, 1 in wide tables.
    pub(crate) priority: i64,
    pub(crate) cell: Cell,
}

impl Builtin {
    /// A kind of version `v1` that does nothing special, and whose tables have these columns.
    pub(crate) const fn new(
        group: &'static str,
        kind: &'static str,
        columns: fn() -> Vec<PrinterColumn>,
    ) -> Self {
        Self {
            group,
            kind,
            versions: &[("v1", Conversion::None)],
            traits: Traits::NONE,
            without_message: None,
            defaults: |_| {},
            prepare_create: |_| {},
            prepare_update: |_, _| {},
            initial_status: |_| json!({}),
            validation: Some(Rules::METADATA),
            restored_by_status: &[],
            restore: None,
            counted_metadata: &[],
            columns,
            selectable: &[],
        }
    }

    /// A kind of version `v1` that is answered and never stored.
    pub(crate) const fn answered(
        group: &'static str,
        kind: &'static str,
        columns: fn() -> Vec<PrinterColumn>,
    ) -> Self {
        Self {
            traits: Traits {
                virtual_: true,
                ..Traits::NONE
            },
            validation: None,
            ..Self::new(group, kind, columns)
        }
    }
}

impl Traits {
    pub(crate) const NONE: Self = Self {
        generation: false,
        create_on_update: false,
        conditional_update: false,
        returns_deleted: false,
        graceful: false,
        orphans_dependents: false,
        virtual_: false,
    };
}

impl Selectable {
    /// A field that is empty where it is not there.
    pub(crate) const fn new(label: &'static str, pointer: &'static str) -> Self {
        Self {
            label,
            pointer,
            absent: "",
        }
    }

    /// A field with another value where it is not there.
    pub(crate) const fn or(self, absent: &'static str) -> Self {
        Self { absent, ..self }
    }
}
