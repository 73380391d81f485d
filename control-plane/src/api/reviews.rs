//! Reviews: who somebody is, and what one may do.

use serde_json::{Map, Value, json};

use super::call::Call;
use super::status::{ApiError, Cause};
use crate::access::User;
use crate::access::authentication::of_token;
use crate::access::authorization::{Attributes, reason, visit_rules};
use crate::access::service_accounts::own_audiences;
use crate::meta::{strings, text};

/// The answer to a review.
pub(crate) fn review(call: &Call, mut review: Value) -> Result<Value, ApiError> {
    let status = match call.resource.kind.as_str() {
        "SelfSubjectReview" => json!({"userInfo": user_info(&call.user)}),
        "TokenReview" => token_review(call, &review)?,
        "SelfSubjectRulesReview" => {
            let found = rules(call, &review)?;
            // The answer is about the user only.
            crate::meta::object_in(&mut review, "spec").remove("namespace");
            found
        }
        "SelfSubjectAccessReview" => access(call, &review, &call.user.clone())?,
        kind => {
            let asked = text(&review, "/spec/resourceAttributes/namespace");
            if kind == "LocalSubjectAccessReview" && asked != call.path.namespace {
                let why = format!(
                    "spec.resourceAttributes.namespace must match namespace: {}",
                    call.path.namespace
                );
                return Err(ApiError::bad_request(why));
            }
            let user = subject(call, &review)?;
            access(call, &review, &user)?
        }
    };
    let fields = review.as_object_mut();
    if let Some(fields) = fields {
        fields.insert("status".to_owned(), status);
        fields.insert("apiVersion".to_owned(), call.resource.api_version().into());
        fields.insert("kind".to_owned(), call.resource.kind.clone().into());
        let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
        if call.resource.kind == "SelfSubjectReview" {
            *metadata = json!({"creationTimestamp": call.objects().sources.now_text()});
        }
    }
    Ok(review)
}

fn user_info(user: &User) -> Value {
    let mut info = Map::new();
    info.insert("username".to_owned(), user.name.clone().into());
    if !user.uid.is_empty() {
        info.insert("uid".to_owned(), user.uid.clone().into());
    }
    if !user.groups.is_empty() {
        info.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        info.insert("extra".to_owned(), json!(user.extra));
    }
    info.into()
}

fn token_review(call: &Call, review: &Value) -> Result<Value, ApiError> {
    let token = text(review, "/spec/token");
    if token.is_empty() {
        return Err(ApiError::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let audiences = match strings(review, "/spec/audiences") {
        none if none.is_empty() => own_audiences(&call.server.access),
        given => given,
    };
    Ok(match of_token(&call.server.access, token, &audiences) {
        Some(shown) => json!({
            "authenticated": true,
            "user": user_info(&shown.user),
            "audiences": shown.audiences,
        }),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    })
}

/// The user of a review that names one.
fn subject(call: &Call, review: &Value) -> Result<User, ApiError> {
    let user = User {
        name: text(review, "/spec/user").to_owned(),
        uid: text(review, "/spec/uid").to_owned(),
        groups: strings(review, "/spec/groups"),
        ..User::default()
    };
    if user.name.is_empty() && user.groups.is_empty() {
        let why = "at least one of user or group must be specified";
        let cause = Cause::invalid("spec.user", "\"\"", why);
        return Err(ApiError::invalid_in(&call.resource.group, "", "", &[cause]));
    }
    Ok(user)
}

/// Whether a user may do what a review asks for.
fn access(call: &Call, review: &Value, user: &User) -> Result<Value, ApiError> {
    let attributes = attributes(call, review)?;
    Ok(match reason(&call.server.access, user, &attributes) {
        Some(why) if why.is_empty() => json!({"allowed": true}),
        Some(why) => json!({"allowed": true, "reason": why}),
        None => json!({"allowed": false}),
    })
}

fn attributes(call: &Call, review: &Value) -> Result<Attributes, ApiError> {
    let resource = review
        .pointer("/spec/resourceAttributes")
        .filter(|value| value.is_object());
    let path = review
        .pointer("/spec/nonResourceAttributes")
        .filter(|value| value.is_object());
    let refuse = |why: &str| {
        let cause = Cause::invalid("spec.resourceAttributes", "null", why);
        Err(ApiError::invalid_in(&call.resource.group, "", "", &[cause]))
    };
    match (resource, path) {
        (Some(resource), None) => {
            let field = |name: &str| text(resource, &format!("/{name}")).to_owned();
            Ok(Attributes {
                verb: field("verb"),
                group: field("group"),
                resource: field("resource"),
                subresource: field("subresource"),
                namespace: field("namespace"),
                name: field("name"),
                path: None,
            })
        }
        (None, Some(path)) => Ok(Attributes {
            verb: text(path, "/verb").to_owned(),
            path: Some(text(path, "/path").to_owned()),
            ..Attributes::default()
        }),
        (None, None) => {
            refuse("exactly one of nonResourceAttributes or resourceAttributes must be specified")
        }
        (Some(_), Some(_)) => {
            refuse("cannot be specified in combination with nonResourceAttributes")
        }
    }
}

/// What the user may do in a namespace.
fn rules(call: &Call, review: &Value) -> Result<Value, ApiError> {
    let namespace = text(review, "/spec/namespace");
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    visit_rules(&call.server.access, &call.user, namespace, |rule, _| {
        if rule.get("nonResourceURLs").is_some() {
            paths.push(rule.clone());
        } else {
            resources.push(rule.clone());
        }
        true
    });
    Ok(json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false}))
}
