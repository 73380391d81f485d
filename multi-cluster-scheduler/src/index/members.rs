//! The members, and what is known of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use federation::api::{DeletedObject, MEMBER_FINALIZER, MemberCluster, MemberClusterStatus};
use federation::capacity::taint_of;
use federation::members::{
    AccessProblem, Contest, Diagnosis, ManagedKind, MemberBackend, Observed,
};
use federation::operator::finalizer::has_finalizer;
use kube::ResourceExt as _;
use placement::{Cluster, ClusterName, Health, Role};
use tokio::time::Instant;

use super::identity::{Claim, Identity};
use crate::decide::MemberView;
use crate::status_guard::StatusGuard;
use crate::workload::version_of;

/// A member of the registry.
pub struct MemberRecord {
    object: Arc<MemberCluster>,
    /// Its object could be read: what the hub has in its status is known.
    is_readable: bool,
    /// Its tasks, while it is connected.
    backend: Option<Arc<dyn MemberBackend>>,
    /// Whether it answers; unknown at first.
    reachable: Option<bool>,
    /// Since when it is silent. One that answers and cannot be listed, or whose access is missing, is
    /// not.
    silent_since: Option<Instant>,
    /// Uid of the cluster that answers.
    uid: Option<String>,
    identity: Identity,
    version: Option<String>,
    /// Why it does not answer.
    silence: Option<AccessProblem>,
    /// Why it cannot be connected as its object says.
    access_problem: Option<AccessProblem>,
    /// Why watches are forbidden.
    forbidden: Option<String>,
    /// When this process saw that its object is deleted: the hub's clock may differ from ours.
    leaving_since: Option<Instant>,
    nodes_listed: bool,
    pods_listed: bool,
    /// Deleted objects that it still holds something of, and which are not on record by themselves yet:
    /// of its status as an earlier release wrote it, and namespaces.
    unkept: Vec<DeletedObject>,
    /// The status that we have written last, or found.
    reported: Option<MemberClusterStatus>,
    /// Whether the hub has it.
    guard: StatusGuard,
}

impl MemberRecord {
    fn new(object: Arc<MemberCluster>, is_readable: bool) -> Self {
        let status = object.status.clone();
        let leftovers = status.iter().flat_map(|status| status.leftovers.clone());
        Self {
            is_readable,
            backend: None,
            reachable: None,
            silent_since: None,
            uid: None,
            identity: Identity::Unknown,
            version: None,
            silence: None,
            access_problem: None,
            forbidden: None,
            leaving_since: None,
            nodes_listed: false,
            pods_listed: false,
            unkept: leftovers.collect(),
            reported: status,
            guard: StatusGuard::default(),
            object,
        }
    }

    /// Its object on the hub.
    pub fn object(&self) -> &Arc<MemberCluster> {
        &self.object
    }

    /// Its object could be read: what the hub has in its status is known.
    pub fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// Its tasks, while it is connected.
    pub fn backend(&self) -> Option<&dyn MemberBackend> {
        self.backend.as_deref()
    }

    /// Whether it is served.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Uid of the cluster that answers.
    pub fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    /// Its Kubernetes version.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Why it cannot be reached, at all or as its object says.
    pub fn problem(&self) -> Option<&AccessProblem> {
        self.silence.as_ref().or(self.access_problem.as_ref())
    }

