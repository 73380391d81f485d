//! The clusters that a workload is meant for, and how much each is meant to run.

use super::{Decision, Location, position};
use crate::name::ClusterName;
use crate::plan::Why;
use crate::request::{Current, ReplicaScheduling, Target, Targets};

impl Decision<'_> {
    /// The locations in order, each with what it is meant to run.
    pub(super) fn locations(&self) -> Vec<Location> {
        let request = self.request;
        let (mut locations, count): (Vec<(ClusterName, Option<u32>, Why)>, usize) = match &request
            .targets
        {
            Targets::Given(targets) => {
                // Named twice is named once, as it was first.
                let first = |(place, target): &(usize, &Target)| {
                    position(request, &target.cluster) == Some(*place)
                };
                let all = targets.iter().enumerate().filter(first);
                let all =
                    all.map(|(_, target)| (target.cluster.clone(), target.replicas, Why::Location));
                (all.collect(), targets.len())
            }
            Targets::Chosen { count } => (self.chosen(*count as usize), *count as usize),
        };
        locations.truncate(count);
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
    fn chosen(&self, count: usize) -> Vec<(ClusterName, Option<u32>, Why)> {
        let request = self.request;
        let stays = |one: &&Current| {
            one.location
                && (self.keeping.contains_key(&one.cluster)
                    || self
                        .ranked
                        .iter()
                        .any(|ranked| ranked.cluster.name == one.cluster))
        };
        let mut chosen: Vec<ClusterName> = Vec::new();
        if !request.rechoose {
            let mut current: Vec<_> = request
                .current
                .iter()
                .filter(stays)
                .map(|one| one.cluster.clone())
                .collect();
            // Of more than are wanted, the best ranked stay.
            let rank = |name: &ClusterName| {
                self.ranked
                    .iter()
                    .position(|one| one.cluster.name == *name)
                    .unwrap_or(usize::MAX)
            };
            current.sort_by_key(|name| (rank(name), name.clone()));
            chosen.extend(current.into_iter().take(count));
        }
        for ranked in &self.ranked {
            if chosen.len() >= count {
                break;
            }
            if !chosen.contains(&ranked.cluster.name) {
                chosen.push(ranked.cluster.name.clone());
            }
        }
        chosen
            .into_iter()
            .map(|name| (name, None, Why::Policy))
            .collect()
    }
}

/// Divides replicas over locations evenly; the remainder goes by name.
fn divide(replicas: u32, locations: &[(ClusterName, Option<u32>, Why)]) -> Vec<u32> {
    let Some(count) = u32::try_from(locations.len())
        .ok()
        .filter(|count| *count > 0)
    else {
        return Vec::new();
    };
    let mut names: Vec<_> = locations.iter().map(|(name, ..)| name).collect();
    names.sort_unstable();
    let extra = (replicas % count) as usize;
    let gets_more = |name: &ClusterName| {
        names
            .iter()
            .position(|one| *one == name)
            .is_some_and(|place| place < extra)
    };
    locations
        .iter()
        .map(|(name, ..)| replicas / count + u32::from(gets_more(name)))
        .collect()
}
