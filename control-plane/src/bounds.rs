//! How large and how deep a document may be.
//!
//! What comes over HTTP is bounded as it is read; patches and defaults can make far more of it,
//! and are held to the same bounds.

use std::io;

use serde_json::Value;

/// How deep objects and lists may nest: as deep as `serde_json` reads.
pub(crate) const DEPTH: usize = 127;

/// Bytes of JSON of an object at most: what etcd takes by default.
pub(crate) const OBJECT_BYTES: usize = 3 * 512 * 1024;

/// How deep objects and lists nest in a value; 0 for a value that is neither.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether objects and lists nest deeper than this. Looks no deeper.
pub(crate) fn is_deeper_than(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => {
            depth == 0 || items.iter().any(|item| is_deeper_than(item, depth - 1))
        }
        Value::Object(fields) => {
            depth == 0
                || fields
                    .values()
                    .any(|field| is_deeper_than(field, depth - 1))
        }
        _ => false,
    }
}

/// Bytes of a value as JSON; of one that is larger than `most`, some number above it.
pub(crate) fn json_size(value: &Value, most: usize) -> usize {
    let mut counter = Counter { bytes: 0, most };
    // It ends early only because there are too many.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.bytes
}

/// Counts what is written, up to a bound.
struct Counter {
    bytes: usize,
    most: usize,
}

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len();
        if self.bytes > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_and_depths_are_those_of_the_json() {
        let value = json!({"a": [{"b": "cd"}], "e": 1});
        assert_eq!(json_size(&value, 100), value.to_string().len());
        assert_eq!(depth(&value), 3);
        assert!(is_deeper_than(&value, 2));
        assert!(!is_deeper_than(&value, 3));
        assert!(json_size(&value, 10) > 10);
    }
}
