//! What kube-apiserver's admission plugins do that users rely on.

use serde_json::{Map, Value, json};

use super::{Cause, Error, Objects, RequestScope};
use crate::kinds::Resource;
use crate::meta::{is_deleting, items, object_in, text};
use crate::store::Key;

/// The namespace exists and takes new objects.
pub(crate) fn namespace_takes(
    objects: &Objects,
    scope: &RequestScope<'_>,
    name: &str,
) -> Result<(), Error> {
    definition_takes(objects, scope, name)?;
    let Some(namespace) = scope.namespace else {
        return Ok(());
    };
    let key = Key::new(&crate::kinds::table("", "namespaces"), None, namespace);
    let Some(found) = objects.store.get(&key) else {
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
    Err(Error::forbidden(scope.resource, name, &why).with_causes(vec![cause]))
}

/// A definition that is deleted takes no new objects.
fn definition_takes(objects: &Objects, scope: &RequestScope<'_>, name: &str) -> Result<(), Error> {
    let resource = scope.resource;
    if resource.custom.is_none() {
        return Ok(());
    }
    let table = crate::kinds::table("apiextensions.k8s.io", "customresourcedefinitions");
    let definition = objects
        .store
        .get(&Key::new(&table, None, &resource.qualified()));
    if definition.is_some_and(|definition| is_deleting(definition.value())) {
        let why = "create not allowed while custom resource definition is terminating";
        return Err(Error::forbidden(resource, name, why));
    }
    Ok(())
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
