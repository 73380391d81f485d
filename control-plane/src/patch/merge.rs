//! Merge patches (RFC 7386).

use serde_json::{Map, Value};

use super::{PatchError, print};
use crate::work;

/// Applies a merge patch to an object.
///
/// It differs from the RFC in one way, as kube-apiserver does: what replaces anything but an object
/// loses the `null` fields of objects in its lists, too.
pub fn merge_patch(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let patch = match patch {
        Value::Object(patch) => patch,
        Value::Null => return Err(PatchError::BadRequest("Invalid JSON Patch".to_owned())),
        other => {
            let found = print::json_kind(other);
            return Err(PatchError::BadRequest(format!(
                "error decoding patch: json: cannot unmarshal {found} into Go value of type \
                 map[string]interface {{}}"
            )));
        }
    };
    let mut document = document.clone();
    match &mut document {
        Value::Object(fields) => merge(fields, patch)?,
        other => *other = without_nulls(&Value::Object(patch.clone())),
    }
    Ok(document)
}

fn merge(fields: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), PatchError> {
    work::check_deadline()?;
    for (name, patch) in patch {
        match (fields.get_mut(name), patch) {
            (_, Value::Null) => {
                fields.remove(name);
            }
            (Some(Value::Object(fields)), Value::Object(patch)) => merge(fields, patch)?,
            (Some(field @ Value::Object(_)), patch) => *field = patch.clone(),
            (_, patch) => {
                fields.insert(name.clone(), without_nulls(patch));
            }
        }
    }
    Ok(())
}

/// The value without the `null` fields of its objects; `null` items of lists stay.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, field)| !field.is_null());
            Value::Object(
                fields
                    .map(|(name, field)| (name.clone(), without_nulls(field)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}))]
    #[case(json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"}))]
    #[case(json!({"a": "b"}), json!({"a": null}), json!({}))]
    #[case(json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"}))]
    #[case(json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]}))]
    #[case(
        json!({"a": {"b": "c"}}),
        json!({"a": {"b": "d", "c": null}}),
        json!({"a": {"b": "d"}})
    )]
    #[case(json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]}))]
    #[case(json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1}))]
    #[case(json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}))]
    #[case::nulls_in_a_new_list(
        json!({"a": 1}),
        json!({"a": [null, {"b": null}]}),
        json!({"a": [null, {}]})
    )]
    #[case::nulls_in_a_list_instead_of_an_object(
        json!({"a": {}}),
        json!({"a": [null, {"b": null}]}),
        json!({"a": [null, {"b": null}]})
    )]
    fn merges(#[case] document: Value, #[case] patch: Value, #[case] expected: Value) {
        assert_eq!(merge_patch(&document, &patch), Ok(expected));
    }

    #[rstest]
    #[case(json!(null), "Invalid JSON Patch")]
    #[case(
        json!([1]),
        "error decoding patch: json: cannot unmarshal array into Go value of type \
         map[string]interface {}"
    )]
    fn refuses(#[case] patch: Value, #[case] reason: &str) {
        assert_eq!(
            merge_patch(&json!({}), &patch),
            Err(PatchError::BadRequest(reason.to_owned()))
        );
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), (0..3).prop_map(Value::from)];
        leaf.prop_recursive(3, 16, 3, |inner| {
            let fields = prop::collection::btree_map("[a-c]", inner.clone(), 0..3);
            prop_oneof![
                prop::collection::vec(inner, 0..3).prop_map(Value::Array),
                fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn merging_again_changes_nothing(document in value(), patch in value()) {
            if let (Value::Object(_), Ok(once)) = (&document, merge_patch(&document, &patch)) {
                // Lists may bring `null`s along the first time.
                let twice = merge_patch(&once, &patch).unwrap();
                prop_assert_eq!(merge_patch(&twice, &patch), Ok(twice.clone()));
            }
        }
    }
}
