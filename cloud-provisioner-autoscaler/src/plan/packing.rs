//! How many nodes replicas take: the largest first, each into the nodes that are there, then into new
//! ones. Nodes in the same state are counted together, so that thousands of replicas take no time.

use placement::{PodShape, Resources};

use super::{Limits, Machine, Need};

/// The label that each node has for itself.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// Replicas of one need, and where they fit.
#[derive(Debug)]
pub(super) struct Group {
    /// The need's place in the input.
    pub(super) need: usize,
    /// How many.
    pub(super) replicas: u32,
    request: Resources,
    /// At most one of them on a node.
    alone: bool,
    /// How many fit on an empty node of each machine.
    per_node: Vec<u32>,
    /// The part of the largest machine that one takes.
    pub(super) size: f64,
}

/// Nodes by machine, and what they are filled with.
#[derive(Clone, Debug, Default)]
pub(super) struct Packing {
    /// Nodes of each machine.
    pub(super) nodes: Vec<u32>,
    /// Replicas that have none.
    pub(super) left: u64,
    /// What is unused of all nodes: parts of CPU and memory, added.
    pub(super) waste: f64,
    /// In thousandths of the unit an hour; what has no known price counts as nothing.
    pub(super) cost: i64,
}

/// Nodes in the same state.
struct Bins {
    machine: usize,
    free: Resources,
    count: u32,
}

impl Group {
    pub(super) fn of(need: &Need, index: usize, replicas: u32, machines: &[Machine]) -> Self {
        let alone = is_alone(&need.shape);
        let request = need.shape.requests.clone();
        let per_node = machines.iter().map(|machine| {
            if !admits(machine, &need.shape) {
                return 0;
            }
            let most = fitting(&machine.node.allocatable, &request);
            if alone { most.min(1) } else { most }
        });
        let per_node: Vec<u32> = per_node.collect();
        let whole = machines.iter().fold(Resources::default(), |largest, one| {
            largest.pairwise_max(&one.node.allocatable)
        });
        let size = part(&request, &whole);
        Self {
            need: index,
            replicas,
            alone,
            request,
            size,
            per_node,
        }
    }

    pub(super) fn fits_any(&self) -> bool {
        self.per_node.iter().any(|count| *count > 0)
    }
}

/// Whether a machine's nodes are what a shape selects and tolerates.
fn admits(machine: &Machine, shape: &PodShape) -> bool {
    let label = |key: &str| machine.node.labels.get(key).map(String::as_str);
    let constraints = &shape.constraints;
    constraints.node_name.is_none()
        && constraints.select("", label)
        && constraints.tolerate(&machine.node.taints)
}

/// Whether two replicas cannot be on one node.
fn is_alone(shape: &PodShape) -> bool {
    let mut terms = shape.profile.anti_affinity.iter();
    !shape.profile.host_ports.is_empty()
        || terms.any(|term| term.topology_key == HOSTNAME && term.matches(&shape.profile))
}

