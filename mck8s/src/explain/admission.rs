//! Objects as the hub would have them after they were applied: checked, and with defaults, by an API
//! server in memory that has the CRDs of this release.

use anyhow::{Context as _, Result, anyhow};
use control_plane::Options;
use federation::operator::redacted::redacted_message;
use http::Request;
use http::request::Builder;
use kube::api::DynamicObject;
use kube::{Client, Resource as _, ResourceExt as _};
use lab::access::install_crds;
use multi_cluster_scheduler::explain::Manifest;
use serde_json::{Map, Value, json};

use super::documents::Document;
use crate::member::{Storage, client, plane};

/// What `kubectl apply` keeps of what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An API server that nobody else sees; it ends with its client.
pub(super) struct Admission(Client);

impl Admission {
    pub(super) async fn start() -> Result<Self> {
        let plane = plane(&Storage::Memory, "admission", Options::default()).await?;
        let client = client(&plane);
        install_crds(&client).await.context("the CRDs")?;
        Ok(Self(client))
    }

    /// The object that the document makes where there is none of its name. Refused is what the API
    /// server or the scheduler refuse.
    pub(super) async fn created(&self, document: &Document) -> Result<Manifest> {
        let request = Request::post(url(document, "") + "&dryRun=All");
        let created = self.send(request, essential(&document.object)).await;
        manifest(document, created)
    }

    /// The object that applying the document makes of the one that the hub has. What may not change is
    /// refused, too.
    pub(super) async fn changed(
        &self,
        document: &Document,
        existing: &DynamicObject,
    ) -> Result<Manifest> {
        manifest(document, self.change(document, existing).await)
    }

    async fn change(&self, document: &Document, existing: &DynamicObject) -> Result<DynamicObject> {
        let current = serde_json::to_value(existing)?;
        let request = Request::post(url(document, ""));
        let created = self.send(request, essential(&current)).await;
        let created = created.context("as the hub has it")?;
        let last = existing.annotations().get(LAST_APPLIED);
        let last: Value = last.map_or(Ok(Value::Null), |last| serde_json::from_str(last))?;
        let mut after = essential(&document.object);
        after["spec"] = applied(&current["spec"], &last["spec"], &document.object["spec"]);
        after["metadata"]["resourceVersion"] = json!(created.resource_version());
        let url = url(document, &document.name);
        let changed = self.send(Request::put(&url), after).await;
        // Another document may be of this name, in another namespace.
        self.send(Request::delete(&url), json!({})).await?;
        changed
    }

    async fn send(&self, request: Builder, object: Value) -> Result<DynamicObject> {
        let request = request.header("content-type", "application/json");
        let answer = self
            .0
            .request(request.body(object.to_string().into_bytes())?);
        answer.await.map_err(|error| match &error {
            kube::Error::Api(status) => anyhow!("{}", status.message),
            error => anyhow!("{}", redacted_message(error)),
        })
    }
}

/// As kubectl sends it: unknown fields are refused.
fn url(document: &Document, name: &str) -> String {
    let objects = DynamicObject::url_path(&document.kind.resource(), Some("default"));
    let slash = if name.is_empty() { "" } else { "/" };
    format!("{objects}{slash}{name}?fieldValidation=Strict")
}

fn manifest(document: &Document, admitted: Result<DynamicObject>) -> Result<Manifest> {
    let mut object = admitted.with_context(|| document.to_string())?;
    object.metadata.namespace = Some(document.namespace.clone());
    let manifest = Manifest::read(document.kind, &object);
    manifest.map_err(|problem| anyhow!("{document}: spec: {problem}"))
}

/// Without what the API server writes.
fn essential(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = Map::from_iter([("name".to_owned(), object["metadata"]["name"].clone())]);
    object["metadata"] = Value::Object(metadata);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    object
}

/// What `kubectl apply` makes of the current value: what was applied last and is not any more goes,
/// and what others have set stays.
fn applied(current: &Value, last: &Value, new: &Value) -> Value {
    let (Some(fields), Some(before)) = (new.as_object(), current.as_object()) else {
        return new.clone();
    };
    let mut result = before.clone();
    let last_fields = last.as_object().into_iter().flatten();
    for (name, _) in last_fields.filter(|(name, _)| !fields.contains_key(*name)) {
        result.remove(name);
    }
    for (name, value) in fields {
        let value = applied(&current[name], &last[name], value);
        result.insert(name.clone(), value);
    }
    Value::Object(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_set_stays_and_what_is_not_applied_any_more_goes() {
        let current = json!({
            "replicas": 3, "locations": "a", "clusterReplicas": [{ "cluster": "a", "replicas": 5 }],
            "selector": { "matchLabels": { "app": "x" } },
        });
        let last = json!({ "replicas": 3, "locations": "a" });
        let new = json!({ "replicas": 4, "selector": { "matchLabels": { "tier": "y" } } });
        let expected = json!({
            "replicas": 4, "clusterReplicas": [{ "cluster": "a", "replicas": 5 }],
            "selector": { "matchLabels": { "app": "x", "tier": "y" } },
        });
        assert_eq!(applied(&current, &last, &new), expected);
        assert_eq!(applied(&Value::Null, &last, &new), new);
    }
}
