//! The room on a cluster's nodes, and where in it a pod goes.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use placement::{Node, Peers, PodShape, Profile, Resources};

use super::fit::{Place, Score, misfits, score};
use super::peers;
use crate::simulated::random::Random;

/// The nodes, and what the pods on them have asked for.
#[derive(Default)]
pub(super) struct Room {
    places: BTreeMap<String, Place>,
    /// By the pod's uid.
    held: BTreeMap<String, Held>,
    /// How many of them have anti-affinity.
    repelling: usize,
}

/// What a pod takes.
struct Held {
    node: String,
    requests: Resources,
    profile: Profile,
}

impl Room {
    /// A node joins or changes. Says whether it may take more now than before.
    pub(super) fn set_node(&mut self, node: Node) -> bool {
        let place = self.places.entry(node.name.clone()).or_default();
        let before = place.node.replace(node);
        before.is_none() || before != place.node
    }

    /// A node leaves. What its pods have asked for is remembered until they are gone.
    pub(super) fn remove_node(&mut self, name: &str) {
        if let Some(place) = self.places.get_mut(name) {
            place.node = None;
        }
        self.drop_unused(name);
    }

    /// A pod takes its room on a node. Doing it again changes nothing.
    pub(super) fn hold(&mut self, uid: &str, node: &str, shape: &PodShape) {
        if self.held.get(uid).is_some_and(|known| known.node == node) {
            return;
        }
        self.release(uid);
        let place = self.places.entry(node.to_owned()).or_default();
        place.used = place.used.saturating_add(&counted(&shape.requests));
        let held = Held {
            node: node.to_owned(),
            requests: shape.requests.clone(),
            profile: shape.profile.clone(),
        };
        self.repelling += usize::from(held.repels());
        self.held.insert(uid.to_owned(), held);
    }

    /// A pod gives its room back. Says on which node.
    pub(super) fn release(&mut self, uid: &str) -> Option<String> {
        let held = self.held.remove(uid)?;
        self.repelling -= usize::from(held.repels());
        if let Some(place) = self.places.get_mut(&held.node) {
            place.used = place.used.saturating_sub(&counted(&held.requests));
        }
        self.drop_unused(&held.node);
        Some(held.node)
    }

    /// The node on which a pod holds room.
    pub(super) fn node_of(&self, uid: &str) -> Option<&str> {
        self.held.get(uid).map(|held| held.node.as_str())
    }

    /// Whether a pod keeps others away by anti-affinity.
    pub(super) fn repels(&self, uid: &str) -> bool {
        self.held.get(uid).is_some_and(Held::repels)
    }

    /// What the pods that are there leave open; none where it is all.
    fn peers(&self, shape: &PodShape) -> Option<Peers> {
        let held = self.held.values();
        let pods = held.map(|held| (held.node.as_str(), &held.profile));
        (peers::bind(shape) || self.repelling > 0).then(|| peers::around(shape, &self.places, pods))
    }

    /// The best of the nodes that a pod fits; any of them where several are as good. Otherwise
    /// why there is none.
    pub(super) fn choose(&self, shape: &PodShape, random: &mut Random) -> Result<String, String> {
        let mut best: Vec<&String> = Vec::new();
        let mut best_score: Option<Score> = None;
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let peers = self.peers(shape);
        let places = self.places.iter().enumerate();
        let places = places.filter(|(_, (_, place))| place.node.is_some());
        for (number, (name, place)) in places.clone() {
            let kept_away = peers.as_ref().and_then(|peers| peers.misfit(number));
            let misfits = misfits(place, shape, kept_away);
            if !misfits.is_empty() {
                for reason in misfits {
                    *reasons.entry(reason).or_default() += 1;
                }
                continue;
            }
            let score = Some(score(place, shape));
            match score.cmp(&best_score) {
                Ordering::Less => {}
                Ordering::Equal => best.push(name),
                Ordering::Greater => (best, best_score) = (vec![name], score),
            }
        }
        let chosen = best.get(random.below(best.len()));
        chosen
            .map(|name| (*name).clone())
            .ok_or_else(|| describe(places.count(), &reasons))
    }

    /// Those of the pods that would fit a node together, taken one after the other, as far as its
    /// resources go.
    pub(super) fn fitting<'a, K: 'a>(
        &self,
        node: &str,
        pods: impl Iterator<Item = (K, &'a PodShape)>,
    ) -> Vec<K> {
        let Some(mut place) = self.places.get(node).cloned() else {
            return Vec::new();
        };
        let mut fitting = Vec::new();
        for (key, shape) in pods {
            if misfits(&place, shape, None).is_empty() {
                place.used = place.used.saturating_add(&counted(&shape.requests));
                fitting.push(key);
            }
        }
        fitting
    }

    /// Forgets a place that is neither a node nor has pods.
    fn drop_unused(&mut self, name: &str) {
        let unused = |place: &Place| place.node.is_none() && place.used.pods == 0;
        if self.places.get(name).is_some_and(unused) {
            self.places.remove(name);
        }
    }
}

/// The requests of a pod, and the pod itself.
fn counted(requests: &Resources) -> Resources {
    Resources {
        pods: requests.pods + 1,
        ..requests.clone()
    }
}

/// Why no node takes a pod, as kube-scheduler says it.
fn describe(nodes: usize, reasons: &BTreeMap<String, usize>) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let mut counted: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    counted.sort();
    // Preempting somebody could only help where a resource is short, or a pod in the way. Of
    // resources a node may be short of several.
    let short = |reason: &str| reason.starts_with("Insufficient ") || reason == "Too many pods";
    let reasons_short = reasons.iter().filter(|(reason, _)| short(reason));
    let victims = reasons_short.map(|(_, count)| *count).max().unwrap_or(0);
    let in_the_way = peers::REMOVABLE.map(peers::describe);
    let in_the_way = in_the_way.iter().filter_map(|reason| reasons.get(*reason));
    let victims = victims + in_the_way.sum::<usize>();
    let helpless = nodes - victims.min(nodes);
    let preemption = [
        (victims, "No preemption victims found for incoming pod"),
        (helpless, "Preemption is not helpful for scheduling"),
    ];
    let mut preemption: Vec<String> = preemption
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
    preemption.sort();
    format!(
        "0/{nodes} nodes are available: {}. no new claims to deallocate, preemption: 0/{nodes} \
         nodes are available: {}.",
        counted.join(", "),
        preemption.join(", ")
    )
}

impl Held {
    fn repels(&self) -> bool {
        !self.profile.anti_affinity.is_empty()
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
