//! Role-based access control, over the roles and bindings in the store.

use std::sync::Arc;

use serde_json::Value;

pub(crate) use super::attributes::Attributes;
use super::bindings::{Bound, GROUP};
use super::{Access, User, rules};
use crate::kinds::table;
use crate::meta::{items, namespace, text};
use crate::store::{Key, Object};

/// May do everything.
const MASTERS: &str = "system:masters";

/// Whether a user may do something.
pub(crate) fn allowed(access: &Access, user: &User, attributes: &Attributes) -> bool {
    reason(access, user, attributes).is_some()
}

/// Why a user may do something; none if not.
pub(crate) fn reason(access: &Access, user: &User, attributes: &Attributes) -> Option<String> {
    if user.is_in(MASTERS) {
        return Some(String::new());
    }
    let mut reason = None;
    visit_rules(access, user, &attributes.namespace, |rule, why| {
        if rules::allows(rule, attributes) {
            reason = Some(why());
        }
        reason.is_none()
    });
    reason
}

/// The rules that count for a user in a namespace, or everywhere if it is empty.
pub(crate) fn rules_of(access: &Access, user: &User, namespace: &str) -> Vec<Value> {
    let mut all = Vec::new();
    visit_rules(access, user, namespace, |rule, _| {
        all.push(rule.clone());
        true
    });
    all
}

/// Whether nothing that the user writes is an escalation.
pub(crate) fn is_master(user: &User) -> bool {
    user.is_in(MASTERS)
}

/// Shows the rules that count for a user in a namespace, until the visitor has seen enough.
pub(crate) fn visit_rules(
    access: &Access,
    user: &User,
    in_namespace: &str,
    mut visit: impl FnMut(&Value, &dyn Fn() -> String) -> bool,
) {
    for bound in access
        .bindings
        .of(&access.objects.store, user, in_namespace)
    {
        let binding = bound.binding.value();
        let role = referenced_role(access, binding, namespace(binding));
        let why = || explanation(&bound);
        let rules = role.as_ref().map(|role| items(role.value(), "/rules"));
        for rule in rules.unwrap_or_default() {
            if !visit(rule, &why) {
                return;
            }
        }
    }
}

/// Why a binding allows, in the words of kube-apiserver.
fn explanation(bound: &Bound) -> String {
    let (kind, binding, subject) = (bound.kind, bound.binding.value(), bound.subject());
    let name = match namespace(binding) {
        "" => text(binding, "/metadata/name").to_owned(),
        namespace => format!("{}/{namespace}", text(binding, "/metadata/name")),
    };
    let subject_name = match text(subject, "/kind") {
        "ServiceAccount" => format!("{}/{}", text(subject, "/name"), text(subject, "/namespace")),
        _ => text(subject, "/name").to_owned(),
    };
    format!(
        "RBAC: allowed by {kind} {name:?} of {} {:?} to {} {subject_name:?}",
        text(binding, "/roleRef/kind"),
        text(binding, "/roleRef/name"),
        text(subject, "/kind"),
    )
}

/// The role that a binding in a namespace refers to; none if there is none.
pub(crate) fn referenced_role(
    access: &Access,
    binding: &Value,
    namespace: &str,
) -> Option<Arc<Object>> {
    let name = text(binding, "/roleRef/name");
    let key = match text(binding, "/roleRef/kind") {
        "ClusterRole" => Key::new(&table(GROUP, "clusterroles"), None, name),
        "Role" => Key::new(&table(GROUP, "roles"), Some(namespace), name),
        _ => return None,
    };
    access.objects.store.get(&key)
}
