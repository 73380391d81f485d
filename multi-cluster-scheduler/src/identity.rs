//! One cluster, one name: which of the members are served.
//!
//! A cluster is identified by the uid of its namespace `kube-system`. Nothing is watched on a member
//! or written to it before the hub has on record that its name has this cluster.

use std::collections::BTreeMap;

use federation::operator::events::EventType;
use federation::operator::queue::Priority;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource as _;
use placement::ClusterName;
use tracing::{info, warn};

use crate::scheduler::Scheduler;
use crate::state::{Registered, State};

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
struct Claim<'a> {
    /// The cluster that answers.
    uid: Option<&'a str>,
    /// The cluster that the hub has on record.
    recorded: Option<&'a str>,
    created: Option<&'a Time>,
    allow_hub: bool,
}

impl<'a> Claim<'a> {
    fn of(registered: &'a Registered) -> Self {
        Self {
            uid: registered.uid.as_deref(),
            recorded: registered.recorded_uid(),
            created: registered.object.metadata.creation_timestamp.as_ref(),
            allow_hub: registered.object.spec.allow_hub,
        }
    }

    /// A name whose cluster does not answer keeps the one on record.
    fn cluster(&self) -> Option<&'a str> {
        self.uid.or(self.recorded)
    }
}

/// Which of the names have their clusters. The first is the one on record, then the oldest object,
/// then the first by name.
fn judge(claims: &BTreeMap<&ClusterName, Claim<'_>>, hub: &str) -> Vec<(ClusterName, Identity)> {
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

impl Scheduler {
    /// A member has said which cluster it is: at first, or another one answers under its name.
    pub(crate) fn identified(&self, state: &mut State, name: &ClusterName, uid: String) {
        let Some(registered) = state.members.get_mut(name) else {
            return;
        };
        if let Some(before) = registered.recorded_uid().filter(|before| *before != uid) {
            let note = format!(
                "another cluster answers under this name: {uid}, it was {before}; what runs is brought to it, and nothing is deleted on either because of it"
            );
            warn!(cluster = %name, "{note}");
            let about = ObjectReference {
                namespace: None,
                ..registered.object.object_ref(&())
            };
            let recorder = &self.recorder.0;
            recorder.record(about, EventType::Warning, "ClusterReplaced", &note);
        }
        let is_other = registered
            .recorded_uid()
            .is_some_and(|before| before != uid);
        registered.uid = Some(uid);
        if is_other {
            state.forget_cluster(name);
        }
        self.judge_identities(state);
    }

    /// Judges all names again, after any of them has changed. Not before all of them are known.
    pub(crate) fn judge_identities(&self, state: &mut State) {
        if !state.members_listed {
            return;
        }
        let claims = state.members.iter();
        let claims = claims.map(|(name, one)| (name, Claim::of(one)));
        for (name, identity) in judge(&claims.collect(), &self.hub_uid) {
            let Some(registered) = state.members.get_mut(&name) else {
                continue;
            };
            let is_new = registered.identity != identity;
            if is_new && let Identity::Duplicate(first) = &identity {
                warn!(cluster = %name, %first, "is another name of a cluster that is served: nothing is served under it");
            }
            registered.identity = identity;
            let uid = registered.admitted().map(str::to_owned);
            let member = registered.member.as_ref();
            let is_changed = member.is_some_and(|member| member.admit(uid.as_deref()));
            if is_changed {
                info!(cluster = %name, uid, "is the cluster that is served");
                (registered.nodes_listed, registered.pods_listed) = (false, false);
                for key in state.placed_on(&name) {
                    self.queue.add(key, Priority::Low);
                }
            }
            if is_new || is_changed {
                // The record of a new claim is written at once.
                self.standing_changed.notify_one();
                self.cluster_changed(state, &name);
            }
        }
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
