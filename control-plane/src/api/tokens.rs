//! Requests for tokens of service accounts (`TokenRequest`).

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};

use super::call::Call;
use super::decode;
use super::query::WriteOptions;
use super::status::{ApiError, Cause};
use crate::access::service_accounts::{BoundObject, issue, own_audiences};
use crate::kinds::table;
use crate::meta::{name, namespace, number, strings, text, uid};
use crate::sources::seconds;
use crate::store::{Key, Object};

/// Seconds.
const LIFETIME: i64 = 3600;

/// Answers a request for a token.
pub(crate) fn create(call: &Call) -> Result<Response, ApiError> {
    WriteOptions::of(&call.query, "CreateOptions", false)?;
    let expected = decode::Expected {
        group: "authentication.k8s.io",
        version: "v1",
        kind: "TokenRequest",
    };
    let request = decode::typed(call, &expected)?;
    let account = call.objects().store.get(&call.key(&call.path.name));
    let account = account.ok_or_else(|| ApiError::not_found(&call.resource, &call.path.name))?;
    let account = account.value();
    check_metadata(call, &request, account)?;
    let lifetime = number(&request, "/spec/expirationSeconds").unwrap_or(LIFETIME);
    check_lifetime(lifetime)?;
    let audiences = match strings(&request, "/spec/audiences") {
        none if none.is_empty() => own_audiences(&call.server.access),
        given => given,
    };
    let reference = request.pointer("/spec/boundObjectRef");
    let reference = reference.filter(|reference| !reference.is_null());
    let found = reference
        .map(|reference| Found::of(call, reference))
        .transpose()?;
    let bound = found.as_ref().map(Found::bound);
    let (token, end) = issue(
        &call.server.access,
        account,
        bound.as_ref(),
        &audiences,
        lifetime,
    )?;
    let answer = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": name(account),
            "namespace": namespace(account),
            "uid": uid(account),
            "creationTimestamp": seconds(call.objects().sources.now()),
        },
        "spec": {
            "audiences": audiences,
            "expirationSeconds": lifetime,
            "boundObjectRef": reference,
        },
        "status": {"token": token, "expirationTimestamp": seconds(end)},
    });
    Ok(call.answer_value(201, &answer))
}

/// What the body says of the account is true.
fn check_metadata(call: &Call, request: &Value, account: &Value) -> Result<(), ApiError> {
    let group = "authentication.k8s.io";
    let path = &call.path.name;
    for (field, expected) in [("name", path), ("namespace", &call.path.namespace)] {
        let given = text(request, &format!("/metadata/{field}"));
        if !given.is_empty() && given != expected {
            let why = format!("must match the service account {field} if specified");
            let field = format!("metadata.{field}");
            let cause = Cause::invalid(&field, &format!("{given:?}"), &why);
            return Err(ApiError::invalid_in(group, "TokenRequest", path, &[cause]));
        }
    }
    let (given, there) = (uid(request), uid(account));
    if given.is_empty() || given == there {
        return Ok(());
    }
    let why = format!(
        "the UID in the token request ({given}) does not match the UID of the service account ({there})"
    );
    Err(ApiError::conflict_in(group, "TokenRequest", path, &why))
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

/// What a token is to be bound to.
struct Found {
    claim: &'static str,
    object: Arc<Object>,
    node: Option<Arc<Object>>,
}

impl Found {
    /// The object of a reference, which must be there.
    fn of(call: &Call, reference: &Value) -> Result<Self, ApiError> {
        let space = Some(call.path.namespace.as_str());
        let (api_version, kind) = (text(reference, "/apiVersion"), text(reference, "/kind"));
        let (claim, plural, space) = match (api_version, kind) {
            ("v1", "Pod") => ("pod", "pods", space),
            ("v1", "Secret") => ("secret", "secrets", space),
            ("v1", "Node") => ("node", "nodes", None),
            _ => {
                let version = match api_version {
                    core if !core.contains('/') => format!("/{core}"),
                    version => version.to_owned(),
                };
                let kind = format!("{version}, Kind={kind}");
                let why = format!("cannot bind token to object of type {kind}");
                return Err(ApiError::bad_request(why));
            }
        };
        let wanted = text(reference, "/name");
        let get = |plural: &str, space: Option<&str>, name: &str| {
            call.objects()
                .store
                .get(&Key::new(&table("", plural), space, name))
        };
        let object = get(plural, space, wanted);
        let object = object.ok_or_else(|| ApiError::not_found_in("", plural, wanted))?;
        let given = text(reference, "/uid");
        if !given.is_empty() && given != uid(object.value()) {
            let why = format!(
                "the UID in the bound object reference ({given}) does not match the UID in record. The object might have been deleted and then recreated"
            );
            return Err(ApiError::conflict_in("", kind, wanted, &why));
        }
        let mut node = None;
        if kind == "Pod" {
            check_account(call, object.value())?;
            node = get("nodes", None, text(object.value(), "/spec/nodeName"));
        }
        Ok(Self {
            claim,
            object,
            node,
        })
    }

    fn bound(&self) -> BoundObject<'_> {
        BoundObject {
            claim: self.claim,
            object: self.object.value(),
            node: self.node.as_ref().map(|node| node.value()),
        }
    }
}

/// A token is bound to a pod of its own account only. A pod that names none has the default one.
fn check_account(call: &Call, pod: &Value) -> Result<(), ApiError> {
    let account = match text(pod, "/spec/serviceAccountName") {
        "" => "default",
        named => named,
    };
    let wanted = &call.path.name;
    if account == wanted {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "cannot bind token for serviceaccount {wanted:?} to pod running with different serviceaccount name."
    )))
}
