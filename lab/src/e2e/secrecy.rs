//! Nothing that an operator says holds a credential: no log, no Event, no status.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::World;
use crate::real::HUB;

/// How tokens of accounts begin, and keys and certificates, as they are and in base64.
const CREDENTIALS: [&str; 3] = ["eyJhbGciOi", "-----BEGIN", "LS0tLS1CRUdJTi"];

/// Kinds whose statuses operators write.
const REPORTED: [&str; 7] = ["mcl", "mcd", "mcj", "mcs", "mchpa", "move", "leftovers"];

impl World {
    /// Looks for credentials in what the operators of these runs have logged, and in the Events and
    /// statuses that the scenario has left on the hub.
    pub(super) async fn check_secrecy(&self, runs: impl Iterator<Item = u32>) -> Result<()> {
        let config: Value = serde_json::from_str(&std::fs::read_to_string(self.lab.kubeconfig())?)?;
        let users = config["users"].as_array().context("no users")?;
        let tokens = users.iter().map(|one| &one["user"]["token"]);
        let tokens: Vec<&str> = tokens.filter_map(Value::as_str).collect();
        ensure!(!tokens.is_empty(), "the lab has no token");
        let is_secret = |text: &str| {
            let mut all = CREDENTIALS.iter().chain(&tokens);
            all.any(|secret| text.contains(secret))
        };
        for run in runs {
            let path = self.log_of(run);
            // It may be no text: whatever was said counts.
            let log = std::fs::read(&path).with_context(|| path.display().to_string())?;
            let log = String::from_utf8_lossy(&log);
            let line = log.lines().find(|line| is_secret(line));
            ensure!(line.is_none(), "{}: {line:?}", path.display());
        }
        for event in items(&self.get(HUB, "events").await?) {
            ensure!(!is_secret(&event.to_string()), "an Event: {event}");
        }
        for kind in REPORTED {
            for object in items(&self.get(HUB, kind).await?) {
                let status = object["status"].to_string();
                ensure!(!is_secret(&status), "a status of {kind}: {status}");
            }
        }
        Ok(())
    }
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}
