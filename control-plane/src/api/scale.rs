//! The scale subresource: the replicas of an object, whatever its kind.

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::decode;
use super::negotiate::{BodyForm, Form};
use super::patch::{Patch, PatchKind};
use super::query::WriteOptions;
use super::status::{ApiError, Cause};
use crate::kinds::{Resource, ScalePaths};
use crate::meta::{fields, metadata, number, text, uid};
use crate::objects::pipeline::{self, Writer};
use crate::objects::{Change, RequestScope, modify, typed, wrong_uid};

/// Answers with the scale of an object.
pub(crate) fn get(call: &Call) -> Result<Response, ApiError> {
    Form::of(&call.headers, false)?;
    let name = &call.path.name;
    let object = call.objects().store.get(&call.key(name));
    let object = object.ok_or_else(|| ApiError::not_found(&call.resource, name))?;
    Ok(call.answer_value(200, &of(&call.resource, object.value())))
}

/// Where a kind keeps its replicas.
fn paths(resource: &Resource) -> ScalePaths {
    let custom = resource
        .custom
        .as_ref()
        .and_then(|custom| custom.scale.clone());
    custom.unwrap_or_else(|| ScalePaths {
        spec: ".spec.replicas".to_owned(),
        status: ".status.replicas".to_owned(),
        selector: None,
    })
}

fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

/// The scale of an object.
fn of(resource: &Resource, object: &Value) -> Value {
    let object = &*pipeline::defaulted(resource, object);
    let paths = paths(resource);
    let mut status = Map::new();
    let replicas = number(object, &pointer(&paths.status)).unwrap_or(0);
    status.insert("replicas".to_owned(), replicas.into());
    let selector = match &paths.selector {
        Some(path) => text(object, &pointer(path)).to_owned(),
        None if resource.custom.is_none() => selector(object),
        None => String::new(),
    };
    if !selector.is_empty() {
        status.insert("selector".to_owned(), selector.into());
    }
    let mut shown = Map::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object.pointer("/metadata").and_then(|all| all.get(field)) {
            shown.insert(field.to_owned(), value.clone());
        }
    }
    let mut spec = Map::new();
    match number(object, &pointer(&paths.spec)) {
        // Go leaves out zeros.
        None | Some(0) => {}
        Some(replicas) => {
            spec.insert("replicas".to_owned(), replicas.into());
        }
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": shown,
        "spec": spec,
        "status": status,
    })
}

/// A selector as text, as Go prints it.
fn selector(object: &Value) -> String {
    let labels = fields(object, "/spec/selector/matchLabels");
    // A replication controller's selector is a plain map.
    let labels = labels.or_else(|| {
        fields(object, "/spec/selector").filter(|all| all.values().all(Value::is_string))
    });
    let mut terms: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for expression in crate::meta::items(object, "/spec/selector/matchExpressions") {
        let key = text(expression, "/key");
        let mut values = crate::meta::strings(expression, "/values");
        values.sort();
        let values = values.join(",");
        terms.push(match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    terms.sort();
    terms.join(",")
}

/// Answers a `PUT` of a scale.
pub(crate) async fn update(call: &Call) -> Result<Response, ApiError> {
    let form = BodyForm::of(&call.headers)?;
    let options = WriteOptions::of(&call.query, "UpdateOptions", false)?;
    let expected = decode::Expected {
        group: "autoscaling",
        version: "v1",
        kind: "Scale",
    };
    let scale = decode::parse(&call.body, form, &expected)?.value;
    if let wrong @ ("kind" | "apiVersion") = wrong_type(&scale) {
        let why = format!("the {wrong} in the data does not match autoscaling/v1 Scale");
        return Err(ApiError::bad_request(why));
    }
    if !matches!(text(&scale, "/metadata/name"), name if name.is_empty() || name == call.path.name)
    {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            text(&scale, "/metadata/name"),
            call.path.name
        )));
    }
    let scope = call.scope(&options);
    let change = Change {
        managed: true,
        must_name_revision: false,
    };
    let item = modify(call.objects(), &scope, change, |old| {
        scaled(&scope, old, &scale)
    })
    .await?;
    Ok(call.answer_value(200, &of(&call.resource, item.value())))
}

fn wrong_type(scale: &Value) -> &'static str {
    if !matches!(text(scale, "/kind"), "" | "Scale") {
        return "kind";
    }
    if matches!(text(scale, "/apiVersion"), "" | "autoscaling/v1") {
        return "";
    }
    "apiVersion"
}

