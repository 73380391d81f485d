//! Who may do what: bearer tokens, impersonation and RBAC.

pub(crate) mod authentication;
pub(crate) mod authorization;
pub(crate) mod bootstrap;
pub(crate) mod issued;
pub(crate) mod target;
pub(crate) mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::objects::Objects;
use issued::IssuedTokens;

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

/// Bearer tokens and the users that they stand for.
pub type Tokens = BTreeMap<String, User>;

/// Who comes in, and what they may do.
pub(crate) struct Access {
    pub(crate) objects: Arc<Objects>,
    /// Who may come in over HTTP.
    pub(crate) tokens: Tokens,
    /// Who shows no token comes in as `system:anonymous`.
    pub(crate) anonymous: bool,
    /// The tokens of service accounts.
    pub(crate) issued: IssuedTokens,
}
