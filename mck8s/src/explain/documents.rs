//! The objects of a YAML file.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use federation::api::{GROUP, VERSION};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use multi_cluster_scheduler::explain::Kind;
use serde_json::Value;

use super::KINDS;

/// The longest file, in bytes: as much as an API server takes in one request.
const LONGEST: usize = 3 << 20;

/// An object that has replicas.
pub(super) struct Document {
    /// Its place in the file, from 1.
    position: usize,
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
    /// As it is written.
    pub(super) object: Value,
}

impl Document {
    /// Whether it is about this object of the hub.
    pub(super) fn names(&self, kind: Kind, object: &DynamicObject) -> bool {
        let namespace = object.metadata.namespace.as_deref();
        kind == self.kind
            && namespace == Some(self.namespace.as_str())
            && object.name_any() == self.name
    }
}

impl Display for Document {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (kind, position) = (self.kind.name(), self.position);
        write!(
            f,
            "document {position}, {kind} {}/{}",
            self.namespace, self.name
        )
    }
}

/// The objects of a file, or of standard input if it is `-`, that have replicas, and the names of the
/// others. What names no namespace is of this one.
pub(super) fn read(file: &Path, namespace: &str) -> Result<(Vec<Document>, Vec<String>)> {
    let source = file.display();
    let text = if file == Path::new("-") {
        bounded(io::stdin().lock())
    } else {
        File::open(file).map_err(Into::into).and_then(bounded)
    };
    let text = text.with_context(|| format!("{source}"))?;
    parse(&text, namespace).with_context(|| format!("{source}"))
}

fn bounded(from: impl Read) -> Result<String> {
    let mut bytes = Vec::new();
    from.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() <= LONGEST,
        "it is longer than {} MiB: explain fewer objects at once",
        LONGEST >> 20
    );
    String::from_utf8(bytes).context("it is not UTF-8: write YAML or JSON")
}

fn parse(text: &str, namespace: &str) -> Result<(Vec<Document>, Vec<String>)> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 64,
            max_aliases: 1000,
            max_documents: 1000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
        },
        with_snippet: false,
        strict_booleans: true,
    };
    let values = serde_saphyr::from_multiple_with_options::<Value>(text, options);
    let values = values.map_err(|error| anyhow!("it is no valid YAML: {error}"))?;
    let (mut documents, mut others, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (position, object) in (1..).zip(values) {
        if object.is_null() {
            continue;
        }
        let read = document(position, object, namespace);
        match read.with_context(|| format!("document {position}"))? {
            Ok(one) => {
                let name = (one.kind, one.namespace.clone(), one.name.clone());
                ensure!(seen.insert(name), "{one} is there twice: leave one out");
                documents.push(one);
            }
            Err(other) => others.push(other),
        }
    }
    ensure!(
        !documents.is_empty(),
        "it has no MultiClusterDeployment and no MultiClusterJob"
    );
    Ok((documents, others))
}

/// An object with replicas, or the name of another one.
fn document(position: usize, object: Value, namespace: &str) -> Result<Result<Document, String>> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let field = |pointer: &'static str| {
        let path = pointer[1..].replace('/', ".");
        let value = text(pointer).filter(|value| !value.is_empty());
        value
            .map(str::to_owned)
            .with_context(|| format!("{path}: write a text"))
    };
    let (version, kind) = (field("/apiVersion")?, field("/kind")?);
    let name = field("/metadata/name")?;
    let group = version.split('/').next().unwrap_or_default();
    let served = KINDS.into_iter().find(|one| one.name() == kind);
    let Some(kind) = served.filter(|_| group == GROUP) else {
        return Ok(Err(format!("{kind} {name}")));
    };
    let expected = format!("{GROUP}/{VERSION}");
    ensure!(
        version == expected,
        "apiVersion: {version:?} is unknown: write {expected}"
    );
    let given = text("/metadata/namespace").filter(|given| !given.is_empty());
    let namespace = given.unwrap_or(namespace).to_owned();
    if !object["spec"].is_object() {
        bail!("spec: write a mapping");
    }
    Ok(Ok(Document {
        position,
        kind,
        namespace,
        name,
        object,
    }))
}
