//! The fields of a kubeconfig, by name and type. What is wrong names the field, by its path, and
//! never what stands there.

use serde_json::{Map, Value};

use super::values::Problem;
use super::{Checked, InvalidKubeconfig, LONGEST_NAME};

/// The most clusters, users or contexts.
const MOST_ENTRIES: usize = 256;

/// Fields that kubectl knows and that act with the operator's rights, and what to write instead.
const REFUSED: [(&str, &str); 10] = [
    ("exec", RUNS),
    ("auth-provider", RUNS),
    ("tokenFile", "reads a file; write its content as token"),
    (
        "client-certificate",
        "reads a file; write its content as client-certificate-data",
    ),
    (
        "client-key",
        "reads a file; write its content as client-key-data",
    ),
    (
        "certificate-authority",
        "reads a file; write its content as certificate-authority-data",
    ),
    ("as", IMPERSONATES),
    ("as-uid", IMPERSONATES),
    ("as-groups", IMPERSONATES),
    ("as-user-extra", IMPERSONATES),
];
const RUNS: &str = "runs a program; write a token, or client-certificate-data and client-key-data";
const IMPERSONATES: &str =
    "impersonates another user; write the credentials of the user that is meant";

/// The fields of a mapping, and where it stands.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    /// Empty for the whole.
    path: String,
    /// Its name in the list where it stands, if it does.
    name: &'a str,
    map: &'a Map<String, Value>,
}

/// The first entry of this name.
pub(super) fn find<'e, 'a>(entries: &'e [Fields<'a>], name: &str) -> Option<&'e Fields<'a>> {
    entries.iter().find(|entry| entry.name == name)
}

impl<'a> Fields<'a> {
    pub(super) fn of(path: impl Into<String>, name: &'a str, value: &'a Value) -> Checked<Self> {
        let path = path.into();
        match value.as_object() {
            Some(map) => Ok(Self { path, name, map }),
            None if path.is_empty() => {
                Err(InvalidKubeconfig("must be a mapping of YAML".to_owned()))
            }
            None => Err(InvalidKubeconfig(format!("{path} must be a mapping"))),
        }
    }

    /// What is wrong with a field.
    pub(super) fn wrong(&self, field: &str, problem: &str) -> InvalidKubeconfig {
        let separator = if self.path.is_empty() { "" } else { "." };
        InvalidKubeconfig(format!("{}{separator}{field} {problem}", self.path))
    }

    /// A field that is there; as in kubectl, null and "" are not.
    fn get(&self, field: &str) -> Option<&'a Value> {
        let value = self.map.get(field)?;
        (!value.is_null() && value.as_str() != Some("")).then_some(value)
    }

    /// Nothing but these.
    pub(super) fn only(&self, fields: &[&str]) -> Checked<()> {
        let other = |field: &&String| !fields.contains(&field.as_str());
        for field in self.map.keys().filter(other) {
            let known = REFUSED.iter().find(|(name, _)| name == field);
            match known {
                // As good as absent.
                Some(_) if self.get(field).is_none() => {}
                Some((name, why)) => return Err(self.wrong(name, why)),
                None => {
                    let allowed = format!("is not allowed here; allowed are {}", fields.join(", "));
                    return Err(self.wrong(shown(field), &allowed));
                }
            }
        }
        Ok(())
    }

    /// A string, if it is there.
    pub(super) fn text(&self, field: &str, longest: usize) -> Checked<Option<&'a str>> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let text = value
            .as_str()
            .ok_or_else(|| self.wrong(field, "must be a string; put it in quotes"))?;
        if text.len() > longest {
            return Err(self.wrong(field, &format!("is longer than {longest} bytes")));
        }
        Ok(Some(text))
    }

    /// A string that is as it must be, if it is there.
    pub(super) fn value(
        &self,
        field: &str,
        longest: usize,
        check: fn(&str) -> Result<String, Problem>,
    ) -> Checked<Option<String>> {
        let text = self.text(field, longest)?;
        let checked = text.map(check).transpose();
        checked.map_err(|problem| self.wrong(field, &problem.to_string()))
    }

    /// A Boolean, if it is there.
    pub(super) fn flag(&self, field: &str) -> Checked<Option<bool>> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let flag = value.as_bool();
        let flag = flag.ok_or_else(|| self.wrong(field, "must be true or false"))?;
        Ok(Some(flag))
    }

    /// The entries of a list: each has a name, and what it is called by.
    pub(super) fn entries(&self, list: &str, content: &str) -> Checked<Vec<Fields<'a>>> {
        let Some(value) = self.get(list) else {
            return Ok(Vec::new());
        };
        let items = value.as_array();
        let items = items.ok_or_else(|| self.wrong(list, "must be a list"))?;
        if items.len() > MOST_ENTRIES {
            return Err(self.wrong(list, &format!("has more than {MOST_ENTRIES} entries")));
        }
        let entry = |(position, item)| {
            let entry = Fields::of(format!("{list}[{position}]"), "", item)?;
            entry.only(&["name", content])?;
            let name = entry.text("name", LONGEST_NAME)?.unwrap_or_default();
            let fields = |value| Fields::of(format!("{}.{content}", entry.path), name, value);
            entry.get(content).map(fields).transpose()
        };
        let entries: Checked<Vec<_>> = items.iter().enumerate().map(entry).collect();
        Ok(entries?.into_iter().flatten().collect())
    }
}

/// The name of a field that nobody knows, if it looks like one: what stands there may as well be a
/// secret that has lost its place.
fn shown(field: &str) -> &str {
    let is_word = |c: char| c.is_ascii_alphabetic() || c == '-';
    if field.len() <= 32 && field.chars().all(is_word) {
        field
    } else {
        "a field"
    }
}
