//! The Go modules of Kubernetes, in the versions that the real lab is built from.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Deserializer, Value};

use crate::repository::root;

/// The module with the published documents.
const KUBERNETES: &str = "k8s.io/kubernetes";

/// The modules that the tables are made from. `lab/real/kubernetes/go.mod` says their versions, and
/// `go.sum` pins every byte.
const MODULES: [&str; 5] = [
    KUBERNETES,
    "k8s.io/api",
    "k8s.io/apiextensions-apiserver",
    "k8s.io/apimachinery",
    "k8s.io/kube-aggregator",
];

/// The sources of Kubernetes, in Go's module cache.
pub(in super::super) struct Sources {
    /// By the path of the module.
    directories: BTreeMap<String, PathBuf>,
}

impl Sources {
    /// Finds the modules in Go's cache, or downloads them into it, as a build of the lab's binaries
    /// does. The error is why they can't be had, in one line.
    pub(in super::super) fn fetch() -> Result<Self, String> {
        let output = Command::new("go")
            .args(["mod", "download", "-json"])
            .args(MODULES)
            .current_dir(root().join("lab/real/kubernetes"))
            .output()
            .map_err(|error| format!("Go, which fetches them, can't be run ({error})"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut directories = BTreeMap::new();
        for module in Deserializer::from_str(&text).into_iter::<Value>() {
            let module = module.map_err(|error| format!("Go's answer can't be read ({error})"))?;
            let path = module["Path"].as_str().unwrap_or_default();
            let Some(directory) = module["Dir"].as_str() else {
                let error = module["Error"].as_str().unwrap_or_default();
                return Err(format!("Go can't fetch {path} ({error})"));
            };
            directories.insert(path.to_owned(), directory.into());
        }
        if directories.is_empty() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(errors.trim_end().replace('\n', "; "));
        }
        Ok(Self { directories })
    }

    /// A document that Kubernetes publishes, by its path under `api/`.
    pub(super) fn document(&self, path: &str) -> Result<Value> {
        let text = self.read(KUBERNETES, &format!("api/{path}"))?;
        serde_json::from_str(&text).with_context(|| format!("{path} is no JSON"))
    }

    /// The types of a Go package, by its import path.
    pub(super) fn go_types(&self, package: &str) -> Result<String> {
        let mut modules = self.directories.keys();
        let found = modules.find_map(|module| {
            let folder = package.strip_prefix(module.as_str())?.strip_prefix('/')?;
            Some((module, folder))
        });
        let (module, folder) = found.with_context(|| format!("{package} is in no known module"))?;
        self.read(module, &format!("{folder}/types.go"))
    }

    fn read(&self, module: &str, path: &str) -> Result<String> {
        let directory = self.directories.get(module);
        let file = directory.map(|directory| directory.join(path));
        let file = file.with_context(|| format!("{module} was not fetched"))?;
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }
}
