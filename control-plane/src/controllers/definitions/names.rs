//! Which names the definitions of each group have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::meta::{strings, text};

/// The names that are accepted, by group: those of resources and those of kinds.
#[derive(Debug, Default)]
pub(super) struct Names {
    owners: BTreeMap<Name, BTreeSet<String>>,
    /// By definition.
    of: BTreeMap<String, BTreeSet<Name>>,
}

/// A name in a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    group: String,
    of_kind: bool,
    text: String,
}

impl Names {
    /// Whether there is such a definition.
    pub(super) fn knows(&self, definition: &str) -> bool {
        self.of.contains_key(definition)
    }

    /// Learns the names that a definition has by its status. Whether they have changed.
    pub(super) fn set(&mut self, definition: &str, crd: &Value) -> bool {
        let names = accepted(crd);
        if self.of.get(definition) == Some(&names) {
            return false;
        }
        self.remove(definition);
        for name in &names {
            let owners = self.owners.entry(name.clone()).or_default();
            owners.insert(definition.to_owned());
        }
        self.of.insert(definition.to_owned(), names);
        true
    }

    /// Forgets a definition. Whether it had names.
    pub(super) fn remove(&mut self, definition: &str) -> bool {
        let Some(names) = self.of.remove(definition) else {
            return false;
        };
        for name in &names {
            if let Some(owners) = self.owners.get_mut(name) {
                owners.remove(definition);
                if owners.is_empty() {
                    self.owners.remove(name);
                }
            }
        }
        !names.is_empty()
    }

    /// Whether another definition of the group has a name.
    pub(super) fn is_taken(&self, crd: &Value, of_kind: bool, name: &str) -> bool {
        let name = Name {
            group: text(crd, "/spec/group").to_owned(),
            of_kind,
            text: name.to_owned(),
        };
        let definition = crate::meta::name(crd);
        let owners = self.owners.get(&name);
        owners.is_some_and(|owners| owners.iter().any(|owner| owner != definition))
    }
}

fn accepted(crd: &Value) -> BTreeSet<Name> {
    let group = text(crd, "/spec/group");
    let of = |field: &str| text(crd, &format!("/status/acceptedNames/{field}")).to_owned();
    let mut resources = strings(crd, "/status/acceptedNames/shortNames");
    resources.extend([of("plural"), of("singular")]);
    let kinds = [of("kind"), of("listKind")];
    let resources = resources.into_iter().map(|name| (false, name));
    let names = resources.chain(kinds.into_iter().map(|name| (true, name)));
    let names = names.filter(|(_, name)| !name.is_empty());
    names
        .map(|(of_kind, name)| Name {
            group: group.to_owned(),
            of_kind,
            text: name,
        })
        .collect()
}
