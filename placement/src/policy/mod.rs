//! Policies: how clusters are ranked. Adding one is a file here and a line in [`POLICIES`].

mod best_fit;
mod cluster_affinity;
mod first_fit;
mod most_traffic;
mod nearest;
mod random;
mod round_robin;
mod worst_fit;

use crate::cluster::Cluster;
use crate::plan::Filter;
use crate::request::Inputs;

/// Ranks clusters. Pure: the same candidates and inputs give the same ranking.
pub trait Policy: Sync {
    /// Its name, with underscores.
    fn name(&self) -> &'static str;

    /// Scores every candidate, in their order: more is better, and ties go by name. `Err` when an
    /// input that it needs is missing; `worst_fit` ranks then.
    fn score(
        &self,
        candidates: &[Candidate<'_>],
        inputs: &Inputs<'_>,
    ) -> Result<Vec<Verdict>, Missing>;
}

/// A cluster that passed the filters.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Replicas that fit, the owner's own counted as free.
    pub room: u64,
    /// Its place among the named clusters, if some are named.
    pub position: Option<usize>,
}

/// What a policy says of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Not by this policy.
    Drop(Filter),
    /// Its score, and what that is made of.
    Score {
        /// More is better.
        score: f64,
        /// By name, for people.
        parts: Vec<(&'static str, f64)>,
    },
}

/// The input that a policy needs and has not got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing(pub &'static str);

/// Every policy.
const POLICIES: [&dyn Policy; 8] = [
    &worst_fit::WorstFit,
    &best_fit::BestFit,
    &first_fit::FirstFit,
    &most_traffic::MostTraffic,
    &nearest::Nearest,
    &cluster_affinity::ClusterAffinity,
    &round_robin::RoundRobin,
    &random::Random,
];

/// The policy that ranks when another one's input is missing.
pub(crate) const FALLBACK: &dyn Policy = &worst_fit::WorstFit;

/// A policy by its name; `-` may stand for `_`.
pub fn by_name(name: &str) -> Option<&'static dyn Policy> {
    let name = name.replace('-', "_");
    POLICIES.into_iter().find(|policy| policy.name() == name)
}

/// The names of all policies.
pub fn names() -> impl Iterator<Item = &'static str> {
    POLICIES.into_iter().map(Policy::name)
}

/// Scores each candidate by itself.
fn each(candidates: &[Candidate<'_>], score: impl Fn(&Candidate<'_>) -> Verdict) -> Vec<Verdict> {
    candidates.iter().map(score).collect()
}

/// A score that is made of nothing else.
fn plain(name: &'static str, value: f64, score: f64) -> Verdict {
    Verdict::Score {
        score,
        parts: vec![(name, value)],
    }
}

/// The order of the candidates by name: place of each.
fn by_name_order(candidates: &[Candidate<'_>]) -> Vec<usize> {
    let mut names: Vec<_> = candidates
        .iter()
        .map(|candidate| &candidate.cluster.name)
        .collect();
    names.sort_unstable();
    candidates
        .iter()
        .map(|candidate| {
            names
                .iter()
                .take_while(|name| **name < &candidate.cluster.name)
                .count()
        })
        .collect()
}
