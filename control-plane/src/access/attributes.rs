//! What somebody wants to do, as authorization decides about it.

use super::User;
use crate::objects::Error;

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
    pub(crate) fn impersonation(group: &str, resource: &str, name: &str) -> Self {
        Self {
            verb: "impersonate".to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// `pods/log`
    pub(crate) fn full_resource(&self) -> String {
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
