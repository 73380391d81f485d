//! Folders and files that may hold secrets are their owner's only, whatever the umask.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{Audit, ControlPlane, Keys, Options, Sources, Tls};

const FOLDER: &str = "MODES_TEST_FOLDER";

/// The modes of what is in a folder, by path.
fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.metadata().unwrap();
        found.push((path.clone(), metadata.permissions().mode() & 0o777));
        if metadata.is_dir() {
            found.extend(modes(&path));
        }
    }
    found
}

/// Starts a control plane with all that it keeps in a folder.
async fn start(folder: &Path) {
    let tls = Tls::open(&folder.join("tls"), &["localhost"]).unwrap();
    let sources = Sources::default();
    let audit = Audit::open(&folder.join("audit.log"), None);
    let options = Options {
        authority: Some(tls.authority().to_owned()),
        keys: Some(Keys::open(&folder.join("keys"), &sources).unwrap()),
        audit: Some(audit.unwrap()),
        ..Options::default()
    };
    let store = Store::open(&folder.join("data"), StoreOptions::default()).unwrap();
    ControlPlane::start(store, options).await.unwrap();
}

#[tokio::test]
#[ignore = "run by the test below, in processes of its own"]
async fn child() {
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    start(Path::new(&folder)).await;
}

#[test]
fn folders_and_files_are_their_owners_under_any_umask() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("modes");
    for mask in ["0", "022", "077", "0777"] {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        // The second time all is there.
        for _ in 0..2 {
            let child = Command::new("sh")
                .args(["-c", "umask $0 && exec \"$@\"", mask])
                .arg(env::current_exe().unwrap())
                .args(["--ignored", "--exact", "child"])
                .env(FOLDER, &folder)
                .output()
                .unwrap();
            assert!(child.status.success(), "{child:?}");
        }
        let modes = modes(&folder);
        // Four files of tls/, two keys, three of data/, the audit log, and three folders.
        assert_eq!(modes.len(), 13, "{modes:?}");
        for (path, mode) in modes {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "{} under {mask}", path.display());
        }
    }
}
