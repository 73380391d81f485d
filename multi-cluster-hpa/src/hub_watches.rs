//! The watches on the hub: autoscalers, the deployments that they scale, and members.

use std::collections::BTreeSet;

use federation::api::{MemberCluster, MultiClusterDeployment, MultiClusterHorizontalPodAutoscaler};
use federation::members::{Read, Readable, map_event, metadata, or_metadata, watch_with};
use federation::operator::redacted::redacted_message;
use kube::Api;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::operator::Operator;
use crate::state::Key;

impl Operator {
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
            if let Ok(object) = object.or_else(|one| one.mended().ok_or(one)) {
                self.members.applied(object);
            }
        };
        let handle = |event: Event<Read<MemberCluster>>| match event {
            Event::Init => seen.clear(),
            Event::InitApply(object) => {
                seen.insert(name(&object));
                applied(object);
            }
            Event::Apply(object) => applied(object),
            Event::Delete(object) => {
                let gone = name(&object);
                self.members.retain(|name| name != gone);
            }
            Event::InitDone => {
                self.members.retain(|name| seen.contains(name));
                count_once(&mut first, listed);
            }
        };
        watch_with(api, handle, complain, cancel).await;
    }

    pub(crate) async fn follow_autoscalers(
        &self,
        listed: &watch::Sender<usize>,
        cancel: &CancellationToken,
    ) {
        let resource = ApiResource::erase::<MultiClusterHorizontalPodAutoscaler>(&());
        let api: Api<Readable<DynamicObject>> = Api::all_with(self.hub.clone(), &resource);
        let applied = |object: &DynamicObject| {
            let moved = self.state().autoscaler_applied(object);
            self.look_at(moved);
        };
        let gone = |key: &Key| {
            let moved = self.state().autoscaler_gone(key);
            self.metrics.forget(key);
            self.look_at(moved);
        };
        let known = || self.state().autoscalers.keys().cloned().collect();
        follow(api, applied, gone, known, listed, cancel).await;
    }

    pub(crate) async fn follow_targets(
        &self,
        listed: &watch::Sender<usize>,
        cancel: &CancellationToken,
    ) {
        let resource = ApiResource::erase::<MultiClusterDeployment>(&());
        let api: Api<Readable<DynamicObject>> = Api::all_with(self.hub.clone(), &resource);
        let applied = |object: &DynamicObject| {
            let moved = self.state().target_applied(object);
            self.look_at(moved);
        };
        let gone = |key: &Key| {
            let moved = self.state().target_gone(key);
            self.look_at(moved);
        };
        let known = || self.state().targets.keys().cloned().collect();
        follow(api, applied, gone, known, listed, cancel).await;
    }
}

/// Follows objects until cancelled; counts the first complete list.
async fn follow(
    api: Api<Readable<DynamicObject>>,
    applied: impl Fn(&DynamicObject),
    gone: impl Fn(&Key),
    known: impl Fn() -> BTreeSet<Key>,
    listed: &watch::Sender<usize>,
    cancel: &CancellationToken,
) {
    let mut seen = BTreeSet::new();
    let mut first = true;
    // Metadata is all that can be unreadable of it, and little of that is needed.
    let handle = |event: Event<Read<DynamicObject>>| match map_event(event, or_metadata) {
        Event::Init => seen.clear(),
        Event::InitApply(object) => {
            seen.insert(Key::of(&object));
            applied(&object);
        }
        Event::Apply(object) => applied(&object),
        Event::Delete(object) => gone(&Key::of(&object)),
        Event::InitDone => {
            known().difference(&seen).for_each(&gone);
            count_once(&mut first, listed);
        }
    };
    watch_with(api, handle, complain, cancel).await;
}

fn count_once(first: &mut bool, listed: &watch::Sender<usize>) {
    if std::mem::take(first) {
        listed.send_modify(|lists| *lists += 1);
    }
}

fn complain(error: &watcher::Error) {
    let error = redacted_message(error);
    warn!(error, "a watch on the hub was interrupted; it goes on");
}
