//! Which requests are recorded, and how much of them: `Policy` of audit.k8s.io/v1.

use serde::Deserialize;

use super::Attributes;
use crate::access::User;

/// How much of a request is recorded.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Nothing.
    #[default]
    None,
    /// Who, what, when and how it ended.
    Metadata,
    /// And what was sent.
    Request,
    /// And what was answered.
    RequestResponse,
}

impl Level {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// Rules; the first that matches counts, and without one nothing is recorded.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Policy {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    #[serde(default, rename = "metadata")]
    _metadata: serde_json::Value,
    #[serde(default)]
    omit_stages: Vec<String>,
    #[serde(default)]
    omit_managed_fields: bool,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    level: Level,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<Resources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    paths: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<String>,
    #[serde(default)]
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Resources {
    #[serde(default)]
    group: String,
    #[serde(default, rename = "resources")]
    plurals: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

/// What the policy says of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) level: Level,
    omit_stages: Vec<String>,
    pub(crate) omit_managed_fields: bool,
}

impl Decision {
    pub(crate) fn records(&self, stage: &str) -> bool {
        self.level > Level::None && !self.omit_stages.iter().any(|omitted| omitted == stage)
    }
}

/// The bodies of these hold secrets: they are recorded only by a rule that names them.
const SECRET: &[(&str, &str)] = &[
    ("", "secrets"),
    ("", "serviceaccounts/token"),
    ("authentication.k8s.io", "tokenreviews"),
];

impl Policy {
    /// Of a YAML text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let policy: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        if policy.api_version != "audit.k8s.io/v1" || policy.kind != "Policy" {
            return Err("it is no Policy of audit.k8s.io/v1".to_owned());
        }
        if policy.rules.is_empty() {
            return Err("it has no rules".to_owned());
        }
        Ok(policy)
    }

    /// Metadata of all but health, discovery, events and leases.
    pub(crate) fn metadata() -> Self {
        let unrecorded = |group: &str, resource: &str| Resources {
            group: group.to_owned(),
            plurals: vec![resource.to_owned()],
            ..Resources::default()
        };
        let paths = [
            "/api*",
            "/healthz*",
            "/livez*",
            "/openapi*",
            "/readyz*",
            "/version*",
        ];
        let rules = vec![
            Rule {
                paths: paths.map(str::to_owned).into(),
                ..Rule::default()
            },
            Rule {
                resources: vec![
                    unrecorded("", "events"),
                    unrecorded("events.k8s.io", "events"),
                    unrecorded("coordination.k8s.io", "leases"),
                ],
                ..Rule::default()
            },
            Rule {
                level: Level::Metadata,
                ..Rule::default()
            },
        ];
        Self {
            api_version: "audit.k8s.io/v1".to_owned(),
            kind: "Policy".to_owned(),
            _metadata: serde_json::Value::Null,
            omit_stages: Vec::new(),
            omit_managed_fields: false,
            rules,
        }
    }

    /// What is recorded of a request.
    pub(crate) fn decide(&self, user: &User, attributes: &Attributes) -> Decision {
        let Some(rule) = self
            .rules
            .iter()
            .find(|rule| rule.matches(user, attributes))
        else {
            return Decision::default();
        };
        let full = attributes.full_resource();
        let is_secret = attributes.path.is_none()
            && SECRET.contains(&(attributes.group.as_str(), full.as_str()));
        let named = rule
            .resources
            .iter()
            .any(|of| of.names(&attributes.group, &full));
        let level = if is_secret && !named {
            rule.level.min(Level::Metadata)
        } else {
            rule.level
        };
        let stages = self.omit_stages.iter().chain(&rule.omit_stages);
        Decision {
            level,
            omit_stages: stages.cloned().collect(),
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        }
    }
}

/// Whether a list allows something: it has it, or is empty.
fn allows(list: &[String], wanted: &str) -> bool {
    list.is_empty() || list.iter().any(|one| one == wanted || one == "*")
}

