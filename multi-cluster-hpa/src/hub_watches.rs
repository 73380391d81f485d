//! The watches on the hub: autoscalers, the deployments that they scale, and members.

use std::collections::BTreeSet;

use federation::api::{MemberCluster, MultiClusterDeployment, MultiClusterHorizontalPodAutoscaler};
use federation::members::{Read, Readable, map_event, mended, metadata, or_metadata, watch_with};
use federation::operator::hub::log_watch_error;
use federation::operator::key::NamespacedName;
use kube::Api;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::watcher::Event;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info_span;

use crate::controller::Controller;
use crate::members;

impl Controller {
    pub(crate) async fn follow_members(
        &self,
        listed: &watch::Sender<usize>,
        cancel: &CancellationToken,
    ) {
        let api: Api<Readable<MemberCluster>> = Api::all(self.hub.clone());
        let mut seen = BTreeSet::new();
        let mut first = true;
        let name = |object: &Read<MemberCluster>| metadata(object).name.clone().unwrap_or_default();
        // One that cannot be read goes on as it is known.
        let applied = |object: Read<MemberCluster>| {
            if let Ok(object) = mended(object) {
                members::apply(&self.members, object);
            }
        };
        let handle = |event: Event<Read<MemberCluster>>| match event {
            Event::Init => seen.clear(),
            Event::InitApply(object) => {
                seen.insert(name(&object));
                applied(object);
            }
            Event::Apply(object) => applied(object),
            Event::Delete(object) => self.members.remove(&name(&object)),
            Event::InitDone => {
                self.members.retain(|name| seen.contains(name));
                count_once(&mut first, listed);
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
    }

    pub(crate) async fn follow_autoscalers(
        &self,
        listed: &watch::Sender<usize>,
        cancel: &CancellationToken,
    ) {
        let resource = ApiResource::erase::<MultiClusterHorizontalPodAutoscaler>(&());
        let applied = |object: &DynamicObject| {
            let moved = self.state().autoscaler_applied(object);
            self.reconcile(moved);
        };
        let gone = |key: &NamespacedName| {
            let moved = self.state().autoscaler_gone(key);
            self.metrics.forget(key);
            self.reconcile(moved);
        };
        let known = || self.state().autoscalers.keys().cloned().collect();
        self.follow(&resource, applied, gone, known, listed, cancel)
            .await;
    }

    pub(crate) async fn follow_targets(
        &self,
        listed: &watch::Sender<usize>,
        cancel: &CancellationToken,
    ) {
        let resource = ApiResource::erase::<MultiClusterDeployment>(&());
        let applied = |object: &DynamicObject| {
            let moved = self.state().target_applied(object);
            self.reconcile(moved);
        };
        let gone = |key: &NamespacedName| {
            let moved = self.state().target_gone(key);
            self.reconcile(moved);
        };
        let known = || self.state().targets.keys().cloned().collect();
        self.follow(&resource, applied, gone, known, listed, cancel)
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
        let api: Api<Readable<DynamicObject>> = Api::all_with(self.hub.clone(), resource);
        let kind = resource.kind.as_str();
        let applied = |object: &DynamicObject| {
            let key = NamespacedName::of(object);
            info_span!("watch", kind, %key).in_scope(|| applied(object));
            key
        };
        let mut seen = BTreeSet::new();
        let mut first = true;
        // Metadata is all that can be unreadable of it, and little of that is needed.
        let handle = |event: Event<Read<DynamicObject>>| match map_event(event, or_metadata) {
            Event::Init => seen.clear(),
            Event::InitApply(object) => drop(seen.insert(applied(&object))),
            Event::Apply(object) => drop(applied(&object)),
            Event::Delete(object) => {
                let key = NamespacedName::of(&object);
                info_span!("watch", kind, %key).in_scope(|| gone(&key));
            }
            Event::InitDone => {
                known().difference(&seen).for_each(&gone);
                count_once(&mut first, listed);
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
    }
}

fn count_once(first: &mut bool, listed: &watch::Sender<usize>) {
    if std::mem::take(first) {
        listed.send_modify(|lists| *lists += 1);
    }
}
