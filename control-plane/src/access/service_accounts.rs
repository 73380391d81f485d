//! Tokens of service accounts: what they say, and for whom they stand.
//!
//! A token that is asked for has an audience, an end, and often an object that it is bound to: it
//! is void when the account or that object is gone. The token of a Secret has no end; it is void
//! when the Secret is gone or holds another.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{Access, User, constant_time, jwt};
use crate::kinds::table;
use crate::meta::{is_deleting, name, namespace, number, strings, text, uid};
use crate::objects::Error;
use crate::store::{Key, Object};

/// The issuer of the tokens of Secrets.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
/// The claims of tokens of Secrets begin so.
const LEGACY: &str = "kubernetes.io/serviceaccount";
/// Seconds that an account, or what a token is bound to, may be on its way out.
const LEEWAY: i64 = 60;

/// Who shows a token, and for which of the audiences that were asked about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Authenticated {
    pub(crate) user: User,
    pub(crate) audiences: Vec<String>,
}

/// An object that a token is bound to.
pub(crate) struct BoundObject<'a> {
    /// `pod`, `secret` or `node`.
    pub(crate) claim: &'static str,
    pub(crate) object: &'a Value,
    /// The node of a pod.
    pub(crate) node: Option<&'a Value>,
}

/// The audiences of tokens for this API server.
pub(crate) fn own_audiences(access: &Access) -> Vec<String> {
    vec![access.issuer.as_str().to_owned()]
}

/// A token of an account for these audiences, and its end.
pub(crate) fn issue(
    access: &Access,
    account: &Value,
    bound: Option<&BoundObject>,
    audiences: &[String],
    seconds: i64,
) -> Result<(String, Timestamp), Error> {
    let now = access.objects.sources.now();
    let end = now.checked_add(SignedDuration::from_secs(seconds));
    let end = end.unwrap_or(Timestamp::MAX);
    let reference = |object: &Value| json!({"name": name(object), "uid": uid(object)});
    let mut own = json!({
        "namespace": namespace(account),
        "serviceaccount": reference(account),
    });
    if let (Some(bound), Some(own)) = (bound, own.as_object_mut()) {
        own.insert(bound.claim.to_owned(), reference(bound.object));
        if let Some(node) = bound.node {
            own.insert("node".to_owned(), reference(node));
        }
    }
    let claims = json!({
        "aud": audiences,
        "exp": end.as_second(),
        "iat": now.as_second(),
        "nbf": now.as_second(),
        "iss": access.issuer.as_str(),
        "jti": access.objects.sources.uid(),
        "sub": user_name(account),
        "kubernetes.io": own,
    });
    let token = jwt::encode(&access.keys()?.accounts, &claims);
    Ok((token, end))
}

/// The token of a Secret, without an end.
pub(crate) fn issue_for_secret(
    access: &Access,
    account: &Value,
    secret: &str,
) -> Result<String, Error> {
    let mut claims = Map::new();
    for (claim, value) in [
        ("iss".to_owned(), LEGACY_ISSUER),
        ("sub".to_owned(), user_name(account).as_str()),
        (format!("{LEGACY}/namespace"), namespace(account)),
        (format!("{LEGACY}/secret.name"), secret),
        (format!("{LEGACY}/service-account.name"), name(account)),
        (format!("{LEGACY}/service-account.uid"), uid(account)),
    ] {
        claims.insert(claim, value.into());
    }
    Ok(jwt::encode(&access.keys()?.accounts, &claims.into()))
}

fn user_name(account: &Value) -> String {
    format!(
        "system:serviceaccount:{}:{}",
        namespace(account),
        name(account)
    )
}

/// Who shows a token that is meant for one of these audiences; none if it is void.
pub(crate) fn authenticate(
    access: &Access,
    token: &str,
    audiences: &[String],
) -> Option<Authenticated> {
    let claims = access
        .verified
        .claims(token, || Some(Arc::clone(&access.keys().ok()?.accounts)))?;
    if text(&claims, "/iss") == LEGACY_ISSUER {
        let user = of_secret(access, &claims, token)?;
        let audiences = common(audiences, &own_audiences(access))?;
        return Some(Authenticated { user, audiences });
    }
    if text(&claims, "/iss") != access.issuer.as_str() {
        return None;
    }
    let now = access.objects.sources.now().as_second();
    if number(&claims, "/exp")? <= now || number(&claims, "/nbf")? > now {
        return None;
    }
    let audiences = common(audiences, &strings(&claims, "/aud"))?;
    let user = of_claims(access, &claims)?;
    Some(Authenticated { user, audiences })
}

