//! Metrics that every pod has: of type Resource, `ContainerResource` and Pods.

use super::groups::Groups;
use super::{Error, Measured, Pod, Proposal, Settings};

/// Replicas for a target utilization: percent of the requests of `resource`, of the whole pod or of
/// one container (`GetResourceReplicas`). `current` is the number that is wanted now.
pub fn utilization(
    pods: &[Measured<'_>],
    resource: &str,
    container: Option<&str>,
    target: i32,
    current: u32,
    settings: &Settings,
) -> Result<Proposal, Error> {
    let groups = groups(pods, resource == "cpu", settings)?;
    // All pods, also those that do not count: a template without a request is always an error.
    for measured in pods {
        request(measured.pod, resource, container)?;
    }
    let requested = |pod: &Pod| request(pod, resource, container).unwrap_or_default();
    // A pod that is missing is taken for one that uses what it asked for, or the target if that is
    // more.
    let assumed = i64::from(target.max(100));
    let rule = Rule {
        ratio: &|usages: &[(&Pod, i64)]| {
            let used = sum(usages.iter().map(|(_, milli)| *milli));
            let requests = sum(usages.iter().map(|(pod, _)| requested(pod)));
            let percent = used.saturating_mul(100).checked_div(requests)?;
            let percent = i32::try_from(percent).unwrap_or(i32::MAX);
            Some(Usage {
                ratio: f64::from(percent) / f64::from(target),
                milli: used / count(usages),
                utilization: Some(percent),
            })
        },
        missing: &|pod| requested(pod).saturating_mul(assumed) / 100,
    };
    replicas(&groups, &rule, current, settings)
}

/// Replicas for a target average, in thousandths (`GetRawResourceReplicas`, `GetMetricReplicas`).
/// `resource` is none for a metric of type Pods.
pub fn average_usage(
    pods: &[Measured<'_>],
    resource: Option<&str>,
    target: i64,
    current: u32,
    settings: &Settings,
) -> Result<Proposal, Error> {
    let groups = groups(pods, resource == Some("cpu"), settings)?;
    let rule = Rule {
        ratio: &|usages: &[(&Pod, i64)]| {
            let average = sum(usages.iter().map(|(_, milli)| *milli)) / count(usages);
            Some(Usage {
                ratio: average as f64 / target as f64,
                milli: average,
                utilization: None,
            })
        },
        missing: &|_| target,
    };
    replicas(&groups, &rule, current, settings)
}

/// What the pods use together.
struct Usage {
    /// Of the target.
    ratio: f64,
    milli: i64,
    utilization: Option<i32>,
}

/// From the usages of pods (at least one) to what they use together; none where nothing is
/// requested.
type Ratio<'r> = &'r dyn Fn(&[(&Pod, i64)]) -> Option<Usage>;

/// What differs between the two kinds of target.
struct Rule<'r> {
    ratio: Ratio<'r>,
    /// What a pod without a sample is taken to use on a scale-down.
    missing: &'r dyn Fn(&Pod) -> i64,
}

fn groups<'a>(
    pods: &[Measured<'a>],
    is_cpu: bool,
    settings: &Settings,
) -> Result<Groups<'a>, Error> {
    if pods.is_empty() {
        return Err(Error::NoPods);
    }
    let groups = Groups::of(pods, is_cpu, settings);
    if groups.ready.is_empty() {
        return Err(Error::NoSamples);
    }
    Ok(groups)
}

/// The common part of `GetResourceReplicas` and `calcPlainMetricReplicas`: pods of which nothing
/// is known are taken to use so much that the change gets smaller, never larger.
fn replicas(
    groups: &Groups<'_>,
    rule: &Rule<'_>,
    current: u32,
    settings: &Settings,
) -> Result<Proposal, Error> {
    let tolerances = settings.tolerances;
    let seen = (rule.ratio)(&groups.ready).ok_or(Error::NoRequests)?;
    let propose = |replicas| {
        Ok(Proposal {
            replicas,
            milli: seen.milli,
            utilization: seen.utilization,
        })
    };
    let waits_for_unready = !groups.unready.is_empty() && seen.ratio > 1.0;
    if !waits_for_unready && groups.missing.is_empty() {
        return propose(if tolerances.hold(seen.ratio) {
            current
        } else {
            ceil(seen.ratio * groups.ready.len() as f64)
        });
    }

    let mut usages = groups.ready.clone();
    if seen.ratio < 1.0 {
        usages.extend(groups.missing.iter().map(|pod| (*pod, (rule.missing)(pod))));
    } else if seen.ratio > 1.0 {
        usages.extend(groups.missing.iter().map(|pod| (*pod, 0)));
    }
    if waits_for_unready {
        usages.extend(groups.unready.iter().map(|pod| (*pod, 0)));
    }
    let ratio = (rule.ratio)(&usages).ok_or(Error::NoRequests)?.ratio;
    let turned = (seen.ratio < 1.0 && ratio > 1.0) || (seen.ratio > 1.0 && ratio < 1.0);
    if tolerances.hold(ratio) || turned {
        return propose(current);
    }
    let replicas = ceil(ratio * usages.len() as f64);
    let turned = (ratio < 1.0 && replicas > current) || (ratio > 1.0 && replicas < current);
    propose(if turned { current } else { replicas })
}

/// What a pod asks for (`calculateRequests`), in thousandths.
fn request(pod: &Pod, resource: &str, container: Option<&str>) -> Result<i64, Error> {
    if let (Some(requests), None) = (&pod.requests, container) {
        let missing = || Error::MissingPodRequest {
            resource: resource.to_owned(),
            pod: pod.key.name.clone(),
        };
        return requests.get(resource).copied().ok_or_else(missing);
    }
    let chosen = pod.containers.iter();
    let chosen = chosen.filter(|one| container.is_none_or(|name| name == one.name));
    let mut total = 0_i64;
    for one in chosen {
        let missing = || Error::MissingRequest {
            resource: resource.to_owned(),
            container: one.name.clone(),
            pod: pod.key.name.clone(),
        };
        total = total.saturating_add(*one.requests.get(resource).ok_or_else(missing)?);
    }
    Ok(total)
}

fn sum(values: impl Iterator<Item = i64>) -> i64 {
    values.fold(0, i64::saturating_add)
}

fn count(usages: &[(&Pod, i64)]) -> i64 {
    i64::try_from(usages.len()).unwrap_or(i64::MAX).max(1)
}

/// Rounded up; below zero is none.
pub(super) fn ceil(replicas: f64) -> u32 {
    replicas.ceil() as u32
}
