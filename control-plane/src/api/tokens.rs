//! Requests for tokens of service accounts.

use axum::response::Response;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::call::Call;
use super::decode;
use super::negotiate::BodyForm;
use super::query::WriteOptions;
use super::status::{ApiError, Cause};
use crate::access::issued::Issued;
use crate::meta::{name, namespace, number, uid};
use crate::sources::seconds;

/// Seconds.
const LIFETIME: i64 = 3600;

/// Answers a request for a token.
pub(crate) fn create(call: &Call) -> Result<Response, ApiError> {
    let options = WriteOptions::of(&call.query, "CreateOptions", false)?;
    let form = BodyForm::of(&call.headers)?;
    let expected = decode::Expected {
        group: "authentication.k8s.io",
        version: "v1",
        kind: "TokenRequest",
    };
    let request = decode::parse(&call.body, form, &expected)?.value;
    let key = call.key(&call.path.name);
    let account = call.objects().store.get(&key);
    let account = account.ok_or_else(|| ApiError::not_found(&call.resource, &call.path.name))?;
    let lifetime = number(&request, "/spec/expirationSeconds").unwrap_or(LIFETIME);
    check_lifetime(lifetime)?;
    let sources = &call.objects().sources;
    let now = sources.now();
    let expires = now
        .checked_add(SignedDuration::from_secs(lifetime))
        .unwrap_or(now);
    let token = format!("{}{}", sources.uid(), sources.uid()).replace('-', "");
    if !options.dry_run {
        let issued = Issued {
            account: key,
            uid: uid(account.value()).to_owned(),
            expires,
        };
        call.server.access.issued.keep(token.clone(), issued, now);
    }
    let answer = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": name(account.value()),
            "namespace": namespace(account.value()),
            "creationTimestamp": seconds(now),
        },
        "spec": {
            "audiences": audiences(&request),
            "expirationSeconds": lifetime,
            "boundObjectRef": request.pointer("/spec/boundObjectRef"),
        },
        "status": {"token": token, "expirationTimestamp": seconds(expires)},
    });
    Ok(call.answer_value(201, &answer))
}

fn check_lifetime(seconds: i64) -> Result<(), ApiError> {
    let why = match seconds {
        ..600 => "may not specify a duration less than 10 minutes",
        600..=0x1_0000_0000 => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let cause = Cause::invalid("spec.expirationSeconds", &seconds.to_string(), why);
    let group = "authentication.k8s.io";
    Err(ApiError::invalid_in(group, "TokenRequest", "", &[cause]))
}

fn audiences(request: &Value) -> Value {
    let given = request
        .pointer("/spec/audiences")
        .filter(|given| given.is_array());
    given
        .cloned()
        .unwrap_or_else(|| json!(["https://kubernetes.default.svc"]))
}
