//! Which pods count, and how (`groupPods`).

use super::{Measured, Phase, Pod, Sample, Settings};

/// The pods of one evaluation, by how they count. Those that are being deleted or have failed are
/// in none.
#[derive(Debug, Default)]
pub(super) struct Groups<'a> {
    /// They count with their sample.
    pub(super) ready: Vec<(&'a Pod, i64)>,
    /// They do not work yet: no load is expected of them, and a scale-up waits for them.
    pub(super) unready: Vec<&'a Pod>,
    /// They work, and it is not known how hard.
    pub(super) missing: Vec<&'a Pod>,
}

impl<'a> Groups<'a> {
    /// Groups pods; `is_cpu` says that the metric is CPU usage, of which a starting pod has too
    /// much to judge it by.
    pub(super) fn of(pods: &[Measured<'a>], is_cpu: bool, settings: &Settings) -> Self {
        let mut groups = Self::default();
        for &Measured { pod, sample } in pods {
            if pod.deleting || pod.phase == Phase::Failed {
                continue;
            }
            if pod.phase == Phase::Pending {
                groups.unready.push(pod);
                continue;
            }
            match sample {
                None => groups.missing.push(pod),
                Some(sample) if is_cpu && is_unready(pod, sample, settings) => {
                    groups.unready.push(pod);
                }
                Some(sample) => groups.ready.push((pod, sample.milli)),
            }
        }
        groups
    }
}

/// Whether a CPU sample says nothing of the load: the pod starts, or has never been ready.
fn is_unready(pod: &Pod, sample: Sample, settings: &Settings) -> bool {
    let (Some(readiness), Some(started)) = (pod.readiness, pod.started) else {
        return true;
    };
    let is_false = readiness.ready == Some(false);
    if settings.now.duration_since(started) < settings.cpu_initialization_period {
        is_false || sample.timestamp.duration_since(readiness.since) < sample.window
    } else {
        is_false && readiness.since.duration_since(started) < settings.initial_readiness_delay
    }
}
