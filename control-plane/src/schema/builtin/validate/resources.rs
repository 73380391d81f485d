//! Amounts of CPU, memory and other things.

use serde_json::Value;

use super::super::quantity::Quantity;
use super::check::{Errors, fields};
use crate::schema::metadata::NOT_NEGATIVE;
use crate::schema::{FieldError, Path, names};

/// Things that every container may ask for.
const STANDARD: &[&str] = &["cpu", "memory", "ephemeral-storage"];

/// Checks what a container asks for.
pub(super) fn check(resources: &Value, path: &Path<'_>, errors: &mut Errors) {
    let limits = &resources["limits"];
    let (limits_path, requests_path) = (path.field("limits"), path.field("requests"));
    for (name, amount) in fields(limits) {
        check_name(name, &limits_path.key(name), errors);
        check_amount(name, amount, &limits_path.key(name), errors);
    }
    for (name, amount) in fields(&resources["requests"]) {
        check_name(name, &requests_path.key(name), errors);
        check_amount(name, amount, &requests_path.key(name), errors);
        let Some(request) = Quantity::of(amount) else {
            continue;
        };
        let is_fixed = !can_be_overcommitted(name);
        match limits.get(name).and_then(Quantity::of) {
            Some(limit) if is_fixed && request.amount != limit.amount => {
                let detail = format!("must be equal to {name} limit of {limit}");
                errors.push(FieldError::invalid(
                    &requests_path,
                    request.to_string(),
                    detail,
                ));
            }
            Some(limit) if request > limit => {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                errors.push(FieldError::invalid(
                    &requests_path,
                    request.to_string(),
                    detail,
                ));
            }
            None if is_fixed => {
                let detail = "Limit must be set for non overcommitable resources";
                errors.push(FieldError::required(&limits_path, detail));
            }
            _ => {}
        }
    }
}

/// Checks an amount: it is one, it is not negative, and whole where halves make no sense.
pub(super) fn check_amount(name: &str, amount: &Value, path: &Path<'_>, errors: &mut Errors) {
    let Some(quantity) = Quantity::of(amount) else {
        let detail = "quantities must match the regular expression \
                      '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
        errors.push(FieldError::invalid(path, amount.clone(), detail));
        return;
    };
    if quantity.amount < 0 {
        errors.push(FieldError::invalid(
            path,
            quantity.to_string(),
            NOT_NEGATIVE,
        ));
    }
    let is_counted = is_extended(name)
        || name.starts_with("count/")
        || matches!(
            name,
            "pods" | "services" | "secrets" | "configmaps" | "persistentvolumeclaims"
        );
    if is_counted && !quantity.is_whole() {
        errors.push(FieldError::invalid(
            path,
            quantity.to_string(),
            "must be an integer",
        ));
    }
}

fn check_name(name: &str, path: &Path<'_>, errors: &mut Errors) {
    let complaints = names::qualified(name);
    let is_qualified = complaints.is_empty();
    for complaint in complaints {
        errors.push(FieldError::invalid(path, name, complaint));
    }
    let is_known = STANDARD.contains(&name) || name.starts_with("hugepages-");
    if !name.contains('/') && !is_known {
        if is_qualified {
            let detail = "must be a standard resource type or fully qualified";
            errors.push(FieldError::invalid(path, name, detail));
        }
        let detail = "must be a standard resource for containers";
        errors.push(FieldError::invalid(path, name, detail));
    }
}

/// Things of someone else's, such as `example.com/gpu`.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

fn can_be_overcommitted(name: &str) -> bool {
    !is_extended(name) && !name.starts_with("hugepages-")
}
