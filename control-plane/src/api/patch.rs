//! Patching: four ways to say what shall change.

use axum::response::Response;
use serde_json::Value;

use super::call::Call;
use super::decode::{self, syntax};
use super::json;
use super::negotiate::{media_type, unsupported};
use super::query::{FieldValidation, WriteOptions};
use super::status::{ApiError, Cause};
use crate::kinds::Resource;
use crate::meta::{name, text, uid};
use crate::objects::pipeline::{self, Writer};
use crate::objects::{Change, Item, create_object, modify};
use crate::patch::print;

/// How a patch says what shall change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchKind {
    /// What a Content-Type header says. Custom resources know no strategic merge.
    pub(crate) fn of(call: &Call) -> Result<Self, ApiError> {
        let custom = call.resource.custom.is_some();
        match media_type(&call.headers).as_str() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !custom => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            "application/strategic-merge-patch+json" => Err(unsupported(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/apply-patch+yaml",
            ])),
            _ => Err(
                ApiError::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")
                    .with_details(),
            ),
        }
    }
}

/// Answers a `PATCH` of an object or of its status.
pub(crate) async fn patch(call: &Call) -> Result<Response, ApiError> {
    let kind = PatchKind::of(call)?;
    call.form()?;
    let options = WriteOptions::of(&call.query, "PatchOptions", kind == PatchKind::Apply)?;
    if kind == PatchKind::Apply {
        return apply(call, &options).await;
    }
    let parsed = || Patch::parse(kind, &call.body);
    let patch = call.effort().run(0, parsed).await??;
    let change = Change {
        managed: true,
        must_name_revision: false,
    };
    let item = modify(call.objects(), &call.scope(&options), change, |old| {
        patched(call, &patch, old, &options)
    })
    .await?;
    call.answer(200, &item).await
}

/// A patch that was read.
pub(crate) struct Patch {
    kind: PatchKind,
    value: Value,
    /// Paths that it has twice.
    duplicates: Vec<String>,
}

impl Patch {
    pub(crate) fn parse(kind: PatchKind, bytes: &[u8]) -> Result<Self, ApiError> {
        let parsed = json::parse(bytes).map_err(|error| {
            let why = syntax(bytes, &error);
            ApiError::bad_request(match kind {
                PatchKind::Strategic => why,
                _ => format!("error decoding patch: {why}"),
            })
        })?;
        Ok(Self {
            kind,
            value: parsed.value,
            duplicates: parsed.duplicates,
        })
    }

    /// What it makes of a value.
    pub(crate) fn apply(&self, resource: &Resource, value: &Value) -> Result<Value, ApiError> {
        let patch = &self.value;
        match self.kind {
            PatchKind::Json => Ok(pipeline::json_patch(value, patch)?),
            PatchKind::Merge | PatchKind::Apply => Ok(pipeline::merge_patch(value, patch)?),
            PatchKind::Strategic => Ok(pipeline::strategic_merge_patch(resource, value, patch)?),
        }
    }

    /// What it says twice, and of fields that nobody knows.
    fn findings(&self) -> Vec<String> {
        if self.kind == PatchKind::Json {
            return pipeline::unknown_json_patch_fields(&self.value);
        }
        let duplicates = self.duplicates.iter();
        duplicates
            .map(|path| decode::finding("duplicate", path))
            .collect()
    }

    /// The refusal of what it makes of an object, in JSON.
    fn refusal(&self, made: &str, why: &str) -> ApiError {
        let shown = match self.kind {
            PatchKind::Strategic => format!("{:?}", print::plain(&self.value)),
            _ => format!("{made:?}"),
        };
        let cause = Cause::invalid("patch", &shown, why);
        ApiError::invalid_in("", "", "", &[cause])
    }
}

