//! The rules for a value, compiled.

use super::super::props::Props;
use super::program::Compiled;

/// The rules for a value.
#[derive(Debug, Default)]
pub(in super::super) struct Rules {
    pub compiled: Vec<Compiled>,
    /// What errors show instead of the value.
    pub type_name: String,
    /// The value is an object of its own, whose type and names rules see.
    pub is_resource: bool,
}

impl Rules {
    pub(in super::super) fn compile(props: &Props, is_resource: bool) -> Self {
        let compiled = props
            .validations
            .iter()
            .map(|rule| Compiled::new(rule, props));
        Self {
            compiled: compiled.collect(),
            type_name: props.type_name.clone(),
            is_resource,
        }
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.compiled.is_empty()
    }
}
