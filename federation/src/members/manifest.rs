//! The object that members get, shared by them: a base, and the few fields that differ on each.

use std::sync::Arc;

use serde_json::Value;

use super::bundle::digest_bits;

/// An object as one member gets it. Clones share the base.
#[derive(Clone, Debug)]
pub struct Manifest {
    base: Arc<Base>,
    /// Values in place of those of the base, by JSON pointer.
    fields: Vec<(&'static str, Value)>,
}

#[derive(Debug)]
struct Base {
    object: Value,
    digest: u128,
}

impl Manifest {
    /// An object that is the same on every member.
    pub fn new(object: Value) -> Self {
        let digest = digest_bits(object.to_string().as_bytes());
        Self {
            base: Arc::new(Base { object, digest }),
            fields: Vec::new(),
        }
    }

    /// The same object with other values at these JSON pointers. The base has to have a value at each;
    /// a pointer that it lacks changes nothing.
    #[must_use]
    pub fn with(&self, fields: Vec<(&'static str, Value)>) -> Self {
        Self {
            base: self.base.clone(),
            fields,
        }
    }

    /// The object.
    pub fn object(&self) -> Value {
        let mut object = self.base.object.clone();
        for (pointer, value) in &self.fields {
            if let Some(field) = object.pointer_mut(pointer) {
                *field = value.clone();
            }
        }
        object
    }

    /// One value of the object, without a copy of the rest; `Null` if there is none.
    pub fn value(&self, pointer: &str) -> &Value {
        let mut fields = self.fields.iter();
        match fields.find(|(at, _)| *at == pointer) {
            Some((_, value)) => value,
            None => self.base.object.pointer(pointer).unwrap_or(&Value::Null),
        }
    }

    /// A digest of the object; two that are equal have the same one.
    pub(super) fn digest(&self) -> u128 {
        if self.fields.is_empty() {
            return self.base.digest;
        }
        let fields = self.fields.iter();
        let fields: Vec<_> = fields
            .map(|(pointer, value)| format!("{pointer} {value}"))
            .collect();
        digest_bits(format!("{}\n{}", self.base.digest, fields.join("\n")).as_bytes())
    }
}

impl PartialEq for Manifest {
    fn eq(&self, other: &Self) -> bool {
        self.base.digest == other.base.digest && self.fields == other.fields
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_share_what_is_the_same_on_each() {
        let base = Manifest::new(json!({ "spec": { "replicas": 0, "template": { "a": 1 } } }));
        let three = base.with(vec![("/spec/replicas", json!(3))]);
        assert_eq!(
            three.object(),
            json!({ "spec": { "replicas": 3, "template": { "a": 1 } } })
        );
        assert_eq!(three.value("/spec/replicas"), &json!(3));
        assert_eq!(three.value("/spec/template/a"), &json!(1));
        assert_eq!(three.value("/status"), &Value::Null);
        assert!(Arc::ptr_eq(&base.base, &three.base));
        assert_eq!(three, base.with(vec![("/spec/replicas", json!(3))]));
        assert_ne!(three, base);
        assert_ne!(three.digest(), base.digest());
        let four = base.with(vec![("/spec/replicas", json!(4))]);
        assert_ne!(three.digest(), four.digest());
    }
}