    /// Its object is deleted: it is drained, and then forgotten.
    pub fn is_leaving(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    /// Its object lacks the finalizer without which a deletion would abandon what runs there.
    pub fn lacks_finalizer(&self) -> bool {
        !self.is_leaving() && !has_finalizer(&self.object.metadata, MEMBER_FINALIZER)
    }

    /// Its object is deleted and waits for us.
    pub fn is_held(&self) -> bool {
        self.is_leaving() && has_finalizer(&self.object.metadata, MEMBER_FINALIZER)
    }

    /// When this process saw that its object is deleted.
    pub fn leaving_since(&self) -> Option<Instant> {
        self.leaving_since
    }

    /// Why watches are forbidden.
    pub fn forbidden(&self) -> Option<&str> {
        self.forbidden.as_deref()
    }

    /// Deleted objects that it still holds something of, until each is on record by itself.
    pub fn unkept(&self) -> &[DeletedObject] {
        &self.unkept
    }

    pub(super) fn keep(&mut self, object: DeletedObject) {
        self.unkept.push(object);
    }

    /// These are on record by now.
    pub(super) fn kept(&mut self, objects: &BTreeSet<String>) {
        self.unkept.retain(|one| !objects.contains(&one.uid));
    }

    /// Another client has replaced its status, and it may be written again.
    pub fn has_other_status(&self, now: Instant) -> bool {
        self.guard.must_write(now)
    }

    /// The status that we have written last, or found.
    pub fn reported(&self) -> Option<&MemberClusterStatus> {
        self.reported.as_ref()
    }

    /// Since when it is silent.
    pub fn silent_since(&self) -> Option<Instant> {
        self.silent_since
    }

    /// Whether it answers; none if that is not known.
    pub fn is_reachable(&self) -> Option<bool> {
        self.reachable
    }

    /// Uid of the cluster that the hub has on record.
    pub fn recorded_uid(&self) -> Option<&str> {
        self.reported.as_ref()?.cluster_uid.as_deref()
    }

    /// Nothing is served under this name, as if it were no member's.
    pub fn is_refused(&self) -> bool {
        matches!(self.identity, Identity::Duplicate(_) | Identity::Hub)
    }

    /// The cluster that answers, once the hub has on record that this name has it: so no other name
    /// can have it after a restart.
    pub fn admitted(&self) -> Option<&str> {
        let uid = self.uid.as_deref();
        let is_on_record = self.identity == Identity::Unique && uid == self.recorded_uid();
        uid.filter(|_| is_on_record)
    }

    /// It answers, and what it holds and what room it has is known.
    pub fn is_open(&self) -> bool {
        self.reachable == Some(true)
            && self.admitted().is_some()
            && self.nodes_listed
            && self.pods_listed
            && self.forbidden.is_none()
            && self.backend().is_some_and(MemberBackend::is_open)
    }

    /// Whether it is served or not is known, or it is known to be away.
    pub fn is_settled(&self) -> bool {
        self.is_open()
            || self.is_refused()
            || self.reachable == Some(false)
            || self.forbidden.is_some()
    }

    /// It holds objects of the owner, or a delivery will bring some.
    pub fn holds(&self, owner: u128) -> bool {
        self.backend().is_some_and(|backend| backend.holds(owner))
    }

    /// The state of the owner's main object there.
    pub fn observed(&self, owner: u128, kind: ManagedKind) -> Option<Observed> {
        self.backend()?.observed(owner, kind)
    }

    /// What it reports as wrong with the owner's main object.
    pub fn diagnosis(&self, owner: u128, kind: ManagedKind) -> Option<Diagnosis> {
        self.backend()?.diagnosis(owner, kind)
    }

    /// Another client that changes the owner's objects back repeatedly.
    pub fn contest(&self, owner: u128) -> Option<Contest> {
        self.backend()?.contest(owner)
    }

    /// What an assignment needs to know of it.
    fn view(&self, owner: u128, kind: ManagedKind) -> MemberView {
        let available = match self.observed(owner, kind) {
            Some(Observed::Replicas(replicas)) if replicas.current => replicas.available,
            Some(Observed::Job(job)) => job.active + job.succeeded,
            _ => 0,
        };
        MemberView {
            open: self.is_open(),
            available,
            holds: self.holds(owner),
            leaving: self.is_leaving(),
        }
    }

    /// It as a cluster that can be placed on.
    pub(super) fn cluster(&self, name: &ClusterName, is_lost: bool) -> Cluster {
        let health = if self.is_leaving() {
            Health::Leaving
        } else if self.is_open() {
            Health::Ready
        } else if self.silent_since.is_some() && is_lost {
            Health::Lost
        } else {
            Health::Unreachable
        };
        cluster_of(name, &self.object, health)
    }

    /// The cluster that answers is of this uid; whether the hub has another one on record.
    pub(super) fn identified(&mut self, uid: String) -> bool {
        let is_other = self.recorded_uid().is_some_and(|before| before != uid);
        self.uid = Some(uid);
        is_other
    }

    pub(super) fn reachable(&mut self, version: Option<String>) {
        self.version = version.or(self.version.take());
        self.reachable = Some(true);
        self.silent_since = None;
        // It answers by its old access, whatever is wrong with the one that it should have.
        self.silence = None;
        self.forbidden = None;
    }

    pub(super) fn unreachable(&mut self, problem: AccessProblem, now: Instant) {
        self.reachable = Some(false);
        self.silent_since.get_or_insert(now);
        self.silence = Some(problem);
    }

    /// Its watches are forbidden; whether that is another problem than before.
    pub(super) fn set_forbidden(&mut self, problem: String) -> bool {
        let is_new = self.forbidden.as_ref() != Some(&problem);
        self.forbidden = Some(problem);
        is_new
    }

    pub(super) fn clear_forbidden(&mut self) {
        self.forbidden = None;
    }

    /// Its nodes or its pods are listed; whether either is now.
    pub(super) fn listed(&mut self, nodes: bool, pods: bool) -> bool {
        self.nodes_listed |= nodes;
        self.pods_listed |= pods;
        if nodes || pods {
            self.forbidden = None;
        }
        nodes || pods
    }

    /// It is connected, with a new endpoint or new credentials: it may be another cluster.
    pub(super) fn connected(&mut self, backend: Arc<dyn MemberBackend>) {
        self.backend = Some(backend);
        self.uid = None;
        (self.silence, self.access_problem) = (None, None);
        self.forbidden = None;
        (self.nodes_listed, self.pods_listed) = (false, false);
    }

    /// Its access does not work as its object says. One that is connected stays connected.
    pub(super) fn access_failed(&mut self, problem: AccessProblem) {
        if self.backend.is_none() {
            self.reachable = Some(false);
        }
        self.access_problem = Some(problem);
    }

    /// Its access works again as its object says.
    pub(super) fn access_restored(&mut self) {
        self.access_problem = None;
    }

    pub(super) fn claim(&self) -> Claim<'_> {
        Claim {
            uid: self.uid.as_deref(),
            recorded: self.recorded_uid(),
            created: self.object.metadata.creation_timestamp.as_ref(),
            allow_hub: self.object.spec.allow_hub,
        }
    }

