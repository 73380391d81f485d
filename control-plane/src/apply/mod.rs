//! Server-side apply: who owns which fields of an object, and what happens when two want the same.
//!
//! Every write records its author in `metadata.managedFields`: [`update`] by what has changed,
//! [`apply`] by what its configuration says. An apply that would change a field of somebody else is
//! a conflict, unless it is forced; a field that its author no longer applies is removed, unless
//! somebody else owns it too.
//!
//! The rules are those of structured-merge-diff, and of the field manager of kube-apiserver 1.34.
//! One thing is simpler: fields that are owned in another version of the type are taken to be the
//! same fields. The versions of a custom resource, which are converted by name only, are like that.
//!
//! Nothing here reads a clock.

mod applier;
mod blank;
mod compare;
mod conflict;
mod element;
mod field_set;
mod fields_v1;
mod invalid;
mod last_applied;
mod managed;
mod merge;
mod owned;
mod remove;
mod shape;
mod typed_set;
mod update;

use jiff::Timestamp;

pub use applier::{ApplyError, apply, check_applied};
pub use conflict::{Cause, Conflicts};
pub use field_set::FieldSet;
pub use managed::keep_times;
pub use update::update;

use crate::schema::Schema;

/// What is written.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The `apiVersion` of the request: `apps/v1`.
    pub api_version: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// The subresource that the request goes to: `status`, `scale`; empty for the object itself.
    pub subresource: &'a str,
    /// The schema of the kind. Metadata may be missing from it.
    pub schema: &'a Schema,
    /// The fields that a write here does not reach, such as `.status` where there is a subresource
    /// for it: nobody comes to own them by it.
    pub reset: &'a FieldSet,
}

/// Who writes, and when.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a> {
    /// The name; [`manager_name`] says how it is found.
    pub name: &'a str,
    /// The time of the request.
    pub time: Timestamp,
}

/// The longest name of a manager, in bytes.
const LONGEST_NAME: usize = 128;

/// The name of the one who writes: the `fieldManager` that the request gives, or else the first
/// part of its user agent.
pub fn manager_name(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let program = user_agent.split('/').next().unwrap_or_default();
    let mut name = String::new();
    for character in program.chars().filter(|character| !character.is_control()) {
        if name.len() + character.len_utf8() > LONGEST_NAME {
            break;
        }
        name.push(character);
    }
    name
}

#[cfg(test)]
mod apply_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod update_tests;
