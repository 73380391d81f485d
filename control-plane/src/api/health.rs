//! Health and version.

use axum::response::Response;
use serde_json::json;

use super::negotiate::Form;
use super::query::Query;
use super::response::{plain, respond};
use crate::builtin::KUBERNETES_VERSION;
use crate::store::Health;

/// What health checks look at, by name.
const CHECKS: [&str; 3] = ["ping", "log", "etcd"];

/// Answers health checks and the version; none for other paths. `etcd` is the store: a server is
/// ready while it can be written, and alive while what writes it is.
pub(crate) fn answer(path: &str, query: &Query, store: Health) -> Option<Response> {
    if path == "/version" {
        return Some(version());
    }
    let path = path.trim_start_matches('/');
    let (check, part) = path
        .split_once('/')
        .map_or((path, None), |(check, part)| (check, Some(part)));
    let is_good = match (check, store) {
        (_, Health::Good) | ("livez", Health::Failing) => true,
        ("healthz" | "livez" | "readyz", _) => false,
        _ => return None,
    };
    if !["healthz", "livez", "readyz"].contains(&check) {
        return None;
    }
    match part {
        None if is_good && !query.has("verbose") => Some(plain(200, "ok")),
        None => {
            let etcd = if is_good {
                "[+]etcd ok"
            } else {
                "[-]etcd failed: reason withheld"
            };
            let (code, verdict) = if is_good {
                (200, "passed")
            } else {
                (500, "failed")
            };
            let text = format!("[+]ping ok\n[+]log ok\n{etcd}\n{check} check {verdict}\n");
            Some(plain(code, text))
        }
        Some("etcd") if !is_good => Some(plain(
            500,
            "internal server error: the store can't be written\n",
        )),
        Some(part) => CHECKS.contains(&part).then(|| plain(200, "ok")),
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
    let mut numbers = KUBERNETES_VERSION.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next(), numbers.next().unwrap_or_default());
    // The release before it is emulated at most.
    let oldest = minor.parse().unwrap_or(1_u32).saturating_sub(1).to_string();
    let version = json!({
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": oldest,
        "gitVersion": KUBERNETES_VERSION,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_whose_store_fails_is_alive_and_not_ready() {
        let query = Query::parse("");
        for (path, store, code) in [
            ("/readyz", Health::Good, 200),
            ("/readyz", Health::Failing, 500),
            ("/readyz/etcd", Health::Failing, 500),
            ("/readyz/ping", Health::Failing, 200),
            ("/livez", Health::Failing, 200),
            ("/livez", Health::Ended, 500),
        ] {
            let response = answer(path, &query, store).unwrap();
            assert_eq!(response.status(), code, "{path} {store:?}");
        }
        assert!(answer("/readyz/other", &query, Health::Good).is_none());
        assert!(answer("/other", &query, Health::Failing).is_none());
    }
}
