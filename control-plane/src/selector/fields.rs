//! Field selectors, as `metadata.name=a,status.phase!=Running`.

use serde_json::Value;

use crate::kinds::Resource;

/// What an object's fields must be like. The default takes all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    /// What the selector calls it.
    label: String,
    field: Field,
    value: String,
    equal: bool,
}

/// A field of what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    pointer: String,
    /// What counts where it is not there.
    absent: &'static str,
}

impl FieldSelector {
    /// Of a query, for objects of a resource. The error is in the words of the real server.
    pub(crate) fn parse(selector: &str, resource: &Resource) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for part in split(selector) {
            if part.is_empty() {
                continue;
            }
            let wrong = || format!("invalid selector: '{selector}'; can't understand '{part}'");
            let (label, equal, value) = term(part).ok_or_else(wrong)?;
            let value = unescape(value).ok_or_else(wrong)?;
            let field = selectable(resource, label)?;
            requirements.push(Requirement {
                label: label.to_owned(),
                field,
                value,
                equal,
            });
        }
        Ok(Self(requirements))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object, as it is stored, is like that.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|requirement| {
            let value = requirement.field.of(object);
            (value == requirement.value) == requirement.equal
        })
    }

    /// The value that a field must have, if there is one.
    pub(crate) fn exact(&self, label: &str) -> Option<&str> {
        let mut found = self
            .0
            .iter()
            .filter(|requirement| requirement.label == label);
        let requirement = found.find(|requirement| requirement.equal)?;
        Some(&requirement.value)
    }
}

/// The one name that a selector asks for, whatever the resource; none if it asks for no name, or
/// can't be read.
pub(crate) fn required_name(selector: &str) -> Option<String> {
    let mut name = None;
    for part in split(selector).into_iter().filter(|part| !part.is_empty()) {
        let (field, equal, value) = term(part)?;
        let value = unescape(value)?;
        if equal && field == "metadata.name" {
            name.get_or_insert(value);
        }
    }
    name.filter(|name| !matches!(name.as_str(), "" | "." | "..") && !name.contains(['/', '%']))
}

impl Field {
    /// Its value as text.
    fn of(&self, object: &Value) -> String {
        match object.pointer(&self.pointer) {
            None | Some(Value::Null) => self.absent.to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

/// At commas that are not escaped.
fn split(selector: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, letter) in selector.char_indices() {
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if letter == ',' {
            parts.extend(selector.get(start..index));
            start = index + 1;
        }
    }
    parts.extend(selector.get(start..));
    parts
}

/// The field, whether its value shall be equal, and the value.
fn term(part: &str) -> Option<(&str, bool, &str)> {
    for (index, _) in part.char_indices() {
        let (field, rest) = part.split_at(index);
        for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
            if let Some(value) = rest.strip_prefix(operator) {
                return Some((field, equal, value));
            }
        }
    }
    None
}

fn unescape(value: &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(letter @ ('\\' | ',' | '=')) => text.push(letter),
                _ => return None,
            },
            ',' | '=' => return None,
            letter => text.push(letter),
        }
    }
    Some(text)
}

/// The field that a selector names, of those that a resource has; the error is in the words of the
/// real server.
fn selectable(resource: &Resource, label: &str) -> Result<Field, String> {
    let plain = || Field {
        pointer: format!("/{}", label.replace('.', "/")),
        absent: "",
    };
    if label == "metadata.name"
        || (label == "metadata.namespace" && resource.is_selected_by_namespace())
    {
        return Ok(plain());
    }
    let unsupported = || format!("field label not supported: {label}");
    if let Some(custom) = &resource.custom {
        let mut paths = custom.selectable.iter();
        let found = paths.any(|path| path.trim_start_matches('.') == label);
        return found.then(plain).ok_or_else(unsupported);
    }
    let known = resource.builtin.map_or(&[][..], |kind| kind.selectable);
    if known.is_empty() {
        let only = "only \"metadata.name\", \"metadata.namespace\"";
        return Err(format!("{label:?} is not a known field selector: {only}"));
    }
    let found = known.iter().find(|field| field.label == label);
    let field = found.map(|field| Field {
        pointer: field.pointer.to_owned(),
        absent: field.absent,
    });
    field.ok_or_else(unsupported)
}

impl Resource {
    /// Whether a field selector may name the namespace.
    fn is_selected_by_namespace(&self) -> bool {
        self.namespaced || self.custom.is_none()
    }
}
