//! Whose each pod is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Layout;
use crate::calculator::{Pod, PodKey};

/// Gives every pod to exactly one location, so that no load counts twice and a cluster that takes in
/// what another had no room for does not grow by it. `previous` is what the last call gave.
///
/// 1. On a location's cluster the first pods are its own, as many as it wants there. First are those
///    that live, then those that were its own before, then the oldest.
/// 2. The others belong to locations whose replicas do not all run at home, as many as those lack:
///    to the same one as before, or to the first by name.
/// 3. What is still left (more than anyone wants: a rollout, a scale-down under way) stays whose it
///    was; if it was none's it belongs to its cluster, or to the first location by name.
///
/// Without a location, no pod has one.
pub fn attribute(
    layout: &Layout,
    pods: &[Arc<Pod>],
    previous: &BTreeMap<PodKey, String>,
) -> BTreeMap<PodKey, String> {
    let Some(first) = layout.wanted.keys().next() else {
        return BTreeMap::new();
    };
    let before = |pod: &Pod| {
        let owner = previous.get(&pod.key)?;
        layout.wanted.contains_key(owner).then_some(owner)
    };
    let mut owners = BTreeMap::new();
    let mut others = Vec::new();
    for (cluster, pods) in by_cluster(pods) {
        let wanted = layout.wanted.get(cluster).copied().unwrap_or_default() as usize;
        let mut pods = pods;
        pods.sort_by_key(|pod| {
            let is_foreign = before(pod).is_some_and(|owner| owner != cluster);
            (!pod.is_active(), is_foreign, pod.created, &pod.key.name)
        });
        let surplus = pods.split_off(wanted.min(pods.len()));
        owners.extend(pods.iter().map(|pod| (pod.key.clone(), cluster.to_owned())));
        others.extend(surplus);
    }

    let mut lacking: BTreeMap<&String, u32> = layout
        .wanted
        .keys()
        .map(|location| (location, layout.deficit(location)))
        .collect();
    let mut take = |location: &String| match lacking.get_mut(location) {
        Some(lacking) if *lacking > 0 => {
            *lacking -= 1;
            true
        }
        _ => false,
    };
    let mut give = |pod: &Pod, location: &String| {
        owners.insert(pod.key.clone(), location.clone());
    };
    others.retain(|pod| match before(pod) {
        Some(owner) if take(owner) => {
            give(pod, owner);
            false
        }
        _ => true,
    });
    for pod in others {
        let home = layout.wanted.get_key_value(&pod.key.cluster);
        let owner = layout.wanted.keys().find(|location| take(location));
        let fallback = || before(pod).or(home.map(|(name, _)| name)).unwrap_or(first);
        give(pod, owner.unwrap_or_else(fallback));
    }
    owners
}

fn by_cluster(pods: &[Arc<Pod>]) -> BTreeMap<&str, Vec<&Pod>> {
    let mut clusters: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in pods {
        let pods = clusters.entry(&pod.key.cluster).or_default();
        pods.push(pod);
    }
    clusters
}
