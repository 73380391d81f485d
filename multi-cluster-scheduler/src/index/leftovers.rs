//! What members that were away still hold of objects that the hub has deleted: on record as a `Leftover`
//! each before the object goes, and collected only against it, because whatever else the hub does not
//! know may be of a time before it was restored.

use std::collections::{BTreeMap, BTreeSet};

use federation::api::{DeletedObject, Leftover, LeftoverSpec, MemberCluster};
use federation::members::{Bundle, Ending, MemberBackend, Owner, uid_bits};
use kube::{Resource as _, ResourceExt as _};
use placement::ClusterName;
use tracing::info;

use super::{Effect, HubTask, Index, MemberRecord};
use crate::workload::Workload;

/// All of them.
#[derive(Debug, Default)]
pub struct Leftovers {
    objects: BTreeMap<String, Leftover>,
    of_member: BTreeMap<ClusterName, BTreeSet<String>>,
}

impl Leftovers {
    /// Those of a member, also of a cluster that had its name before.
    fn of(&self, member: &ClusterName) -> impl Iterator<Item = &Leftover> {
        let names = self.of_member.get(member).into_iter().flatten();
        names.filter_map(|name| self.objects.get(name))
    }

    /// Those of the cluster that answers under this name.
    pub(super) fn here(
        &self,
        member: &ClusterName,
        record: &MemberRecord,
    ) -> impl Iterator<Item = &Leftover> {
        let here = record.uid().map(str::to_owned);
        self.of(member).filter(move |one| {
            let recorded = &one.spec.object.cluster_uid;
            recorded.is_none() || *recorded == here
        })
    }

    /// A member holds something of the object of this uid.
    pub(super) fn has(&self, member: &ClusterName, uid: &str) -> bool {
        self.of(member).any(|one| one.spec.object.uid == uid)
    }

    fn insert(&mut self, object: Leftover) {
        let name = object.name_any();
        self.remove(&name);
        let member = ClusterName::from(object.spec.member.as_str());
        let names = self.of_member.entry(member).or_default();
        names.insert(name.clone());
        self.objects.insert(name, object);
    }

    fn remove(&mut self, name: &str) -> Option<Leftover> {
        let object = self.objects.remove(name)?;
        let member = ClusterName::from(object.spec.member.as_str());
        if let Some(names) = self.of_member.get_mut(&member) {
            names.remove(name);
            if names.is_empty() {
                self.of_member.remove(&member);
            }
        }
        Some(object)
    }
}

impl Index {
    pub(super) fn leftover_applied(&mut self, object: Leftover) {
        let member = ClusterName::from(object.spec.member.as_str());
        self.leftovers.insert(object);
        self.collect_leftovers(&member);
    }

    pub(super) fn leftover_deleted(&mut self, name: &str) {
        self.leftovers.remove(name);
    }

    pub(super) fn leftovers_listed(&mut self, names: &BTreeSet<String>) {
        let known = self.leftovers.objects.keys();
        let gone: Vec<_> = known
            .filter(|name| !names.contains(*name))
            .cloned()
            .collect();
        for name in gone {
            self.leftover_deleted(&name);
        }
    }

    /// Has what a member holds of deleted objects removed, once it is known which objects live: what is
    /// theirs goes with them alone.
    pub(super) fn collect_leftovers(&mut self, member: &ClusterName) {
        let is_known = |record: &&MemberRecord| {
            let backend = record.backend();
            record.is_reachable() == Some(true)
                && record.admitted().is_some()
                && backend.is_some_and(MemberBackend::is_open)
        };
        let record = self.members.get(member).filter(is_known);
        let Some(record) = record.filter(|_| self.is_settled) else {
            return;
        };
        let dead = self.leftovers.here(member, record).filter(|one| {
            let key = self.workloads.of_owner(uid_bits(&one.spec.object.uid));
            let tracked = key.and_then(|key| self.workloads.get(key));
            tracked.is_none_or(|tracked| tracked.workload().deleted_at.is_some())
        });
        let bundles = dead.map(|one| Effect::Deliver(member.clone(), last_of(&one.spec.object)));
        self.effects.extend(bundles);
    }

