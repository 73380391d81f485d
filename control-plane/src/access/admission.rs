//! What may be written depends on who writes: roles and bindings, and requests for certificates.

use serde_json::Value;

use super::attributes::Attributes;
use super::escalation::RoleWrite;
use super::{Access, User, bindings, signing_requests};
use crate::objects::Error;

/// Fills in what depends on the user, and refuses what the user may not write.
pub(crate) fn admit(
    access: &Access,
    user: &User,
    attributes: &Attributes,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<(), Error> {
    match (attributes.group.as_str(), attributes.resource.as_str()) {
        (bindings::GROUP, _) => {
            let written = RoleWrite {
                user,
                attributes,
                new,
                old,
            };
            written.check(access)
        }
        (signing_requests::GROUP, signing_requests::PLURAL) => {
            let subresource = attributes.subresource.as_str();
            signing_requests::admit(access, user, subresource, new, old)
        }
        _ => Ok(()),
    }
}
