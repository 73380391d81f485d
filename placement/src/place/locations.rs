//! The clusters that a workload is meant for, and how much each is meant to run.

use std::collections::{HashMap, HashSet};

use super::{Decision, Location};
use crate::name::ClusterName;
use crate::plan::Why;
use crate::request::{ReplicaScheduling, Target, Targets};

/// A location, its replicas where they differ from the request's, and why it is one.
type Chosen<'a> = (&'a ClusterName, Option<u32>, Why);

impl<'a> Decision<'a> {
    /// The locations in order, each with what it is meant to run.
    pub(super) fn locations(&self) -> Vec<Location<'a>> {
        let request = self.request;
        let locations: Vec<Chosen<'a>> = match &request.targets {
            Targets::Given(targets) => {
                // Named twice is named once, as it was first.
                let first = |(place, target): &(usize, &Target)| {
                    self.named.get(&target.cluster) == Some(place)
                };
                let all = targets.iter().enumerate().filter(first);
                all.map(|(_, target)| (&target.cluster, target.replicas, Why::Location))
                    .collect()
            }
            Targets::Chosen { count } => self.chosen(*count as usize),
        };
        let wanted: Vec<u32> = match request.scheduling {
            ReplicaScheduling::PerLocation => locations
                .iter()
                .map(|(_, replicas, _)| replicas.unwrap_or(request.replicas))
                .collect(),
            ReplicaScheduling::Total => divide(request.replicas, &locations),
        };
        locations
            .into_iter()
            .zip(wanted)
            .map(|((cluster, _, why), wanted)| Location {
                cluster,
                wanted,
                why,
            })
            .collect()
    }

    /// Locations by policy: those that are locations already, then the next in the ranking.
    fn chosen(&self, count: usize) -> Vec<Chosen<'a>> {
        let request = self.request;
        let mut chosen: Vec<&'a ClusterName> = Vec::new();
        if !self.rechooses() {
            let stays =
                |name: &ClusterName| self.keeping.contains_key(name) || self.is_ranked(name);
            let current = request.current.iter();
            chosen = current
                .filter(|one| one.location && stays(&one.cluster))
                .map(|one| &one.cluster)
                .collect();
            // Of more than are wanted, the best ranked stay.
            let rank = |name: &ClusterName| self.ranks.get(name).copied().unwrap_or(usize::MAX);
            chosen.sort_by_key(|name| (rank(name), *name));
            chosen.truncate(count);
        }
        let stay: HashSet<_> = chosen.iter().copied().collect();
        let others = self.ranked.iter().map(|one| &one.cluster.name);
        let others = others.filter(|name| !stay.contains(name));
        let more = count - chosen.len();
        chosen
            .into_iter()
            .chain(others.take(more))
            .map(|name| (name, None, Why::Policy))
            .collect()
    }
}

/// Divides replicas over locations evenly; the remainder goes by name.
fn divide(replicas: u32, locations: &[Chosen<'_>]) -> Vec<u32> {
    let count = u32::try_from(locations.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Vec::new();
    }
    let mut names: Vec<_> = locations.iter().map(|(name, ..)| *name).collect();
    names.sort_unstable();
    let places: HashMap<_, u32> = names.into_iter().zip(0..).collect();
    let gets_more = |name: &ClusterName| places[name] < replicas % count;
    locations
        .iter()
        .map(|(name, ..)| replicas / count + u32::from(gets_more(name)))
        .collect()
}
