//! `mck8s crds`: what a hub must know.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

/// Prints the CRDs, one YAML document each.
pub(crate) fn print() -> Result<()> {
    let mut text = String::new();
    for definition in federation::api::crds()? {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&definition).context("a CRD as YAML")?);
    }
    match io::stdout().write_all(text.as_bytes()) {
        // Who reads may have seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
