//! What a write is for, and who writes.

use std::borrow::Cow;
use std::collections::HashSet;
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
    /// Looks at an object as it was sent or patched, in the form in which it is stored and with
    /// its defaults: fills in what depends on the user, and refuses what the user may not write.
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

/// What a client is told beside the answer. Of many, the first are kept, and long ones are cut off,
/// as kube-apiserver does it.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<Kept>);

/// Letters of all warnings together.
const MOST_LETTERS: usize = 4 * 1024;

/// Letters of each, once all together have too many.
const LETTERS_OF_EACH: usize = 256;

#[derive(Debug, Default)]
struct Kept {
    known: HashSet<String>,
    texts: Vec<String>,
    /// Of the texts together.
    letters: usize,
    cuts: bool,
}

impl Kept {
    fn add(&mut self, mut text: String) {
        if self.cuts && self.letters >= MOST_LETTERS || !self.known.insert(text.clone()) {
            return;
        }
        if self.cuts {
            cut(&mut text);
        }
        self.letters += text.chars().count();
        self.texts.push(text);
        if !self.cuts && self.letters > MOST_LETTERS {
            self.cuts = true;
            self.texts.iter_mut().for_each(cut);
            self.letters = self.texts.iter().map(|text| text.chars().count()).sum();
        }
    }
}

/// Cuts off what is too long.
fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(LETTERS_OF_EACH) {
        text.truncate(end);
    }
}

impl Warnings {
    /// Adds a text, once.
    pub(crate) fn add(&self, text: impl Into<String>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.add(text.into());
    }

    /// All of them, in the order in which they were added.
    pub(crate) fn all(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.texts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_warnings_are_whole_and_each_is_there_once() {
        let warnings = Warnings::default();
        let long = "ä".repeat(MOST_LETTERS - 1);
        for text in ["a", &long, "a"] {
            warnings.add(text);
        }
        assert_eq!(warnings.all(), ["a".to_owned(), long]);
    }

    #[test]
    fn many_warnings_are_cut_off() {
        let warnings = Warnings::default();
        let long = "ä".repeat(MOST_LETTERS);
        warnings.add("a");
        warnings.add(long.as_str());
        assert_eq!(
            warnings.all(),
            ["a".to_owned(), "ä".repeat(LETTERS_OF_EACH)]
        );
        for number in 0..300_000 {
            warnings.add(format!("{number} {long}"));
        }
        let all = warnings.all();
        let letters: usize = all.iter().map(|text| text.chars().count()).sum();
        assert!(
            (MOST_LETTERS..MOST_LETTERS + LETTERS_OF_EACH).contains(&letters),
            "{letters}"
        );
        assert!(
            all.iter()
                .all(|text| text.chars().count() <= LETTERS_OF_EACH)
        );
    }
}
