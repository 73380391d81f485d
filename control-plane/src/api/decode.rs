//! From a body to an object of a kind.

use std::fmt::Write;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde_json::Value;

use super::call::Call;
use super::json::{self, Parsed};
use super::negotiate::{BodyForm, unsupported};
use super::query::FieldValidation;
use super::status::{ApiError, Cause};
use crate::bounds::DEPTH;
use crate::kinds::{Resource, group_version};
use crate::meta::{metadata, namespace, text};
use crate::objects::pipeline;
use crate::protobuf::{self, ProtobufError};
use crate::serving::{Limits, Place};

/// Bytes of a body at most, as etcd would take them.
const LIMIT: usize = 3 * 1024 * 1024;

/// Bytes of one that is too long that are still taken, so that a client that sends first and reads
/// then sees why it was refused, and not a connection that breaks.
const REST: usize = 32 * 1024 * 1024;

/// How long a body may take to come.
const READING: Duration = Duration::from_mins(1);

/// Reads a body.
pub(crate) async fn read(mut body: axum::body::Body) -> Result<bytes::Bytes, ApiError> {
    match Limited::new(&mut body, LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            let mut rest = Limited::new(body, REST);
            while let Some(Ok(_)) = rest.frame().await {}
            Err(ApiError::too_large(LIMIT))
        }
        Err(error) => Err(ApiError::bad_request(error.to_string())),
    }
}

/// Reads a body that comes over a connection: within the memory for bodies, and in time. Gives its
/// place in that memory, too.
pub(crate) async fn read_within(
    body: axum::body::Body,
    limits: &Limits,
) -> Result<(bytes::Bytes, Option<Place>), ApiError> {
    let most = body
        .size_hint()
        .upper()
        .and_then(|most| usize::try_from(most).ok());
    let most = most.unwrap_or(LIMIT).min(LIMIT);
    let memory = limits.body(most).await;
    let memory = memory.map_err(|_| ApiError::too_many_requests())?;
    match tokio::time::timeout(READING, read(body)).await {
        Ok(read) => Ok((read?, Some(memory))),
        Err(_) => Err(ApiError::timeout()),
    }
}

/// The type that a body should have.
pub(crate) struct Expected<'a> {
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    pub(crate) kind: &'a str,
}

impl<'a> Expected<'a> {
    pub(crate) fn of(resource: &'a Resource) -> Self {
        Self {
            group: &resource.group,
            version: &resource.version,
            kind: &resource.kind,
        }
    }

    fn api_version(&self) -> String {
        group_version(self.group, self.version)
    }
}

/// Reads a body as a value.
pub(crate) fn parse(
    bytes: &[u8],
    form: BodyForm,
    expected: &Expected<'_>,
) -> Result<Parsed, ApiError> {
    let kind = expected.kind;
    let unrecognized = |why: String| {
        let shown = shown(bytes);
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why} ({shown})"
        ))
    };
    let parsed = match form {
        BodyForm::Json => {
            json::parse(bytes).map_err(|error| unrecognized(syntax(bytes, &error)))?
        }
        BodyForm::Yaml => yaml(bytes).map_err(unrecognized)?,
        BodyForm::Protobuf => Parsed {
            value: from_protobuf(bytes, expected)?,
            duplicates: Vec::new(),
        },
    };
    if parsed.value.is_null() {
        return Ok(Parsed {
            value: Value::Object(serde_json::Map::new()),
            ..parsed
        });
    }
    if !parsed.value.is_object() {
        let found = json::go_kind(&parsed.value).unwrap_or("string");
        let target = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
        let why = format!("json: cannot unmarshal {found} into Go value of type {target}");
        return Err(unrecognized(why));
    }
    for field in ["apiVersion", "kind"] {
        if let Some(found) = parsed.value.get(field).and_then(json::go_kind) {
            let why = format!(
                "json: cannot unmarshal {found} into Go struct field .{field} of type string"
            );
            return Err(unrecognized(why));
        }
    }
    Ok(parsed)
}

/// Reads protobuf.
fn from_protobuf(bytes: &[u8], expected: &Expected<'_>) -> Result<Value, ApiError> {
    protobuf::decode(bytes).map_err(|error| match error {
        ProtobufError::Unknown => unsupported(&["application/json", "application/yaml"]),
        ProtobufError::Damaged(why) => ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why} ({})",
            expected.kind,
            shown(bytes)
        )),
    })
}

/// Reads YAML.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Parsed, String> {
    // Most of what comes as YAML is JSON, as what kubectl applies.
    if let Ok(parsed) = json::parse(bytes)
        && parsed.duplicates.is_empty()
    {
        return Ok(parsed);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH },
    };
    let value = serde_saphyr::from_str_with_options::<Value>(text, options);
    Ok(Parsed {
        value: value.map_err(|error| error.to_string())?,
        duplicates: Vec::new(),
    })
}

