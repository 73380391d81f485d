//! Metrics that are one value: Object, External and Prometheus.

use super::per_pod::ceil;
use super::{Error, Pod, Proposal, Settings};

/// Replicas for a target `Value`: the ready pods share the value, so their number follows it
/// (`getUsageRatioReplicaCount`). From zero, the ratio itself is the number: one replica is taken
/// to bring the metric to its target. Values are thousandths.
pub fn value(
    pods: &[&Pod],
    milli: i64,
    target: i64,
    current: u32,
    settings: &Settings,
) -> Result<Proposal, Error> {
    let ratio = milli as f64 / target as f64;
    let replicas = if current == 0 {
        ceil(ratio)
    } else if settings.tolerances.hold(ratio) {
        current
    } else if pods.is_empty() {
        return Err(Error::NoPods);
    } else {
        let ready = pods.iter().filter(|pod| pod.is_ready()).count();
        ceil(ratio * ready as f64)
    };
    Ok(Proposal {
        replicas,
        milli,
        utilization: None,
    })
}

/// Replicas for a target `AverageValue`: the value over the target
/// (`GetExternalPerPodMetricReplicas`). `running` is how many replicas there are. Values are
/// thousandths.
pub fn average_value(milli: i64, target: i64, running: u32, settings: &Settings) -> Proposal {
    let (usage, target) = (milli as f64, target as f64);
    let ratio = usage / (target * f64::from(running));
    let replicas = if settings.tolerances.hold(ratio) {
        running
    } else {
        ceil(usage / target)
    };
    // Without a replica there is no average; the value is shown as if one had it all.
    let average = usage / f64::from(running.max(1));
    Proposal {
        replicas,
        milli: average.ceil() as i64,
        utilization: None,
    }
}
