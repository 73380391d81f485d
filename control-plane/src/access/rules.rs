//! Rules of roles (`PolicyRule`), as objects have them: what they allow, and what they cover.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::attributes::Attributes;
use crate::meta::{items, strings};

/// Whether a rule allows something.
pub(crate) fn allows(rule: &Value, attributes: &Attributes) -> bool {
    if !has(rule, "/verbs", &attributes.verb) {
        return false;
    }
    if let Some(path) = &attributes.path {
        return texts(rule, "/nonResourceURLs").any(|pattern| {
            pattern == "*"
                || pattern == path
                || pattern
                    .strip_suffix('*')
                    .is_some_and(|prefix| path.starts_with(prefix))
        });
    }
    has(rule, "/apiGroups", &attributes.group)
        && has_resource(rule, attributes)
        && (items(rule, "/resourceNames").is_empty()
            || texts(rule, "/resourceNames").any(|name| name == attributes.name))
}

fn texts<'a>(rule: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    items(rule, field).iter().filter_map(Value::as_str)
}

fn has(rule: &Value, field: &str, wanted: &str) -> bool {
    texts(rule, field).any(|value| value == "*" || value == wanted)
}

fn has_resource(rule: &Value, attributes: &Attributes) -> bool {
    let full = attributes.full_resource();
    let of_any = format!("*/{}", attributes.subresource);
    texts(rule, "/resources").any(|resource| {
        resource == "*"
            || resource == full
            || (!attributes.subresource.is_empty() && resource == of_any)
    })
}

/// One right: a verb on a resource, or on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Right {
    Resource {
        group: String,
        resource: String,
        /// None for all names.
        name: Option<String>,
        verb: String,
    },
    Path {
        path: String,
        verb: String,
    },
}

/// What of the rights of some rules the rules of an owner do not have: a text for each resource or
/// path, as kube-apiserver shows them, sorted.
pub(crate) fn missing(owner: &[Value], rules: &[Value]) -> Vec<String> {
    let rights = rules.iter().flat_map(rights);
    let missing = rights.filter(|right| !owner.iter().any(|rule| right.is_covered_by(rule)));
    compact(missing)
}

/// The single rights of a rule.
fn rights(rule: &Value) -> Vec<Right> {
    let verbs = strings(rule, "/verbs");
    let names: Vec<Option<String>> = match strings(rule, "/resourceNames") {
        names if names.is_empty() => vec![None],
        names => names.into_iter().map(Some).collect(),
    };
    let mut rights = Vec::new();
    for group in strings(rule, "/apiGroups") {
        for resource in strings(rule, "/resources") {
            for verb in &verbs {
                rights.extend(names.iter().map(|name| Right::Resource {
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                    verb: verb.clone(),
                }));
            }
        }
    }
    for path in strings(rule, "/nonResourceURLs") {
        rights.extend(verbs.iter().map(|verb| Right::Path {
            path: path.clone(),
            verb: verb.clone(),
        }));
    }
    rights
}

impl Right {
    fn is_covered_by(&self, rule: &Value) -> bool {
        match self {
            Self::Resource {
                group,
                resource,
                name,
                verb,
            } => {
                let of_any = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
                let is_resource = has(rule, "/resources", resource)
                    || of_any.is_some_and(|any| texts(rule, "/resources").any(|one| one == any));
                let names = items(rule, "/resourceNames");
                let is_name = names.is_empty()
                    || name
                        .as_ref()
                        .is_some_and(|name| names.contains(&json!(name)));
                has(rule, "/verbs", verb)
                    && has(rule, "/apiGroups", group)
                    && is_resource
                    && is_name
            }
            Self::Path { path, verb } => {
                let covers = |owner: &str| {
                    let prefix = owner.trim_end_matches('*');
                    owner == path || prefix != owner && path.starts_with(prefix)
                };
                has(rule, "/verbs", verb) && texts(rule, "/nonResourceURLs").any(covers)
            }
        }
    }
}

/// Rights as rules in texts, those of one resource and name together.
fn compact(rights: impl Iterator<Item = Right>) -> Vec<String> {
    type Resource = (String, String, Option<String>);
    let mut by_resource: Vec<(Resource, Vec<String>)> = Vec::new();
    let mut texts = BTreeSet::new();
    for right in rights {
        match right {
            Right::Resource {
                group,
                resource,
                name,
                verb,
            } => {
                let key = (group, resource, name);
                match by_resource.iter_mut().find(|(other, _)| *other == key) {
                    Some((_, verbs)) => verbs.push(verb),
                    None => by_resource.push((key, vec![verb])),
                }
            }
            Right::Path { path, verb } => {
                texts.insert(format!("{{NonResourceURLs:[{path:?}], Verbs:[{verb:?}]}}"));
            }
        }
    }
    for ((group, resource, name), verbs) in by_resource {
        let name = name.map_or_else(String::new, |name| format!(", ResourceNames:[{name:?}]"));
        let verbs: Vec<_> = verbs.iter().map(|verb| format!("{verb:?}")).collect();
        let verbs = verbs.join(" ");
        texts.insert(format!(
            "{{APIGroups:[{group:?}], Resources:[{resource:?}]{name}, Verbs:[{verbs}]}}"
        ));
    }
    texts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_by_resource() {
        let owner = [
            json!({"apiGroups": [""], "resources": ["pods", "*/status"], "verbs": ["get", "list"]}),
            json!({"apiGroups": ["apps"], "resources": ["*"], "resourceNames": ["a"], "verbs": ["*"]}),
            json!({"nonResourceURLs": ["/healthz/*"], "verbs": ["get"]}),
        ];
        let missing = |rule: Value| missing(&owner, &[rule]);
        let none: [&str; 0] = [];
        assert_eq!(
            missing(
                json!({"apiGroups": [""], "resources": ["pods", "nodes/status"], "verbs": ["get"]})
            ),
            none
        );
        assert_eq!(
            missing(
                json!({"apiGroups": [""], "resources": ["secrets", "pods"], "verbs": ["get", "delete"]})
            ),
            [
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}"#,
                r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}"#,
            ]
        );
        let apps = |names: Value| json!({"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": names, "verbs": ["get"]});
        assert_eq!(missing(apps(json!(["a"]))), none);
        assert_eq!(
            missing(apps(json!(["b"]))),
            [
                r#"{APIGroups:["apps"], Resources:["deployments"], ResourceNames:["b"], Verbs:["get"]}"#
            ]
        );
        assert_eq!(
            missing(apps(json!([]))),
            [r#"{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}"#]
        );
        let path = |path: &str| json!({"nonResourceURLs": [path], "verbs": ["get"]});
        assert_eq!(missing(path("/healthz/etcd")), none);
        assert_eq!(
            missing(path("/metrics")),
            [r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#]
        );
        assert_eq!(
            missing(json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})),
            [r#"{APIGroups:["*"], Resources:["*"], Verbs:["*"]}"#]
        );
    }
}
