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
    ) -> Result<Vec<Score>, Missing>;
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

/// What a policy gives a candidate.
#[derive(Clone, Debug, PartialEq)]
pub enum Score {
    /// The policy filters it.
    Dropped(Filter),
    /// Its score, and what that is made of.
    Value {
        /// More is better.
        score: f64,
        /// The parts by name, to show.
        parts: Vec<(&'static str, f64)>,
    },
}

/// The input that a policy needs and that is missing.
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

/// Scores each candidate independently.
fn each(candidates: &[Candidate<'_>], score: impl Fn(&Candidate<'_>) -> Score) -> Vec<Score> {
    candidates.iter().map(score).collect()
}

/// A score that is made of nothing else.
fn plain(name: &'static str, value: f64, score: f64) -> Score {
    Score::Value {
        score,
        parts: vec![(name, value)],
    }
}

/// The place of each candidate in the order of their names.
fn by_name_order(candidates: &[Candidate<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|one| &candidates[*one].cluster.name);
    let mut places = vec![0; candidates.len()];
    for (place, one) in order.into_iter().enumerate() {
        places[one] = place;
    }
    places
}
