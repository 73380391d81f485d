//! What the pods of a Job have come to, also those that are gone.
//!
//! The real controller holds pods with a finalizer until it has counted them in the status. Here
//! the controller lives as long as its cluster, sees every pod, and remembers which it has counted:
//! the numbers are the same, with two writes a pod less.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::simulated::pods::{is_active, phase};

/// The pods of one Job that have ended.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    counted: BTreeSet<String>,
    pub(super) succeeded: i32,
    pub(super) failed: i32,
    /// Pods that failed since the last one succeeded, and when the last of them did.
    pub(super) failures: u32,
    pub(super) last_failure: Option<Timestamp>,
}

impl Ledger {
    /// The ledger of a Job that is seen for the first time: the pods that have ended are in its
    /// status already, as far as it has counted.
    pub(super) fn open(status: Option<&JobStatus>, pods: &[Arc<Pod>]) -> Self {
        let mut ledger = Self::default();
        if let Some(status) = status {
            ledger.succeeded = status.succeeded.unwrap_or(0);
            ledger.failed = status.failed.unwrap_or(0);
        }
        let ended = |wanted: &'static str| pods.iter().filter(move |pod| phase(pod) == wanted);
        let succeeded = usize::try_from(ledger.succeeded).unwrap_or(0);
        let failed = usize::try_from(ledger.failed).unwrap_or(0);
        let known = ended("Succeeded")
            .take(succeeded)
            .chain(ended("Failed").take(failed));
        ledger.counted = known.filter_map(|pod| pod.uid()).collect();
        ledger
    }

    /// Counts the pods that have ended since. One that is to go counts as failed, unless only pods
    /// that are gone do.
    pub(super) fn count(&mut self, pods: &[Arc<Pod>], only_gone: bool, now: Timestamp) {
        for pod in pods {
            let going = pod.metadata.deletion_timestamp.is_some() && !only_gone;
            let succeeded = phase(pod) == "Succeeded";
            if !succeeded && phase(pod) != "Failed" && !going {
                continue;
            }
            if !self.counted.insert(pod.uid().unwrap_or_default()) {
                continue;
            }
            if succeeded {
                self.succeeded += 1;
                self.failures = 0;
                self.last_failure = None;
            } else {
                self.failed += 1;
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some(finished(pod).unwrap_or(now));
            }
        }
    }

    /// The Job is over. What still runs is not needed if it is complete; otherwise it has failed.
    pub(super) fn close(&mut self, pods: &[Arc<Pod>], complete: bool) {
        for pod in pods.iter().filter(|pod| is_active(pod)) {
            if self.counted.insert(pod.uid().unwrap_or_default()) && !complete {
                self.failed += 1;
            }
        }
    }
}

/// When the last of a pod's containers ended.
fn finished(pod: &Pod) -> Option<Timestamp> {
    let statuses = pod.status.as_ref()?.container_statuses.as_deref()?;
    let ends = statuses.iter().filter_map(|one| {
        let terminated = one.state.as_ref()?.terminated.as_ref()?;
        Some(terminated.finished_at.as_ref()?.0)
    });
    ends.max()
}
