//! What the pods of the cluster leave open for one more, by the decision core's rules.

use std::collections::BTreeMap;

use placement::{Misfit, Nodes, Peers, PodShape, Profile, SpreadConstraint, There};

use super::fit::Place;

/// The places by number, in the order of their names.
struct Places<'a>(Vec<&'a Place>);

/// What pods, by node, leave open on the places.
pub(super) fn around<'a>(
    shape: &PodShape,
    places: &BTreeMap<String, Place>,
    pods: impl Iterator<Item = (&'a str, &'a Profile)>,
) -> Peers {
    let numbers: BTreeMap<&str, u32> = places.keys().map(String::as_str).zip(0..).collect();
    let there: Vec<(&Profile, [(u32, u32); 1])> = pods
        .filter_map(|(node, profile)| Some((profile, [(*numbers.get(node)?, 1)])))
        .collect();
    let there: Vec<There<'_>> = there
        .iter()
        .map(|(profile, node)| (*profile, node.as_slice()))
        .collect();
    Peers::of(shape, &Places(places.values().collect()), &there, &[])
}

/// Whether other pods, or the pod itself, may keep it from a node that has room.
pub(super) fn bind(shape: &PodShape) -> bool {
    moves(shape) || !shape.profile.host_ports.is_empty() || !shape.profile.anti_affinity.is_empty()
}

/// Whether a pod that comes can make room for it.
pub(super) fn moves(shape: &PodShape) -> bool {
    !shape.affinity.is_empty() || !shape.spread.is_empty()
}

/// Why, as kube-scheduler says it.
pub(super) fn describe(misfit: Misfit) -> &'static str {
    match misfit {
        Misfit::HostPorts => "node(s) didn't have free ports for the requested pod ports",
        Misfit::Affinity => "node(s) didn't match pod affinity rules",
        Misfit::AntiAffinity => "node(s) didn't match pod anti-affinity rules",
        Misfit::ExistingAntiAffinity => "node(s) didn't satisfy existing pods anti-affinity rules",
        Misfit::SpreadLabel => {
            "node(s) didn't match pod topology spread constraints (missing required label)"
        }
        Misfit::Spread(_) => "node(s) didn't match pod topology spread constraints",
    }
}

/// Reasons that the end of other pods could remove.
pub(super) const REMOVABLE: [Misfit; 4] = [
    Misfit::HostPorts,
    Misfit::AntiAffinity,
    Misfit::ExistingAntiAffinity,
    Misfit::Spread(0),
];

impl Nodes for Places<'_> {
    fn domains(&self, key: &str) -> Vec<u32> {
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        let places = self.0.iter().map(|place| place.node.as_ref());
        places
            .map(|node| {
                let value = node.and_then(|node| node.labels.get(key));
                value.map_or(0, |value| {
                    let next = numbers.len() as u32 + 1;
                    *numbers.entry(value).or_insert(next)
                })
            })
            .collect()
    }

    fn counts(&self, node: usize, shape: &PodShape, constraint: &SpreadConstraint) -> bool {
        self.0[node].node.as_ref().is_some_and(|node| {
            let label = |key: &str| node.labels.get(key).map(String::as_str);
            (!constraint.honors_affinity || shape.constraints.select(&node.name, label))
                && (!constraint.honors_taints || shape.constraints.tolerate(&node.taints))
        })
    }
}
