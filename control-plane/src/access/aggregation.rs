//! Cluster roles that are made of others: their rules are those of the roles that they select.

use std::collections::HashSet;

use serde_json::Value;

use crate::meta::{items, name};
use crate::selector::LabelSelector;

/// The rules of the roles that a role selects, each once; none if it selects none.
pub(crate) fn gathered<'a>(
    role: &Value,
    others: &(impl Iterator<Item = &'a Value> + Clone),
) -> Option<Vec<Value>> {
    role.pointer("/aggregationRule")
        .filter(|rule| !rule.is_null())?;
    let mut known = HashSet::new();
    let mut rules: Vec<Value> = Vec::new();
    for selector in items(role, "/aggregationRule/clusterRoleSelectors") {
        let Some(selector) = LabelSelector::of_object(selector) else {
            continue;
        };
        let selected = others
            .clone()
            .filter(|other| name(other) != name(role) && selector.matches(other));
        for rule in selected.flat_map(|other| items(other, "/rules")) {
            if known.insert(rule) {
                rules.push(rule.clone());
            }
        }
    }
    Some(rules)
}
