//! Roles, and who has them.

use serde_json::Value;

use super::check::{Errors, complain, is_set, items, text};
use super::selector;
use crate::schema::{FieldError, Path, names};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(crate) fn role(role: &Value, errors: &mut Errors) {
    rules(role, true, errors);
}

pub(crate) fn cluster_role(role: &Value, errors: &mut Errors) {
    rules(role, false, errors);
    let aggregation = &role["aggregationRule"];
    if aggregation.is_null() {
        return;
    }
    let path = Path::new("aggregationRule.clusterRoleSelectors");
    let selectors = &aggregation["clusterRoleSelectors"];
    if !is_set(selectors) {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(FieldError::required(&path, detail));
    }
    for (index, selector) in items(selectors) {
        selector::check(selector, &path.index(index), errors);
    }
}

fn rules(role: &Value, is_namespaced: bool, errors: &mut Errors) {
    let path = Path::new("rules");
    for (index, rule) in items(&role["rules"]) {
        check_rule(rule, is_namespaced, &path.index(index), errors);
    }
}

fn check_rule(rule: &Value, is_namespaced: bool, path: &Path<'_>, errors: &mut Errors) {
    if !is_set(&rule["verbs"]) {
        let detail = "verbs must contain at least one value";
        errors.push(FieldError::required(&path.field("verbs"), detail));
    }
    let urls = &rule["nonResourceURLs"];
    if is_set(urls) {
        let path = path.field("nonResourceURLs");
        if is_namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.push(FieldError::invalid(&path, urls.clone(), detail));
        }
        let others = ["apiGroups", "resources", "resourceNames"];
        if others.into_iter().any(|field| is_set(&rule[field])) {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(&path, urls.clone(), detail));
        }
        return;
    }
    for (field, detail) in [
        (
            "apiGroups",
            "resource rules must supply at least one api group",
        ),
        (
            "resources",
            "resource rules must supply at least one resource",
        ),
    ] {
        if !is_set(&rule[field]) {
            errors.push(FieldError::required(&path.field(field), detail));
        }
    }
}

pub(crate) fn role_binding(binding: &Value, errors: &mut Errors) {
    check_binding(binding, &["Role", "ClusterRole"], errors);
}

pub(crate) fn cluster_role_binding(binding: &Value, errors: &mut Errors) {
    check_binding(binding, &["ClusterRole"], errors);
}

fn check_binding(binding: &Value, kinds: &[&str], errors: &mut Errors) {
    let (role, path) = (&binding["roleRef"], Path::new("roleRef"));
    let group = text(role, "apiGroup");
    if group != GROUP {
        let path = path.field("apiGroup");
        errors.push(FieldError::not_supported(&path, group, &[GROUP]));
    }
    let kind = text(role, "kind");
    if !kinds.contains(&kind) {
        errors.push(FieldError::not_supported(&path.field("kind"), kind, kinds));
    }
    let name = text(role, "name");
    if name.is_empty() {
        errors.push(FieldError::required(&path.field("name"), ""));
    } else {
        complain(
            names::path_segment(name, false),
            name,
            &path.field("name"),
            errors,
        );
    }
    let (is_namespaced, path) = (kinds.len() > 1, Path::new("subjects"));
    for (index, subject) in items(&binding["subjects"]) {
        check_subject(subject, is_namespaced, &path.index(index), errors);
    }
}

fn check_subject(subject: &Value, is_namespaced: bool, path: &Path<'_>, errors: &mut Errors) {
    let name = text(subject, "name");
    if name.is_empty() {
        errors.push(FieldError::required(&path.field("name"), ""));
    }
    let group = text(subject, "apiGroup");
    let mut expect_group = |expected: &str| {
        if group != expected {
            let path = path.field("apiGroup");
            errors.push(FieldError::not_supported(&path, group, &[expected]));
        }
    };
    match text(subject, "kind") {
        "User" | "Group" => expect_group(GROUP),
        "ServiceAccount" => {
            expect_group("");
            if !name.is_empty() {
                complain(names::subdomain(name), name, &path.field("name"), errors);
            }
            if !is_namespaced && text(subject, "namespace").is_empty() {
                errors.push(FieldError::required(&path.field("namespace"), ""));
            }
        }
        kind => {
            let known = ["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(&path.field("kind"), kind, &known));
        }
    }
}

/// A binding is always to the same role.
pub(crate) fn binding_update(binding: &Value, old: &Value, errors: &mut Errors) {
    let role = &binding["roleRef"];
    if *role != old["roleRef"] {
        let detail = "cannot change roleRef";
        errors.push(FieldError::invalid(
            &Path::new("roleRef"),
            role.clone(),
            detail,
        ));
    }
}
