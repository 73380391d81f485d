//! Users, as Kubernetes has them.

use std::collections::BTreeMap;

/// Who makes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// `alice`, or `system:serviceaccount:NAMESPACE:NAME`.
    pub name: String,
    /// May be empty.
    pub uid: String,
    /// `system:masters` may do everything.
    pub groups: Vec<String>,
    /// What else is known.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user in groups.
    pub fn new(name: &str, groups: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// One who may do everything.
    pub fn admin() -> Self {
        Self::new("admin", &["system:masters", "system:authenticated"])
    }

    pub(crate) fn anonymous() -> Self {
        Self::new("system:anonymous", &["system:unauthenticated"])
    }

    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|other| other == group)
    }
}
