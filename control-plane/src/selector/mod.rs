//! Label and field selectors.

mod fields;
mod labels;
mod names;

pub(crate) use fields::FieldSelector;
pub(crate) use labels::LabelSelector;
