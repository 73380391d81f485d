//! The issuer of service accounts' tokens, for those who verify them without asking for a review:
//! OIDC discovery, and the keys.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use super::negotiate::accepted;
use super::response::send;
use super::status::ApiError;
use crate::access::Access;

const CONFIGURATION: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/openid/v1/jwks";

/// Answers with what is told of the issuer; none for other paths.
pub(crate) fn answer(
    access: &Access,
    path: &str,
    headers: &HeaderMap,
) -> Result<Option<Response>, ApiError> {
    let (content_type, document) = match path {
        CONFIGURATION => ("application/json", configuration(access)),
        KEYS => {
            let keys = json!({"keys": [access.keys()?.accounts.json_web_key()]});
            ("application/jwk-set+json", keys)
        }
        _ => return Ok(None),
    };
    let ranges = accepted(headers);
    let any = ["*/*", "application/*", content_type];
    if !ranges
        .iter()
        .any(|range| any.contains(&range.name.as_str()))
    {
        let why = format!("406: Not Acceptable\n\nAvailable representations: {content_type}");
        return Err(ApiError::new(406, "NotAcceptable", why).with_details());
    }
    let mut response = send(
        200,
        content_type,
        document.to_string().into_bytes(),
        headers,
    );
    let cache = HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    Ok(Some(response))
}

fn configuration(access: &Access) -> Value {
    let issuer = access.issuer.as_str();
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{}{KEYS}", issuer.trim_end_matches('/')),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}
