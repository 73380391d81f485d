//! What pods that are there, and the replicas themselves, leave open for one more replica: host
//! ports, required affinity and anti-affinity, hard spread constraints. The rules are those of
//! kube-scheduler's filters `NodePorts`, `InterPodAffinity` and `PodTopologySpread`.

use std::collections::BTreeMap;

use crate::profile::{PodTerm, Profile, selects};
use crate::shape::{PodShape, SpreadConstraint};

/// Pods of one profile: for each node that has some, how many.
pub type There<'a> = (&'a Profile, &'a [(u32, u32)]);

/// Nodes by number, and the domains that they are in.
pub trait Nodes {
    /// The number of each node's value of a label; 0 without it.
    fn domains(&self, key: &str) -> Vec<u32>;

    /// Whether a node counts for a spread constraint of the shape.
    fn counts(&self, node: usize, shape: &PodShape, constraint: &SpreadConstraint) -> bool;
}

/// Why a replica may not be on a node now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// A host port is taken.
    HostPorts,
    /// Its required affinity has no pod in the domain.
    Affinity,
    /// Its required anti-affinity has one.
    AntiAffinity,
    /// The required anti-affinity of a pod in the domain means it.
    ExistingAntiAffinity,
    /// The node does not have a spread constraint's label.
    SpreadLabel,
    /// One more would be too many for the spread constraint of this number, for now.
    Spread(usize),
}

/// What the pods leave open. Nodes and constraints are called by number.
#[derive(Default)]
pub struct Peers {
    ports: Option<Apart>,
    apart: Vec<Apart>,
    together: Option<Together>,
    pub(crate) spread: Vec<Spread>,
}

/// Domains that are taken, for good.
struct Apart {
    domains: Vec<u32>,
    taken: Vec<bool>,
    /// Whether a replica takes its own domain.
    own: bool,
    why: Misfit,
}

/// Domains, of each affinity term, in which the pods are that it wants.
struct Together {
    terms: Vec<(Vec<u32>, Vec<bool>)>,
    /// There is no such pod, and the replicas are what they want themselves: the first is free.
    first: bool,
}

/// How many pods each domain has.
pub(crate) struct Spread {
    /// By node.
    pub(crate) domains: Vec<u32>,
    counting: Vec<bool>,
    counts: Vec<u32>,
    /// Domains that the emptiest is looked for among.
    eligible: Vec<bool>,
    /// There are fewer domains than must be: the emptiest counts as empty.
    few: bool,
    least: u32,
    /// How many domains have just as many.
    emptiest: usize,
    max_skew: u32,
    /// 1 if the replicas count themselves.
    own: u32,
}

impl Peers {
    /// Looks at the pods that are there, each kind with its nodes; `own` are pods of the same owner,
    /// which are where replicas with affinity to each other go, and count for nothing else.
    pub fn of(shape: &PodShape, nodes: &impl Nodes, pods: &[There<'_>], own: &[There<'_>]) -> Self {
        let mut peers = Self::default();
        peers.ports(shape, pods);
        for term in &shape.profile.anti_affinity {
            peers.apart.push(Apart {
                domains: nodes.domains(&term.topology_key),
                taken: Vec::new(),
                own: term.matches(&shape.profile),
                why: Misfit::AntiAffinity,
            });
            if let Some(apart) = peers.apart.last_mut() {
                let meant = pods.iter().filter(|(pod, _)| term.matches(pod));
                meant.for_each(|(_, nodes)| apart.take_all(nodes));
            }
        }
        peers.repelled(shape, nodes, pods);
        if !shape.affinity.is_empty() {
            let there = pods.iter().chain(own);
            peers.together = Some(Together::of(shape, nodes, there.copied()));
        }
        let keys: Vec<Vec<u32>> = shape
            .spread
            .iter()
            .map(|one| nodes.domains(&one.topology_key))
            .collect();
        let spread = shape.spread.iter().enumerate();
        peers.spread = spread
            .map(|(number, one)| Spread::of(shape, one, &keys, number, nodes, pods))
            .collect();
        peers
    }

