//! The cells of pods, which tell much in few words.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::duration::since;
use crate::meta::{is_deleting, items, number, text};

/// What a pod's containers add up to.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    /// When the last of them ended.
    last: String,
}

/// Ready and total containers.
pub(super) fn ready(pod: &Value) -> Value {
    let summary = summarize(pod);
    format!("{}/{}", summary.ready, summary.total).into()
}

/// The phase, or what keeps the pod from running.
pub(super) fn status(pod: &Value) -> Value {
    if is_deleting(pod) {
        if text(pod, "/status/reason") == "NodeLost" {
            return "Unknown".into();
        }
        if !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
            return "Terminating".into();
        }
    }
    summarize(pod).reason.into()
}

/// How often containers were started again, and when for the last time.
pub(super) fn restarts(pod: &Value, now: Timestamp) -> Value {
    let summary = summarize(pod);
    if summary.restarts > 0 && !summary.last.is_empty() {
        return format!("{} ({} ago)", summary.restarts, since(now, &summary.last)).into();
    }
    summary.restarts.to_string().into()
}

/// Conditions that are true of those that others set.
pub(super) fn readiness_gates(pod: &Value) -> Value {
    let gates = items(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let holds = |gate: &&Value| has_condition(pod, text(gate, "/conditionType"));
    let count = gates.iter().filter(holds).count();
    format!("{count}/{}", gates.len()).into()
}

fn has_condition(pod: &Value, kind: &str) -> bool {
    items(pod, "/status/conditions")
        .iter()
        .any(|condition| text(condition, "/type") == kind && text(condition, "/status") == "True")
}

fn summarize(pod: &Value) -> Summary {
    let phase = text(pod, "/status/phase");
    let mut summary = Summary {
        ready: 0,
        total: items(pod, "/spec/containers").len(),
        reason: match text(pod, "/status/reason") {
            "" => phase.to_owned(),
            reason => reason.to_owned(),
        },
        restarts: 0,
        last: String::new(),
    };
    let gated = items(pod, "/status/conditions").iter().any(|condition| {
        text(condition, "/type") == "PodScheduled"
            && text(condition, "/reason") == "SchedulingGated"
    });
    if gated {
        "SchedulingGated".clone_into(&mut summary.reason);
    }
    let sidecars: Vec<&str> = items(pod, "/spec/initContainers")
        .iter()
        .filter(|container| text(container, "/restartPolicy") == "Always")
        .map(|container| text(container, "/name"))
        .collect();
    summary.total += sidecars.len();
    let initializing = initialize(pod, &sidecars, &mut summary);
    if !initializing || has_condition(pod, "Initialized") {
        run(pod, &sidecars, &mut summary);
    }
    summary
}

impl Summary {
    fn add_restarts(&mut self, container: &Value) {
        self.restarts += number(container, "/restartCount").unwrap_or(0);
        let finished = text(container, "/lastState/terminated/finishedAt");
        if finished > self.last.as_str() {
            finished.clone_into(&mut self.last);
        }
    }
}

/// Why a container ended.
fn ending(container: &Value) -> Option<String> {
    let ended = container
        .pointer("/state/terminated")
        .filter(|ended| ended.is_object())?;
    Some(match (text(ended, "/reason"), number(ended, "/signal")) {
        ("", Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        ("", _) => format!("ExitCode:{}", number(ended, "/exitCode").unwrap_or(0)),
        (reason, _) => reason.to_owned(),
    })
}

/// Looks at the init containers. True if one of them is not done.
fn initialize(pod: &Value, sidecars: &[&str], summary: &mut Summary) -> bool {
    let total = items(pod, "/spec/initContainers").len();
    for (index, container) in items(pod, "/status/initContainerStatuses")
        .iter()
        .enumerate()
    {
        summary.add_restarts(container);
        let ended = ending(container);
        let succeeded =
            ended.is_some() && number(container, "/state/terminated/exitCode").unwrap_or(0) == 0;
        if succeeded {
            continue;
        }
        let is = |field: &str| container.get(field) == Some(&json!(true));
        if sidecars.contains(&text(container, "/name")) && is("started") {
            summary.ready += usize::from(is("ready"));
            continue;
        }
        let waiting = text(container, "/state/waiting/reason");
        summary.reason = match ended {
            Some(ending) => format!("Init:{ending}"),
            None if !matches!(waiting, "" | "PodInitializing") => format!("Init:{waiting}"),
            None => format!("Init:{index}/{total}"),
        };
        return true;
    }
    false
}

/// Looks at the containers.
fn run(pod: &Value, sidecars: &[&str], summary: &mut Summary) {
    summary.restarts = 0;
    summary.last = String::new();
    for container in items(pod, "/status/initContainerStatuses") {
        if sidecars.contains(&text(container, "/name")) {
            summary.add_restarts(container);
        }
    }
    let mut running = false;
    for container in items(pod, "/status/containerStatuses").iter().rev() {
        summary.add_restarts(container);
        let waiting = text(container, "/state/waiting/reason");
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if let Some(ending) = ending(container) {
            summary.reason = ending;
        } else if container.get("ready") == Some(&json!(true))
            && container.pointer("/state/running").is_some()
        {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && running {
        let reason = if has_condition(pod, "Ready") {
            "Running"
        } else {
            "NotReady"
        };
        reason.clone_into(&mut summary.reason);
    }
}
