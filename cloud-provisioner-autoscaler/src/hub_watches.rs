//! The watches on the hub: provisioners, what fits nowhere, and members.

use std::collections::BTreeSet;
use std::sync::Arc;

use federation::api::{
    CloudProvisioner, MemberCluster, MemberClusterSpec, MultiClusterDeployment, MultiClusterJob,
};
use federation::members::{Read, Readable, map_event, mended, metadata, or_metadata, watch_with};
use federation::operator::hub::log_watch_error;
use federation::operator::key::NamespacedName;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::watcher::Event;
use kube::{Api, ResourceExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::controller::Controller;

/// The kinds that have replicas.
pub(crate) const WORKLOADS: usize = 2;

impl Controller {
    pub(crate) async fn follow_members(
        &self,
        listed: &watch::Sender<usize>,
        cancel: &CancellationToken,
    ) {
        let api: Api<Readable<MemberCluster>> = Api::all(self.cluster_api.hub.clone());
        let mut seen = BTreeSet::new();
        let mut first = true;
        let name = |object: &Read<MemberCluster>| metadata(object).name.clone().unwrap_or_default();
        // One that cannot be read goes on as it is known.
        let applied = |object: Read<MemberCluster>| {
            if let Ok(object) = mended(object) {
                let now = matters(&object);
                let before = self
                    .state()
                    .members
                    .insert(object.name_any(), Arc::new(object));
                if before.as_deref().map(matters) != Some(now) {
                    self.look_at_all();
                }
            }
        };
        let gone = |name: &str| {
            self.state().members.remove(name);
            self.look_at_all();
        };
        let handle = |event: Event<Read<MemberCluster>>| match event {
            Event::Init => seen.clear(),
            Event::InitApply(object) => {
                seen.insert(name(&object));
                applied(object);
            }
            Event::Apply(object) => applied(object),
            Event::Delete(object) => gone(&name(&object)),
            Event::InitDone => {
                let known: BTreeSet<String> = self.state().members.keys().cloned().collect();
                known.difference(&seen).for_each(|name| gone(name));
                count_once(&mut first, listed);
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
    }

    pub(crate) async fn follow_provisioners(
        &self,
        listed: &watch::Sender<usize>,
        cancel: &CancellationToken,
    ) {
        let resource = ApiResource::erase::<CloudProvisioner>(&());
        let applied = |object: &DynamicObject| {
            let name = object.name_any();
            if self.state().provisioner_applied(object) {
                self.look_at(&name);
            }
        };
        let gone = |key: &NamespacedName| {
            self.state().provisioners.remove(&key.name);
            self.metrics.forget(&key.name);
        };
        let known = || {
            let names = self
                .state()
                .provisioners
                .keys()
                .cloned()
                .collect::<Vec<_>>();
            let key = |name| NamespacedName {
                namespace: String::new(),
                name,
            };
            names.into_iter().map(key).collect()
        };
        self.follow(&resource, applied, gone, known, listed, cancel)
            .await;
    }

    pub(crate) async fn follow_deployments(
        &self,
        listed: &watch::Sender<usize>,
        cancel: &CancellationToken,
    ) {
        let resource = ApiResource::erase::<MultiClusterDeployment>(&());
        self.follow_workloads(&resource, "deployment", listed, cancel)
            .await;
    }

    pub(crate) async fn follow_jobs(
        &self,
        listed: &watch::Sender<usize>,
        cancel: &CancellationToken,
    ) {
        let resource = ApiResource::erase::<MultiClusterJob>(&());
        self.follow_workloads(&resource, "job", listed, cancel)
            .await;
    }

    async fn follow_workloads(
        &self,
        resource: &ApiResource,
        kind: &'static str,
        listed: &watch::Sender<usize>,
        cancel: &CancellationToken,
    ) {
        let applied = |object: &DynamicObject| {
            if self.state().workload_applied(kind, object) {
                self.look_at_all();
            }
        };
        let gone = |key: &NamespacedName| {
            if self.state().workload_gone(kind, key) {
                self.look_at_all();
            }
        };
        let known = || self.state().pending_of(kind);
        self.follow(resource, applied, gone, known, listed, cancel)
            .await;
    }

    /// Follows the objects of a kind until cancelled; counts the first complete list.
    async fn follow(
        &self,
        resource: &ApiResource,
        applied: impl Fn(&DynamicObject),
        gone: impl Fn(&NamespacedName),
        known: impl Fn() -> BTreeSet<NamespacedName>,
        listed: &watch::Sender<usize>,
        cancel: &CancellationToken,
    ) {
        let api: Api<Readable<DynamicObject>> =
            Api::all_with(self.cluster_api.hub.clone(), resource);
        let applied = |object: &DynamicObject| {
            applied(object);
            NamespacedName::of(object)
        };
        let mut seen = BTreeSet::new();
        let mut first = true;
        // Metadata is all that can be unreadable of it, and little of that is needed.
        let handle = |event: Event<Read<DynamicObject>>| match map_event(event, or_metadata) {
            Event::Init => seen.clear(),
            Event::InitApply(object) => drop(seen.insert(applied(&object))),
            Event::Apply(object) => drop(applied(&object)),
            Event::Delete(object) => gone(&NamespacedName::of(&object)),
            Event::InitDone => {
                known().difference(&seen).for_each(&gone);
                count_once(&mut first, listed);
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
    }
}

/// What of a member is worth a look: every heartbeat is an event.
fn matters(member: &MemberCluster) -> (bool, MemberClusterSpec, bool, u32) {
    let is_leaving = member.metadata.deletion_timestamp.is_some();
    let status = member.status.as_ref();
    let is_idle = status.is_none_or(|status| status.placements.objects == 0);
    let nodes = status.map_or(0, |status| status.nodes);
    (is_leaving, member.spec.clone(), is_idle, nodes)
}

fn count_once(first: &mut bool, listed: &watch::Sender<usize>) {
    if std::mem::take(first) {
        listed.send_modify(|lists| *lists += 1);
    }
}
