//! Bodies in Kubernetes' protobuf, which some clients send whatever the server answers in.
//!
//! `messages.txt` has what the wire does not say: for each message its fields, with their numbers,
//! their names in JSON, and what they hold: a letter for a type (`s` text, `b` flag, `i` whole number,
//! `f` number, `y` bytes, `m…` message, `T` and `U` times, `Q` quantity, `O` number or text, `R` JSON,
//! `D` duration) after `*` for lists, `%` for maps, `L` for lists in a message, and `?` for what may be
//! unset. `cargo xtask generate` makes it from the Go types of the built-in kinds.

mod messages;
mod wire;
mod writer;

use serde_json::{Map, Value};

use messages::{Field, Kind, message};
use wire::{Wire, fields};
pub(crate) use writer::Writer;

/// What a body in protobuf begins with.
const PREFIX: &[u8] = b"k8s\0";

/// How deep messages may nest.
const DEPTH: usize = 64;

/// Why a body can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProtobufError {
    /// It is no protobuf, or damaged.
    Damaged(&'static str),
    /// Nothing is known of its type.
    Unknown,
}

/// Reads an object, with its type.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let bytes = bytes.strip_prefix(PREFIX).ok_or(ProtobufError::Damaged(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
    ))?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in fields(bytes) {
        match field.ok_or(DAMAGED)? {
            (1, Wire::Bytes(names)) => {
                for name in fields(names) {
                    match name.ok_or(DAMAGED)? {
                        (1, Wire::Bytes(text)) => version = string(text),
                        (2, Wire::Bytes(text)) => kind = string(text),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let known = message_of(&version, &kind).ok_or(ProtobufError::Unknown)?;
    let mut object = read(raw, known, DEPTH)?;
    object.insert("apiVersion".to_owned(), version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(object.into())
}

const DAMAGED: ProtobufError = ProtobufError::Damaged("the message is cut short or damaged");

/// The message of a type, such as `apps.v1.Deployment`. Only groups of Kubernetes itself have one.
fn message_of(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    if kind == "DeleteOptions" {
        return message("meta.v1.DeleteOptions");
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let (package, domain) = group.split_once('.').unwrap_or((group, "k8s.io"));
    let is_ours = domain == "k8s.io" || domain.ends_with(".k8s.io");
    let name = is_ours.then(|| format!("{package}.{version}.{kind}"))?;
    message(&name)
}

/// Whether a type can be read.
#[cfg(test)]
pub(crate) fn knows(api_version: &str, kind: &str) -> bool {
    message_of(api_version, kind).is_some()
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read(bytes: &[u8], known: &[Field], depth: usize) -> Result<Map<String, Value>, ProtobufError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(DAMAGED);
    };
    let mut object = Map::new();
    for field in fields(bytes) {
        let (number, wire) = field.ok_or(DAMAGED)?;
        let Some(field) = known.iter().find(|field| field.number == number) else {
            continue;
        };
        let value = value(&field.kind, wire, depth)?;
        if field.name == "." {
            // Its fields are those of the object.
            if let Value::Object(inner) = value {
                object.extend(inner);
            }
            continue;
        }
        let name = field.name.to_owned();
        match (&field.kind, value) {
            (Kind::List(_), Value::Array(mut items)) => {
                if let Value::Array(list) = object
                    .entry(name)
                    .or_insert_with(|| Value::Array(Vec::new()))
                {
                    list.append(&mut items);
                }
            }
            (Kind::Map(_), Value::Object(entry)) => {
                if let Value::Object(map) = object
                    .entry(name)
                    .or_insert_with(|| Value::Object(Map::new()))
                {
                    map.extend(entry);
                }
            }
            // Go writes what is zero, too. In JSON it is left out, unless it may be unset.
            (Kind::Optional(_), value) => {
                object.insert(name, value);
            }
            (_, value) if is_zero(&value) => {
                object.remove(field.name);
            }
            (_, value) => {
                object.insert(name, value);
            }
        }
    }
    Ok(object)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn value(kind: &Kind, wire: Wire<'_>, depth: usize) -> Result<Value, ProtobufError> {
    Ok(match (kind, wire) {
        (Kind::Optional(inner), wire) => value(inner, wire, depth)?,
        // Numbers may come in one piece.
        (Kind::List(inner), Wire::Bytes(bytes)) if **inner == Kind::Integer => {
            let numbers = wire::varints(bytes).ok_or(DAMAGED)?;
            numbers.into_iter().map(Value::from).collect()
        }
        (Kind::List(inner), wire) => Value::Array(vec![value(inner, wire, depth)?]),
        (Kind::Map(inner), Wire::Bytes(bytes)) => entry(inner, bytes, depth)?,
        (Kind::Wrapped(inner), Wire::Bytes(bytes)) => {
            let mut items = Vec::new();
            for field in fields(bytes) {
                let (_, wire) = field.ok_or(DAMAGED)?;
                items.push(value(inner, wire, depth)?);
            }
            Value::Array(items)
        }
        (Kind::Text, Wire::Bytes(bytes)) => string(bytes).into(),
        (Kind::Flag, Wire::Number(number)) => Value::Bool(number != 0),
        (Kind::Integer, Wire::Number(number)) => number.into(),
        (Kind::Float, Wire::Eight(bits)) => f64::from_bits(bits).into(),
        (Kind::Bytes, Wire::Bytes(bytes)) => {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD
                .encode(bytes)
                .into()
        }
        (Kind::Message(name), Wire::Bytes(bytes)) => match message(name) {
            Some(known) => read(bytes, known, depth)?.into(),
            None => return Err(ProtobufError::Unknown),
        },
        (Kind::Time { micros }, Wire::Bytes(bytes)) => time(bytes, *micros)?,
        (Kind::Quantity, Wire::Bytes(bytes)) => first_text(bytes)?.into(),
        (Kind::Json, Wire::Bytes(bytes)) => {
            let text = first_text(bytes)?;
            serde_json::from_str(&text).unwrap_or(Value::Null)
        }
        (Kind::Duration, Wire::Bytes(bytes)) => {
            let [nanoseconds, ..] = numbers(bytes)?;
            format!("{}s", nanoseconds / 1_000_000_000).into()
        }
        (Kind::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        _ => return Err(DAMAGED),
    })
}

/// A key and a value of a map.
fn entry(kind: &Kind, bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    let (mut key, mut held) = (String::new(), Value::Null);
    for field in fields(bytes) {
        match field.ok_or(DAMAGED)? {
            (1, Wire::Bytes(text)) => key = string(text),
            (2, wire) => held = value(kind, wire, depth)?,
            _ => {}
        }
    }
    if held.is_null() && *kind == Kind::Text {
        held = "".into();
    }
    Ok(Value::Object(Map::from_iter([(key, held)])))
}

fn first_text(bytes: &[u8]) -> Result<String, ProtobufError> {
    for field in fields(bytes) {
        if let (1, Wire::Bytes(text)) = field.ok_or(DAMAGED)? {
            return Ok(string(text));
        }
    }
    Ok(String::new())
}

/// The numbers of the fields 1 and 2.
fn numbers(bytes: &[u8]) -> Result<[i64; 2], ProtobufError> {
    let mut numbers = [0; 2];
    for field in fields(bytes) {
        match field.ok_or(DAMAGED)? {
            (1, Wire::Number(number)) => numbers[0] = number,
            (2, Wire::Number(number)) => numbers[1] = number,
            _ => {}
        }
    }
    Ok(numbers)
}

fn time(bytes: &[u8], micros: bool) -> Result<Value, ProtobufError> {
    let [seconds, nanoseconds] = numbers(bytes)?;
    // Go's zero time, and none.
    if bytes.is_empty() || (seconds, nanoseconds) == (-62_135_596_800, 0) {
        return Ok(Value::Null);
    }
    let nanoseconds = i32::try_from(nanoseconds).map_err(|_| DAMAGED)?;
    let time = jiff::Timestamp::new(seconds, nanoseconds).map_err(|_| DAMAGED)?;
    Ok(if micros {
        time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string().into()
    } else {
        crate::sources::seconds(time).into()
    })
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let [is_text, number] = numbers(bytes)?;
    if is_text == 0 {
        return Ok(number.into());
    }
    for field in fields(bytes) {
        if let (3, Wire::Bytes(text)) = field.ok_or(DAMAGED)? {
            return Ok(string(text).into());
        }
    }
    Ok("".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A field with bytes; all of them are short.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap();
        assert!(length < 128);
        [&[number << 3 | 2, length], bytes].concat()
    }

    fn object(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let names = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [PREFIX, &field(1, &names), &field(2, raw)].concat()
    }

    #[test]
    fn reads_what_go_writes() {
        let metadata = [
            field(1, b"a"),
            field(2, b""),
            field(11, &[field(1, b"x"), field(2, b"y")].concat()),
            // generation 0
            vec![7 << 3, 0],
        ]
        .concat();
        // optional replicas 0
        let spec = vec![1 << 3, 0];
        let raw = [field(1, &metadata), field(2, &spec), field(3, b"")].concat();
        let decoded = decode(&object("apps/v1", "Deployment", &raw)).unwrap();
        assert_eq!(
            decoded,
            json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "a", "labels": {"x": "y"}},
                "spec": {"replicas": 0},
            })
        );
        for version in ["example.com/v1", "apps.example.com/v1"] {
            let unknown = decode(&object(version, "Deployment", b""));
            assert_eq!(unknown, Err(ProtobufError::Unknown), "{version}");
        }
    }

    #[test]
    fn deletions_say_how_they_propagate() {
        let raw = field(4, b"Orphan");
        let decoded = decode(&object("policy/v1", "DeleteOptions", &raw)).unwrap();
        assert_eq!(decoded["propagationPolicy"], "Orphan");
    }

    #[test]
    fn every_message_is_known() {
        for field in messages::all().flatten() {
            let mut kind = &field.kind;
            while let Kind::Optional(inner)
            | Kind::List(inner)
            | Kind::Map(inner)
            | Kind::Wrapped(inner) = kind
            {
                kind = inner;
            }
            if let Kind::Message(name) = kind {
                assert!(message(name).is_some(), "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
            let _ = decode(&[PREFIX, &bytes].concat());
            let _ = decode(&object("v1", "Pod", &bytes));
        }
    }
}
