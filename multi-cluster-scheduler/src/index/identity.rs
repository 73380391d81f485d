//! One cluster, one name: which of the members are served.
//!
//! A cluster is identified by the uid of its namespace `kube-system`. Nothing is watched on a member
//! or written to it before the hub has on record that its name has this cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use placement::ClusterName;

/// Whether a member is served, by what is known of its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// It has not said yet which cluster it is.
    #[default]
    Unknown,
    /// No other name has this cluster.
    Unique,
    /// Another name has it.
    Duplicate(ClusterName),
    /// It is the hub, and its object does not say that it may be.
    Hub,
}

/// What a name claims.
#[derive(Clone, Debug)]
pub(super) struct Claim<'a> {
    /// The cluster that answers.
    pub(super) uid: Option<&'a str>,
    /// The cluster that the hub has on record.
    pub(super) recorded: Option<&'a str>,
    pub(super) created: Option<&'a Time>,
    pub(super) allow_hub: bool,
}

impl<'a> Claim<'a> {
    /// A name whose cluster does not answer keeps the one on record.
    fn cluster(&self) -> Option<&'a str> {
        self.uid.or(self.recorded)
    }
}

/// Which of the names have their clusters. The first is the one on record, then the oldest object,
/// then the first by name.
pub(super) fn judge(
    claims: &BTreeMap<&ClusterName, Claim<'_>>,
    hub: &str,
) -> Vec<(ClusterName, Identity)> {
    let refused = |claim: &Claim<'_>| claim.cluster() == Some(hub) && !claim.allow_hub;
    let mut first = BTreeMap::new();
    for (name, claim) in claims {
        let Some(uid) = claim.cluster().filter(|_| !refused(claim)) else {
            continue;
        };
        let rank = (claim.recorded != Some(uid), claim.created, *name);
        let best = first.entry(uid).or_insert(rank);
        *best = rank.min(*best);
    }
    let identity = |name: &ClusterName, claim: &Claim<'_>| {
        let Some(uid) = claim.uid else {
            return Identity::Unknown;
        };
        match first.get(uid) {
            _ if refused(claim) => Identity::Hub,
            Some((_, _, holder)) if *holder != name => Identity::Duplicate((*holder).clone()),
            _ => Identity::Unique,
        }
    };
    (claims.iter())
        .map(|(name, claim)| ((*name).clone(), identity(name, claim)))
        .collect()
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
