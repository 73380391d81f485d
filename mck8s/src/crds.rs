//! `mck8s crds`: what a hub must know.

use anyhow::{Context as _, Result};

use crate::stdout;

/// Prints the CRDs, one YAML document each.
pub(crate) fn print() -> Result<()> {
    let mut text = String::new();
    for definition in federation::api::crds()? {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&definition).context("a CRD as YAML")?);
    }
    stdout::print(&text)
}
