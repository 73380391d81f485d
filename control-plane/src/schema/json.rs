//! Reads JSON as the API server does: a key that is there twice is noticed, and whole numbers are
//! whole however they are written.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A body, and what strict reading says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct StrictJson {
    /// The value. Of a key that is there twice, the last one counts.
    pub value: Value,
    /// The fields that are there twice, as `spec.containers[0].name`, in order.
    pub duplicates: Vec<String>,
}

/// Reads JSON and notices duplicate fields.
///
/// A number such as `1.0` becomes 1, for so it is stored. Errors are those of the parser.
pub fn parse_strict(json: &[u8]) -> Result<StrictJson, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let mut found = Found::default();
    let value = Seed(&mut found).deserialize(&mut reader)?;
    reader.end()?;
    Ok(StrictJson {
        value,
        duplicates: found.duplicates,
    })
}

#[derive(Default)]
struct Found {
    /// Where the reader is.
    path: String,
    duplicates: Vec<String>,
}

impl Found {
    /// Reads something one step further down.
    fn within<T>(&mut self, step: fmt::Arguments<'_>, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        // Writing to a text never fails.
        let _ = fmt::write(&mut self.path, step);
        let read = read(self);
        self.path.truncate(length);
        read
    }

    fn field<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.within(format_args!("{dot}{name}"), read)
    }
}

struct Seed<'a>(&'a mut Found);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
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

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // Whole numbers up to here are exact.
        let is_whole = value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0;
        if is_whole {
            return Ok((value as i64).into());
        }
        let number = Number::from_f64(value);
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let at = list.len();
            let read = |found: &mut Found| items.next_element_seed(Seed(found));
            match self.0.within(format_args!("[{at}]"), read)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let value = self.0.field(&name, |found| {
                if object.contains_key(&name) && !found.duplicates.contains(&found.path) {
                    found.duplicates.push(found.path.clone());
                }
                fields.next_value_seed(Seed(found))
            })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse_strict;

    #[test]
    fn duplicates_are_named_and_the_last_one_counts() {
        let json = r#"{"a": 1, "spec": {"l": [{}, {"x": 1, "x": 2, "x": 3}], "b": 1}, "a": 2}"#;
        let read = parse_strict(json.as_bytes()).unwrap();
        assert_eq!(
            read.value,
            json!({"a": 2, "spec": {"l": [{}, {"x": 3}], "b": 1}})
        );
        assert_eq!(read.duplicates, ["spec.l[1].x", "a"]);
    }

    #[test]
    fn whole_numbers_are_whole() {
        let read = parse_strict(b"[1.0, 1e3, 1.5, -0.0, 1e300]").unwrap();
        assert_eq!(read.value.to_string(), "[1,1000,1.5,0,1e+300]");
    }

    #[test]
    fn more_than_one_value_is_refused() {
        assert!(parse_strict(b"{} {}").is_err());
        assert!(parse_strict(b"{").is_err());
        assert!(parse_strict(&[b'['; 10_000]).is_err());
    }
}
