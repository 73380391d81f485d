//! The data folder: who may use it, and what lies where.
//!
//! ```text
//! version      says that the folder is ours, and how to read it
//! lock         held by the process that uses it; its id
//! token        of the administrator
//! tls/         certificates
//! kubeconfig   a context for the hub, and for each member
//! data/NAME/   the store of a control plane
//! keys/NAME/   what it signs tokens of service accounts and certificates of clients with
//! ```

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// What this program writes and reads.
const VERSION: &str = "mck8s data, version 1\n";
const HINT: &str = "choose another folder with --data-dir";

/// A data folder that is ours alone while this lives.
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes a folder, which is made if need be.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let what = || format!("cannot use {}: {HINT}", path.display());
        // It holds secrets.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(what)?;
        check_version(path)?;
        let lock = lock(path)?;
        let version = path.join("version");
        if fs::read_to_string(&version).ok().as_deref() != Some(VERSION) {
            // Beside it first: on a full disk nothing of it is in its place.
            let made = path.join("version.new");
            let written = fs::write(&made, VERSION).and_then(|()| fs::rename(&made, version));
            written.with_context(what)?;
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in the folder under this name.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where a control plane keeps its objects.
    pub(crate) fn data(&self, cluster: &str) -> PathBuf {
        self.path.join("data").join(cluster)
    }

    /// Where a control plane keeps its keys.
    pub(crate) fn keys(&self, cluster: &str) -> PathBuf {
        self.path.join("keys").join(cluster)
    }

    /// The control planes that have data here.
    pub(crate) fn clusters(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path.join("data"))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}

/// A folder that is ours says which version it is of; one that does not must be empty, because
/// files of others are not to be overwritten.
fn check_version(path: &Path) -> Result<()> {
    let shown = path.display();
    match fs::read_to_string(path.join("version")) {
        // A start that was cut short has left a part of it, before there was anything else.
        Ok(text) if VERSION.starts_with(&text) => Ok(()),
        Ok(text) => bail!(
            "{shown} is of another version of mck8s ({:?}; this one reads {:?}): start that \
             version, or {HINT}",
            text.trim(),
            VERSION.trim()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut entries = fs::read_dir(path)?.flatten();
            let is_ours = |name: &OsStr| name == "lock" || name == "version.new";
            match entries.find(|entry| !is_ours(&entry.file_name())) {
                None => Ok(()),
                Some(other) => bail!(
                    "{shown} holds files that are not of mck8s ({}): {HINT}, a new or empty one",
                    other.file_name().display()
                ),
            }
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {shown}/version: {HINT}")),
    }
}

fn lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let opened = options.mode(0o600).open(path.join("lock"));
    let mut lock = opened.with_context(|| format!("cannot use {}: {HINT}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            lock.read_to_string(&mut holder).ok();
            bail!(
                "{} is in use by another mck8s up (process {}): end that one, or {HINT}",
                path.display(),
                holder.trim()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}: {HINT}", path.display()));
        }
    }
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let name = format!("mck8s-folder-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::remove_dir_all(&folder).ok();
        fs::create_dir(&folder).unwrap();
        folder
    }

    #[test]
    fn a_start_that_was_cut_short_is_begun_again() {
        let path = folder("cut");
        for file in ["version", "version.new"] {
            for length in 0..=VERSION.len() {
                fs::remove_file(path.join("version")).ok();
                fs::write(path.join(file), &VERSION[..length]).unwrap();
                let opened = Folder::open(&path);
                let found = fs::read_to_string(path.join("version"));
                assert!(opened.is_ok(), "{file}, {length} bytes: {:?}", opened.err());
                assert_eq!(found.unwrap(), VERSION);
            }
        }
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn what_is_of_another_version_stays_as_it_is() {
        let path = folder("other");
        for text in [
            "mck8s data, version 12\n",
            "mck8s data, version 1\n\n",
            "data",
        ] {
            fs::write(path.join("version"), text).unwrap();
            let refused = Folder::open(&path).err().unwrap().to_string();
            assert!(refused.contains("is of another version"), "{refused}");
            let found = fs::read_to_string(path.join("version")).unwrap();
            assert_eq!(found, text);
        }
        fs::remove_dir_all(&path).unwrap();
    }
}
