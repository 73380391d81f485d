//! The definitions of our own kinds, from `federation/src/api`.

use anyhow::{Context, Result};

use super::Target;

/// Says where a file comes from.
const HEADER: &str =
    "# Made by `cargo xtask generate` from federation/src/api. Change that instead.\n";

/// A file for each definition.
pub(super) fn targets() -> Result<Vec<Target>> {
    let crds = federation::api::crds().context("the CRDs cannot be made")?;
    crds.iter()
        .map(|crd| {
            let text = serde_saphyr::to_string(crd).context("a CRD cannot be written as YAML")?;
            Ok(Target {
                path: format!("manifests/crds/{}.yaml", crd.spec.names.plural),
                text: format!("{HEADER}{text}"),
            })
        })
        .collect()
}
