//! What messages hold.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A field of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) number: u64,
    /// In JSON; `.` if its fields are those of the message around it.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a field holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Optional(Box<Kind>),
    List(Box<Kind>),
    Map(Box<Kind>),
    /// A list in a message of its own.
    Wrapped(Box<Kind>),
    Text,
    Flag,
    Integer,
    Float,
    Bytes,
    Message(&'static str),
    Time {
        micros: bool,
    },
    Quantity,
    IntOrString,
    Json,
    Duration,
}

static MESSAGES: LazyLock<HashMap<&'static str, Vec<Field>>> = LazyLock::new(|| {
    let mut messages: HashMap<_, Vec<Field>> = HashMap::new();
    let mut current = "";
    for line in include_str!("messages.txt").lines() {
        if let Some(name) = line.strip_prefix("message ") {
            current = name;
            messages.entry(current).or_default();
        } else if let Some(field) = field(line) {
            messages.entry(current).or_default().push(field);
        }
    }
    messages
});

/// The fields of a message.
pub(super) fn message(name: &str) -> Option<&'static [Field]> {
    MESSAGES.get(name).map(Vec::as_slice)
}

/// The fields of all messages.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static [Field]> {
    MESSAGES.values().map(Vec::as_slice)
}

fn field(line: &'static str) -> Option<Field> {
    let mut parts = line.split(' ');
    let number = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let kind = kind(parts.next()?)?;
    Some(Field { number, name, kind })
}

fn kind(code: &'static str) -> Option<Kind> {
    let (letter, rest) = code.split_at_checked(1)?;
    let inner = || kind(rest).map(Box::new);
    Some(match letter {
        "?" => Kind::Optional(inner()?),
        "*" => Kind::List(inner()?),
        "%" => Kind::Map(inner()?),
        "L" => Kind::Wrapped(inner()?),
        "s" => Kind::Text,
        "b" => Kind::Flag,
        "i" => Kind::Integer,
        "f" => Kind::Float,
        "y" => Kind::Bytes,
        "m" => Kind::Message(rest),
        "T" => Kind::Time { micros: false },
        "U" => Kind::Time { micros: true },
        "Q" => Kind::Quantity,
        "O" => Kind::IntOrString,
        "R" => Kind::Json,
        "D" => Kind::Duration,
        _ => return None,
    })
}
