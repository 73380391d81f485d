//! Keeps the rules of cluster roles that are made of others.

use serde_json::json;
use tracing::warn;

use super::written::Written;
use crate::access::aggregation::gathered;
use crate::kinds::table;
use crate::meta::{items, name};
use crate::objects::{Error, Objects, typed};
use crate::store::{Page, WriteError};

const GROUP: &str = "rbac.authorization.k8s.io";
const PLURAL: &str = "clusterroles";

/// Whether rules may have to be gathered anew.
pub(super) fn concerned(written: Written<'_>) -> bool {
    written.table == table(GROUP, PLURAL)
}

/// Gathers the rules of all such roles. False if they could not be written.
pub(super) async fn gather(objects: &Objects) -> bool {
    let kinds = objects.registry.now();
    let Some(resource) = kinds.find(GROUP, "v1", PLURAL) else {
        return true;
    };
    // Roles that are made of others may be selected by further ones.
    loop {
        let list = objects.store.list(&resource.table, None, &Page::default());
        let roles = list.map(|list| list.items).unwrap_or_default();
        let mut changed = false;
        for role in &roles {
            let others = roles.iter().map(|role| role.value());
            let Some(rules) = gathered(role.value(), &others) else {
                continue;
            };
            if rules == items(role.value(), "/rules") {
                continue;
            }
            let mut new = typed(resource, role.value());
            new["rules"] = json!(rules);
            match objects.update(resource, role, new, false).await {
                Ok(_) | Err(WriteError::Conflict { .. } | WriteError::NotFound) => changed = true,
                Err(error) => {
                    let error = Error::write(resource, name(role.value()), &error);
                    warn!(%error, "the rules of a cluster role were not gathered");
                    return false;
                }
            }
        }
        if !changed {
            return true;
        }
    }
}