/// Answers a `PATCH` of a scale.
pub(crate) async fn patch(call: &Call) -> Result<Response, ApiError> {
    let kind = PatchKind::of(call)?;
    let options = WriteOptions::of(&call.query, "PatchOptions", kind == PatchKind::Apply)?;
    if kind == PatchKind::Apply {
        return apply(call, &options).await;
    }
    let patch = Patch::parse(kind, &call.body)?;
    let scope = call.scope(&options);
    let change = Change {
        managed: true,
        must_name_revision: false,
    };
    let item = modify(call.objects(), &scope, change, |old| {
        let scale = patch.apply(&call.resource, &of(&call.resource, old))?;
        scaled(&scope, old, &scale)
    });
    let item = item.await?;
    Ok(call.answer_value(200, &of(&call.resource, item.value())))
}

/// Server-side apply of a scale: its replicas are applied to the object, as a field of whoever
/// applies it.
async fn apply(call: &Call, options: &WriteOptions) -> Result<Response, ApiError> {
    let resource = &call.resource;
    let scale = decode::yaml(&call.body)
        .map_err(ApiError::bad_request)?
        .value;
    let (version, kind) = (text(&scale, "/apiVersion"), text(&scale, "/kind"));
    if (version, kind) != ("autoscaling/v1", "Scale") {
        let why = format!("invalid object type: {version}, Kind={kind}");
        return Err(ApiError::bad_request(why));
    }
    let scope = call.scope(options);
    let writer = Writer {
        manager: &scope.manager,
        subresource: &call.path.subresource,
        time: call.objects().sources.now(),
    };
    let change = Change {
        managed: false,
        must_name_revision: false,
    };
    let force = options.force.unwrap_or(false);
    let item = modify(call.objects(), &scope, change, |old| {
        // Checks the replicas, and takes over the uid and the revision that the scale is meant for.
        let scaled = scaled(&scope, old, &scale)?;
        let mut config = json!({
            "apiVersion": resource.api_version(), "kind": resource.kind,
            "metadata": { "name": call.path.name },
        });
        let path = paths(resource).spec;
        let replicas = number(&scaled, &pointer(&path)).unwrap_or_default();
        set(&mut config, &path, replicas.into());
        let mut new = pipeline::apply(resource, Some(old), &config, force, &writer)?;
        for field in ["resourceVersion", "uid"] {
            let meant = text(&scaled, &format!("/metadata/{field}")).to_owned();
            metadata(&mut new).insert(field.to_owned(), meant.into());
        }
        Ok::<_, ApiError>(new)
    });
    let item = item.await?;
    Ok(call.answer_value(200, &of(resource, item.value())))
}

/// A count of 32 bits.
fn replicas_of(given: &Value) -> Option<i64> {
    given.as_i64().filter(|&count| i32::try_from(count).is_ok())
}

/// The object with the replicas of a scale.
fn scaled(scope: &RequestScope<'_>, old: &Value, scale: &Value) -> Result<Value, ApiError> {
    let resource = scope.resource;
    let replicas = match scale.pointer("/spec/replicas") {
        None | Some(Value::Null) => 0,
        Some(given) => replicas_of(given).ok_or_else(|| {
            let given = match given {
                Value::Number(number) => format!("number {number}"),
                other => super::json::go_kind(other).unwrap_or("string").to_owned(),
            };
            ApiError::bad_request(format!(
                "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal {given} into Go struct field ScaleSpec.spec.replicas of type int32"
            ))
        })?,
    };
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", &replicas.to_string(), why);
        let name = scope.name;
        return Err(ApiError::invalid_in("autoscaling", "Scale", name, &[cause]));
    }
    let given = uid(scale);
    if !given.is_empty() && given != uid(old) {
        return Err(wrong_uid(scope, given, uid(old)).into());
    }
    let mut new = typed(resource, old);
    set(&mut new, &paths(resource).spec, replicas.into());
    for field in ["resourceVersion", "uid"] {
        let given = text(scale, &format!("/metadata/{field}")).to_owned();
        if !given.is_empty() {
            metadata(&mut new).insert(field.to_owned(), given.into());
        }
    }
    if uid(&new).is_empty() {
        metadata(&mut new).remove("uid");
    }
    Ok(new)
}

/// Sets a field at a path such as `.spec.replicas`.
fn set(object: &mut Value, path: &str, value: Value) {
    let mut names: Vec<&str> = path.trim_start_matches('.').split('.').collect();
    let Some(last) = names.pop() else { return };
    let mut parent = object;
    for name in names {
        let fields = crate::meta::object_in(parent, name);
        let _ = &fields;
        let Some(next) = parent.get_mut(name) else {
            return;
        };
        parent = next;
    }
    if let Some(fields) = parent.as_object_mut() {
        fields.insert(last.to_owned(), value);
    }
}
