//! Nobody gives rights that they do not have.
//!
//! Who writes a role needs the rights in it, or the right to `escalate`; who writes a binding needs
//! the rights of the role that it refers to, or the right to `bind` it.

use serde_json::{Value, json};

use super::authorization::{Attributes, allowed, is_master, referenced_role, rules_of};
use super::bindings::GROUP;
use super::rules::TooMany;
use super::{Access, User, rules};
use crate::meta::{items, metadata, name, text};
use crate::objects::Error;

/// A role or a binding that somebody wants to write.
pub(super) struct RoleWrite<'a> {
    pub(super) user: &'a User,
    /// Of the request.
    pub(super) attributes: &'a Attributes,
    pub(super) new: &'a Value,
    /// None if it is created.
    pub(super) old: Option<&'a Value>,
}

impl RoleWrite<'_> {
    /// Refuses what gives more rights than its writer has.
    pub(super) fn check(&self, access: &Access) -> Result<(), Error> {
        if is_master(self.user) || self.old.is_some_and(|old| is_for_garbage(self.new, old)) {
            return Ok(());
        }
        match self.attributes.resource.as_str() {
            "roles" | "clusterroles" => self.check_role(access),
            "rolebindings" | "clusterrolebindings" => self.check_binding(access),
            _ => Ok(()),
        }
    }

    fn check_role(&self, access: &Access) -> Result<(), Error> {
        let escalate = Attributes {
            verb: "escalate".to_owned(),
            group: GROUP.to_owned(),
            resource: self.attributes.resource.clone(),
            namespace: self.attributes.namespace.clone(),
            name: self.attributes.name.clone(),
            ..Attributes::default()
        };
        if allowed(access, self.user, &escalate) {
            return Ok(());
        }
        self.covers(access, items(self.new, "/rules"))?;
        let aggregates = |role: &Value| {
            role.pointer("/aggregationRule")
                .is_some_and(|rule| !rule.is_null())
        };
        if aggregates(self.new) || self.old.is_some_and(aggregates) {
            let everything = [
                json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}),
                json!({"nonResourceURLs": ["*"], "verbs": ["*"]}),
            ];
            let why = "must have cluster-admin privileges to use an aggregationRule";
            self.covers(access, &everything)
                .map_err(|_| self.refusal(why))?;
        }
        Ok(())
    }

    fn check_binding(&self, access: &Access) -> Result<(), Error> {
        let role = |field: &str| text(self.new, &format!("/roleRef/{field}")).to_owned();
        let (kind, role_name) = (role("kind"), role("name"));
        let plural = match kind.as_str() {
            "ClusterRole" => "clusterroles",
            "Role" => "roles",
            _ => {
                let why = format!("unsupported role reference kind: {kind:?}");
                return Err(Error::Internal(why));
            }
        };
        let bind = Attributes {
            verb: "bind".to_owned(),
            group: Some(role("apiGroup"))
                .filter(|group| !group.is_empty())
                .unwrap_or_else(|| GROUP.to_owned()),
            resource: plural.to_owned(),
            namespace: self.attributes.namespace.clone(),
            name: role_name.clone(),
            ..Attributes::default()
        };
        if allowed(access, self.user, &bind) {
            return Ok(());
        }
        // The real server names the kind of the request here, and not that of the role.
        let role = referenced_role(access, self.new, &self.attributes.namespace);
        let role =
            role.ok_or_else(|| Error::not_found_in(GROUP, &self.attributes.resource, &role_name))?;
        self.covers(access, items(role.value(), "/rules"))
    }

    /// The writer has all rights of these rules.
    fn covers(&self, access: &Access, wanted: &[Value]) -> Result<(), Error> {
        let own = rules_of(access, self.user, &self.attributes.namespace);
        let missing = rules::missing(&own, wanted).map_err(|TooMany| {
            self.refusal("there are too many rules to compare them with those of the user")
        })?;
        if missing.is_empty() {
            return Ok(());
        }
        let User { name, groups, .. } = self.user;
        let groups: Vec<_> = groups.iter().map(|group| format!("{group:?}")).collect();
        let groups = groups.join(" ");
        let missing = missing.join("\n");
        Err(self.refusal(&format!(
            "user {name:?} (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{missing}"
        )))
    }

    fn refusal(&self, why: &str) -> Error {
        Error::forbidden_in(GROUP, &self.attributes.resource, name(self.new), why)
    }
}

/// Whether a change is one that only the garbage collector needs: of owners and finalizers.
fn is_for_garbage(new: &Value, old: &Value) -> bool {
    let stripped = |value: &Value| {
        let mut value = value.clone();
        for field in ["ownerReferences", "finalizers", "selfLink", "managedFields"] {
            metadata(&mut value).remove(field);
        }
        value
    };
    stripped(new) == stripped(old)
}
