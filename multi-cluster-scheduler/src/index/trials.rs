//! What would be decided for many objects, outside of the index: what happens meanwhile does not wait
//! for it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use federation::api::WorkloadMove;
use placement::{ClusterName, OwnerKey, Plan, Proximity, Snapshot};

use super::Index;
use super::moves::return_of;
use crate::decide::Assignment;
use crate::plan::{self, Inputs, Moving};
use crate::validate::{Validated, validate};
use crate::workload::{Key, Workload};

/// What objects are decided from, as of one moment.
pub struct Trials {
    snapshot: Snapshot,
    proximity: Option<Arc<Proximity>>,
    traffic: Option<Arc<BTreeMap<ClusterName, f64>>>,
    asked: Vec<Asked>,
}

struct Asked {
    workload: Arc<Workload>,
    before: Assignment,
    limits: BTreeMap<ClusterName, u32>,
    cursor: u64,
    displaced: u32,
}

impl Index {
    /// What these objects are decided from now.
    pub fn trials(&self, keys: &[Key]) -> Trials {
        let asked = keys.iter().filter_map(|key| {
            let tracked = self.workloads.get(key)?;
            Some(Asked {
                workload: tracked.workload().clone(),
                before: tracked.assignment().clone(),
                limits: tracked.limits().active(),
                cursor: self.cursors.get(&key.namespace).copied().unwrap_or(0),
                displaced: self.displaced.replicas(key),
            })
        });
        Trials {
            snapshot: self.snapshot.fork(),
            proximity: self.proximity.clone(),
            traffic: self.traffic.clone(),
            asked: asked.collect(),
        }
    }
}

impl Trials {
    /// Whether some of what is displaced would return to its location, by object.
    pub fn would_return(&self) -> Vec<(Key, bool)> {
        let tried = self.asked.iter().map(|one| {
            let plan = self.with_failback(one);
            let returns = plan.is_some_and(|(_, plan)| plan.displaced_replicas() < one.displaced);
            (one.workload.key.clone(), returns)
        });
        tried.collect()
    }

    /// The moves that would bring back what is displaced. The first come first: each leaves the next
    /// ones only the room that it would not take.
    pub fn returns(mut self) -> Vec<(Key, WorkloadMove)> {
        let mut moves = Vec::new();
        for one in std::mem::take(&mut self.asked) {
            let Some((validated, plan)) = self.with_failback(&one) else {
                continue;
            };
            let Some(object) = return_of(&one.workload, &one.before, &plan) else {
                continue;
            };
            let owner = OwnerKey(one.workload.owner_bits());
            for share in &plan.placements {
                let (cluster, replicas) = (&share.cluster, share.replicas);
                self.snapshot
                    .reserve(cluster, owner, &validated.shape, replicas);
            }
            moves.push((one.workload.key.clone(), object));
        }
        moves
    }

    fn with_failback(&self, one: &Asked) -> Option<(Validated, Plan)> {
        let inputs = Inputs {
            snapshot: &self.snapshot,
            proximity: self.proximity.as_deref(),
            traffic: self.traffic.as_deref(),
            cursor: one.cursor,
            before: Cow::Borrowed(&one.before),
            limits: one.limits.clone(),
            // What they run is asked only where an assignment is made.
            members: BTreeMap::new(),
            moving: Moving::None,
            failback: true,
        };
        let validated = validate(&one.workload).ok()?;
        let (plan, _) = plan::plan(&inputs, &one.workload, &validated, None);
        Some((validated, plan))
    }
}
