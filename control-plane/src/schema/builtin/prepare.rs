//! What the server itself does to an object of a built-in kind when it is created or updated,
//! beyond defaults: what the rows of the table name.

use serde_json::{Map, Value, json};

use crate::meta::{metadata, object_in, put};
use crate::schema::metadata::text;

/// Where the generation of a `DaemonSet`'s template is kept.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";

/// A new daemon set: its template is of the first generation.
pub(crate) fn daemon_set(set: &mut Value) {
    set_template_generation(set, 1);
}

/// A daemon set that is written again: the generation counts changes of its template.
pub(crate) fn daemon_set_update(set: &mut Value, old: &Value) {
    let generation = text(&old["metadata"]["annotations"], TEMPLATE_GENERATION);
    let generation = generation.parse::<i64>().unwrap_or(1);
    let is_same = set["spec"]["template"] == old["spec"]["template"];
    set_template_generation(set, generation.saturating_add((!is_same).into()));
}

fn set_template_generation(set: &mut Value, generation: i64) {
    if let Some(annotations) = map_at(set, &["metadata", "annotations"]) {
        let generation = json!(generation.to_string());
        annotations.insert(TEMPLATE_GENERATION.to_string(), generation);
    }
}

/// A new namespace goes only when it is empty.
pub(crate) fn namespace(namespace: &mut Value) {
    let spec = object_in(namespace, "spec");
    let given = spec.entry("finalizers").or_insert(json!([]));
    let kubernetes = json!("kubernetes");
    if !given
        .as_array()
        .is_some_and(|given| given.contains(&kubernetes))
    {
        *given = json!([kubernetes]);
    }
}

/// Only `finalize` changes the finalizers of a namespace.
pub(crate) fn namespace_update(namespace: &mut Value, old: &Value) {
    let kept = old.get("spec").and_then(|spec| spec.get("finalizers"));
    put(object_in(namespace, "spec"), "finalizers", kept.cloned());
}

/// What Go writes of a node even if it is empty.
pub(crate) fn node(node: &mut Value) {
    let status = object_in(node, "status");
    status
        .entry("daemonEndpoints")
        .or_insert_with(|| json!({"kubeletEndpoint": {"Port": 0}}));
    let info = status.entry("nodeInfo").or_insert_with(|| json!({}));
    let Some(info) = info.as_object_mut() else {
        return;
    };
    for field in [
        "architecture",
        "bootID",
        "containerRuntimeVersion",
        "kernelVersion",
        "kubeProxyVersion",
        "kubeletVersion",
        "machineID",
        "operatingSystem",
        "osImage",
        "systemUUID",
    ] {
        info.entry(field).or_insert_with(|| "".into());
    }
}

/// What Go writes of an event even if it is empty.
pub(crate) fn event(event: &mut Value) {
    let Some(fields) = event.as_object_mut() else {
        return;
    };
    fields.entry("eventTime").or_insert(Value::Null);
    for field in ["reportingComponent", "reportingInstance"] {
        fields.entry(field).or_insert_with(|| "".into());
    }
}

/// A job selects its pods by its own uid, unless its owner knows better.
pub(crate) fn job(job: &mut Value) {
    if job["spec"]["manualSelector"] == true {
        return;
    }
    let (name, uid) = (
        text(&job["metadata"], "name"),
        text(&job["metadata"], "uid"),
    );
    let (name, uid) = (json!(name), json!(uid));
    // A job without labels of its own has those of its template, and goes on having them.
    let own = &job["metadata"]["labels"];
    let is_empty = own.as_object().is_none_or(Map::is_empty);
    let shares = is_empty || *own == job["spec"]["template"]["metadata"]["labels"];
    if let Some(labels) = map_at(job, &["spec", "template", "metadata", "labels"]) {
        for (label, value) in [
            ("controller-uid", &uid),
            (CONTROLLER_UID, &uid),
            ("job-name", &name),
            ("batch.kubernetes.io/job-name", &name),
        ] {
            labels.entry(label).or_insert_with(|| value.clone());
        }
        let labels = labels.clone();
        if shares {
            put(metadata(job), "labels", Some(labels.into()));
        }
    }
    if let Some(labels) = map_at(job, &["spec", "selector", "matchLabels"]) {
        labels.entry(CONTROLLER_UID).or_insert(uid);
    }
}

/// The map at a path, made if it is not there; none if something else is in the way.
fn map_at<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let mut at = object;
    for name in path {
        at = at.as_object_mut()?.entry(*name).or_insert(Value::Null);
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
    }
    at.as_object_mut()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{daemon_set, daemon_set_update, job};

    #[test]
    fn a_job_selects_its_own_pods() {
        let mut new = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {}}});
        job(&mut new);
        assert_eq!(
            new["spec"],
            json!({
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
                "template": {"metadata": {"labels": {
                    "controller-uid": "u", "batch.kubernetes.io/controller-uid": "u",
                    "job-name": "j", "batch.kubernetes.io/job-name": "j"
                }}}
            })
        );
        let manual = json!({"metadata": {"uid": "u"}, "spec": {"manualSelector": true}});
        let mut new = manual.clone();
        job(&mut new);
        assert_eq!(new, manual);
    }

    #[test]
    fn the_generation_of_a_template_grows_with_it() {
        let generation = |set: &serde_json::Value| {
            set["metadata"]["annotations"]["deprecated.daemonset.template.generation"].clone()
        };
        let mut set = json!({"spec": {"template": {"a": 1}}});
        daemon_set(&mut set);
        assert_eq!(generation(&set), "1");
        let old = set.clone();
        daemon_set_update(&mut set, &old);
        assert_eq!(generation(&set), "1");
        set["spec"]["template"] = json!({"a": 2});
        daemon_set_update(&mut set, &old);
        assert_eq!(generation(&set), "2");
    }
}