/// The beginning of a body, as messages show it: JSON as it is, anything else in hexadecimal.
fn shown(bytes: &[u8]) -> String {
    const LENGTH: usize = 1024;
    let (start, cut) = match bytes.get(..LENGTH) {
        Some(start) if bytes.len() > LENGTH => (start, " ..."),
        _ => (bytes, ""),
    };
    match start.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{cut}", String::from_utf8_lossy(start)),
        Some(_) => start.iter().fold(String::new(), |mut text, byte| {
            // Writing to a text does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

/// What is wrong with JSON, in the words of Go.
pub(crate) fn syntax(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let line = bytes
        .split(|&byte| byte == b'\n')
        .nth(error.line().saturating_sub(1));
    let column = error.column().saturating_sub(1);
    let letter = line
        .and_then(|line| line.get(column))
        .copied()
        .map(char::from);
    let message = error.to_string();
    let wrong = match letter {
        Some(_) if message.starts_with("trailing characters") => "after top-level value",
        Some(_) if message.starts_with("expected value") => "looking for beginning of value",
        Some(_)
            if message.starts_with("key must be a string")
                || message.starts_with("trailing comma") && letter == Some('}') =>
        {
            "looking for beginning of object key string"
        }
        Some(_) if message.starts_with("expected `:`") => "after object key",
        Some(_) if message.starts_with("expected `,` or `}`") => "after object key:value pair",
        Some(_) if message.starts_with("expected `,` or `]`") => "after array element",
        _ => return message,
    };
    match letter {
        Some('\'') => format!(r"invalid character '\'' {wrong}"),
        letter => format!("invalid character '{}' {wrong}", letter.unwrap_or_default()),
    }
}

/// Takes an object from a body: typed, pruned, and with its namespace.
pub(crate) fn object(
    call: &Call,
    bytes: &[u8],
    form: BodyForm,
    validation: FieldValidation,
) -> Result<Value, ApiError> {
    let resource = &call.resource;
    let expected = Expected::of(resource);
    let parsed = parse(bytes, form, &expected)?;
    let mut value = parsed.value;
    check_type(call, &mut value)?;
    if form == BodyForm::Protobuf && resource.custom.is_some() {
        return Err(unsupported(&["application/json", "application/yaml"]));
    }
    let unknown = pipeline::prune(resource, &mut value)
        .map_err(|wrong| cannot_be_handled(resource, &wrong.decoding))?;
    let found = findings(call, unknown, parsed.duplicates, form);
    report(call, found, validation)?;
    set_namespace(call, &mut value)?;
    Ok(value)
}

/// What is said about unknown and repeated fields, in the order of the document.
fn findings(
    call: &Call,
    unknown: Vec<String>,
    duplicates: Vec<String>,
    form: BodyForm,
) -> Vec<String> {
    let unknown = unknown.into_iter().map(|path| ("unknown", path));
    let duplicates = duplicates.into_iter().map(|path| ("duplicate", path));
    if call.resource.custom.is_some() {
        // Unknown fields are found later, those of the metadata first.
        let (metadata, others): (Vec<_>, Vec<_>) =
            unknown.partition(|(_, path)| path.starts_with("metadata."));
        let found = duplicates.chain(metadata).chain(others);
        return found.map(|(what, path)| finding(what, &path)).collect();
    }
    let mut found: Vec<_> = unknown.chain(duplicates).collect();
    if found.len() > 1 && form == BodyForm::Json {
        let order = json::order(&call.body);
        found.sort_by_key(|(_, path)| order.get(path).copied().unwrap_or(usize::MAX));
    }
    let found = found.into_iter();
    found.map(|(what, path)| finding(what, &path)).collect()
}

pub(super) fn finding(what: &str, path: &str) -> String {
    format!("{what} field \"{path}\"")
}

/// Unknown and repeated fields that are told about, at most: as Kubernetes' decoder has it.
pub(super) const MOST_FINDINGS: usize = 100;

/// Tells the client about fields that were dropped, or refuses them.
pub(crate) fn report(
    call: &Call,
    mut found: Vec<String>,
    validation: FieldValidation,
) -> Result<(), ApiError> {
    found.truncate(MOST_FINDINGS);
    match validation {
        FieldValidation::Strict if !found.is_empty() => {
            let why = format!("strict decoding error: {}", found.join(", "));
            Err(cannot_be_handled(&call.resource, &why))
        }
        FieldValidation::Warn => {
            found.into_iter().for_each(|text| call.warn(text));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Takes a body of a built-in kind that is not stored: typed, and without what nobody knows.
pub(crate) fn typed(call: &Call, expected: &Expected<'_>) -> Result<Value, ApiError> {
    let form = BodyForm::of(&call.headers)?;
    let mut value = parse(&call.body, form, expected)?.value;
    let Expected {
        group,
        version,
        kind,
    } = expected;
    pipeline::prune_builtin((group, version, kind), &mut value)
        .map_err(|wrong| is_not_of(kind, version, &wrong.decoding))?;
    Ok(value)
}

/// The refusal of an object that is not like its kind.
pub(crate) fn cannot_be_handled(resource: &Resource, why: &str) -> ApiError {
    is_not_of(&resource.kind, &resource.version, why)
}

fn is_not_of(kind: &str, version: &str, why: &str) -> ApiError {
    ApiError::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
    ))
}

/// The body names the kind of the path, or none.
fn check_type(call: &Call, value: &mut Value) -> Result<(), ApiError> {
    let resource = &call.resource;
    let expected = Expected::of(resource).api_version();
    let custom = resource.custom.is_some();
    let given_version = text(value, "/apiVersion").to_owned();
    let given_kind = text(value, "/kind").to_owned();
    if custom && (given_kind.is_empty() || given_version.is_empty()) {
        let missing = if given_kind.is_empty() {
            "Kind"
        } else {
            "apiVersion"
        };
        let json = String::from_utf8_lossy(&call.body).into_owned();
        let why = format!("Object '{missing}' is missing in '{json}'");
        return Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why} ({})",
            resource.kind,
            shown(json.as_bytes())
        )));
    }
    let version = if given_version.is_empty() {
        &expected
    } else {
        &given_version
    };
    let kind = if given_kind.is_empty() {
        &resource.kind
    } else {
        &given_kind
    };
    if *version != expected || *kind != resource.kind {
        let name = crate::meta::name(value);
        return Err(wrong_type(call, version, kind, name));
    }
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), expected.into());
        fields.insert("kind".to_owned(), resource.kind.clone().into());
    }
    Ok(())
}

