//! Moves that the request asks for: edits of the shares that were decided.

use super::{Decision, Location};
use crate::name::ClusterName;
use crate::plan::{Filter, MoveRefusal, MoveResult};
use crate::request::{Move, Overflow, Targets};

impl<'a> Decision<'a> {
    /// Makes the moves that can be made, one after the other. Nothing but their replicas changes.
    pub(super) fn make_moves(&mut self, locations: &mut [Location<'a>]) -> Vec<MoveResult> {
        let moves = self.request.moves.iter();
        moves
            .map(|requested| MoveResult {
                requested: requested.clone(),
                refused: self.make_move(requested, locations).err(),
            })
            .collect()
    }

    fn make_move(
        &mut self,
        requested: &'a Move,
        locations: &mut [Location<'a>],
    ) -> Result<(), MoveRefusal> {
        let Move { from, to, replicas } = requested;
        let there = self.share(from);
        self.check(requested, there)?;
        if *replicas == 0 {
            return Ok(());
        }
        let meant = |name: &ClusterName| {
            let location = locations.iter().find(|one| one.cluster == name);
            location.map(|one| one.wanted)
        };
        let is_replaced = meant(to).is_none()
            && there == *replicas
            && matches!(self.request.targets, Targets::Chosen { .. });
        let replaced = locations.iter().position(|one| one.cluster == from);
        if let Some(replaced) = replaced.filter(|_| is_replaced) {
            // A location that the policy chose, and that loses all.
            locations[replaced].cluster = to;
        } else if self.request.overflow == Overflow::None
            && self.share(to) + replicas > meant(to).unwrap_or(0)
        {
            return Err(MoveRefusal::OverflowNotAllowed);
        }
        self.shares.entry(from).or_default().replicas -= replicas;
        let share = self.shares.entry(to).or_default();
        share.replicas += replicas;
        share.moved_from = Some(from);
        Ok(())
    }

    fn check(&self, requested: &Move, there: u32) -> Result<(), MoveRefusal> {
        let Move { from, to, replicas } = requested;
        if from == to {
            return Err(MoveRefusal::SameCluster);
        }
        if !self.request.resizable {
            return Err(MoveRefusal::NotResizable);
        }
        if there < *replicas {
            return Err(MoveRefusal::MoreThanThere { there });
        }
        let Some(rank) = self.ranks.get(to) else {
            let filter = self.dropped.get(to).cloned();
            return Err(MoveRefusal::Filtered(filter.unwrap_or(Filter::Unknown)));
        };
        let room = self.left(*rank);
        if room < *replicas {
            return Err(MoveRefusal::NoRoom { room });
        }
        Ok(())
    }
}
