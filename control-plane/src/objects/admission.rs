//! What kube-apiserver's admission plugins do that users rely on.

use serde_json::{Map, Value, json};

use super::{Cause, Error, Objects, RequestScope};
use crate::kinds::Resource;
use crate::meta::{is_deleting, items, object_in, text};
use crate::store::{Key, Lookup};

/// An object that is to be created.
pub(super) struct NewObject {
    group: String,
    plural: String,
    is_custom: bool,
    namespace: Option<String>,
    name: String,
}

impl NewObject {
    pub(super) fn of(resource: &Resource, key: &Key) -> Self {
        Self {
            group: resource.group.clone(),
            plural: resource.plural.clone(),
            is_custom: resource.custom.is_some(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }

    /// Its definition and its namespace are there and take new objects.
    pub(super) fn check(&self, others: &dyn Lookup) -> Result<(), Error> {
        if self.is_custom {
            self.check_definition(others)?;
        }
        match &self.namespace {
            Some(namespace) => self.check_namespace(others, namespace),
            None => Ok(()),
        }
    }

    fn check_namespace(&self, others: &dyn Lookup, namespace: &str) -> Result<(), Error> {
        let key = Key::new(&crate::kinds::table("", "namespaces"), None, namespace);
        let Some(found) = others.get(&key) else {
            return Err(Error::not_found_in("", "namespaces", namespace));
        };
        if !is_deleting(found.value()) {
            return Ok(());
        }
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let cause = Cause::new(
            "NamespaceTerminating",
            "metadata.namespace",
            format!("namespace {namespace} is being terminated"),
        );
        Err(self.forbidden(&why).with_causes(vec![cause]))
    }

    fn check_definition(&self, others: &dyn Lookup) -> Result<(), Error> {
        let (group, definitions) = ("apiextensions.k8s.io", "customresourcedefinitions");
        let name = crate::kinds::qualified(&self.plural, &self.group);
        let key = Key::new(&crate::kinds::table(group, definitions), None, &name);
        let Some(definition) = others.get(&key) else {
            return Err(Error::not_found_in(group, definitions, &name));
        };
        if is_deleting(definition.value()) {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(self.forbidden(why));
        }
        Ok(())
    }

    fn forbidden(&self, why: &str) -> Error {
        Error::forbidden_in(&self.group, &self.plural, &self.name, why)
    }
}

/// These namespaces stay.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// Whether an object may be deleted at all.
pub(crate) fn delete(resource: &Resource, name: &str) -> Result<(), Error> {
    if resource.is("", "Namespace") && IMMORTAL.contains(&name) {
        let why = "this namespace may not be deleted";
        return Err(Error::forbidden(resource, name, why));
    }
    Ok(())
}

/// What is filled in when an object is created.
pub(crate) fn create(
    objects: &Objects,
    resource: &Resource,
    value: &mut Value,
) -> Result<(), Error> {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => {
            set_priority(objects, value)?;
            add_tolerations(value);
        }
        ("", "Namespace") => {
            let name = text(value, "/metadata/name").to_owned();
            let labels = crate::meta::metadata(value)
                .entry("labels")
                .or_insert_with(|| Value::Object(Map::new()));
            if let (Some(labels), false) = (labels.as_object_mut(), name.is_empty()) {
                labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
            }
        }
        _ => {}
    }
    Ok(())
}

/// What is filled in when an object is changed.
pub(crate) fn update(scope: &RequestScope<'_>, new: &mut Value, old: &Value) {
    if scope.resource.is("", "Pod") && scope.subresource.is_empty() {
        let spec = object_in(new, "spec");
        for field in ["priority", "preemptionPolicy"] {
            let before = old.pointer("/spec").and_then(|spec| spec.get(field));
            if let (false, Some(before)) = (spec.contains_key(field), before) {
                spec.insert(field.to_owned(), before.clone());
            }
        }
        add_tolerations(new);
    }
}

/// The priority that a pod's class stands for.
fn set_priority(objects: &Objects, pod: &mut Value) -> Result<(), Error> {
    let named = text(pod, "/spec/priorityClassName").to_owned();
    let table = crate::kinds::table("scheduling.k8s.io", "priorityclasses");
    let (name, value, policy) = match named.as_str() {
        "system-cluster-critical" => (Some(named.clone()), json!(2_000_000_000), None),
        "system-node-critical" => (Some(named.clone()), json!(2_000_001_000), None),
        "" => match default_class(objects, &table) {
            Some(class) => class,
            None => (None, json!(0), None),
        },
        _ => {
            let class = objects.store.get(&Key::new(&table, None, &named));
            let class = class.ok_or_else(|| {
                let why = format!("no PriorityClass with name {named} was found");
                Error::forbidden_in("", "pods", text(pod, "/metadata/name"), &why)
            })?;
            let value = class.value();
            let policy = value.get("preemptionPolicy").cloned();
            (
                None,
                value.get("value").cloned().unwrap_or(json!(0)),
                policy,
            )
        }
    };
    if let Some(given) = pod.pointer("/spec/priority").and_then(Value::as_i64)
        && value != given
    {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        );
        let name = text(pod, "/metadata/name");
        return Err(Error::forbidden_in("", "pods", name, &why));
    }
    let spec = object_in(pod, "spec");
    if let Some(name) = name {
        spec.insert("priorityClassName".to_owned(), name.into());
    }
    spec.insert("priority".to_owned(), value);
    let policy = policy.unwrap_or(json!("PreemptLowerPriority"));
    spec.insert("preemptionPolicy".to_owned(), policy);
    Ok(())
}

type Class = (Option<String>, Value, Option<Value>);

/// The class of pods that name none.
fn default_class(objects: &Objects, table: &str) -> Option<Class> {
    let classes = objects
        .store
        .list(table, None, &crate::store::Page::default())
        .ok()?;
    let defaults = classes.items.iter().map(|class| class.value());
    let class = defaults
        .filter(|class| class.get("globalDefault") == Some(&json!(true)))
        .min_by_key(|class| class.get("value").and_then(Value::as_i64))?;
    Some((
        Some(text(class, "/metadata/name").to_owned()),
        class.get("value").cloned()?,
        class.get("preemptionPolicy").cloned(),
    ))
}

/// A pod stays on a node in trouble for five minutes, unless it says otherwise.
fn add_tolerations(pod: &mut Value) {
    let given = items(pod, "/spec/tolerations").to_vec();
    let tolerates = |key: &str| {
        given.iter().any(|toleration| {
            let (for_key, effect) = (text(toleration, "/key"), text(toleration, "/effect"));
            (for_key == key || for_key.is_empty()) && matches!(effect, "" | "NoExecute")
        })
    };
    let keys = [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ];
    let missing = keys.into_iter().filter(|key| !tolerates(key));
    let added = missing.map(|key| {
        json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    });
    let all: Vec<Value> = given.iter().cloned().chain(added).collect();
    if !all.is_empty() {
        object_in(pod, "spec").insert("tolerations".to_owned(), all.into());
    }
}
