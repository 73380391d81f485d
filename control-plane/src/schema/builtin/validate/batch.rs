//! What runs pods to their end.

use serde_json::Value;

use super::check::{Errors, is_set, not_negative, one_of, text, unchanged};
use super::{pod, selector};
use crate::schema::{FieldError, Path};

pub(crate) fn job(job: &Value, errors: &mut Errors) {
    let (spec, path) = (&job["spec"], Path::new("spec"));
    generated(job, errors);
    check(spec, &path, errors);
    let selector = &spec["selector"];
    if selector.is_null() {
        errors.push(FieldError::required(&path.field("selector"), ""));
        return;
    }
    selector::check(selector, &path.field("selector"), errors);
    let labels = &spec["template"]["metadata"]["labels"];
    if selector::is_usable(selector) && !selector::matches(selector, labels) {
        let detail = "`selector` does not match template `labels`";
        let path = Path::new("spec.template.metadata.labels");
        errors.push(FieldError::invalid(&path, labels.clone(), detail));
    }
}

/// What the server has generated is still there.
fn generated(job: &Value, errors: &mut Errors) {
    let (spec, metadata) = (&job["spec"], &job["metadata"]);
    if spec["manualSelector"] == true || spec["selector"].is_null() {
        return;
    }
    let (name, uid) = (text(metadata, "name"), text(metadata, "uid"));
    if uid.is_empty() {
        errors.push(FieldError::required(&Path::new("metadata.uid"), ""));
    }
    let expected = [
        ("controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
    ];
    let path = Path::new("spec.template.metadata.labels");
    let labels = &spec["template"]["metadata"]["labels"];
    for (label, value) in expected {
        match labels.get(label) {
            None => {
                let detail = format!("must be '{value}'");
                errors.push(FieldError::required(&path.key(label), detail));
            }
            Some(actual) if actual != value => {
                let detail = format!("must be '{value}'");
                errors.push(FieldError::invalid(
                    &path.key(label),
                    labels.clone(),
                    detail,
                ));
            }
            Some(_) => {}
        }
    }
    let expected = expected.map(|(label, value)| (label.to_string(), Value::from(value)));
    let expected = Value::Object(expected.into_iter().collect());
    if selector::is_usable(&spec["selector"]) && !selector::matches(&spec["selector"], &expected) {
        let detail = "`selector` not auto-generated";
        let path = Path::new("spec.selector");
        errors.push(FieldError::invalid(&path, spec["selector"].clone(), detail));
    }
}

fn check(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        not_negative(spec, field, path, errors);
    }
    if !spec["maxFailedIndexes"].is_null() && spec["backoffLimitPerIndex"].is_null() {
        let detail = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(
            &path.field("backoffLimitPerIndex"),
            detail,
        ));
    }
    completion_mode(spec, path, errors);
    let path_of_template = path.field("template");
    pod::template(&spec["template"], &path_of_template, errors);
    let path_of_pod = path_of_template.field("spec");
    let path = path_of_pod.field("restartPolicy");
    match text(&spec["template"]["spec"], "restartPolicy") {
        "Always" | "" => {
            let detail = r#"valid values: "OnFailure", "Never""#;
            errors.push(FieldError::required(&path, detail));
        }
        "OnFailure" if !spec["podFailurePolicy"].is_null() => {
            let detail = r#"only "Never" is supported when podFailurePolicy is specified"#;
            errors.push(FieldError::invalid(&path, "OnFailure", detail));
        }
        "OnFailure" | "Never" => {}
        policy => {
            let known = ["OnFailure", "Never"];
            errors.push(FieldError::not_supported(&path, policy, &known));
        }
    }
}

