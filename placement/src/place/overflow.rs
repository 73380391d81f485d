//! Where what the locations cannot hold goes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::time::Duration;

use super::{Decision, Location};
use crate::cluster::Role;
use crate::name::ClusterName;
use crate::proximity::Proximity;
use crate::request::{Current, Overflow};

/// A location that cannot hold all that it is meant to run: its place, and what is left over.
struct Excess<'a> {
    place: usize,
    full: &'a ClusterName,
    short: u32,
}

impl<'a> Decision<'a> {
    /// Finds places for what the locations cannot hold: where overflow is already, then where the
    /// request says. What is left over then, by location.
    pub(super) fn overflow(&mut self, locations: &[Location<'a>]) -> Vec<u32> {
        // What is not resizable can be more than its location is meant to run.
        let short = |one: &Location<'_>| one.wanted.saturating_sub(self.share(one.cluster));
        let mut left: Vec<u32> = locations.iter().map(short).collect();
        let mut excess: Vec<Excess<'a>> = (locations.iter().zip(&left).enumerate())
            .map(|(place, (location, short))| Excess {
                place,
                full: location.cluster,
                short: *short,
            })
            // A name that is no member is a mistake to report, not room to find elsewhere.
            .filter(|one| one.short > 0 && self.snapshot.cluster(one.full).is_some())
            .collect();
        if excess.is_empty() || self.request.overflow == Overflow::None {
            return left;
        }
        if !self.rechooses() {
            self.keep_overflow(&mut excess);
        }
        let is_nearest = self.request.overflow == Overflow::Nearest;
        let proximity = self.request.inputs.proximity;
        if let Some(proximity) = proximity.filter(|_| is_nearest) {
            self.overflow_to_nearest(&mut excess, proximity);
        } else {
            self.overflowed_by_rank = is_nearest;
            self.overflow_by_rank(&mut excess, locations);
        }
        for one in excess {
            left[one.place] = one.short;
        }
        left
    }

    /// Overflow stays where it is while there is any: what runs is not moved for another place.
    /// Locations may hold some beside their own; clusters of the last resort keep theirs last.
    fn keep_overflow(&mut self, excess: &mut [Excess<'a>]) {
        let mut holders: Vec<(Role, &'a Current)> = self
            .request
            .current
            .iter()
            .filter(|one| self.keeping.contains_key(&one.cluster) || self.is_ranked(&one.cluster))
            .filter_map(|one| Some((self.snapshot.cluster(&one.cluster)?.role, one)))
            .collect();
        holders.sort_by_key(|(role, _)| *role);
        let mut excess = excess.iter_mut().peekable();
        for (_, current) in holders {
            let own = self.share(&current.cluster);
            let mut left = self.may_keep(&current.cluster).saturating_sub(own);
            while left > 0
                && let Some(one) = excess.peek_mut()
            {
                let moved = left.min(one.short);
                self.add(&current.cluster, moved, one.full);
                one.short -= moved;
                left -= moved;
                if one.short == 0 {
                    excess.next();
                }
            }
        }
    }

    /// Down the ranking: first the clusters that are no locations themselves, and those of the last
    /// resort at the end.
    fn overflow_by_rank(&mut self, excess: &mut [Excess<'a>], locations: &[Location<'a>]) {
        let locations: HashSet<_> = locations.iter().map(|one| one.cluster).collect();
        let mut order: Vec<usize> = (0..self.ranked.len()).collect();
        order.sort_by_key(|rank| {
            let cluster = self.ranked[*rank].cluster;
            (cluster.role, locations.contains(&cluster.name), *rank)
        });
        // What has nothing left for one location has nothing left for the next.
        let mut order = order.into_iter().peekable();
        for one in excess {
            while one.short > 0
                && let Some(rank) = order.peek()
            {
                if self.spill(one, *rank) == 0 {
                    order.next();
                }
            }
        }
    }

    /// To the nearest, then down the ranking; clusters of the last resort at the end.
    fn overflow_to_nearest(&mut self, excess: &mut [Excess<'a>], proximity: &Proximity) {
        // Clusters that have something left, with their numbers in the proximity.
        let mut open: Vec<(usize, Option<usize>)> = (self.ranked.iter().enumerate())
            .map(|(rank, one)| (rank, proximity.number(&one.cluster.name)))
            .filter(|(rank, _)| self.left(*rank) > 0)
            .collect();
        let mut closed = vec![false; self.ranked.len()];
        for one in excess.iter_mut().filter(|one| one.short > 0) {
            let full = proximity.number(one.full);
            let distance = |to: Option<usize>| {
                let time = full
                    .zip(to)
                    .and_then(|(full, to)| proximity.between(full, to));
                time.unwrap_or(Duration::MAX)
            };
            let mut order: BinaryHeap<_> = open
                .iter()
                .map(|(rank, to)| Reverse((self.ranked[*rank].cluster.role, distance(*to), *rank)))
                .collect();
            while one.short > 0
                && let Some(Reverse((_, _, rank))) = order.peek()
            {
                let rank = *rank;
                if self.spill(one, rank) == 0 {
                    closed[rank] = true;
                    order.pop();
                }
            }
            open.retain(|(rank, _)| !closed[*rank]);
        }
    }

    /// Gives a ranked cluster what it can still hold of an excess; what it could hold besides.
    fn spill(&mut self, excess: &mut Excess<'a>, rank: usize) -> u32 {
        let left = self.left(rank);
        let taken = self.take(excess.short.min(left));
        let cluster = self.ranked[rank].cluster;
        self.add(&cluster.name, taken, excess.full);
        excess.short -= taken;
        // Once none may start any more, there is nothing to hold.
        if self.unassigned == 0 {
            0
        } else {
            left - taken
        }
    }

    fn add(&mut self, cluster: &'a ClusterName, replicas: u32, full: &'a ClusterName) {
        if replicas > 0 {
            let share = self.shares.entry(cluster).or_default();
            share.replicas += replicas;
            share.overflow_from.get_or_insert(full);
        }
    }
}
