//! In which form a client wants its answer, and in which form it sends.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use super::status::ApiError;

/// In which shape objects are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As they are.
    Object,
    /// As rows of a `Table`.
    Table,
    /// Their metadata only.
    Metadata,
}

/// In which form an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) shape: Shape,
    pub(crate) yaml: bool,
}

/// A media range of an Accept header.
pub(crate) struct Range<'a> {
    /// `application/json`
    pub(crate) name: String,
    /// `as=Table`, `g=meta.k8s.io`, …
    parameters: Vec<(&'a str, &'a str)>,
}

impl Range<'_> {
    pub(crate) fn parameter(&self, name: &str) -> &str {
        let mut found = self.parameters.iter().filter(|(other, _)| *other == name);
        found.next().map_or("", |(_, value)| value)
    }
}

/// The media ranges of an Accept header, the most wanted first. Without one, anything will do.
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<Range<'_>> {
    let texts = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut ranges: Vec<_> = texts
        .flat_map(|text| text.split(','))
        .filter_map(range)
        .collect();
    if ranges.is_empty() {
        ranges.extend(range("*/*"));
    }
    // The sort is stable: of equals, the first one stays first.
    ranges.sort_by_key(|range| std::cmp::Reverse(quality(range)));
    ranges
}

fn range(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    if name.is_empty() {
        return None;
    }
    let parameters = parts.filter_map(|part| part.split_once('=')).collect();
    Some(Range { name, parameters })
}

/// In thousandths.
fn quality(range: &Range<'_>) -> u32 {
    let quality = range.parameter("q").parse::<f64>().unwrap_or(1.0);
    (quality.clamp(0.0, 1.0) * 1000.0) as u32
}

/// What clients of a real server may ask for.
const REPRESENTATIONS: &str =
    "application/json, application/yaml, application/vnd.kubernetes.protobuf";
/// What else they may ask for where they can watch.
const STREAMS: &str =
    ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// The refusal of a form that is not served.
pub(crate) fn not_acceptable(can_watch: bool) -> ApiError {
    let streams = if can_watch { STREAMS } else { "" };
    let message =
        format!("406: Not Acceptable\n\nAvailable representations: {REPRESENTATIONS}{streams}");
    ApiError::new(406, "NotAcceptable", message).with_details()
}

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

impl Form {
    /// Plain JSON.
    pub(crate) const JSON: Self = Self {
        shape: Shape::Object,
        yaml: false,
    };

    /// What an Accept header asks for. Shapes are for objects and lists, not for other answers.
    pub(crate) fn of(headers: &HeaderMap, shapes: bool) -> Result<Self, ApiError> {
        for range in accepted(headers) {
            let yaml = match range.name.as_str() {
                "application/json" | "*/*" => false,
                "application/yaml" => true,
                _ => continue,
            };
            let (group, version) = (range.parameter("g"), range.parameter("v"));
            let meta = group == "meta.k8s.io" && ["v1", "v1beta1"].contains(&version);
            let shape = match range.parameter("as") {
                "" => Shape::Object,
                "Table" if shapes && meta => Shape::Table,
                "PartialObjectMetadata" | "PartialObjectMetadataList" if shapes && meta => {
                    Shape::Metadata
                }
                _ => continue,
            };
            return Ok(Self { shape, yaml });
        }
        Err(not_acceptable(true))
    }

    pub(crate) fn content_type(self) -> &'static str {
        if self.yaml {
            "application/yaml"
        } else {
            "application/json"
        }
    }
}

/// In which form a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyForm {
    Json,
    Yaml,
    Protobuf,
}

/// The media type of a body, without parameters; empty if none was given.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let name = text
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    name.trim().to_ascii_lowercase()
}

impl BodyForm {
    /// What a Content-Type header says; JSON without one.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        match media_type(headers).as_str() {
            "" | "application/json" => Ok(Self::Json),
            "application/yaml" => Ok(Self::Yaml),
            PROTOBUF => Ok(Self::Protobuf),
            _ => Err(unsupported(&[
                "application/json",
                "application/yaml",
                PROTOBUF,
            ])),
        }
    }
}

/// The refusal of a body in a form that is not understood.
pub(crate) fn unsupported(accepted: &[&str]) -> ApiError {
    let accepted = accepted.join(", ");
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    );
    ApiError::new(415, "UnsupportedMediaType", message)
}

/// Whether a client takes nothing but protobuf.
pub(crate) fn wants_only_protobuf(headers: &HeaderMap) -> bool {
    let ranges = accepted(headers);
    ranges
        .iter()
        .all(|range| range.name.contains("protobuf") || range.name == PROTOBUF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        Form::of(&headers, true).ok()
    }

    #[test]
    fn takes_the_first_form_that_it_knows() {
        let form_of = |shape, yaml| Some(Form { shape, yaml });
        let cases = [
            ("*/*", form_of(Shape::Object, false)),
            (
                "application/vnd.kubernetes.protobuf, application/json",
                form_of(Shape::Object, false),
            ),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                form_of(Shape::Table, false),
            ),
            (
                "application/json;as=Cheese;v=v1;g=meta.k8s.io,application/yaml",
                form_of(Shape::Object, true),
            ),
            (
                "application/yaml;q=0.5,application/json;q=0.9",
                form_of(Shape::Object, false),
            ),
            (
                "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
                form_of(Shape::Metadata, false),
            ),
            ("application/vnd.kubernetes.protobuf", None),
            ("text/html", None),
        ];
        for (accept, expected) in cases {
            assert_eq!(form(accept), expected, "{accept}");
        }
    }
}
