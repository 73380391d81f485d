//! Field sets as managed fields write them (`FieldsV1`): `{"f:spec":{"f:replicas":{}}}`.

use serde_json::{Map, Value};

use super::element::{NotAnElement, PathElement};
use super::field_set::FieldSet;

/// Stands for the field itself where others below it are listed too.
const ITSELF: &str = ".";

impl FieldSet {
    /// The set as `FieldsV1` writes it.
    pub fn to_fields_v1(&self) -> Value {
        let mut fields = Map::new();
        for node in self.nodes() {
            let mut below = node.below.to_fields_v1();
            if let (true, Value::Object(below)) = (node.owned && !node.below.is_empty(), &mut below)
            {
                below.insert(ITSELF.to_owned(), Value::Object(Map::new()));
            }
            fields.insert(node.element.encode(), below);
        }
        Value::Object(fields)
    }

    /// Reads what `FieldsV1` says; none if it is not of that form.
    pub fn from_fields_v1(fields: &Value) -> Option<Self> {
        parse(fields).ok()
    }
}

fn parse(fields: &Value) -> Result<FieldSet, NotAnElement> {
    let fields = match fields {
        Value::Object(fields) => fields,
        Value::Null => return Ok(FieldSet::default()),
        _ => return Err(NotAnElement),
    };
    let mut set = FieldSet::default();
    for (name, value) in fields.iter().filter(|(name, _)| *name != ITSELF) {
        let Some(element) = PathElement::parse(name)? else {
            continue;
        };
        let below = parse(value)?;
        // What lists nothing below it stands for itself.
        let owned = below.is_empty() || value.get(ITSELF).is_some();
        set.add(element, owned, below);
    }
    Ok(set)
}
