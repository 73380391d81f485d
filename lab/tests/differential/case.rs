//! Conversations as data.
//!
//! ```yaml
//! objects:                            # bodies that the cases of all files can name
//!   settings: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}
//! cases:
//!   - name: an update with an old resource version is refused
//!     steps:
//!       - {do: POST <core>/configmaps, body: settings, keep: {rv: /metadata/resourceVersion}}
//!       - {do: PATCH <core>/configmaps/a, type: merge, body: {data: {k: w}}}
//!       - {do: PUT <core>/configmaps/a, body: settings, with: {metadata: {resourceVersion: <rv>}}}
//! ```
//!
//! Each case has a namespace of its own, `<ns>`. `<core>`, `<apps>`, … are the paths of groups in
//! it, and `<v1>` is that of the core group without a namespace. `<letters:N>` is a text of N
//! letters. What `keep` has taken from an answer is a placeholder in later steps.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// A conversation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Says what is true of a right server. Unique.
    pub name: String,
    pub steps: Vec<Step>,
    /// What comes after the servers have forgotten their history.
    #[serde(default)]
    pub later: Vec<Step>,
}

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Method and path with the query, as `GET /version`.
    #[serde(rename = "do")]
    pub request: String,
    /// An object, or the name of one of `objects`.
    pub body: Option<Value>,
    /// A merge patch on that object.
    pub with: Option<Value>,
    /// A body as it is sent.
    pub raw: Option<String>,
    /// The content type of the body: `merge`, `json`, `strategic`, `apply`, or in full. JSON if not
    /// given.
    #[serde(rename = "type")]
    pub content_type: Option<String>,
    /// The answer's form: `table`, `partial`, or in full. JSON if not given.
    pub accept: Option<String>,
    /// Whom the administrator impersonates.
    #[serde(rename = "as")]
    pub user: Option<String>,
    /// A token in place of the administrator's; none if empty.
    pub token: Option<String>,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Names for values of the answer, by their JSON pointers.
    #[serde(default)]
    pub keep: BTreeMap<String, String>,
    /// Asks again until the answer is so, for what happens after a while.
    pub until: Option<Until>,
    /// Requests that are made while this one, a watch, is open.
    #[serde(default)]
    pub during: Vec<Step>,
}

/// What an answer shall be.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Until {
    /// With this status.
    Status(u16),
    /// With these values at these JSON pointers; null for none.
    Values(BTreeMap<String, Value>),
}

impl Step {
    /// Itself, and the requests that are made meanwhile, in the order of their answers.
    pub fn flattened(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.during)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    objects: BTreeMap<String, Value>,
    #[serde(default)]
    cases: Vec<Case>,
}

/// The cases of all files of a folder, in the order of the files' names.
pub fn load(folder: &Path) -> Vec<Case> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut objects = BTreeMap::new();
    let mut cases = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let file: File = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        objects.extend(file.objects);
        cases.extend(file.cases);
    }
    let mut names = std::collections::BTreeSet::new();
    for case in &mut cases {
        assert!(names.insert(case.name.clone()), "two cases: {}", case.name);
        for step in case.steps.iter_mut().chain(&mut case.later) {
            resolve(step, &objects);
        }
    }
    cases
}

/// Puts the object in the place of its name.
fn resolve(step: &mut Step, objects: &BTreeMap<String, Value>) {
    if let Some(Value::String(name)) = &step.body {
        let object = objects
            .get(name)
            .unwrap_or_else(|| panic!("{}: no object {name}", step.request));
        step.body = Some(object.clone());
    }
    if let (Some(body), Some(patch)) = (&mut step.body, &step.with) {
        json_patch::merge(body, patch);
    }
    for step in &mut step.during {
        resolve(step, objects);
    }
}
