//! The workspace's integration tests, as cargo knows them.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::repository;

/// One integration test.
pub(super) struct Target {
    pub(super) package: String,
    pub(super) name: String,
}

/// All integration tests of the workspace.
pub(super) fn tests() -> Result<Vec<Target>> {
    let arguments = ["metadata", "--no-deps", "--format-version=1"];
    let text = repository::output("cargo", &arguments)?;
    let metadata: Value = serde_json::from_str(&text).context("cannot read cargo metadata")?;
    Ok(parse(&metadata))
}

fn parse(metadata: &Value) -> Vec<Target> {
    let mut tests = Vec::new();
    for package in array(&metadata["packages"]) {
        for target in array(&package["targets"]) {
            let is_test = array(&target["kind"]).iter().any(|kind| kind == "test");
            let names = package["name"].as_str().zip(target["name"].as_str());
            if let Some((package, name)) = names
                && is_test
            {
                tests.push(Target {
                    package: package.to_owned(),
                    name: name.to_owned(),
                });
            }
        }
    }
    tests
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_integration_tests_are_taken() {
        let metadata = serde_json::json!({ "packages": [{
            "name": "lab",
            "targets": [
                { "name": "lab", "kind": ["lib"] },
                { "name": "real", "kind": ["test"] },
            ],
        }]});
        let names: Vec<_> = parse(&metadata).into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["real"]);
    }
}
