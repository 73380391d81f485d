//! What the server itself does to an object of a built-in kind when it is created or updated,
//! beyond defaults.

use serde_json::{Map, Value, json};

use crate::schema::metadata::text;

/// Where the generation of a `DaemonSet`'s template is kept.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_LABELS: [(&str, &str); 4] = [
    ("controller-uid", "uid"),
    (CONTROLLER_UID, "uid"),
    ("job-name", "name"),
    ("batch.kubernetes.io/job-name", "name"),
];

/// Prepares a new object, which has its name and its uid. A job gets the selector of its own pods.
pub(super) fn create(group: &str, kind: &str, object: &mut Value) {
    match (group, kind) {
        ("batch", "Job") => job_selector(object),
        ("apps", "DaemonSet") => {
            let annotations = map_at(object, &["metadata", "annotations"]);
            if let Some(annotations) = annotations {
                annotations.insert(TEMPLATE_GENERATION.to_string(), json!("1"));
            }
        }
        _ => {}
    }
}

/// Prepares an object that is written again.
pub(super) fn update(group: &str, kind: &str, object: &mut Value, old: &Value) {
    if (group, kind) != ("apps", "DaemonSet") {
        return;
    }
    let generation = text(&old["metadata"]["annotations"], TEMPLATE_GENERATION);
    let generation = generation.parse::<i64>().unwrap_or(1);
    let is_same = object["spec"]["template"] == old["spec"]["template"];
    let generation = if is_same {
        generation
    } else {
        generation.saturating_add(1)
    };
    if let Some(annotations) = map_at(object, &["metadata", "annotations"]) {
        annotations.insert(
            TEMPLATE_GENERATION.to_string(),
            json!(generation.to_string()),
        );
    }
}

/// A job selects its pods by its own uid, unless its owner knows better.
fn job_selector(job: &mut Value) {
    if job["spec"]["manualSelector"] == true {
        return;
    }
    let metadata = job["metadata"].clone();
    // A job without labels of its own has those of its template, and goes on having them.
    let template = &job["spec"]["template"]["metadata"]["labels"];
    let shares = template.is_object() && metadata["labels"] == *template;
    let places: [&[&str]; 2] = [
        &["spec", "template", "metadata", "labels"],
        &["metadata", "labels"],
    ];
    for place in places.into_iter().take(if shares { 2 } else { 1 }) {
        if let Some(labels) = map_at(job, place) {
            for (label, field) in JOB_LABELS {
                let value = text(&metadata, field);
                labels.entry(label).or_insert_with(|| json!(value));
            }
        }
    }
    if let Some(labels) = map_at(job, &["spec", "selector", "matchLabels"]) {
        let uid = text(&metadata, "uid");
        labels.entry(CONTROLLER_UID).or_insert_with(|| json!(uid));
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

    use super::{create, update};

    #[test]
    fn a_job_selects_its_own_pods() {
        let mut job = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {}}});
        create("batch", "Job", &mut job);
        assert_eq!(
            job["spec"],
            json!({
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
                "template": {"metadata": {"labels": {
                    "controller-uid": "u", "batch.kubernetes.io/controller-uid": "u",
                    "job-name": "j", "batch.kubernetes.io/job-name": "j"
                }}}
            })
        );
        let manual = json!({"metadata": {"uid": "u"}, "spec": {"manualSelector": true}});
        let mut job = manual.clone();
        create("batch", "Job", &mut job);
        assert_eq!(job, manual);
    }

    #[test]
    fn the_generation_of_a_template_grows_with_it() {
        let generation = |set: &serde_json::Value| {
            set["metadata"]["annotations"]["deprecated.daemonset.template.generation"].clone()
        };
        let mut set = json!({"spec": {"template": {"a": 1}}});
        create("apps", "DaemonSet", &mut set);
        assert_eq!(generation(&set), "1");
        let old = set.clone();
        update("apps", "DaemonSet", &mut set, &old);
        assert_eq!(generation(&set), "1");
        set["spec"]["template"] = json!({"a": 2});
        update("apps", "DaemonSet", &mut set, &old);
        assert_eq!(generation(&set), "2");
    }
}
