//! Tokens of service accounts.
//!
//! A token is made of random bits and lives with the process: it names its account, whose uid must
//! still be the same when the token is shown.

use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::call::Call;
use super::decode;
use super::negotiate::BodyForm;
use super::query::WriteOptions;
use super::status::{ApiError, Cause};
use crate::access::User;
use crate::kinds::table;
use crate::meta::{name, namespace, number, text, uid};
use crate::plane::Plane;
use crate::sources::seconds;
use crate::store::Key;

/// A token that was given out.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    account: Key,
    uid: String,
    expires: Timestamp,
}

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
    let account = call.plane.store.get(&key);
    let account = account.ok_or_else(|| ApiError::not_found(&call.resource, &call.path.name))?;
    let lifetime = number(&request, "/spec/expirationSeconds").unwrap_or(LIFETIME);
    check_lifetime(lifetime)?;
    let sources = &call.plane.sources;
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
        call.plane.keep_token(token.clone(), issued, now);
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

/// The user that a service account's token stands for.
pub(crate) fn user_of(plane: &Plane, token: &str) -> Option<User> {
    let issued = plane.token(token)?;
    let account = plane.store.get(&issued.account)?;
    if issued.account.resource != table("", "serviceaccounts")
        || uid(account.value()) != issued.uid
        || issued.expires <= plane.sources.now()
    {
        return None;
    }
    let (space, name) = (
        namespace(account.value()),
        text(account.value(), "/metadata/name"),
    );
    Some(User {
        name: format!("system:serviceaccount:{space}:{name}"),
        uid: issued.uid,
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{space}"),
        ],
        ..User::default()
    })
}

impl Issued {
    /// Whether it still counts.
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        self.expires > now
    }
}
