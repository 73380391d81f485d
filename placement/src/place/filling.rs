//! What each location can hold, and where the rest goes.

use super::{Decision, Location};
use crate::cluster::Role;
use crate::name::ClusterName;
use crate::request::{Current, Overflow, ReplicaScheduling, Targets};

impl Decision<'_> {
    /// Gives each location what it can hold; replicas of locations that could not be found.
    pub(super) fn fill(&mut self, locations: &[Location]) -> u32 {
        let missing = self.missing(locations);
        if !self.request.growing {
            self.keep_shares(locations, missing);
        }
        for location in locations {
            if self.shares.contains_key(&location.cluster) {
                continue;
            }
            let current = self.current(&location.cluster);
            let room = saturate(self.room(&location.cluster));
            let kept = self.keeping.get(&location.cluster).copied();
            let replicas = match kept {
                // Nothing new where nothing new may go.
                Some(kept) => location.wanted.min(kept),
                None => self.take(location.wanted.min(room.max(current))),
            };
            let kept = kept.is_some() && replicas > 0;
            let share = self.shares.entry(location.cluster.clone()).or_default();
            share.replicas = replicas;
            share.kept = kept;
        }
        missing
    }

    /// Replicas of locations that could not be found.
    fn missing(&self, locations: &[Location]) -> u32 {
        match (&self.request.targets, self.request.scheduling) {
            (Targets::Chosen { count }, ReplicaScheduling::PerLocation) if *count != u32::MAX => {
                let found = u32::try_from(locations.len()).unwrap_or(u32::MAX);
                count
                    .saturating_sub(found)
                    .saturating_mul(self.request.replicas)
            }
            // All that match were asked for, and there is none.
            (Targets::Chosen { .. }, _) if locations.is_empty() => self.request.replicas,
            _ => 0,
        }
    }

    /// What does not grow does not shrink either: what may stay somewhere stays as it is, whatever it
    /// was meant for. Only what is nowhere yet begins elsewhere.
    fn keep_shares(&mut self, locations: &[Location], missing: u32) {
        let request = self.request;
        let wanted = locations.iter().map(|one| one.wanted);
        self.homeless = wanted.fold(missing, u32::saturating_add);
        for one in request.current.iter().filter(|one| one.replicas > 0) {
            let kept = self.keeping.contains_key(&one.cluster);
            if kept || self.current(&one.cluster) > 0 {
                let replicas = self.take(one.replicas);
                let share = self.shares.entry(one.cluster.clone()).or_default();
                share.replicas = replicas;
                share.kept = kept;
            }
        }
    }

    /// Of so many, as many as may still begin.
    fn take(&mut self, replicas: u32) -> u32 {
        let taken = replicas.min(self.homeless);
        if !self.request.growing {
            self.homeless -= taken;
        }
        taken
    }

    /// Finds places for what the locations cannot hold: where overflow is already, then where the
    /// request says.
    pub(super) fn overflow(&mut self, locations: &[Location]) {
        // What may not shrink can be more than its location is meant to run.
        let short = |decision: &Self, location: &Location| {
            let share = decision.shares.get(&location.cluster);
            location
                .wanted
                .saturating_sub(share.map_or(0, |share| share.replicas))
        };
        let mut excess: Vec<(ClusterName, u32)> = locations
            .iter()
            .map(|location| (location.cluster.clone(), short(self, location)))
            // A name that is no member is a mistake to report, not room to find elsewhere.
            .filter(|(name, short)| *short > 0 && self.snapshot.cluster(name).is_some())
            .collect();
        if excess.is_empty() || self.request.overflow == Overflow::None {
            return;
        }
        if !self.request.rechoose {
            self.keep_overflow(&mut excess);
        }
        for (full, mut short) in excess {
            for name in self.overflow_order(&full, locations) {
                if short == 0 {
                    break;
                }
                let held = self.shares.get(&name).map_or(0, |share| share.replicas);
                let free = saturate(self.room(&name)).saturating_sub(held);
                let taken = self.take(short.min(free));
                self.add(&name, taken, &full);
                short -= taken;
            }
        }
    }

    /// Overflow stays where it is while there is any: what runs is not moved for another place.
    /// Locations may hold some beside their own; clusters of the last resort keep theirs last.
    fn keep_overflow(&mut self, excess: &mut [(ClusterName, u32)]) {
        let mut holders: Vec<(Role, &Current)> = self
            .request
            .current
            .iter()
            .filter(|one| self.keeping.contains_key(&one.cluster) || self.is_ranked(&one.cluster))
            .filter_map(|one| Some((self.snapshot.cluster(&one.cluster)?.role, one)))
            .collect();
        holders.sort_by_key(|(role, _)| *role);
        for (_, current) in holders {
            let own = self
                .shares
                .get(&current.cluster)
                .map_or(0, |share| share.replicas);
            let mut left = current.replicas.saturating_sub(own);
            for (full, short) in excess.iter_mut() {
                let moved = left.min(*short);
                self.add(&current.cluster, moved, full);
                *short -= moved;
                left -= moved;
            }
        }
    }

    /// Where a full cluster's excess goes, in order: clusters of the last resort at the end.
    fn overflow_order(&mut self, full: &ClusterName, locations: &[Location]) -> Vec<ClusterName> {
        let is_location =
            |name: &ClusterName| locations.iter().any(|location| location.cluster == *name);
        let proximity = self
            .request
            .inputs
            .proximity
            .filter(|_| self.request.overflow == Overflow::Nearest);
        if self.request.overflow == Overflow::Nearest && proximity.is_none() {
            self.overflowed_by_rank = true;
        }
        let mut order: Vec<_> = self
            .ranked
            .iter()
            .enumerate()
            .filter(|(_, one)| one.cluster.name != *full)
            .map(|(rank, one)| {
                let name = one.cluster.name.clone();
                let distance = match proximity {
                    Some(proximity) => proximity
                        .rtt(full, &name)
                        .unwrap_or(std::time::Duration::MAX),
                    // Down the ranking: first the clusters that are no locations themselves.
                    None => std::time::Duration::from_secs(u64::from(is_location(&name))),
                };
                (one.cluster.role, distance, rank, name)
            })
            .collect();
        order.sort();
        order.into_iter().map(|(_, _, _, name)| name).collect()
    }

    fn add(&mut self, cluster: &ClusterName, replicas: u32, full: &ClusterName) {
        if replicas > 0 {
            let share = self.shares.entry(cluster.clone()).or_default();
            share.replicas += replicas;
            share.overflow_from.get_or_insert_with(|| full.clone());
        }
    }

    fn room(&self, name: &ClusterName) -> u64 {
        self.ranked
            .iter()
            .find(|one| one.cluster.name == *name)
            .map_or(0, |one| one.room)
    }

    /// What runs there and may stay.
    fn current(&self, name: &ClusterName) -> u32 {
        let stays = !self.request.rechoose && self.is_ranked(name);
        let current = self.request.current.iter().find(|one| one.cluster == *name);
        current.filter(|_| stays).map_or(0, |one| one.replicas)
    }
}

fn saturate(room: u64) -> u32 {
    u32::try_from(room).unwrap_or(u32::MAX)
}