/// How many of a request fit into an amount.
fn fitting(free: &Resources, request: &Resources) -> u32 {
    let mut most = free.pods.max(0);
    let mut bound = |free: i64, request: i64| {
        if request > 0 {
            most = most.min(free.max(0) / request);
        }
    };
    bound(free.cpu_milli, request.cpu_milli);
    bound(free.memory, request.memory);
    bound(free.ephemeral_storage, request.ephemeral_storage);
    for (name, amount) in &request.extended {
        bound(free.extended.get(name).copied().unwrap_or(0), *amount);
    }
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// The larger part that a request takes of CPU or memory.
fn part(request: &Resources, whole: &Resources) -> f64 {
    let of = |part: i64, whole: i64| {
        if whole > 0 {
            part as f64 / whole as f64
        } else {
            0.0
        }
    };
    of(request.cpu_milli, whole.cpu_milli).max(of(request.memory, whole.memory))
}

/// So many of a request.
fn times(request: &Resources, count: u32) -> Resources {
    let count = i64::from(count);
    Resources {
        cpu_milli: request.cpu_milli.saturating_mul(count),
        memory: request.memory.saturating_mul(count),
        ephemeral_storage: request.ephemeral_storage.saturating_mul(count),
        pods: count,
        extended: (request.extended.iter())
            .map(|(name, amount)| (name.clone(), amount.saturating_mul(count)))
            .collect(),
    }
}

impl Packing {
    /// Packs groups, the largest first: into `fixed` nodes of one machine, then into new ones of `main`,
    /// or of the cheapest that will do where `main` will not.
    pub(super) fn of(
        groups: &[&Group],
        machines: &[Machine],
        limits: &Limits,
        fixed: Option<(usize, u32)>,
        main: usize,
    ) -> Self {
        let mut packing = Self {
            nodes: vec![0; machines.len()],
            ..Self::default()
        };
        let mut bins: Vec<Bins> = Vec::new();
        if let Some((machine, count)) = fixed {
            let count = count.min(packing.affordable(machine, machines, limits));
            packing.nodes[machine] = count;
            // Nodes that are not there hold nothing.
            if count > 0 {
                bins.push(Bins {
                    machine,
                    free: machines[machine].node.allocatable.clone(),
                    count,
                });
            }
        }
        for group in groups {
            let left = into(&mut bins, group, group.replicas);
            let left = packing.buy(&mut bins, group, left, machines, limits, main);
            packing.left += u64::from(left);
        }
        debug_assert_eq!(
            bins.iter().map(|bins| bins.count).sum::<u32>(),
            packing.nodes.iter().sum::<u32>()
        );
        for bins in &bins {
            let whole = &machines[bins.machine].node.allocatable;
            let free = |free: i64, whole: i64| free.max(0) as f64 / whole.max(1) as f64;
            let unused =
                free(bins.free.cpu_milli, whole.cpu_milli) + free(bins.free.memory, whole.memory);
            packing.waste += unused * f64::from(bins.count);
        }
        let prices = machines.iter().map(|machine| machine.price.unwrap_or(0));
        let counts = packing.nodes.iter();
        packing.cost = counts
            .zip(prices)
            .map(|(count, price)| i64::from(*count).saturating_mul(price))
            .fold(0, i64::saturating_add);
        packing
    }

    /// Buys nodes for what is left of a group; gives what is still left.
    fn buy(
        &mut self,
        bins: &mut Vec<Bins>,
        group: &Group,
        mut left: u32,
        machines: &[Machine],
        limits: &Limits,
        main: usize,
    ) -> u32 {
        while left > 0 {
            let will_do = group.per_node[main] > 0 && self.affordable(main, machines, limits) > 0;
            let machine = if will_do {
                Some(main)
            } else {
                self.next(group, machines, limits)
            };
            let Some(machine) = machine else {
                return left;
            };
            let per_node = group.per_node[machine];
            let count = left
                .div_ceil(per_node)
                .min(self.affordable(machine, machines, limits));
            self.nodes[machine] += count;
            let free = machines[machine].node.allocatable.clone();
            let mut new = vec![Bins {
                machine,
                free,
                count,
            }];
            left = into(&mut new, group, left);
            bins.append(&mut new);
        }
        0
    }

    /// The cheapest machine for so many replicas of a group that have none, and how many nodes of it, if
    /// any may be bought.
    pub(super) fn more(
        &self,
        group: &Group,
        replicas: u32,
        machines: &[Machine],
        limits: &Limits,
    ) -> Option<(usize, u32)> {
        let machine = self.next(group, machines, limits)?;
        let wanted = replicas.div_ceil(group.per_node[machine]);
        Some((
            machine,
            wanted.min(self.affordable(machine, machines, limits)),
        ))
    }

    /// The cheapest machine for one more node with replicas of a group, if one may be bought.
    fn next(&self, group: &Group, machines: &[Machine], limits: &Limits) -> Option<usize> {
        let will_do = (0..machines.len()).filter(|machine| {
            group.per_node[*machine] > 0 && self.affordable(*machine, machines, limits) > 0
        });
        will_do.min_by(|one, other| {
            // By what a replica costs, and by what a node has where prices are not known.
            let cost = |machine: &usize| {
                let per_node = f64::from(group.per_node[*machine].min(group.replicas));
                match machines[*machine].price {
                    Some(price) => price as f64 / per_node,
                    None => machines[*machine].capacity.cpu_milli as f64 / per_node,
                }
            };
            cost(one).total_cmp(&cost(other))
        })
    }

    /// How many more nodes of a machine the limits allow.
    fn affordable(&self, machine: usize, machines: &[Machine], limits: &Limits) -> u32 {
        let bought: u32 = self.nodes.iter().sum();
        let mut most = i64::from(limits.nodes.saturating_sub(bought));
        let spent = |amount: &dyn Fn(&Machine) -> i64| -> i64 {
            let all = machines.iter().zip(&self.nodes);
            all.map(|(machine, count)| amount(machine).saturating_mul(i64::from(*count)))
                .fold(0, i64::saturating_add)
        };
        let mut bound = |limit: i64, amount: &dyn Fn(&Machine) -> i64| {
            let each = amount(&machines[machine]);
            if each > 0 {
                most = most.min((limit.saturating_sub(spent(amount))).max(0) / each);
            }
        };
        if let Some(cost) = limits.cost {
            bound(cost, &|machine| machine.price.unwrap_or(0));
        }
        if let Some(quota) = &limits.quota {
            bound(quota.cpu_milli, &|machine| machine.capacity.cpu_milli);
            bound(quota.memory, &|machine| machine.capacity.memory);
        }
        u32::try_from(most).unwrap_or(0)
    }
}

/// Puts replicas of a group into nodes, as long as there is room; gives what is left.
fn into(all: &mut Vec<Bins>, group: &Group, mut left: u32) -> u32 {
    let mut split = Vec::new();
    for bins in all.iter_mut() {
        if left == 0 {
            break;
        }
        if group.per_node[bins.machine] == 0 {
            continue;
        }
        let each = fitting(&bins.free, &group.request);
        let each = if group.alone { each.min(1) } else { each };
        if each == 0 {
            continue;
        }
        let full = (left / each).min(bins.count);
        let rest = if full < bins.count { left % each } else { 0 };
        let untouched = bins.count - full - u32::from(rest > 0);
        let part = |count: u32, replicas: u32| Bins {
            machine: bins.machine,
            free: bins.free.saturating_sub(&times(&group.request, replicas)),
            count,
        };
        if full > 0 && rest > 0 {
            split.push(part(1, rest));
        }
        if untouched > 0 {
            split.push(part(untouched, 0));
        }
        left -= full * each + rest;
        let (count, replicas) = if full > 0 { (full, each) } else { (1, rest) };
        let filled = part(count, replicas);
        *bins = filled;
    }
    all.append(&mut split);
    left
}
