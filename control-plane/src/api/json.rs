//! JSON as a request sends it: with a note of the fields that it gives twice.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A value, and what was found on the way.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) value: Value,
    /// The paths of fields that were given twice, as `data.x`, in order.
    pub(crate) duplicates: Vec<String>,
}

/// Reads JSON. Of fields that are given twice, the last one counts.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, serde_json::Error> {
    let mut duplicates = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let reader = Reader {
        duplicates: &mut duplicates,
        path: String::new(),
    };
    let value = reader.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Parsed { value, duplicates })
}

/// The order in which the paths of a document are met, to sort what was found about them.
pub(crate) fn order(value: &[u8]) -> BTreeMap<String, usize> {
    let mut paths = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(value);
    let seed = Paths {
        paths: &mut paths,
        path: String::new(),
    };
    // What can't be read has no order.
    let _ = seed.deserialize(&mut deserializer);
    let mut order = BTreeMap::new();
    for (index, path) in paths.into_iter().enumerate() {
        order.entry(path).or_insert(index);
    }
    order
}

struct Reader<'a> {
    duplicates: &'a mut Vec<String>,
    path: String,
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let reader = Reader {
                path: format!("{}[{}]", self.path, list.len()),
                duplicates: &mut *self.duplicates,
            };
            match items.next_element_seed(reader)? {
                Some(item) => list.push(item),
                None => return Ok(list.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = child(&self.path, &name);
            if map.contains_key(&name) && !self.duplicates.contains(&path) {
                self.duplicates.push(path.clone());
            }
            let reader = Reader {
                path,
                duplicates: &mut *self.duplicates,
            };
            let value = fields.next_value_seed(reader)?;
            map.insert(name, value);
        }
        Ok(map.into())
    }
}

struct Paths<'a> {
    paths: &'a mut Vec<String>,
    path: String,
}

impl<'de> DeserializeSeed<'de> for Paths<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Paths<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let path = format!("{}[{index}]", self.path);
            let paths = &mut *self.paths;
            if items.next_element_seed(Paths { paths, path })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            let path = child(&self.path, &name);
            self.paths.push(path.clone());
            let paths = &mut *self.paths;
            fields.next_value_seed(Paths { paths, path })?;
        }
        Ok(())
    }
}

/// What Go calls a value that is no text and not null.
pub(super) fn go_kind(value: &Value) -> Option<&'static str> {
    match value {
        Value::Array(_) => Some("array"),
        Value::Object(_) => Some("object"),
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("bool"),
        Value::String(_) | Value::Null => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn notes_fields_that_are_given_twice() {
        let parsed = parse(br#"{"a": {"x": 1, "x": 2, "x": 3}, "l": [{"y": 1, "y": 2}], "a": 7}"#);
        let parsed = parsed.unwrap();
        assert_eq!(parsed.value, json!({"a": 7, "l": [{"y": 2}]}));
        assert_eq!(parsed.duplicates, ["a.x", "l[0].y", "a"]);
    }

    #[test]
    fn refuses_what_is_no_json() {
        for text in ["", "x", "{", "{} {}", "[1,]"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
