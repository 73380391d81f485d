//! `OpenAPI` documents: what `kubectl explain` shows, and by which kubectl knows that the server
//! validates fields.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use super::discovery::hexadecimal;
use super::negotiate::{Form, wants_only_protobuf};
use super::openapi_v2;
use super::response::Prepared;
use crate::builtin::KUBERNETES_VERSION;
use crate::kinds::{Kinds, Resource};
use crate::schema::builtin::{builtin, builtin_type};
use crate::schema::{Form as SchemaForm, List, ListKind, PatchMerge, Schema};
use crate::work::{Effort, Undone, Workbench};

/// The documents of the kinds that are served. Each is made when it is asked for first, and again
/// when other kinds are served.
#[derive(Default)]
pub(crate) struct Documents(Mutex<Made>);

/// The documents of some kinds, as far as they were made.
#[derive(Default)]
struct Made {
    kinds: Arc<Kinds>,
    documents: BTreeMap<Name, Arc<OnceCell<Document>>>,
}

/// Which document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    V2,
    V2Protobuf,
    Index,
    Group(String, String),
}

struct Document {
    answer: Prepared,
    etag: Option<HeaderValue>,
}

impl Documents {
    /// Answers with a document; none for other paths. It is made on the workbench, if there is one.
    pub(crate) async fn answer(
        &self,
        kinds: &Arc<Kinds>,
        path: &str,
        headers: &HeaderMap,
        bench: Option<&Workbench>,
    ) -> Result<Option<Response>, Undone> {
        let Some(name) = Name::of(kinds, path, headers) else {
            return Ok(None);
        };
        let cell = self.cell(kinds, &name);
        let effort = Effort {
            bench,
            bytes: usize::MAX,
            factor: 1,
        };
        let make = || effort.run(0, || Document::new(kinds, &name));
        let document = cell.get_or_try_init(make).await?;
        let mut response = document.answer.answer(headers);
        if let Some(etag) = document.etag.clone() {
            response.headers_mut().insert(header::ETAG, etag);
        }
        Ok(Some(response))
    }

    /// Where the document is once it is made.
    fn cell(&self, kinds: &Arc<Kinds>, name: &Name) -> Arc<OnceCell<Document>> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&made.kinds, kinds) {
            *made = Made {
                kinds: Arc::clone(kinds),
                documents: BTreeMap::new(),
            };
        }
        Arc::clone(made.documents.entry(name.clone()).or_default())
    }
}

impl Name {
    fn of(kinds: &Kinds, path: &str, headers: &HeaderMap) -> Option<Self> {
        if path == "/openapi/v2" {
            let protobuf = wants_only_protobuf(headers);
            return Some(if protobuf { Self::V2Protobuf } else { Self::V2 });
        }
        let path = path.strip_prefix("/openapi/v3")?;
        if path.is_empty() {
            return Some(Self::Index);
        }
        let (group, version) = split(path.trim_start_matches('/'))?;
        let is_served = kinds.versions(group).contains(&version);
        is_served.then(|| Self::Group(group.to_owned(), version.to_owned()))
    }
}

impl Document {
    fn new(kinds: &Kinds, name: &Name) -> Self {
        let json =
            |value: Value| Prepared::new(Form::JSON.content_type(), value.to_string().into());
        match name {
            Name::V2 => json(v2(kinds)).into(),
            Name::V2Protobuf => {
                Prepared::new(openapi_v2::PROTOBUF, openapi_v2::encode(&v2(kinds))).into()
            }
            Name::Index => json(index(kinds)).into(),
            Name::Group(group, version) => {
                let text = document(kinds, group, version).to_string();
                let etag = HeaderValue::from_str(&format!("\"{}\"", hexadecimal(&text)));
                Self {
                    answer: Prepared::new(Form::JSON.content_type(), text.into()),
                    etag: etag.ok(),
                }
            }
        }
    }
}

impl From<Prepared> for Document {
    fn from(answer: Prepared) -> Self {
        Self { answer, etag: None }
    }
}

/// The group and version of `api/v1` or `apis/apps/v1`.
fn split(path: &str) -> Option<(&str, &str)> {
    if let Some(version) = path.strip_prefix("api/") {
        return Some(("", version));
    }
    path.strip_prefix("apis/")?.split_once('/')
}

/// Where the documents are. The hash changes with the document, so that clients may keep it.
fn index(kinds: &Kinds) -> Value {
    let mut paths = Map::new();
    let groups = std::iter::once("").chain(kinds.groups());
    for group in groups {
        for version in kinds.versions(group) {
            let path = if group.is_empty() {
                format!("api/{version}")
            } else {
                format!("apis/{group}/{version}")
            };
            let hash = fingerprint(kinds, group, version);
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({ "serverRelativeURL": url }));
        }
    }
    json!({ "paths": paths })
}

/// Changes with the document, and is cheaper to make. Built-in kinds change with the release only.
fn fingerprint(kinds: &Kinds, group: &str, version: &str) -> String {
    let mut text = format!("{} {group} {version}", env!("CARGO_PKG_VERSION"));
    for resource in of(kinds, group, version) {
        text.push_str(&resource.plural);
        if let Some(custom) = &resource.custom {
            text.push_str(&custom.schema.to_string());
        }
    }
    hexadecimal(&text)
}

