//! Which of several ways to make room is taken.

use std::cmp::Ordering;

use federation::api::Expander;

use super::packing::{Group, Packing};
use super::{Limits, Machine};

/// Ways with one flavor that are tried with a second one for the last nodes.
const MIXED: usize = 4;
/// So many of the last nodes, at most, are tried as another flavor.
const LAST: u32 = 16;
/// So often, at most, a need is packed; of very many needs, fewer of the last nodes are tried.
const MOST: usize = 400_000;

/// The best way to pack all groups, if anything may be bought.
pub(super) fn choose(
    groups: &[Group],
    machines: &[Machine],
    limits: &Limits,
    expander: Expander,
) -> Option<Packing> {
    if machines.is_empty() {
        return None;
    }
    let mut ordered: Vec<&Group> = groups.iter().collect();
    ordered.sort_by(|one, other| other.size.total_cmp(&one.size));
    let all: Vec<usize> = (0..machines.len()).collect();
    if expander != Expander::Priority {
        return best(&ordered, machines, limits, expander, &all);
    }
    // Of the flavors with the highest priority that leave no more than all of them would.
    let any = best(&ordered, machines, limits, expander, &all)?;
    let mut levels: Vec<i32> = machines.iter().map(|machine| machine.priority).collect();
    levels.sort_unstable_by(|one, other| other.cmp(one));
    levels.dedup();
    let mut ways = levels.into_iter().filter_map(|level| {
        let high = |number: &usize| machines[*number].priority >= level;
        let high: Vec<usize> = all.iter().copied().filter(high).collect();
        best(&ordered, machines, limits, expander, &high)
    });
    ways.find(|way| way.left <= any.left).or(Some(any))
}

/// The best way whose main flavors are these.
fn best(
    groups: &[&Group],
    machines: &[Machine],
    limits: &Limits,
    expander: Expander,
    mains: &[usize],
) -> Option<Packing> {
    let compare = |one: &(usize, Packing), other: &(usize, Packing)| {
        order(expander, &one.1, &other.1).then(one.0.cmp(&other.0))
    };
    let mut ways: Vec<(usize, Packing)> = mains
        .iter()
        .map(|main| (*main, Packing::of(groups, machines, limits, None, *main)))
        .collect();
    ways.sort_by(compare);
    let each = groups.len().max(1) * MIXED * mains.len().max(1);
    let tries = u32::try_from(MOST / each).unwrap_or(LAST).clamp(1, LAST);
    let mut mixed = Vec::new();
    for (main, way) in ways.iter().take(MIXED) {
        let count = way.nodes[*main];
        for last in mains.iter().filter(|other| *other != main) {
            for kept in count.saturating_sub(tries)..count {
                let fixed = Some((*main, kept));
                mixed.push((*main, Packing::of(groups, machines, limits, fixed, *last)));
            }
        }
    }
    ways.extend(mixed);
    ways.into_iter().min_by(compare).map(|(_, way)| way)
}

/// The better way is the lesser one: first that which leaves the fewest replicas.
fn order(expander: Expander, one: &Packing, other: &Packing) -> Ordering {
    let count = |way: &Packing| -> u32 { way.nodes.iter().sum() };
    let waste = one.waste.total_cmp(&other.waste);
    let cost = one.cost.cmp(&other.cost);
    let nodes = count(one).cmp(&count(other));
    let left = one.left.cmp(&other.left);
    left.then(match expander {
        Expander::LeastWaste | Expander::Priority => waste.then(cost).then(nodes),
        Expander::Price => cost.then(waste).then(nodes),
        Expander::MostPods => nodes.then(cost).then(waste),
    })
}
