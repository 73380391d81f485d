//! `cargo xtask generate`: files that are made from the code, and from what Kubernetes publishes.

mod crds;
mod kubernetes;

use std::fs;

use anyhow::{Context, Result, bail};
use lab::is_ci;

use crate::repository::root;
use kubernetes::Sources;

/// Write the files that are made from the code and from what Kubernetes publishes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail when a file is not what would be written
    #[arg(long)]
    check: bool,
}

/// A generated file.
struct Target {
    /// From the repository's root.
    path: String,
    text: String,
}

impl Target {
    fn is_up_to_date(&self) -> bool {
        fs::read_to_string(root().join(&self.path)).is_ok_and(|found| found == self.text)
    }

    fn write(&self) -> Result<()> {
        let target = root().join(&self.path);
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        fs::write(&target, &self.text)
            .with_context(|| format!("cannot write {}", target.display()))?;
        println!("wrote {}", self.path);
        Ok(())
    }
}

/// Writes or checks all generated files.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let missing = if arguments.check { check()? } else { write()? };
    match missing {
        Some(why) if is_ci() => bail!("{why}"),
        Some(why) => println!("{why}"),
        None => {}
    }
    Ok(())
}

/// Writes what differs. Says why the files of Kubernetes are left out, if they are.
fn write() -> Result<Option<String>> {
    let (targets, missing) = targets()?;
    for target in targets.iter().filter(|target| !target.is_up_to_date()) {
        target.write()?;
    }
    Ok(missing)
}

/// Fails with the names of the files that are not up to date. Says why the files of Kubernetes are
/// left out, if they are.
pub(crate) fn check() -> Result<Option<String>> {
    let (targets, missing) = targets()?;
    let stale: Vec<_> = targets
        .iter()
        .filter(|target| !target.is_up_to_date())
        .map(|target| target.path.as_str())
        .collect();
    if !stale.is_empty() {
        bail!(
            "not up to date: {}. Run `cargo xtask generate` and commit the result",
            stale.join(", ")
        );
    }
    Ok(missing)
}

/// Every generated file, and why those of Kubernetes are not among them.
fn targets() -> Result<(Vec<Target>, Option<String>)> {
    let mut targets = crds::targets()?;
    match Sources::fetch() {
        Ok(sources) => targets.extend(kubernetes::targets(&sources)?),
        Err(why) => {
            let why = format!("the tables of Kubernetes are left out: {why}");
            return Ok((targets, Some(why)));
        }
    }
    Ok((targets, None))
}