fn completion_mode(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    match text(spec, "completionMode") {
        "Indexed" => {
            if spec["completions"].is_null() {
                let detail = "when completion mode is Indexed";
                errors.push(FieldError::required(&path.field("completions"), detail));
            }
        }
        "NonIndexed" | "" => {
            for field in ["backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"] {
                if !spec[field].is_null() {
                    let detail = "requires indexed completion mode";
                    let path = path.field(field);
                    errors.push(FieldError::invalid(&path, spec[field].clone(), detail));
                }
            }
        }
        mode => {
            let known = ["NonIndexed", "Indexed"];
            let path = path.field("completionMode");
            errors.push(FieldError::not_supported(&path, mode, &known));
        }
    }
}

pub(crate) fn job_update(job: &Value, old: &Value, errors: &mut Errors) {
    let path = Path::new("spec");
    let (new, old) = (&job["spec"], &old["spec"]);
    let completions = &new["completions"];
    if text(new, "completionMode") != "Indexed" {
        unchanged(new, old, "completions", &path, errors);
    } else if *completions != old["completions"]
        && !completions.is_null()
        && *completions != new["parallelism"]
    {
        let detail = "can only be modified in tandem with spec.parallelism";
        let path = path.field("completions");
        errors.push(FieldError::invalid(&path, completions.clone(), detail));
    }
    // A job that waits can still be told where its pods go.
    let waits = old["suspend"] == true && old["template"] != Value::Null;
    if !(waits && is_placement_only(&new["template"], &old["template"])) {
        unchanged(new, old, "template", &path, errors);
    }
    for field in [
        "selector",
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        unchanged(new, old, field, &path, errors);
    }
}

/// Whether nothing but the place of the pods has changed.
fn is_placement_only(new: &Value, old: &Value) -> bool {
    let without = |template: &Value| {
        let mut template = template.clone();
        if let Some(Value::Object(metadata)) = template.get_mut("metadata") {
            metadata.remove("labels");
            metadata.remove("annotations");
        }
        if let Some(Value::Object(spec)) = template.get_mut("spec") {
            for field in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
                spec.remove(field);
            }
        }
        template
    };
    without(new) == without(old)
}

pub(crate) fn cron_job(job: &Value, errors: &mut Errors) {
    let (spec, path) = (&job["spec"], Path::new("spec"));
    let schedule = text(spec, "schedule");
    if schedule.is_empty() {
        errors.push(FieldError::required(&path.field("schedule"), ""));
    } else {
        check_schedule(schedule, &path.field("schedule"), errors);
    }
    not_negative(spec, "startingDeadlineSeconds", &path, errors);
    one_of(
        spec,
        "concurrencyPolicy",
        &["Allow", "Forbid", "Replace"],
        &path,
        errors,
    );
    let path_of_job = path.field("jobTemplate");
    let job_spec = &spec["jobTemplate"]["spec"];
    check(job_spec, &path_of_job.field("spec"), errors);
    if job_spec["manualSelector"] == true || is_set(&job_spec["selector"]) {
        let detail = "`selector` will be auto-generated";
        let path = Path::new("spec.jobTemplate.spec.selector");
        errors.push(FieldError::invalid(
            &path,
            job_spec["selector"].clone(),
            detail,
        ));
    }
    not_negative(spec, "successfulJobsHistoryLimit", &path, errors);
    not_negative(spec, "failedJobsHistoryLimit", &path, errors);
    let name = text(&job["metadata"], "name");
    if name.len() > 52 {
        let detail = "must be no more than 52 characters";
        errors.push(FieldError::invalid(
            &Path::new("metadata.name"),
            name,
            detail,
        ));
    }
}

fn check_schedule(schedule: &str, path: &Path<'_>, errors: &mut Errors) {
    let plain = match schedule.split_once(' ') {
        Some((zone, rest)) if zone.contains("TZ=") => rest,
        _ => schedule,
    };
    let fields = plain.split_whitespace().count();
    if !plain.starts_with('@') && fields != 5 {
        let quoted = crate::schema::render::quoted(plain).replace('"', "");
        let detail = format!("expected exactly 5 fields, found {fields}: [{quoted}]");
        errors.push(FieldError::invalid(path, schedule, detail));
    }
    if schedule.contains("TZ") {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(FieldError::invalid(path, schedule, detail));
    }
}
