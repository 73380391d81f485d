//! What to buy: from replicas that fit nowhere to machines. Pure.
//!
//! [`packing`] counts nodes quickly, for each way to combine flavors that is worth a try; the way that
//! the expander chooses is then filled by the rules of [`placement`], as the scheduler will do it, so
//! that what was bought is enough.

mod choice;
mod packing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use federation::api::Expander;
use placement::{ClusterName, NodeTemplate, OwnerKey, PodShape, Resources, Snapshot};

use packing::{Group, Packing};

/// Replicas of one workload that fit nowhere.
#[derive(Clone, Debug)]
pub struct Need {
    /// The workload.
    pub owner: OwnerKey,
    /// What one replica needs.
    pub shape: PodShape,
    /// How many.
    pub replicas: u32,
}

/// A flavor, as the scheduler of the cluster will see its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name in the cloud.
    pub flavor: String,
    /// What the cloud gives, which quotas count.
    pub capacity: Resources,
    /// What is left for pods, and the labels.
    pub node: NodeTemplate,
    /// What one costs in an hour, in thousandths of the unit; `None` if it is not known.
    pub price: Option<i64>,
    /// For the expander `Priority`.
    pub priority: i32,
}

/// What may be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes.
    pub nodes: u32,
    /// Cost in an hour, in thousandths of the unit; `None` for any.
    pub cost: Option<i64>,
    /// What is left of the cloud's quota of CPU and memory; `None` for any.
    pub quota: Option<Resources>,
}

/// What to buy, and what stays without a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Nodes by flavor.
    pub nodes: BTreeMap<String, u32>,
    /// What no machine is bought for: the need's place in the input, replicas, and why.
    pub uncovered: Vec<Uncovered>,
}

/// Replicas that no machine is bought for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// The need's place in the input.
    pub need: usize,
    /// How many.
    pub replicas: u32,
    /// Why.
    pub why: Lack,
}

/// Why no machine is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// One replica fits on no flavor.
    NoFlavor,
    /// There would be too many nodes, they would cost too much, or the quota is used up.
    Limit,
}

/// Plans for what is left of the needs when `coming` has joined: nodes that will be empty, or that the
/// scheduler has not filled yet.
pub fn plan(
    needs: &[Need],
    coming: &Snapshot,
    clusters: &[ClusterName],
    machines: &[Machine],
    limits: &Limits,
    expander: Expander,
) -> Plan {
    let left = not_covered(needs, coming, clusters);
    let wanted: Vec<(usize, u32)> = (left.iter().copied().enumerate())
        .filter(|(_, replicas)| *replicas > 0)
        .collect();
    let mut uncovered = Vec::new();
    let mut groups = Vec::new();
    for (need, replicas) in wanted {
        let group = Group::of(&needs[need], need, replicas, machines);
        if group.fits_any() {
            groups.push(group);
        } else {
            let why = Lack::NoFlavor;
            uncovered.push(Uncovered {
                need,
                replicas,
                why,
            });
        }
    }
    let mut chosen = choice::choose(&groups, machines, limits, expander).unwrap_or_default();
    let missing = fill(&groups, needs, machines, limits, &mut chosen);
    uncovered.extend(missing);
    uncovered.sort_by_key(|one| one.need);
    let counts = machines.iter().zip(&chosen.nodes);
    Plan {
        nodes: counts
            .filter(|(_, count)| **count > 0)
            .map(|(machine, count)| (machine.flavor.clone(), *count))
            .collect(),
        uncovered,
    }
}

/// Of each need, the replicas that have no room in what is coming.
fn not_covered(needs: &[Need], coming: &Snapshot, clusters: &[ClusterName]) -> Vec<u32> {
    let mut fork = coming.fork();
    let mut left = Vec::with_capacity(needs.len());
    for need in needs {
        let mut replicas = need.replicas;
        for cluster in clusters {
            let taken = place(&mut fork, cluster, need, replicas);
            replicas -= taken;
        }
        left.push(replicas);
    }
    left
}

/// Holds room for as many replicas as a cluster has room for, up to so many.
fn place(snapshot: &mut Snapshot, cluster: &ClusterName, need: &Need, most: u32) -> u32 {
    let room = snapshot.capacity(cluster, &need.shape);
    let taken = u32::try_from(room).unwrap_or(u32::MAX).min(most);
    if taken > 0 {
        snapshot.reserve(cluster, need.owner, &need.shape, taken);
    }
    taken
}

/// Fills the nodes of a packing as the scheduler will do it, and adds nodes as long as the quick count
/// was too low. Gives what stays without one.
fn fill(
    groups: &[Group],
    needs: &[Need],
    machines: &[Machine],
    limits: &Limits,
    packing: &mut Packing,
) -> Vec<Uncovered> {
    // In the order in which they were counted.
    let mut ordered: Vec<&Group> = groups.iter().collect();
    ordered.sort_by(|one, other| other.size.total_cmp(&one.size));
    let mut held = filled(&ordered, needs, machines, packing);
    let mut lacks: Vec<Option<Lack>> = vec![None; ordered.len()];
    let lacking = |held: &[u32], lacks: &[Option<Lack>]| {
        let mut places = 0..ordered.len();
        places.find(|place| lacks[*place].is_none() && held[*place] < ordered[*place].replicas)
    };
    while let Some(place) = lacking(&held, &lacks) {
        let group = ordered[place];
        let before = packing.nodes.clone();
        lacks[place] = Some(Lack::NoFlavor);
        // Larger ones may take new nodes for themselves, each once.
        for _ in 0..=place {
            let missing = group.replicas - held[place];
            let Some((machine, count)) = packing.more(group, missing, machines, limits) else {
                lacks[place] = Some(Lack::Limit);
                break;
            };
            packing.nodes[machine] += count;
            let now = filled(&ordered, needs, machines, packing);
            if now[place] > held[place] {
                held = now;
                lacks[place] = None;
                break;
            }
        }
        if lacks[place].is_some() {
            // More nodes help nobody: a spread over zones, or an affinity to what is not there.
            packing.nodes = before;
        }
    }
    let places = ordered.iter().zip(held).zip(lacks);
    let missing = places.filter_map(|((group, held), lack)| {
        Some(Uncovered {
            need: group.need,
            replicas: group.replicas.checked_sub(held).filter(|one| *one > 0)?,
            why: lack?,
        })
    });
    missing.collect()
}

/// How many replicas of each group the nodes of a packing hold.
fn filled(groups: &[&Group], needs: &[Need], machines: &[Machine], packing: &Packing) -> Vec<u32> {
    let cluster = ClusterName::from("new");
    let mut snapshot = Snapshot::new();
    for (machine, count) in machines.iter().zip(&packing.nodes) {
        snapshot.add_upcoming(&cluster, &machine.node, *count);
    }
    let groups = groups.iter();
    groups
        .map(|group| place(&mut snapshot, &cluster, &needs[group.need], group.replicas))
        .collect()
}
