//! `cargo xtask generate`: files that are made from the code.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::repository::root;

/// Says where a file comes from.
const HEADER: &str =
    "# Made by `cargo xtask generate` from federation/src/api. Change that instead.\n";

/// Write the files that are made from the code.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail when a file is not what the code makes of it
    #[arg(long)]
    check: bool,
}

/// Writes or checks all generated files.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.check {
        return check();
    }
    for (path, text) in targets()? {
        let target = root().join(&path);
        if fs::read_to_string(&target).is_ok_and(|found| found == text) {
            continue;
        }
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        fs::write(&target, text).with_context(|| format!("cannot write {}", target.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Fails with the names of the files that are not up to date.
pub(crate) fn check() -> Result<()> {
    let stale: Vec<_> = targets()?
        .into_iter()
        .filter(|(path, text)| {
            fs::read_to_string(root().join(path)).map_or(true, |found| found != *text)
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    if !stale.is_empty() {
        bail!(
            "not up to date: {}. Run `cargo xtask generate` and commit the result",
            stale.join(", ")
        );
    }
    Ok(())
}

/// Every generated file: its path from the root, and its content.
fn targets() -> Result<Vec<(PathBuf, String)>> {
    let crds = federation::api::crds().context("the CRDs cannot be made")?;
    crds.iter()
        .map(|crd| {
            let path = format!("manifests/crds/{}.yaml", crd.spec.names.plural);
            let text = serde_saphyr::to_string(crd).context("a CRD cannot be written as YAML")?;
            Ok((PathBuf::from(path), format!("{HEADER}{text}")))
        })
        .collect()
}