/// The refusal of an object of another kind than that of the path.
pub(super) fn wrong_type(
    call: &Call,
    given_version: &str,
    given_kind: &str,
    name: &str,
) -> ApiError {
    let resource = &call.resource;
    let Resource { kind, group, .. } = &**resource;
    let version = given_version.rsplit('/').next().unwrap_or_default();
    if resource.custom.is_some() {
        let expected = resource.api_version();
        if given_version != expected {
            return ApiError::bad_request(format!(
                "the API version in the data ({given_version}) does not match the expected API version ({expected})"
            ));
        }
        let cause = Cause::invalid(
            "kind",
            &format!("{given_kind:?}"),
            &format!("must be {kind}"),
        );
        return ApiError::invalid_in(group, given_kind, name, &[cause]);
    }
    let why = if call.kinds.find_kind(given_version, given_kind).is_some() {
        let package = match group.split('.').next() {
            None | Some("") => "core",
            Some(package) => package,
        };
        format!("converting ({version}.{given_kind}) to ({package}.{kind}): unknown conversion")
    } else {
        not_registered(given_version, given_kind)
    };
    ApiError::bad_request(format!(
        "{given_kind} in version {version:?} cannot be handled as a {kind}: {why}"
    ))
}

/// What is said about a kind that nobody knows.
pub(crate) fn not_registered(version: &str, kind: &str) -> String {
    format!(
        "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:110\""
    )
}

/// The object gets the namespace of the path, which it may not contradict.
pub(crate) fn set_namespace(call: &Call, value: &mut Value) -> Result<(), ApiError> {
    let given = namespace(value).to_owned();
    let expected = call.namespace().unwrap_or_default();
    if !given.is_empty() && given != expected {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let expected = Some(expected).filter(|namespace| !namespace.is_empty());
    crate::meta::put(metadata(value), "namespace", expected.map(Value::from));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document that nests so deep, as YAML that is no JSON.
    fn nested(levels: usize) -> String {
        let open = (0..levels - 1).map(|level| format!("{}a:\n", " ".repeat(level)));
        let open: String = open.collect();
        format!("{open}{}a: 1", " ".repeat(levels - 1))
    }

    #[test]
    fn yaml_nests_as_deep_as_json_and_no_deeper() {
        let parsed = yaml(nested(DEPTH).as_bytes()).unwrap();
        assert_eq!(crate::bounds::depth(&parsed.value), DEPTH);
        let deeper = yaml(nested(DEPTH + 1).as_bytes());
        assert!(deeper.is_err());
        // Sequences, brackets, and anything that no parser should follow to its end.
        for text in [
            "- ".repeat(100_000),
            "[".repeat(100_000),
            "{a: ".repeat(100_000),
        ] {
            assert!(yaml(text.as_bytes()).is_err());
        }
    }
}
