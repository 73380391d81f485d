//! Label and field selectors.

mod fields;
mod labels;
pub(crate) use fields::{FieldSelector, required_name};
pub(crate) use labels::LabelSelector;
