//! What a write is for, and who writes.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::Error;
use crate::kinds::Resource;
use crate::store::Key;
use crate::work::Effort;

/// What a write is for, and who writes.
pub(crate) struct RequestScope<'a> {
    pub(crate) resource: &'a Resource,
    /// None for what is cluster-scoped.
    pub(crate) namespace: Option<&'a str>,
    /// Empty for an object that is to be created.
    pub(crate) name: &'a str,
    /// Empty for the object itself.
    pub(crate) subresource: &'a str,
    /// Who writes, for managed fields.
    pub(crate) manager: Cow<'a, str>,
    /// Nothing is stored.
    pub(crate) dry_run: bool,
    pub(crate) warnings: &'a Warnings,
    /// Where the work for it is done.
    pub(crate) effort: Effort<'a>,
    pub(crate) admission: &'a dyn Admission,
}

/// What depends on who writes. Whoever answers knows the user, whom nobody knows here.
pub(crate) trait Admission: Sync {
    /// Looks at an object as it was sent or patched, before anything is done about it: fills in
    /// what depends on the user, and refuses what the user may not write.
    fn admit(&self, new: &mut Value, old: Option<&Value>) -> Result<(), Error>;

    /// Refuses a user who may not create the object, when it is sure that it will be.
    fn admit_create(&self) -> Result<(), Error>;
}

impl RequestScope<'_> {
    /// The key of an object of this resource.
    pub(crate) fn key(&self, name: &str) -> Key {
        Key::new(&self.resource.table, self.namespace, name)
    }
}

/// What a client is told beside the answer.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// Adds a text, once.
    pub(crate) fn add(&self, text: impl Into<String>) {
        let text = text.into();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains(&text) {
            all.push(text);
        }
    }

    /// All of them, in the order in which they were added.
    pub(crate) fn all(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }
}