    /// A member holds nothing of an object any more.
    pub(super) fn leftover_collected(&mut self, member: &ClusterName, owner: u128) {
        let Some(record) = self.members.get(member) else {
            return;
        };
        let here = self.leftovers.here(member, record);
        let collected = here.filter(|one| uid_bits(&one.spec.object.uid) == owner);
        let names: Vec<_> = collected.map(Leftover::name_any).collect();
        for name in names {
            if let Some(object) = self.leftovers.remove(&name) {
                let task = HubTask::DeleteLeftover(name, object.uid().unwrap_or_default());
                self.effects.push(Effect::OnHub(task));
            }
        }
    }

    /// What is to be on record before an object may go whose copies are on members that are away.
    pub fn leftovers_of(
        &self,
        workload: &Workload,
        ending: Ending,
        members: &[ClusterName],
    ) -> Vec<Leftover> {
        let known = members.iter().filter_map(|name| self.members.get(name));
        let leftovers = known.map(|record| {
            let object = DeletedObject {
                cluster_uid: record.recorded_uid().map(str::to_owned),
                uid: workload.uid.clone(),
                kind: workload.key.kind.name().to_owned(),
                namespace: workload.key.namespace.clone(),
                name: workload.key.name.clone(),
                orphan: ending.orphan,
                namespace_gone: ending.namespace_gone,
            };
            let member = record.object().name_any();
            info!(key = %workload.key, cluster = member, "is removed while the member is away: what is left there is collected when it is back");
            leftover(record.object(), object)
        });
        leftovers.collect()
    }

    /// What a member holds of deleted objects that is not on record yet.
    pub fn unkept_leftovers(&self, member: &ClusterName) -> Vec<Leftover> {
        let record = self.members.get(member);
        let unkept = record.into_iter().flat_map(|record| {
            let unkept = record.unkept().iter();
            unkept.map(|object| leftover(record.object(), object.clone()))
        });
        unkept.collect()
    }

    /// These are on record.
    pub fn leftovers_kept(&mut self, member: &ClusterName, kept: &[Leftover]) {
        let uids = kept.iter().map(|one| one.spec.object.uid.clone());
        if let Some(record) = self.members.get_mut(member) {
            record.kept(&uids.collect());
        }
    }

    /// A namespace of the hub is gone: one that was made for it goes on every member, also where its
    /// last object left before it.
    pub(super) fn namespace_deleted(&mut self, name: &str, uid: &str) {
        for member in self.members.names() {
            let Some(record) = self.members.get_mut(&member) else {
                continue;
            };
            if record.is_refused() {
                continue;
            }
            let object = DeletedObject {
                cluster_uid: record.recorded_uid().map(str::to_owned),
                uid: uid.to_owned(),
                kind: "Namespace".to_owned(),
                namespace: name.to_owned(),
                name: name.to_owned(),
                orphan: false,
                namespace_gone: true,
            };
            if record.is_open() {
                let bundle = last_of(&object);
                self.effects.push(Effect::Deliver(member, bundle));
            } else {
                record.keep(object);
                let task = HubTask::KeepLeftovers(member);
                self.effects.push(Effect::OnHub(task));
            }
        }
    }
}

/// The record of what a member holds of a deleted object. It goes with the member.
fn leftover(member: &MemberCluster, object: DeletedObject) -> Leftover {
    let name = format!("{}.{}", member.name_any(), object.uid);
    let mut leftover = Leftover::new(
        &name,
        LeftoverSpec {
            member: member.name_any(),
            object,
        },
    );
    leftover.metadata.owner_references = member.owner_ref(&()).map(|owner| vec![owner]);
    leftover
}

/// The last bundle of a deleted object, by its record.
fn last_of(object: &DeletedObject) -> Bundle {
    Bundle {
        owner: Owner {
            uid: object.uid.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        },
        generation: 0,
        items: Vec::new(),
        ending: Some(Ending {
            orphan: object.orphan,
            namespace_gone: object.namespace_gone,
        }),
    }
}
