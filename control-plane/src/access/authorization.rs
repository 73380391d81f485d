//! Role-based access control, over the roles and bindings in the store.

use serde_json::{Value, json};

use super::User;
use super::target::Target;
use crate::kinds::table;
use crate::meta::{items, namespace, strings, text};
use crate::objects::{Error, Objects};
use crate::store::{Key, Page};

const GROUP: &str = "rbac.authorization.k8s.io";

/// What somebody wants to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    /// Empty for what is cluster-scoped, and for all namespaces.
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The path of what is no resource; then the fields above but the verb do not count.
    pub(crate) path: Option<String>,
}

impl Attributes {
    pub(crate) fn of(target: &Target) -> Self {
        let verb = target.verb.clone();
        let Some(resource) = &target.resource else {
            return Self {
                verb,
                path: Some(target.path.clone()),
                ..Self::default()
            };
        };
        Self {
            verb,
            group: resource.group.clone(),
            resource: resource.plural.clone(),
            subresource: resource.subresource.clone(),
            namespace: resource.namespace.clone(),
            name: resource.name.clone(),
            path: None,
        }
    }

    pub(crate) fn impersonation(resource: &str, name: &str) -> Self {
        Self {
            verb: "impersonate".to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// `pods/log`
    fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// The refusal of a user who may not do this.
    pub(crate) fn refusal(&self, user: &User) -> Error {
        let Self { verb, group, .. } = self;
        let user = &user.name;
        if let Some(path) = &self.path {
            let why = format!("User {user:?} cannot {verb} path {path:?}");
            return Error::forbidden_in("", "", "", &why);
        }
        let scope = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", self.namespace)
        };
        let resource = self.full_resource();
        let why = format!(
            "User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {scope}"
        );
        Error::forbidden_in(group, &self.resource, &self.name, &why)
    }
}

/// Whether a user may do something.
pub(crate) fn allowed(objects: &Objects, user: &User, attributes: &Attributes) -> bool {
    reason(objects, user, attributes).is_some()
}

/// Why a user may do something; none if not.
pub(crate) fn reason(objects: &Objects, user: &User, attributes: &Attributes) -> Option<String> {
    if user.is_in("system:masters") {
        return Some(String::new());
    }
    let mut reason = None;
    visit_rules(objects, user, &attributes.namespace, |rule, why| {
        if applies(rule, attributes) {
            reason = Some(why());
        }
        reason.is_none()
    });
    reason
}

/// Shows the rules that count for a user in a namespace, until the visitor has seen enough.
pub(crate) fn visit_rules(
    objects: &Objects,
    user: &User,
    in_namespace: &str,
    mut visit: impl FnMut(&Value, &dyn Fn() -> String) -> bool,
) {
    let bindings = |plural: &str, namespace: Option<&str>| {
        let list = objects
            .store
            .list(&table(GROUP, plural), namespace, &Page::default());
        list.map(|list| list.items).unwrap_or_default()
    };
    let mut all = vec![("ClusterRoleBinding", bindings("clusterrolebindings", None))];
    if !in_namespace.is_empty() {
        all.push(("RoleBinding", bindings("rolebindings", Some(in_namespace))));
    }
    for (kind, bindings) in all {
        for binding in bindings {
            let binding = binding.value();
            let subjects = items(binding, "/subjects");
            let Some(subject) = subjects
                .iter()
                .find(|subject| is_subject(user, subject, namespace(binding)))
            else {
                continue;
            };
            let role = role(objects, binding);
            let why = || {
                let binding_name = match namespace(binding) {
                    "" => text(binding, "/metadata/name").to_owned(),
                    namespace => format!("{}/{namespace}", text(binding, "/metadata/name")),
                };
                format!(
                    "RBAC: allowed by {kind} {binding_name:?} of {} {:?} to {} {:?}",
                    text(binding, "/roleRef/kind"),
                    text(binding, "/roleRef/name"),
                    text(subject, "/kind"),
                    subject_name(subject),
                )
            };
            for rule in role
                .as_ref()
                .map(|role| items(role.value(), "/rules"))
                .unwrap_or_default()
            {
                if !visit(rule, &why) {
                    return;
                }
            }
        }
    }
}

fn subject_name(subject: &Value) -> String {
    match text(subject, "/kind") {
        "ServiceAccount" => format!("{}/{}", text(subject, "/name"), text(subject, "/namespace")),
        _ => text(subject, "/name").to_owned(),
    }
}

fn is_subject(user: &User, subject: &Value, namespace: &str) -> bool {
    let name = text(subject, "/name");
    match text(subject, "/kind") {
        "User" => user.name == name,
        "Group" => user.is_in(name),
        "ServiceAccount" => {
            let given = text(subject, "/namespace");
            let namespace = if given.is_empty() { namespace } else { given };
            !namespace.is_empty()
                && user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

fn role(objects: &Objects, binding: &Value) -> Option<std::sync::Arc<crate::store::Object>> {
    let name = text(binding, "/roleRef/name");
    let key = match text(binding, "/roleRef/kind") {
        "ClusterRole" => Key::new(&table(GROUP, "clusterroles"), None, name),
        "Role" => Key::new(&table(GROUP, "roles"), Some(namespace(binding)), name),
        _ => return None,
    };
    objects.store.get(&key)
}

fn has(rule: &Value, field: &str, wanted: &str) -> bool {
    let given = items(rule, field).iter().filter_map(Value::as_str);
    given
        .into_iter()
        .any(|value| value == "*" || value == wanted)
}

/// Whether a rule allows something.
fn applies(rule: &Value, attributes: &Attributes) -> bool {
    if !has(rule, "/verbs", &attributes.verb) {
        return false;
    }
    if let Some(path) = &attributes.path {
        return strings(rule, "/nonResourceURLs").iter().any(|pattern| {
            pattern == "*"
                || pattern == path
                || pattern
                    .strip_suffix('*')
                    .is_some_and(|prefix| path.starts_with(prefix))
        });
    }
    let names = items(rule, "/resourceNames");
    has(rule, "/apiGroups", &attributes.group)
        && has_resource(rule, attributes)
        && (names.is_empty() || names.contains(&json!(attributes.name)))
}

fn has_resource(rule: &Value, attributes: &Attributes) -> bool {
    let full = attributes.full_resource();
    let of_any = format!("*/{}", attributes.subresource);
    strings(rule, "/resources").iter().any(|resource| {
        resource == "*"
            || *resource == full
            || (!attributes.subresource.is_empty() && *resource == of_any)
    })
}