    /// Serves it, or not, by its identity; whether another cluster is served than before.
    pub(super) fn judge(&mut self, identity: Identity) -> bool {
        self.identity = identity;
        let uid = self.admitted().map(str::to_owned);
        let admitted = self.backend().is_some_and(|one| one.admit(uid.as_deref()));
        if admitted {
            (self.nodes_listed, self.pods_listed) = (false, false);
        }
        admitted
    }

    /// Its status was written, and its object has this version since; whether it claims another cluster
    /// by that.
    pub(super) fn wrote(&mut self, status: MemberClusterStatus, version: u64) -> bool {
        self.guard.wrote(version);
        let is_claimed = self.recorded_uid() != status.cluster_uid.as_deref();
        self.reported = Some(status);
        is_claimed
    }
}

/// All of them.
#[derive(Default)]
pub struct Members {
    records: BTreeMap<ClusterName, MemberRecord>,
    /// Every `MemberCluster` of the hub is among them.
    is_listed: bool,
}

impl Members {
    /// One of this name, served or not.
    pub fn get(&self, name: &ClusterName) -> Option<&MemberRecord> {
        self.records.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &ClusterName) -> Option<&mut MemberRecord> {
        self.records.get_mut(name)
    }

    /// One that counts as a member.
    pub fn member(&self, name: &str) -> Option<&MemberRecord> {
        self.records.get(name).filter(|one| !one.is_refused())
    }

    /// All names, served or not.
    pub fn all(&self) -> impl Iterator<Item = (&ClusterName, &MemberRecord)> {
        self.records.iter()
    }

    /// Those that count as members.
    pub fn members(&self) -> impl Iterator<Item = (&ClusterName, &MemberRecord)> {
        self.records.iter().filter(|(_, one)| !one.is_refused())
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn names(&self) -> Vec<ClusterName> {
        self.records.keys().cloned().collect()
    }

    /// Every `MemberCluster` of the hub is known.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    pub(super) fn set_listed(&mut self) {
        self.is_listed = true;
    }

    /// The member, if it is still the one of this object.
    pub fn same(&self, object: &MemberCluster) -> Option<&MemberRecord> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let record = self.records.get(name)?;
        (record.object.metadata.uid == object.metadata.uid).then_some(record)
    }

    pub(super) fn same_mut(&mut self, object: &MemberCluster) -> Option<&mut MemberRecord> {
        self.same(object)?;
        let name = object.metadata.name.as_deref().unwrap_or_default();
        self.records.get_mut(name)
    }

    /// An object appeared or changed.
    pub(super) fn put(
        &mut self,
        name: &ClusterName,
        object: Arc<MemberCluster>,
        is_readable: bool,
        now: Instant,
    ) {
        let new = || MemberRecord::new(object.clone(), is_readable);
        let record = self.records.entry(name.clone()).or_insert_with(new);
        let version = version_of(&object.resource_version().unwrap_or_default());
        let none = MemberClusterStatus::default();
        let status = object.status.as_ref().unwrap_or(&none);
        let reported = record.reported.as_ref().unwrap_or(&none);
        record.guard.seen(version, status, reported, now);
        record.object = object;
        if record.is_leaving() {
            record.leaving_since.get_or_insert(now);
        }
    }

    pub(super) fn remove(&mut self, name: &ClusterName) -> bool {
        self.records.remove(name).is_some()
    }

    /// What an assignment needs to know of each.
    pub fn views(&self, owner: u128, kind: ManagedKind) -> BTreeMap<ClusterName, MemberView> {
        let members = self.members();
        members
            .map(|(name, one)| (name.clone(), one.view(owner, kind)))
            .collect()
    }
}

/// A member as a cluster that can be placed on, by what its object says.
pub fn cluster_of(name: &ClusterName, object: &MemberCluster, health: Health) -> Cluster {
    let spec = &object.spec;
    Cluster {
        name: name.clone(),
        role: match spec.role {
            federation::api::Role::OnPremises => Role::OnPremises,
            federation::api::Role::Cloud => Role::Cloud,
        },
        region: spec.region.clone(),
        zone: spec.zone.clone(),
        labels: object.metadata.labels.clone().unwrap_or_default(),
        taints: spec.taints.iter().filter_map(taint_of).collect(),
        unschedulable: spec.unschedulable,
        health,
    }
}