    fn ports(&mut self, shape: &PodShape, pods: &[There<'_>]) {
        let wanted = &shape.profile.host_ports;
        if wanted.is_empty() {
            return;
        }
        let mut apart = Apart {
            domains: Vec::new(),
            taken: Vec::new(),
            own: true,
            why: Misfit::HostPorts,
        };
        for (pod, nodes) in pods {
            let mut held = pod.host_ports.iter();
            if held.any(|held| wanted.iter().any(|one| one.conflicts(held))) {
                for (node, _) in *nodes {
                    mark(&mut apart.taken, *node);
                }
            }
        }
        self.ports = Some(apart);
    }

    /// Domains of pods whose anti-affinity means the replica.
    fn repelled(&mut self, shape: &PodShape, nodes: &impl Nodes, pods: &[There<'_>]) {
        let mut keys: BTreeMap<&str, Apart> = BTreeMap::new();
        for (pod, there) in pods {
            let means = |term: &&PodTerm| term.matches(&shape.profile);
            for term in pod.anti_affinity.iter().filter(means) {
                let key = term.topology_key.as_str();
                let apart = keys.entry(key).or_insert_with(|| Apart {
                    domains: nodes.domains(key),
                    taken: Vec::new(),
                    own: false,
                    why: Misfit::ExistingAntiAffinity,
                });
                apart.take_all(there);
            }
        }
        self.apart.extend(keys.into_values());
    }

    /// What keeps one more replica from a node.
    pub fn misfit(&self, node: usize) -> Option<Misfit> {
        let ports = self.ports.iter();
        if ports.clone().any(|ports| has(&ports.taken, node as u32)) {
            return Some(Misfit::HostPorts);
        }
        for (number, spread) in self.spread.iter().enumerate() {
            match spread.domain(node) {
                None => return Some(Misfit::SpreadLabel),
                Some(_) if spread.slots(node) == 0 => return Some(Misfit::Spread(number)),
                Some(_) => {}
            }
        }
        if self.together.as_ref().is_some_and(|one| !one.admits(node)) {
            return Some(Misfit::Affinity);
        }
        let taken = self.apart.iter().find(|apart| apart.is_taken(node));
        taken.map(|apart| apart.why)
    }

    /// A replica is placed on a node.
    pub fn place(&mut self, node: usize) {
        if let Some(ports) = &mut self.ports {
            mark(&mut ports.taken, node as u32);
        }
        for apart in self.apart.iter_mut().filter(|apart| apart.own) {
            apart.take(node as u32);
        }
        if let Some(together) = self.together.as_mut().filter(|one| one.first) {
            together.first = false;
            for (domains, there) in &mut together.terms {
                mark(there, domains[node]);
            }
        }
        for spread in &mut self.spread {
            spread.place(node);
        }
    }

    /// Whether a placed replica changes nothing for the next.
    pub(crate) fn is_still(&self) -> bool {
        self.ports.is_none()
            && self.apart.iter().all(|apart| !apart.own)
            && !self.is_first()
            && self.spread.iter().all(|spread| spread.own == 0)
    }

    /// Whether the first replica decides where all others go.
    pub(crate) fn is_first(&self) -> bool {
        self.together.as_ref().is_some_and(|one| one.first)
    }
}

impl Apart {
    fn take(&mut self, node: u32) {
        let domain = self.domains[node as usize];
        if domain != 0 {
            mark(&mut self.taken, domain);
        }
    }

    fn take_all(&mut self, nodes: &[(u32, u32)]) {
        nodes.iter().for_each(|(node, _)| self.take(*node));
    }

    fn is_taken(&self, node: usize) -> bool {
        has(&self.taken, self.domains[node])
    }
}

impl Together {
    fn of<'a>(shape: &PodShape, nodes: &impl Nodes, pods: impl Iterator<Item = There<'a>>) -> Self {
        let terms = shape.affinity.iter();
        let mut terms: Vec<(Vec<u32>, Vec<bool>)> = terms
            .map(|term| (nodes.domains(&term.topology_key), Vec::new()))
            .collect();
        let meant = |pod: &Profile| shape.affinity.iter().all(|term| term.matches(pod));
        let mut any = false;
        for (_, there) in pods.filter(|(pod, _)| meant(pod)) {
            for (domains, marks) in &mut terms {
                for (node, _) in there {
                    let domain = domains[*node as usize];
                    if domain != 0 {
                        mark(marks, domain);
                        any = true;
                    }
                }
            }
        }
        Self {
            terms,
            first: !any && meant(&shape.profile),
        }
    }

    fn admits(&self, node: usize) -> bool {
        self.terms.iter().all(|(domains, marks)| {
            let domain = domains[node];
            domain != 0 && (self.first || has(marks, domain))
        })
    }
}

impl Spread {
    /// Only nodes that have the labels of all constraints count for any.
    fn of(
        shape: &PodShape,
        constraint: &SpreadConstraint,
        keys: &[Vec<u32>],
        number: usize,
        nodes: &impl Nodes,
        pods: &[There<'_>],
    ) -> Self {
        let domains = keys[number].clone();
        let counting: Vec<bool> = (0..domains.len())
            .map(|node| {
                keys.iter().all(|domains| domains[node] != 0)
                    && nodes.counts(node, shape, constraint)
            })
            .collect();
        let largest = domains.iter().copied().max().unwrap_or(0) as usize;
        let (mut counts, mut eligible) = (vec![0; largest + 1], vec![false; largest + 1]);
        for (node, domain) in domains.iter().enumerate() {
            if counting[node] {
                eligible[*domain as usize] = true;
            }
        }
        // kube-scheduler takes a selector of all pods to count none.
        let selected = |pod: &Profile| {
            !constraint.selector.is_empty()
                && pod.namespace == shape.profile.namespace
                && selects(&constraint.selector, &pod.labels)
        };
        for (_, there) in pods.iter().filter(|(pod, _)| selected(pod)) {
            for (node, pods) in *there {
                if counting[*node as usize] {
                    counts[domains[*node as usize] as usize] += pods;
                }
            }
        }
        let known = eligible.iter().filter(|one| **one).count();
        let mut spread = Self {
            domains,
            counting,
            counts,
            eligible,
            few: known < constraint.min_domains.max(1) as usize,
            least: 0,
            emptiest: 0,
            max_skew: constraint.max_skew,
            own: u32::from(selected(&shape.profile)),
        };
        spread.find_emptiest();
        spread
    }

    fn find_emptiest(&mut self) {
        if self.few {
            return;
        }
        let counts = self.counts.iter().zip(&self.eligible);
        let counts = counts.filter(|(_, eligible)| **eligible);
        let counts = counts.map(|(count, _)| *count);
        self.least = counts.clone().min().unwrap_or(0);
        self.emptiest = counts.filter(|count| *count == self.least).count();
    }

    pub(crate) fn domain(&self, node: usize) -> Option<usize> {
        Some(self.domains[node] as usize).filter(|domain| *domain != 0)
    }

    /// How many more pods the node's domain may have now.
    pub(crate) fn slots(&self, node: usize) -> u32 {
        let count = self.counts[self.domains[node] as usize];
        let most = self.least.saturating_add(self.max_skew);
        most.saturating_add(1).saturating_sub(count + self.own)
    }

    fn place(&mut self, node: usize) {
        if self.own == 0 || !self.counting[node] {
            return;
        }
        // A node that counts is in an eligible domain.
        let count = &mut self.counts[self.domains[node] as usize];
        *count += 1;
        if !self.few && *count == self.least + 1 {
            self.emptiest -= 1;
            if self.emptiest == 0 {
                self.find_emptiest();
            }
        }
    }

    /// The count of the emptiest domain.
    pub(crate) fn least(&self) -> u32 {
        self.least
    }
}

fn mark(marks: &mut Vec<bool>, number: u32) {
    let place = number as usize;
    if place >= marks.len() {
        marks.resize(place + 1, false);
    }
    marks[place] = true;
}

fn has(marks: &[bool], number: u32) -> bool {
    marks.get(number as usize).copied().unwrap_or(false)
}
