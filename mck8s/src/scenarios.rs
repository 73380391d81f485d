//! The scenarios that this program carries.

use std::io;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use lab::simulated::Scenario;

/// Their names and texts.
const CARRIED: [(&str, &str); 4] = [
    (
        "flash-crowd",
        include_str!("../../manifests/scenarios/flash-crowd.yaml"),
    ),
    (
        "cluster-loss",
        include_str!("../../manifests/scenarios/cluster-loss.yaml"),
    ),
    (
        "rough-day",
        include_str!("../../manifests/scenarios/rough-day.yaml"),
    ),
    ("day", include_str!("../../manifests/scenarios/day.yaml")),
];

/// The files with objects that they name.
const OBJECTS: [(&str, &str); 3] = [
    (
        "02_example_deployment_worst_fit.yaml",
        include_str!("../../manifests/examples/02_example_deployment_worst_fit.yaml"),
    ),
    (
        "03_example_service.yaml",
        include_str!("../../manifests/examples/03_example_service.yaml"),
    ),
    (
        "04_example_job.yaml",
        include_str!("../../manifests/examples/04_example_job.yaml"),
    ),
];

/// The scenario of this name, or else of this file.
pub(crate) fn find(name: &str) -> Result<Scenario> {
    if let Some((name, text)) = CARRIED.iter().find(|(carried, _)| *carried == name) {
        let file = format!("{name}.yaml");
        return Ok(Scenario::parse_with(text, Path::new(&file), &object)?);
    }
    let file = Path::new(name);
    if !file.exists() {
        let names = CARRIED.map(|(name, _)| name).join(", ");
        bail!("there is no scenario {name:?}: write one of {names}, or the name of a file");
    }
    // The error says what the system says; it is not to be said twice.
    Scenario::read(file).map_err(|error| anyhow!("{error}"))
}

/// The text of a file with objects that a carried scenario names.
fn object(file: &Path) -> io::Result<String> {
    let is_it = |(name, _): &&(&str, &str)| file.ends_with(name);
    let found = OBJECTS.iter().find(is_it);
    let text = found.map(|(_, text)| (*text).to_owned());
    text.ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_are_in_the_manifests_are_carried_and_are_whole() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/scenarios");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let carried = find(path.file_stem().unwrap().to_str().unwrap()).unwrap();
            let read = Scenario::read(&path).unwrap();
            assert_eq!(carried.events.len(), read.events.len());
            assert!(!carried.description.is_empty(), "{}", path.display());
            count += 1;
        }
        assert_eq!(count, CARRIED.len());
    }
}
