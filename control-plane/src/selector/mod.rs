//! Label and field selectors.

mod fields;
mod labels;
pub(crate) use fields::FieldSelector;
pub(crate) use labels::LabelSelector;
