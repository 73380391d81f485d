//! A pod's status as its kubelet reports it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, Pod, PodCondition, PodIP,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::life::{Ended, Life, Stage};
use crate::simulated::context::whole;

/// Addresses of a pod.
pub(super) struct Addresses<'a> {
    pub(super) pod: &'a str,
    pub(super) host: Option<&'a str>,
}

/// The status as a patch.
pub(super) fn report(pod: &Pod, life: &Life, addresses: &Addresses<'_>, now: Timestamp) -> Value {
    let spec = pod.spec.as_ref();
    let containers = spec
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let statuses: Vec<ContainerStatus> = containers
        .iter()
        .map(|container| container_status(pod, container, life))
        .collect();
    let ip = PodIP {
        ip: addresses.pod.to_owned(),
    };
    json!({
        "metadata": { "uid": pod.uid() },
        "status": {
            "observedGeneration": pod.metadata.generation,
            "phase": phase(life),
            "startTime": whole(life.started),
            "hostIP": addresses.host,
            "podIP": ip.ip,
            "podIPs": [ip],
            "conditions": conditions(pod, life, now),
            "containerStatuses": statuses,
        },
    })
}

fn phase(life: &Life) -> &'static str {
    match life.stage {
        Stage::Starting { .. } => "Pending",
        Stage::Running { .. } | Stage::Waiting { .. } => "Running",
        Stage::Done(Ended { exit: 0, .. }) => "Succeeded",
        Stage::Done(_) => "Failed",
    }
}

fn conditions(pod: &Pod, life: &Life, now: Timestamp) -> Vec<PodCondition> {
    let running = matches!(life.stage, Stage::Running { .. });
    let done = match life.stage {
        Stage::Done(Ended { exit: 0, .. }) => Some("PodCompleted"),
        Stage::Done(_) => Some("PodFailed"),
        _ => None,
    };
    let not_ready = done.unwrap_or("ContainersNotReady");
    let wanted = [
        ("PodReadyToStartContainers", done.is_none(), None),
        // A pod that is done says so here as well; it was initialized all the same.
        (
            "Initialized",
            true,
            done.filter(|reason| *reason == "PodCompleted"),
        ),
        ("Ready", running, (!running).then_some(not_ready)),
        ("ContainersReady", running, (!running).then_some(not_ready)),
        ("PodScheduled", true, None),
    ];
    let known = pod.status.as_ref().and_then(|s| s.conditions.as_deref());
    let conditions = wanted.into_iter().map(|(kind, holds, reason)| {
        let status = if holds { "True" } else { "False" };
        let mut known = known.unwrap_or_default().iter();
        let same = known.find(|one| one.type_ == kind && one.status == status);
        let since = same.and_then(|one| one.last_transition_time.clone());
        PodCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            message: unready_message(pod, reason),
            observed_generation: pod.metadata.generation,
            last_transition_time: since.or_else(|| Some(whole(now))),
            last_probe_time: None,
        }
    });
    conditions.collect()
}

fn unready_message(pod: &Pod, reason: Option<&str>) -> Option<String> {
    reason.filter(|reason| *reason == "ContainersNotReady")?;
    let containers = pod.spec.as_ref()?.containers.iter();
    let names: Vec<&str> = containers.map(|one| one.name.as_str()).collect();
    Some(format!(
        "containers with unready status: [{}]",
        names.join(" ")
    ))
}

fn container_status(pod: &Pod, container: &Container, life: &Life) -> ContainerStatus {
    let running = matches!(life.stage, Stage::Running { .. });
    let image = container.image.clone().unwrap_or_default();
    let id = |restarts: i32| {
        let uid = pod.uid().unwrap_or_default();
        format!("simulated://{uid}/{}/{restarts}", container.name)
    };
    let terminated = |ended: Ended, restarts: i32| ContainerState {
        terminated: Some(ContainerStateTerminated {
            container_id: Some(id(restarts)),
            exit_code: ended.exit,
            reason: Some(
                if ended.exit == 0 {
                    "Completed"
                } else {
                    "Error"
                }
                .to_owned(),
            ),
            started_at: Some(whole(ended.since)),
            finished_at: Some(whole(ended.at)),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    };
    let (state, last) = match life.stage {
        Stage::Starting { .. } => (waiting("ContainerCreating", None), None),
        Stage::Running { since, .. } => (running_since(whole(since)), life.last),
        Stage::Waiting { ended, .. } => {
            let message = format!(
                "back-off restarting failed container={} pod={}_{}({})",
                container.name,
                pod.name_any(),
                pod.namespace().unwrap_or_default(),
                pod.uid().unwrap_or_default()
            );
            (waiting("CrashLoopBackOff", Some(message)), Some(ended))
        }
        Stage::Done(ended) => (terminated(ended, life.restarts), life.last),
    };
    let before = match life.stage {
        Stage::Waiting { .. } => life.restarts,
        _ => life.restarts - 1,
    };
    ContainerStatus {
        name: container.name.clone(),
        image_id: format!("simulated://{image}"),
        image,
        container_id: Some(id(life.restarts)),
        ready: running,
        started: Some(running),
        restart_count: life.restarts,
        state: Some(state),
        last_state: Some(
            last.map_or_else(ContainerState::default, |last| terminated(last, before)),
        ),
        ..ContainerStatus::default()
    }
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message,
        }),
        ..ContainerState::default()
    }
}

fn running_since(since: Time) -> ContainerState {
    ContainerState {
        running: Some(ContainerStateRunning {
            started_at: Some(since),
        }),
        ..ContainerState::default()
    }
}
