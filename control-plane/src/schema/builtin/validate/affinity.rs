//! Where pods want to be: near which nodes, and near which other pods.

use serde_json::Value;

use super::check::{Errors, complain, is_set, items, text, texts};
use super::selector;
use crate::schema::{FieldError, Path, names};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn check(affinity: &Value, path: &Path<'_>, errors: &mut Errors) {
    nodes(
        &affinity["nodeAffinity"],
        &path.field("nodeAffinity"),
        errors,
    );
    for field in ["podAffinity", "podAntiAffinity"] {
        pods(&affinity[field], &path.field(field), errors);
    }
}

fn nodes(affinity: &Value, path: &Path<'_>, errors: &mut Errors) {
    let required = &affinity[REQUIRED];
    if !required.is_null() {
        let path = path.field(REQUIRED);
        let path = path.field("nodeSelectorTerms");
        let terms = &required["nodeSelectorTerms"];
        if !is_set(terms) {
            let detail = "must have at least one node selector term";
            errors.push(FieldError::required(&path, detail));
        }
        for (index, item) in items(terms) {
            term(item, &path.index(index), errors);
        }
    }
    let path = path.field(PREFERRED);
    for (index, preferred) in items(&affinity[PREFERRED]) {
        let path = path.index(index);
        weight(preferred, &path, errors);
        term(&preferred["preference"], &path.field("preference"), errors);
    }
}

fn weight(preferred: &Value, path: &Path<'_>, errors: &mut Errors) {
    let weight = preferred["weight"].as_i64().unwrap_or_default();
    if !(1..=100).contains(&weight) {
        let detail = "must be in the range 1-100";
        errors.push(FieldError::invalid(&path.field("weight"), weight, detail));
    }
}

fn term(term: &Value, path: &Path<'_>, errors: &mut Errors) {
    let path_of_labels = path.field("matchExpressions");
    for (index, requirement) in items(&term["matchExpressions"]) {
        let path = path_of_labels.index(index);
        expression(requirement, &path, errors);
        let key = text(requirement, "key");
        complain(names::qualified(key), key, &path.field("key"), errors);
    }
}

fn expression(requirement: &Value, path: &Path<'_>, errors: &mut Errors) {
    let operator = text(requirement, "operator");
    let count = texts(&requirement["values"]).len();
    let path_of_values = path.field("values");
    match operator {
        "In" | "NotIn" if count == 0 => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(&path_of_values, detail));
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(&path_of_values, detail));
        }
        "Gt" | "Lt" if count != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(FieldError::required(&path_of_values, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => {
            let detail = "not a valid selector operator";
            errors.push(FieldError::invalid(&path.field("operator"), other, detail));
        }
    }
}

fn pods(affinity: &Value, path: &Path<'_>, errors: &mut Errors) {
    let path_of_required = path.field(REQUIRED);
    for (index, term) in items(&affinity[REQUIRED]) {
        pod_term(term, &path_of_required.index(index), errors);
    }
    let path_of_preferred = path.field(PREFERRED);
    for (index, preferred) in items(&affinity[PREFERRED]) {
        let path = path_of_preferred.index(index);
        weight(preferred, &path, errors);
        let path = path.field("podAffinityTerm");
        pod_term(&preferred["podAffinityTerm"], &path, errors);
    }
}

fn pod_term(term: &Value, path: &Path<'_>, errors: &mut Errors) {
    for field in ["labelSelector", "namespaceSelector"] {
        if !term[field].is_null() {
            selector::check(&term[field], &path.field(field), errors);
        }
    }
    let path_of_namespaces = path.field("namespaces");
    for (index, name) in texts(&term["namespaces"]).into_iter().enumerate() {
        complain(
            names::label(name),
            name,
            &path_of_namespaces.index(index),
            errors,
        );
    }
    let key = text(term, "topologyKey");
    let path = path.field("topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(&path, "can not be empty"));
    }
    complain(names::qualified(key), key, &path, errors);
}
