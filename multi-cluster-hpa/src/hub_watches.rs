//! The watches on the hub: autoscalers, the deployments that they scale, and members.

use std::collections::BTreeSet;

use federation::api::{MemberCluster, MultiClusterDeployment, MultiClusterHorizontalPodAutoscaler};
use federation::members::watch_with;
use federation::operator::redacted::redacted_message;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt as _};
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
        let api: Api<MemberCluster> = Api::all(self.hub.clone());
        let mut seen = BTreeSet::new();
        let mut first = true;
        let handle = |event: Event<MemberCluster>| match event {
            Event::Init => seen.clear(),
            Event::InitApply(object) => {
                seen.insert(object.name_any());
                self.members.applied(object);
            }
            Event::Apply(object) => self.members.applied(object),
            Event::Delete(object) => {
                let gone = object.name_any();
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
        let api: Api<DynamicObject> = Api::all_with(self.hub.clone(), &resource);
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
        let api: Api<DynamicObject> = Api::all_with(self.hub.clone(), &resource);
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
    api: Api<DynamicObject>,
    applied: impl Fn(&DynamicObject),
    gone: impl Fn(&Key),
    known: impl Fn() -> BTreeSet<Key>,
    listed: &watch::Sender<usize>,
    cancel: &CancellationToken,
) {
    let mut seen = BTreeSet::new();
    let mut first = true;
    let handle = |event: Event<DynamicObject>| match event {
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