impl Rule {
    fn matches(&self, user: &User, attributes: &Attributes) -> bool {
        let by_user = allows(&self.users, &user.name);
        let by_group =
            self.user_groups.is_empty() || self.user_groups.iter().any(|group| user.is_in(group));
        by_user && by_group && allows(&self.verbs, &attributes.verb) && self.is_about(attributes)
    }

    fn is_about(&self, attributes: &Attributes) -> bool {
        if let Some(path) = &attributes.path {
            if self.paths.is_empty() {
                return self.resources.is_empty() && self.namespaces.is_empty();
            }
            return self
                .paths
                .iter()
                .any(|pattern| match pattern.strip_suffix('*') {
                    Some(prefix) => path.starts_with(prefix),
                    None => path == pattern,
                });
        }
        if !self.paths.is_empty() && self.resources.is_empty() {
            return false;
        }
        let full = attributes.full_resource();
        allows(&self.namespaces, &attributes.namespace)
            && (self.resources.is_empty()
                || self
                    .resources
                    .iter()
                    .any(|of| of.matches(attributes, &full)))
    }
}

impl Resources {
    fn matches(&self, attributes: &Attributes, full: &str) -> bool {
        let by_name =
            self.resource_names.is_empty() || self.resource_names.contains(&attributes.name);
        let by_resource = self.plurals.is_empty()
            || self
                .plurals
                .iter()
                .any(|pattern| is_resource(pattern, full));
        self.group == attributes.group && by_name && by_resource
    }

    fn names(&self, group: &str, full: &str) -> bool {
        self.group == group && self.plurals.iter().any(|one| one == full)
    }
}

/// `pods`, `pods/log`, `pods/*`, `*/scale`, or `*`.
fn is_resource(pattern: &str, full: &str) -> bool {
    if pattern == "*" || pattern == full {
        return true;
    }
    let (resource, subresource) = full.split_once('/').unwrap_or((full, ""));
    match pattern.split_once('/') {
        Some(("*", of)) => of == subresource,
        Some((of, "*")) => of == resource && !subresource.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_counts() {
        let policy = "
            apiVersion: audit.k8s.io/v1
            kind: Policy
            omitStages: [RequestReceived]
            rules:
            - {level: None, users: [system:kube-proxy], verbs: [watch]}
            - level: Request
              resources: [{group: '', resources: [pods/log, configmaps]}]
            - {level: None, nonResourceURLs: ['/healthz*']}
            - level: RequestResponse
              namespaces: [kube-system]
            - level: Metadata
        ";
        let policy = Policy::parse(policy).unwrap();
        let level = |user: &str, verb: &str, resource: &str, namespace: &str| {
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let attributes = Attributes {
                verb: verb.to_owned(),
                resource: resource.to_owned(),
                subresource: subresource.to_owned(),
                namespace: namespace.to_owned(),
                ..Attributes::default()
            };
            policy.decide(&User::new(user, &[]), &attributes).level
        };
        assert_eq!(level("system:kube-proxy", "watch", "pods", ""), Level::None);
        assert_eq!(level("a", "watch", "pods", "default"), Level::Metadata);
        assert_eq!(level("a", "get", "pods/log", "default"), Level::Request);
        assert_eq!(
            level("a", "get", "pods", "kube-system"),
            Level::RequestResponse
        );
        // A secret's body is not recorded by a rule that does not name secrets.
        assert_eq!(level("a", "get", "secrets", "kube-system"), Level::Metadata);
        assert_eq!(
            level("a", "create", "serviceaccounts/token", "kube-system"),
            Level::Metadata
        );
        let path = Attributes {
            verb: "get".to_owned(),
            path: Some("/healthz/ping".to_owned()),
            ..Attributes::default()
        };
        assert_eq!(
            policy.decide(&User::new("a", &[]), &path).level,
            Level::None
        );
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in [
            "",
            "apiVersion: v1\nkind: Policy\nrules: [{level: None}]",
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []",
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Everything}]",
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, user: [a]}]",
        ] {
            Policy::parse(text).unwrap_err();
        }
    }
}
