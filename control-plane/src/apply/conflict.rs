//! Fields that somebody else owns.

use std::fmt;

use super::field_set::FieldSet;
use super::managed::{Operation, OwnerId};
use crate::patch::print;

/// An apply would change fields that others own. Answered with 409 `Conflict`; `Display` is the
/// message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts {
    /// By owner. None is empty.
    pub(super) owners: Vec<(OwnerId, FieldSet)>,
}

/// One of the causes that the `Status` lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Whose field it is.
    pub message: String,
    /// The field: `.spec.replicas`.
    pub field: String,
}

impl Cause {
    /// The `reason` of every such cause.
    pub const REASON: &'static str = "FieldManagerConflict";
}

impl Conflicts {
    /// Those of owners with fields; none if there are none.
    pub(super) fn new(mut owners: Vec<(OwnerId, FieldSet)>) -> Option<Self> {
        owners.retain(|(_, fields)| !fields.is_empty());
        owners.sort_by(|(a, _), (b, _)| a.cmp(b));
        (!owners.is_empty()).then_some(Self { owners })
    }

    /// The conflicts over other fields than these.
    pub(super) fn except(&self, fields: &FieldSet) -> Option<Self> {
        let mut owners = self.owners.clone();
        for (_, owned) in &mut owners {
            owned.subtract(fields);
        }
        Self::new(owners)
    }

    /// One cause for each field and owner.
    pub fn causes(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        for (id, fields) in &self.owners {
            let message = format!("conflict with {id}");
            causes.extend(fields.paths().into_iter().map(|field| Cause {
                message: message.clone(),
                field,
            }));
        }
        causes
    }
}

impl std::error::Error for Conflicts {}

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let causes = self.causes();
        if let [Cause { message, field }] = causes.as_slice() {
            return write!(f, "Apply failed with 1 conflict: {message}: {field}");
        }
        let mut lines = Vec::new();
        for (id, fields) in &self.owners {
            lines.push(format!("conflicts with {id}:"));
            lines.extend(fields.paths().iter().map(|path| format!("- {path}")));
        }
        let lines = lines.join("\n");
        write!(f, "Apply failed with {} conflicts: {lines}", causes.len())
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print::quoted(&self.manager))?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {}", print::quoted(&self.subresource))?;
        }
        match (self.operation, &self.api_version) {
            (Operation::Update, Some(version)) => write!(f, " using {version}"),
            _ => Ok(()),
        }
    }
}