/// The object after a patch, which is taken as if it had been sent.
fn patched(
    call: &Call,
    patch: &Patch,
    old: &Value,
    options: &WriteOptions,
) -> Result<Value, ApiError> {
    let resource = &call.resource;
    let shown = resource.conversion.shown(old.clone());
    let mut new = patch.apply(resource, &shown)?;
    let (given_kind, given_version) = (text(&new, "/kind"), text(&new, "/apiVersion"));
    if given_kind != resource.kind || given_version != resource.api_version() {
        if resource.custom.is_some() && given_version == resource.api_version() {
            return Err(decode::wrong_type(
                call,
                given_version,
                given_kind,
                name(&new),
            ));
        }
        let why = decode::not_registered(given_version, given_kind);
        return Err(patch.refusal(&new.to_string(), &why));
    }
    let made = new.to_string();
    let unknown = pipeline::prune(resource, &mut new).map_err(|wrong| match patch.kind {
        PatchKind::Strategic => patch.refusal(&made, &wrong.converting),
        _ => patch.refusal(&made, &wrong.decoding),
    })?;
    let unknown = unknown
        .into_iter()
        .map(|path| decode::finding("unknown", &path));
    let found = patch.findings().into_iter().chain(unknown);
    let found: Vec<_> = found.take(decode::MOST_FINDINGS).collect();
    if options.field_validation == FieldValidation::Strict && !found.is_empty() {
        let why = format!("strict decoding error: {}", found.join(", "));
        return Err(patch.refusal(&made, &why));
    }
    decode::report(call, found, options.field_validation)?;
    let mut new = resource.conversion.to_stored(new);
    if name(&new) != call.path.name {
        let message = format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            name(&new),
            call.path.name
        );
        return Err(ApiError::bad_request(message));
    }
    decode::set_namespace(call, &mut new)?;
    Ok(new)
}

/// Server-side apply, which creates what is not there.
async fn apply(call: &Call, options: &WriteOptions) -> Result<Response, ApiError> {
    let resource = &call.resource;
    let config = call.effort().run(0, || config(call, options)).await??;
    let there = call
        .objects()
        .store
        .get(&call.key(&call.path.name))
        .is_some();
    if !there && !call.path.subresource.is_empty() {
        return Err(ApiError::not_found(resource, &call.path.name));
    }
    let (objects, scope) = (call.objects(), call.scope(options));
    let writer = Writer {
        manager: &scope.manager,
        subresource: &call.path.subresource,
        time: call.objects().sources.now(),
    };
    let force = options.force.unwrap_or(false);
    if !there {
        if !uid(&config).is_empty() {
            let given = uid(&config);
            let why = format!(
                "uid mismatch: the provided object specified uid {given}, and no existing object was found"
            );
            return Err(ApiError::conflict(resource, &call.path.name, &why));
        }
        let make = || pipeline::apply(resource, None, &config, force, &writer);
        let new = scope.effort.run(0, make).await??;
        let item = create_object(objects, &scope, new, false).await?;
        return call.answer(201, &item).await;
    }
    let change = Change {
        managed: false,
        must_name_revision: false,
    };
    let make = |old: &Value| pipeline::apply(resource, Some(old), &config, force, &writer);
    let item: Item = modify(objects, &scope, change, make).await?;
    call.answer(200, &item).await
}

/// What shall be applied.
fn config(call: &Call, options: &WriteOptions) -> Result<Value, ApiError> {
    let resource = &call.resource;
    let yaml = decode::yaml(&call.body);
    let wrong = |why: String| ApiError::bad_request(format!("error decoding YAML: {why}"));
    let mut config = yaml.map_err(wrong)?.value;
    if !config
        .get("metadata")
        .and_then(|all| all.get("managedFields"))
        .unwrap_or(&Value::Null)
        .is_null()
    {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    if config.is_null() {
        config = Value::Object(serde_json::Map::new());
    }
    if !config.is_object() {
        let found = super::json::go_kind(&config).unwrap_or("string");
        return Err(wrong(format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
        )));
    }
    let (version, kind) = (text(&config, "/apiVersion"), text(&config, "/kind"));
    if kind != resource.kind || version != resource.api_version() {
        let version = if version.contains('/') {
            version.to_owned()
        } else {
            format!("/{version}")
        };
        return Err(ApiError::bad_request(format!(
            "invalid object type: {version}, Kind={kind}"
        )));
    }
    pipeline::check_applied(resource, &config)?;
    let unknown = pipeline::prune(resource, &mut config)
        .map_err(|wrong| decode::cannot_be_handled(resource, &wrong.decoding))?;
    let unknown = unknown
        .into_iter()
        .map(|path| decode::finding("unknown", &path));
    decode::report(call, unknown.collect(), options.field_validation)?;
    decode::set_namespace(call, &mut config)?;
    let given = name(&config);
    if given.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            call.path.name
        )));
    }
    if given != call.path.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            call.path.name
        )));
    }
    Ok(resource.conversion.to_stored(config))
}