fn of<'a>(
    kinds: &'a Kinds,
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = &'a Arc<Resource>> {
    let all = kinds.all().iter();
    all.filter(move |resource| resource.group == group && resource.version == version)
}

fn document(kinds: &Kinds, group: &str, version: &str) -> Value {
    let mut components = Components::new("#/components/schemas/");
    let mut paths = Map::new();
    for resource in of(kinds, group, version) {
        let name = components.add(resource);
        paths.extend(operations(resource, &name));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
        "paths": paths,
        "components": {"schemas": components.done},
    })
}

/// The old document, with everything in it.
fn v2(kinds: &Kinds) -> Value {
    let mut components = Components::new(OLD);
    for resource in kinds.all() {
        components.add(resource);
    }
    components.done.values_mut().for_each(openapi_v2::simplify);
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
        "paths": {},
        "definitions": components.done,
    })
}

/// What can be done with a resource, as far as clients look at it.
fn operations(resource: &Resource, name: &str) -> Map<String, Value> {
    let root = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    let plural = &resource.plural;
    let collection = if resource.namespaced {
        format!("{root}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("{root}/{plural}")
    };
    let operation = |action: &str, parameters: &[&str]| {
        let parameter =
            |name: &&str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
        let parameters: Vec<_> = parameters.iter().map(parameter).collect();
        let schema = json!({"$ref": format!("#/components/schemas/{name}")});
        json!({
            "parameters": parameters,
            "responses": {"200": {
                "description": "OK",
                "content": {"application/json": {"schema": schema}},
            }},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind_of(resource),
        })
    };
    let write = ["dryRun", "fieldManager", "fieldValidation"];
    let apply = ["dryRun", "fieldManager", "fieldValidation", "force"];
    let has = |verb: &str| resource.verbs.contains(&verb);
    let (mut many, mut one) = (Map::new(), Map::new());
    if has("list") {
        many.insert(
            "get".to_owned(),
            operation("list", &["labelSelector", "fieldSelector"]),
        );
    }
    if has("create") {
        many.insert("post".to_owned(), operation("post", &write));
    }
    if has("get") {
        one.insert("get".to_owned(), operation("get", &[]));
    }
    if has("update") {
        one.insert("put".to_owned(), operation("put", &write));
    }
    if has("patch") {
        one.insert("patch".to_owned(), operation("patch", &apply));
    }
    if has("delete") {
        one.insert("delete".to_owned(), operation("delete", &["dryRun"]));
    }
    let mut paths = Map::new();
    if !one.is_empty() {
        paths.insert(format!("{collection}/{{name}}"), one.into());
    }
    paths.insert(collection, many.into());
    paths
}

fn kind_of(resource: &Resource) -> Value {
    json!({
        "group": resource.group,
        "version": resource.version,
        "kind": resource.kind,
    })
}

/// Where the old document has its schemas.
const OLD: &str = "#/definitions/";

/// The named schemas of a document. What several places share is there once.
struct Components {
    prefix: &'static str,
    done: BTreeMap<String, Value>,
}

impl Components {
    fn new(prefix: &'static str) -> Self {
        Self {
            prefix,
            done: BTreeMap::new(),
        }
    }

    /// Adds a kind. Gives its name, such as `io.k8s.api.apps.v1.Deployment`.
    fn add(&mut self, resource: &Resource) -> String {
        let name = component_name(resource);
        let mut shown = if let Some(custom) = &resource.custom {
            self.custom(&custom.schema)
        } else {
            let schema = builtin(&resource.group, &resource.version, &resource.kind);
            match schema {
                Some(schema) => self.form(&schema),
                None => json!({"type": "object"}),
            }
        };
        shown["x-kubernetes-group-version-kind"] = json!([kind_of(resource)]);
        self.done.insert(name.clone(), shown);
        name
    }

    /// A custom resource says what it is made of, but not what every object has.
    fn custom(&mut self, schema: &Value) -> Value {
        let mut shown = if schema.is_object() {
            schema.clone()
        } else {
            json!({"type": "object"})
        };
        // What every object has is described like that of any built-in kind.
        let known = builtin("", "v1", "ConfigMap").unwrap_or_default();
        if let SchemaForm::Object(known) = &known.form {
            for field in ["apiVersion", "kind", "metadata"] {
                let Some(schema) = known.properties.get(field) else {
                    continue;
                };
                let described = self.inner(schema);
                let properties = crate::meta::object_in(&mut shown, "properties");
                properties.insert(field.to_owned(), described);
            }
        }
        shown
    }

    /// A schema inside another: types by their names, anything else in place.
    fn inner(&mut self, schema: &Schema) -> Value {
        let definition = schema.type_name.as_deref();
        let definition = definition.and_then(|name| Some((name, builtin_type(name)?)));
        let Some((name, definition)) = definition else {
            return self.form(schema);
        };
        if !self.done.contains_key(name) {
            // Before what is in it, which may lead back here.
            self.done.insert(name.to_owned(), Value::Null);
            let shown = self.form(&definition);
            self.done.insert(name.to_owned(), shown);
        }
        let reference = json!({"$ref": format!("{}{name}", self.prefix)});
        // What is said of the type is said there.
        let own = schema.description.as_ref();
        match own.filter(|own| definition.description.as_ref() != Some(own)) {
            Some(description) => json!({"description": description, "allOf": [reference]}),
            None => reference,
        }
    }

    fn form(&mut self, schema: &Schema) -> Value {
        let mut shown = match &schema.form {
            SchemaForm::Any => json!({}),
            SchemaForm::String(Some(format)) => json!({"type": "string", "format": format}),
            SchemaForm::String(None) => json!({"type": "string"}),
            SchemaForm::Integer => json!({"type": "integer"}),
            SchemaForm::ShortInteger => json!({"type": "integer", "format": "int32"}),
            SchemaForm::Number => json!({"type": "number"}),
            SchemaForm::Boolean => json!({"type": "boolean"}),
            SchemaForm::IntOrString => self.number_or_text(schema),
            SchemaForm::List(list) => self.list(list),
            SchemaForm::Object(object) => {
                let mut shown = json!({"type": "object"});
                let properties: Map<String, Value> = object
                    .properties
                    .iter()
                    .map(|(field, inner)| (field.clone(), self.inner(inner)))
                    .collect();
                if !properties.is_empty() {
                    shown["properties"] = properties.into();
                }
                // The Rust twins of the Go types have it always; the API does not ask for it.
                let mut required = object.required.clone();
                required.retain(|field| field != "metadata");
                if !required.is_empty() {
                    shown["required"] = json!(required);
                }
                if let Some(values) = &object.additional {
                    shown["additionalProperties"] = self.inner(values);
                }
                shown
            }
        };
        if let Some(description) = &schema.description {
            shown["description"] = description.clone().into();
        }
        shown
    }

    /// The new document says what may stand there, the old one cannot.
    fn number_or_text(&self, schema: &Schema) -> Value {
        let name = schema.type_name.as_deref().unwrap_or_default();
        if self.prefix == OLD {
            json!({"type": "string", "format": "int-or-string"})
        } else if name.ends_with(".Quantity") {
            json!({"oneOf": [{"type": "string"}, {"type": "number"}]})
        } else {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
    }

    fn list(&mut self, list: &List) -> Value {
        let mut shown = json!({"type": "array", "items": self.inner(&list.items)});
        match &list.kind {
            ListKind::Atomic => {}
            ListKind::Set => shown["x-kubernetes-list-type"] = json!("set"),
            ListKind::Map(keys) => {
                shown["x-kubernetes-list-type"] = json!("map");
                shown["x-kubernetes-list-map-keys"] = json!(keys);
            }
        }
        match &list.patch_merge {
            None => {}
            Some(merge) => {
                shown["x-kubernetes-patch-strategy"] = json!("merge");
                if let PatchMerge::Key(key) = merge {
                    shown["x-kubernetes-patch-merge-key"] = json!(key);
                }
            }
        }
        shown
    }
}

/// `io.k8s.api.apps.v1.Deployment`; a custom resource's group the other way round.
fn component_name(resource: &Resource) -> String {
    let Resource {
        group,
        version,
        kind,
        ..
    } = resource;
    if resource.custom.is_some() {
        let reversed: Vec<&str> = group.rsplit('.').collect();
        return format!("{}.{version}.{kind}", reversed.join("."));
    }
    let package = match group.split('.').next() {
        None | Some("") => "core",
        Some(package) => package,
    };
    match package {
        "apiextensions" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}")
        }
        "apiregistration" => {
            format!("io.k8s.kube-aggregator.pkg.apis.apiregistration.{version}.{kind}")
        }
        _ => format!("io.k8s.api.{package}.{version}.{kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;
    use crate::kinds::Registry;

    #[tokio::test]
    async fn a_document_is_made_once_for_the_same_kinds() {
        let kinds = |metrics| Registry::new(builtin::resources(metrics)).now();
        let documents = Documents::default();
        let headers = HeaderMap::new();
        let (few, more) = (kinds(false), kinds(true));
        for path in ["/openapi/v2", "/openapi/v3", "/openapi/v3/apis/apps/v1"] {
            let name = Name::of(&few, path, &headers).unwrap();
            documents.answer(&few, path, &headers, None).await.unwrap();
            let first = documents.cell(&few, &name);
            assert!(first.initialized(), "{path}");
            documents.answer(&few, path, &headers, None).await.unwrap();
            assert!(Arc::ptr_eq(&first, &documents.cell(&few, &name)), "{path}");
            let other = documents.cell(&more, &name);
            assert!(!Arc::ptr_eq(&first, &other), "{path}");
        }
        let metrics = "/openapi/v3/apis/metrics.k8s.io/v1beta1";
        let found = async |kinds| {
            documents
                .answer(kinds, metrics, &headers, None)
                .await
                .unwrap()
        };
        assert!(found(&few).await.is_none());
        assert!(found(&more).await.is_some());
    }
}
