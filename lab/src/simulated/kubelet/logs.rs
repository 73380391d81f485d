//! The logs of simulated containers: when each run began and how it ended, because there is no
//! program that could say more.

use std::fmt::Write as _;

use control_plane::LogSource;
use serde_json::Value;

/// The logs of simulated containers, read from the status of their pods.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logs;

impl LogSource for Logs {
    fn log(&self, pod: &Value, container: &str) -> Option<String> {
        let statuses = pod.pointer("/status/containerStatuses")?.as_array()?;
        let status = statuses.iter().find(|one| one["name"] == container)?;
        let image = text(status, "image");
        let mut log = String::new();
        let ended = [&status["lastState"], &status["state"]].map(|state| &state["terminated"]);
        for run in ended.into_iter().filter(|run| run.is_object()) {
            began(&mut log, run, image);
            let (at, code) = (text(run, "finishedAt"), &run["exitCode"]);
            // Writing to a text does not fail.
            let _ = writeln!(log, "{at} simulated container ended with exit code {code}");
        }
        let running = &status["state"]["running"];
        if running.is_object() {
            began(&mut log, running, image);
        }
        (!log.is_empty()).then_some(log)
    }
}

fn began(log: &mut String, run: &Value, image: &str) {
    let at = text(run, "startedAt");
    let _ = writeln!(log, "{at} simulated container of image {image} started");
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(state: &Value, last: &Value) -> Value {
        json!({ "status": { "containerStatuses": [
            { "name": "web", "image": "nginx:1", "state": state, "lastState": last },
        ] } })
    }

    #[test]
    fn a_log_tells_of_every_run_that_is_known() {
        let running = json!({ "running": { "startedAt": "2026-01-01T00:00:09Z" } });
        let ended = json!({ "terminated": {
            "startedAt": "2026-01-01T00:00:02Z", "finishedAt": "2026-01-01T00:00:05Z", "exitCode": 3,
        } });
        let log = Logs.log(&pod(&running, &ended), "web").unwrap();
        assert_eq!(
            log,
            "2026-01-01T00:00:02Z simulated container of image nginx:1 started\n\
             2026-01-01T00:00:05Z simulated container ended with exit code 3\n\
             2026-01-01T00:00:09Z simulated container of image nginx:1 started\n"
        );
    }

    #[test]
    fn a_container_that_has_not_started_has_none() {
        let waiting = json!({ "waiting": { "reason": "ContainerCreating" } });
        assert_eq!(Logs.log(&pod(&waiting, &json!({})), "web"), None);
        assert_eq!(Logs.log(&json!({}), "web"), None);
    }
}
