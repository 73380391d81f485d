//! A member as an operator sees it, however objects are brought to it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::bundle::{Bundle, ManagedKind};
use super::contest::Contest;
use super::diagnosis::Diagnosis;
use super::inventory::Observed;

/// Brings bundles to one member and knows what it holds. Every call returns at once. [`super::Member`]
/// pushes; an agent on the member may pull.
pub trait MemberBackend: Send + Sync {
    /// The member must hold exactly this for the bundle's owner from now on. The result is reported
    /// as [`super::Change::Delivered`].
    fn deliver(&self, bundle: Bundle);

    /// The cluster with this uid is served from now on, or none is: no other cluster is watched or
    /// written to. Returns whether that is a change; bundles for the previous cluster are dropped.
    fn admit(&self, uid: Option<&str>) -> bool;

    /// The API server is reachable and the caches are in sync.
    fn is_open(&self) -> bool;

    /// A delivery is in progress or queued, or failed and is retried before `limit`.
    fn is_delivering_until(&self, limit: Instant) -> bool;

    /// The member holds objects of the owner, or a delivery will bring some.
    fn holds(&self, owner: u128) -> bool;

    /// Every owner of this hub of which the member holds objects.
    fn owners(&self) -> Vec<u128>;

    /// The state of the owner's main object; none if the member does not have it.
    fn observed(&self, owner: u128, kind: ManagedKind) -> Option<Observed>;

    /// What the member reports as wrong with the owner's main object or its pods.
    fn diagnosis(&self, owner: u128, kind: ManagedKind) -> Option<Diagnosis>;

    /// The number of pods that have been unschedulable for longer than this, by owner.
    fn unschedulable(&self, longer_than: Duration) -> BTreeMap<u128, u32>;

    /// The first of the owner's objects that another client changes back repeatedly.
    fn contest(&self, owner: u128) -> Option<Contest>;

    /// Leaves what the member holds of the owner as it is.
    fn forget(&self, owner: u128);
}
