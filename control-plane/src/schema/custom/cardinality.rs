//! How many values of a schema an object can have, for what checking them may cost. As in
//! apiextensions-apiserver, whose requests have 3 MiB at most.

use super::props::Props;

/// Bytes of a request at most.
const REQUEST: u64 = 3 * 1024 * 1024;

/// How many values of an object are of one schema: so many, or as many as a request can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cardinality(Option<u64>);

impl Cardinality {
    /// Of the root.
    pub(super) const ONE: Self = Self(Some(1));

    /// Of what is in a list or map of so many.
    pub(super) fn times(self, most: Option<i64>) -> Self {
        let most = most.and_then(|most| u64::try_from(most).ok());
        Self(self.0.zip(most).map(|(all, most)| all.saturating_mul(most)))
    }

    /// As a number, for values of this schema.
    pub(super) fn of(self, props: &Props) -> u64 {
        self.0.unwrap_or_else(|| REQUEST / (least_size(props) + 1))
    }
}

/// How many items, fields or bytes a value of this schema has at most.
pub(super) fn most(props: &Props) -> u64 {
    let given = |most: Option<i64>| most.and_then(|most| u64::try_from(most).ok());
    let each = |least: u64| (REQUEST - 2) / (least + 1);
    match props.type_name.as_str() {
        "array" => {
            given(props.max_items).unwrap_or_else(|| each(props.item().map_or(1, least_size)))
        }
        "object" => given(props.max_properties).unwrap_or_else(|| {
            // A key has two quotes and a colon.
            each(props.additional().map_or(1, least_size) + 3)
        }),
        "string" => given(props.max_length).unwrap_or(REQUEST - 2),
        _ => 1,
    }
}

/// Bytes of JSON of the smallest value.
fn least_size(props: &Props) -> u64 {
    match props.type_name.as_str() {
        "boolean" => 4,
        "string" | "array" => 2,
        "object" => {
            let required = props.properties.iter();
            let required = required.filter(|(name, _)| props.required.contains(name));
            // Each with two quotes, a colon and a comma.
            required.fold(2, |sum: u64, (name, props)| {
                sum.saturating_add(name.len() as u64 + 4 + least_size(props))
            })
        }
        _ => 1,
    }
}
