//! Who may come in, and how they find the way: a token that is made once, and a kubeconfig.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control_plane::Sources;
use serde_json::json;

use crate::folder::Folder;

/// Letters of a token.
const LENGTH: usize = 32;

/// The token of the administrator; made at the first start.
pub(crate) fn token(folder: &Folder) -> Result<String> {
    let file = folder.join("token");
    if let Ok(token) = fs::read_to_string(&file)
        // A kill may have left half of it, or nothing.
        && token.len() == LENGTH
    {
        return Ok(token);
    }
    let random = Sources::default().randomness;
    let token = format!("{:016x}{:016x}", random(), random());
    write(&file, &token)?;
    Ok(token)
}

/// Writes a kubeconfig with a context for each of these control planes; the first is the current.
pub(crate) fn write_kubeconfig(
    file: &Path,
    server: &str,
    authority: &str,
    token: &str,
    names: &[&str],
) -> Result<()> {
    let authority = STANDARD.encode(authority);
    let cluster = |name: &&str| {
        json!({ "name": name, "cluster": {
            "server": format!("{server}/clusters/{name}"),
            "certificate-authority-data": authority,
        } })
    };
    let context =
        |name: &&str| json!({ "name": name, "context": { "cluster": name, "user": "admin" } });
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": names.first(),
        "clusters": names.iter().map(cluster).collect::<Vec<_>>(),
        "contexts": names.iter().map(context).collect::<Vec<_>>(),
        "users": [{ "name": "admin", "user": { "token": token } }],
    });
    // As a whole: somebody may be reading it.
    let draft = file.with_extension("draft");
    write(&draft, &format!("{config:#}"))?;
    fs::rename(&draft, file).with_context(|| format!("cannot write {}", file.display()))
}

/// Writes a file that only its owner may read.
fn write(file: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let opened = options.open(file);
    opened
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}
