//! What scales pods, and what guards them.

use serde_json::Value;

use super::super::quantity::Quantity;
use super::check::{Errors, amount_or_percent, at_most_all, complain, integer, items, text};
use super::selector;
use crate::schema::{ErrorKind, FieldError, Path, names, render};

const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

pub(crate) fn autoscaler(autoscaler: &Value, errors: &mut Errors) {
    let (spec, path) = (&autoscaler["spec"], Path::new("spec"));
    let (min, max) = (spec["minReplicas"].as_i64(), integer(spec, "maxReplicas"));
    if let Some(min) = min.filter(|min| *min < 1) {
        let detail = "must be greater than or equal to 1";
        errors.push(FieldError::invalid(&path.field("minReplicas"), min, detail));
    }
    if max < 1 {
        let detail = "must be greater than 0";
        errors.push(FieldError::invalid(&path.field("maxReplicas"), max, detail));
    }
    if min.is_some_and(|min| max < min) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid(&path.field("maxReplicas"), max, detail));
    }
    let path_of_target = path.field("scaleTargetRef");
    for field in ["kind", "name"] {
        let value = text(&spec["scaleTargetRef"], field);
        let path = path_of_target.field(field);
        if value.is_empty() {
            errors.push(FieldError::required(&path, ""));
        } else {
            complain(names::path_segment(value, false), value, &path, errors);
        }
    }
    let version = text(&spec["scaleTargetRef"], "apiVersion");
    if !version.contains('/') {
        let path = path_of_target.field("apiVersion");
        let detail = "apiVersion must specify API group";
        errors.push(FieldError::invalid(&path, version, detail));
    }
    let path = path.field("metrics");
    let is_outside = |metric: &Value| matches!(text(metric, "type"), "Object" | "External");
    if min == Some(0) && !items(&spec["metrics"]).any(|(_, metric)| is_outside(metric)) {
        let detail = "must specify at least one Object or External metric to support scaling to \
                      zero replicas";
        errors.push(FieldError::forbidden(&path, detail));
    }
    for (index, metric) in items(&spec["metrics"]) {
        check_metric(metric, &path.index(index), errors);
    }
}

fn check_metric(metric: &Value, path: &Path<'_>, errors: &mut Errors) {
    let kind = text(metric, "type");
    let Some((_, wanted)) = SOURCES.iter().find(|(name, _)| *name == kind) else {
        let known = SOURCES.map(|(name, _)| name);
        if kind.is_empty() {
            let detail = "must specify a metric source type";
            errors.push(FieldError::required(&path.field("type"), detail));
        }
        errors.push(FieldError::not_supported(&path.field("type"), kind, &known));
        return;
    };
    if metric[*wanted].is_null() {
        let detail = "must populate information for the given metric source";
        errors.push(FieldError::required(&path.field(wanted), detail));
    }
    for (_, source) in SOURCES {
        if source != *wanted && !metric[source].is_null() {
            let detail = "must populate the given metric source only";
            errors.push(FieldError::forbidden(&path.field(source), detail));
        }
    }
    if *wanted == "resource" && !metric["resource"].is_null() {
        check_resource(&metric["resource"], &path.field("resource"), errors);
    }
}

fn check_resource(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    if text(source, "name").is_empty() {
        let detail = "must specify a resource name";
        errors.push(FieldError::required(&path.field("name"), detail));
    }
    let (target, path) = (&source["target"], path.field("target"));
    let kind = text(target, "type");
    if kind.is_empty() {
        let detail = "must specify a metric target type";
        errors.push(FieldError::required(&path.field("type"), detail));
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(FieldError::invalid(&path.field("type"), kind, detail));
    }
    for field in ["value", "averageValue"] {
        let amount = &target[field];
        if Quantity::of(amount).is_some_and(|amount| amount.amount <= 0) {
            let path = path.field(field);
            errors.push(FieldError::invalid(
                &path,
                amount.clone(),
                "must be positive",
            ));
        }
    }
    let utilization = target["averageUtilization"].as_i64();
    let path_of_utilization = path.field("averageUtilization");
    if let Some(percent) = utilization.filter(|percent| *percent < 1) {
        let detail = "must be greater than 0";
        errors.push(FieldError::invalid(&path_of_utilization, percent, detail));
    }
    match (utilization.is_some(), !target["averageValue"].is_null()) {
        (false, false) => {
            let detail = "must set either a target raw value or a target utilization";
            errors.push(FieldError::required(&path_of_utilization, detail));
        }
        (true, true) => {
            let detail = "may not set both a target raw value and a target utilization";
            errors.push(FieldError::forbidden(&path.field("averageValue"), detail));
        }
        _ => {}
    }
}

pub(crate) fn disruption_budget(budget: &Value, errors: &mut Errors) {
    let (spec, path) = (&budget["spec"], Path::new("spec"));
    let fields = ["minAvailable", "maxUnavailable"];
    if fields.iter().all(|field| !spec[*field].is_null()) {
        let [min, selector, max, policy] = [
            "minAvailable",
            "selector",
            "maxUnavailable",
            "unhealthyPodEvictionPolicy",
        ]
        .map(|field| render::json(&spec[field]));
        let words = format!(
            r#"{{"MinAvailable":{min},"Selector":{selector},"MaxUnavailable":{max},"UnhealthyPodEvictionPolicy":{policy}}}: minAvailable and maxUnavailable cannot be both set"#
        );
        errors.push(FieldError::worded(ErrorKind::Invalid, &path, words));
    }
    for field in fields {
        if !spec[field].is_null() {
            amount_or_percent(&spec[field], &path.field(field), errors);
            at_most_all(&spec[field], &path.field(field), errors);
        }
    }
    selector::check(&spec["selector"], &path.field("selector"), errors);
    let policy = text(spec, "unhealthyPodEvictionPolicy");
    let known = ["AlwaysAllow", "IfHealthyBudget"];
    if !policy.is_empty() && !known.contains(&policy) {
        let path = path.field("unhealthyPodEvictionPolicy");
        errors.push(FieldError::not_supported(&path, policy, &known));
    }
}
