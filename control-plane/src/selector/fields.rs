//! Field selectors, as `metadata.name=a,status.phase!=Running`.

use serde_json::Value;

use crate::kinds::{Conversion, Resource};

/// What an object's fields must be like. The default takes all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    field: String,
    /// Where the field is in what is stored.
    pointer: String,
    value: String,
    equal: bool,
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
            let (field, equal, value) = term(part).ok_or_else(wrong)?;
            let value = unescape(value).ok_or_else(wrong)?;
            let pointer = pointer(resource, field)?;
            requirements.push(Requirement {
                field: field.to_owned(),
                pointer,
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
            let value = field(object, &requirement.pointer);
            (value == requirement.value) == requirement.equal
        })
    }

    /// The value that a field must have, if there is one.
    pub(crate) fn exact(&self, field: &str) -> Option<&str> {
        let mut found = self
            .0
            .iter()
            .filter(|requirement| requirement.field == field);
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

/// A field as text; what is not there is empty.
fn field(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => match pointer {
            "/spec/unschedulable" | "/spec/hostNetwork" => "false".to_owned(),
            "/status/successful" | "/status/succeeded" | "/status/replicas" => "0".to_owned(),
            _ => String::new(),
        },
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
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

/// The fields that objects of a kind may be selected by, beside name and namespace.
fn known(resource: &Resource) -> &'static [&'static str] {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "Event") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("events.k8s.io", "Event") => &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        ("", "Namespace") => &["status.phase"],
        ("", "Node") => &["spec.unschedulable"],
        ("", "ReplicationController") => &["status.replicas"],
        ("", "Secret") => &["type"],
        ("", "Service") => &["spec.clusterIP", "spec.type"],
        ("batch", "Job") => &["status.successful"],
        ("certificates.k8s.io", "CertificateSigningRequest") => &["spec.signerName"],
        ("resource.k8s.io", "ResourceSlice") => &["spec.nodeName", "spec.driver"],
        _ => &[],
    }
}

fn pointer(resource: &Resource, field: &str) -> Result<String, String> {
    let plain = || format!("/{}", field.replace('.', "/"));
    if field == "metadata.name"
        || (field == "metadata.namespace" && resource.is_selected_by_namespace())
    {
        return Ok(plain());
    }
    if let Some(custom) = &resource.custom {
        let selectable = custom.selectable.iter();
        let mut selectable = selectable.map(|path| path.trim_start_matches('.'));
        if selectable.any(|path| path == field) {
            return Ok(plain());
        }
        return Err(format!("field label not supported: {field}"));
    }
    let known = known(resource);
    if !known.contains(&field) {
        return Err(if known.is_empty() {
            let only = "only \"metadata.name\", \"metadata.namespace\"";
            format!("{field:?} is not a known field selector: {only}")
        } else {
            format!("field label not supported: {field}")
        });
    }
    Ok(match field {
        "source" => "/source/component".to_owned(),
        "status.successful" => "/status/succeeded".to_owned(),
        "reportingController" => "/reportingComponent".to_owned(),
        _ if resource.conversion == Conversion::Event => {
            plain().replace("/regarding", "/involvedObject")
        }
        _ => plain(),
    })
}

impl Resource {
    /// Whether a field selector may name the namespace.
    fn is_selected_by_namespace(&self) -> bool {
        self.namespaced || self.custom.is_none()
    }
}
