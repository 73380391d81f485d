//! What each location can hold.

use std::collections::HashMap;

use super::{Decision, Location, saturate, sum};
use crate::name::ClusterName;
use crate::plan::{Filter, Unplaced, UnplacedReason};
use crate::request::{Overflow, ReplicaScheduling, Stickiness, Targets};

impl<'a> Decision<'a> {
    /// Gives each location what it can hold.
    pub(super) fn fill(&mut self, locations: &[Location<'a>], missing: &[Unplaced]) {
        if !self.request.resizable {
            self.keep_shares(locations, missing);
        }
        let mut growth = self.growth(locations);
        for location in locations {
            if self.shares.contains_key(location.cluster) {
                continue;
            }
            let kept = self.keeping.get(location.cluster).copied();
            let replicas = if let Some(kept) = kept {
                // Nothing new where nothing new may go.
                location.wanted.min(kept)
            } else {
                let room = self.room(location.cluster);
                let own = location.wanted.min(self.own(location.cluster));
                let most = location.wanted.min(room.max(own));
                let more = (most - own).min(growth);
                growth -= more;
                self.take(own + more)
            };
            let kept = kept.is_some() && replicas > 0;
            let share = self.shares.entry(location.cluster).or_default();
            share.replicas = replicas;
            share.kept = kept;
        }
    }

    /// How many replicas locations get beside those that they have: as many as run nowhere yet, unless
    /// they take back what runs elsewhere.
    fn growth(&self, locations: &[Location<'a>]) -> u32 {
        let request = self.request;
        if request.stickiness != Stickiness::Stay
            || !request.resizable
            || request.overflow == Overflow::None
        {
            return u32::MAX;
        }
        let members = locations.iter();
        // Of a name that is no member, nothing runs elsewhere.
        let members = members.filter(|one| self.snapshot.cluster(one.cluster).is_some());
        let wanted: HashMap<_, _> = members.map(|one| (one.cluster, one.wanted)).collect();
        let lacking = (wanted.iter()).map(|(name, wanted)| wanted.saturating_sub(self.own(name)));
        let elsewhere = request.current.iter().map(|one| {
            let replicas = self.may_keep(&one.cluster);
            match wanted.get(&one.cluster) {
                Some(wanted) => one.displaced.min(replicas.saturating_sub(*wanted)),
                None => replicas,
            }
        });
        sum(lacking).saturating_sub(sum(elsewhere))
    }

    /// Replicas of locations that could not be found.
    pub(super) fn missing(&self, locations: &[Location<'_>]) -> Vec<Unplaced> {
        let request = self.request;
        let Targets::Chosen { count } = request.targets else {
            return Vec::new();
        };
        let found = u32::try_from(locations.len()).unwrap_or(u32::MAX);
        let clusters = match request.scheduling {
            ReplicaScheduling::PerLocation if count != u32::MAX => count.saturating_sub(found),
            // All that match are meant, or all together run so many: one would do.
            _ => u32::from(found == 0),
        };
        let full = self.dropped.values().filter(|one| **one == Filter::NoRoom);
        let full = u32::try_from(full.count())
            .unwrap_or(u32::MAX)
            .min(clusters);
        let is_none_eligible = self.ranked.is_empty() && !self.dropped.is_empty();
        let reason = if is_none_eligible && full == 0 {
            UnplacedReason::NotEligible
        } else {
            UnplacedReason::NotEnoughClusters
        };
        let all = [
            (UnplacedReason::NoRoom, full),
            (reason, clusters.saturating_sub(full)),
        ];
        all.into_iter()
            .map(|(reason, clusters)| Unplaced {
                location: None,
                replicas: clusters.saturating_mul(request.replicas),
                reason,
            })
            .filter(|one| one.replicas > 0)
            .collect()
    }

    /// What is not resizable keeps its shares: what may stay somewhere stays as it is, whatever it
    /// was meant for. Only what is nowhere yet starts elsewhere.
    fn keep_shares(&mut self, locations: &[Location<'a>], missing: &[Unplaced]) {
        let request = self.request;
        let wanted = locations.iter().map(|one| one.wanted);
        let missing = missing.iter().map(|one| one.replicas);
        self.unassigned = wanted.chain(missing).fold(0, u32::saturating_add);
        for one in request.current.iter().filter(|one| one.replicas > 0) {
            let kept = self.keeping.contains_key(&one.cluster);
            if kept || self.staying(&one.cluster) > 0 {
                let replicas = self.take(one.replicas);
                let share = self.shares.entry(&one.cluster).or_default();
                share.replicas = replicas;
                share.kept = kept;
            }
        }
    }

    /// What a location has and may keep: what runs there, and what is leaving, as far as it has room.
    fn own(&self, name: &ClusterName) -> u32 {
        if let Some(kept) = self.keeping.get(name) {
            return *kept;
        }
        let staying = self.staying(name);
        if self.rechooses() {
            return staying;
        }
        let leaving = self.current.get(name).map_or(0, |one| one.leaving);
        staying.max(self.room(name).min(staying + leaving))
    }

    /// What a cluster may keep.
    pub(super) fn may_keep(&self, name: &ClusterName) -> u32 {
        let kept = self.keeping.get(name).copied();
        kept.unwrap_or_else(|| self.staying(name))
    }

    /// What runs there and may stay.
    fn staying(&self, name: &ClusterName) -> u32 {
        if self.rechooses() || !self.is_ranked(name) {
            return 0;
        }
        let replicas = self.current.get(name).map_or(0, |one| one.replicas);
        if self.request.reshaped && self.request.resizable {
            return replicas.min(self.room(name));
        }
        replicas
    }

    fn room(&self, name: &ClusterName) -> u32 {
        let rank = self.ranks.get(name);
        rank.map_or(0, |rank| saturate(self.ranked[*rank].room))
    }
}