/// What both have; none if that is nothing.
fn common(wanted: &[String], given: &[String]) -> Option<Vec<String>> {
    let both: Vec<String> = wanted
        .iter()
        .filter(|one| given.contains(one))
        .cloned()
        .collect();
    (!both.is_empty()).then_some(both)
}

/// The user of a token that was asked for.
fn of_claims(access: &Access, claims: &Value) -> Option<User> {
    let own = claims.get("kubernetes.io")?;
    let space = text(own, "/namespace");
    account(access, space, own.get("serviceaccount")?)?;
    let mut extra = BTreeMap::new();
    let mut add = |field: &str, value: String| {
        let field = format!("authentication.kubernetes.io/{field}");
        extra.insert(field, vec![value]);
    };
    add("credential-id", format!("JTI={}", text(claims, "/jti")));
    for (claim, plural) in [("pod", "pods"), ("secret", "secrets")] {
        if let Some(reference) = own.get(claim) {
            let key = Key::new(&table("", plural), Some(space), text(reference, "/name"));
            is_there(access, &key, reference)?;
        }
    }
    let (pod, node) = (own.get("pod"), own.get("node"));
    if let (None, Some(node)) = (pod, node) {
        let key = Key::new(&table("", "nodes"), None, text(node, "/name"));
        is_there(access, &key, node)?;
    }
    for (claim, reference) in [("pod", pod), ("node", node)] {
        if let Some(reference) = reference {
            add(
                &format!("{claim}-name"),
                text(reference, "/name").to_owned(),
            );
            let uid = text(reference, "/uid").to_owned();
            if !uid.is_empty() {
                add(&format!("{claim}-uid"), uid);
            }
        }
    }
    let name = text(own, "/serviceaccount/name");
    Some(User {
        extra,
        ..user(space, name, text(own, "/serviceaccount/uid"))
    })
}

/// The user of a Secret's token. The Secret must still hold it.
fn of_secret(access: &Access, claims: &Value, token: &str) -> Option<User> {
    let claim = |field: &str| {
        let value = claims.get(format!("{LEGACY}/{field}"));
        value.and_then(Value::as_str).unwrap_or_default()
    };
    let space = claim("namespace");
    let key = Key::new(&table("", "secrets"), Some(space), claim("secret.name"));
    let secret = access.objects.store.get(&key)?;
    let held = BASE64_STANDARD
        .decode(text(secret.value(), "/data/token"))
        .ok()?;
    if is_deleting(secret.value()) || !constant_time::is_equal(&held, token.as_bytes()) {
        return None;
    }
    let (name, uid) = (claim("service-account.name"), claim("service-account.uid"));
    account(access, space, &json!({"name": name, "uid": uid}))?;
    Some(user(space, name, uid))
}

fn user(namespace: &str, name: &str, uid: &str) -> User {
    User {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        uid: uid.to_owned(),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ],
        ..User::default()
    }
}

fn account(access: &Access, namespace: &str, reference: &Value) -> Option<Arc<Object>> {
    let name = text(reference, "/name");
    let key = Key::new(&table("", "serviceaccounts"), Some(namespace), name);
    is_there(access, &key, reference)
}

/// The object of a reference, if it is still the same and not gone for a while.
fn is_there(access: &Access, key: &Key, reference: &Value) -> Option<Arc<Object>> {
    let object = access.objects.store.get(key)?;
    let value = object.value();
    let deleted = text(value, "/metadata/deletionTimestamp").parse::<Timestamp>();
    let gone = deleted.is_ok_and(|deleted| {
        let now = access.objects.sources.now().as_second();
        deleted.as_second() + LEEWAY < now
    });
    (!gone && uid(value) == text(reference, "/uid")).then_some(object)
}
