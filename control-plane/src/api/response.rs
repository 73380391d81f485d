//! Answers.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;

use super::negotiate::Form;
use super::status::ApiError;

/// An answer with JSON, in a form.
pub(crate) fn respond(code: u16, form: Form, json: String, headers: &HeaderMap) -> Response {
    let text = if form.yaml { yaml(json) } else { json };
    send(code, form.content_type(), text.into_bytes(), headers)
}

/// An answer that is sent again and again.
pub(crate) struct Prepared {
    content_type: &'static str,
    plain: Bytes,
    /// None if it is not worth it.
    compressed: Option<Bytes>,
}

impl Prepared {
    pub(crate) fn new(content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            content_type,
            compressed: compress::gzip(&body).map(Bytes::from),
            plain: body.into(),
        }
    }

    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let compressed = self.compressed.clone();
        let response = match compressed.filter(|_| compress::is_wanted(headers)) {
            Some(body) => compress::compressed(body),
            None => Response::new(Body::from(self.plain.clone())),
        };
        of_type(200, self.content_type, response)
    }
}

/// An answer of this type.
pub(crate) fn send(
    code: u16,
    content_type: &'static str,
    body: Vec<u8>,
    headers: &HeaderMap,
) -> Response {
    let gzip = compress::is_wanted(headers).then(|| compress::gzip(&body));
    let response = match gzip.flatten() {
        Some(body) => compress::compressed(body),
        None => Response::new(Body::from(body)),
    };
    of_type(code, content_type, response)
}

fn of_type(code: u16, content_type: &'static str, mut response: Response) -> Response {
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    let cache = HeaderValue::from_static("no-cache, private");
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}

fn yaml(json: String) -> String {
    let value = serde_json::from_str::<Value>(&json);
    let text = value
        .ok()
        .and_then(|value| serde_saphyr::to_string(&value).ok());
    // JSON is YAML, too.
    text.unwrap_or(json)
}

/// An answer that reports a failure.
pub(crate) fn failure(error: &ApiError, headers: &HeaderMap) -> Response {
    let form = Form::of(headers, false).unwrap_or(Form::JSON);
    let mut response = respond(error.code, form, error.status().to_string(), headers);
    if let Some(seconds) = error.retry_after_seconds() {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// An answer with text.
pub(crate) fn plain(code: u16, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// Compression of big answers.
mod compress {
    use std::io::Write;

    use axum::body::Body;
    use axum::response::Response;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::{HeaderMap, HeaderValue, header};

    /// Bytes. Less is not worth the work.
    const THRESHOLD: usize = 128 * 1024;

    pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
        let wanted = headers.get(header::ACCEPT_ENCODING);
        let wanted = wanted.and_then(|value| value.to_str().ok());
        wanted.is_some_and(|text| text.split(',').any(|name| name.trim() == "gzip"))
    }

    /// The bytes, compressed; none if it is not worth it.
    pub(super) fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
        if bytes.len() < THRESHOLD {
            return None;
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let compressed = encoder.write_all(bytes).and_then(|()| encoder.finish());
        compressed.ok()
    }

    pub(super) fn compressed(body: impl Into<Body>) -> Response {
        let mut response = Response::new(body.into());
        let gzip = HeaderValue::from_static("gzip");
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, gzip);
        let vary = HeaderValue::from_static("Accept-Encoding");
        response.headers_mut().insert(header::VARY, vary);
        response
    }
}
