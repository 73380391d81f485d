//! Health and version.

use axum::response::Response;
use serde_json::json;

use super::call::{plain, respond};
use super::negotiate::Form;
use super::query::Query;

/// The release whose behaviour is followed.
const MINOR: &str = "34";
const VERSION: &str = "v1.34.3";

/// Answers health checks and the version; none for other paths.
pub(crate) fn answer(path: &str, query: &Query) -> Option<Response> {
    match path {
        "/healthz" | "/livez" | "/readyz" => {
            let name = path.trim_start_matches('/');
            Some(if query.has("verbose") {
                plain(
                    200,
                    format!("[+]ping ok\n[+]log ok\n[+]etcd ok\n{name} check passed\n"),
                )
            } else {
                plain(200, "ok")
            })
        }
        "/version" => Some(version()),
        _ => {
            let (check, part) = path.trim_start_matches('/').split_once('/')?;
            let known = ["healthz", "livez", "readyz"].contains(&check)
                && ["ping", "log", "etcd"].contains(&part);
            known.then(|| plain(200, "ok"))
        }
    }
}

/// As Go calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn version() -> Response {
    let version = json!({
        "major": "1",
        "minor": MINOR,
        "emulationMajor": "1",
        "emulationMinor": MINOR,
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "33",
        "gitVersion": VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    });
    respond(
        200,
        Form::JSON,
        version.to_string(),
        &http::HeaderMap::new(),
    )
}
