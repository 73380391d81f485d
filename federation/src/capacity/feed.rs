//! The capacity feed of a member: what happens to its nodes and pods.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use placement::{Node, OwnerKey, Pod, PodKey};
use tokio_util::sync::CancellationToken;

use super::trouble::Trouble;
use super::watched::{WatchedNode, WatchedPod};
use crate::members::{refusal, watch_with};

/// One change of a member's capacity.
#[derive(Clone, Debug)]
pub enum CapacityEvent {
    /// A node joined or changed.
    Node(Node),
    /// A node left.
    NodeGone(String),
    /// A pod was bound or changed.
    Pod(PodKey, Pod),
    /// A pod ended or left.
    PodGone(PodKey),
    /// The nodes were listed anew: there are no others.
    NodesListed(BTreeSet<String>),
    /// A pod of ours is as it should be, or why it does not run.
    OwnPod(PodKey, OwnerKey, Option<Trouble>),
    /// The pods were listed anew: there are no others that count, or do not run.
    PodsListed(BTreeSet<PodKey>),
    /// The member refuses to show them; why.
    Refused(String),
}

/// Where a member's capacity comes from: watches now, reported summaries later.
pub trait CapacityFeed: Send + Sync {
    /// Hands every change to `sink`, until cancelled.
    fn run(
        &self,
        sink: Box<dyn Fn(CapacityEvent) + Send + Sync>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, ()>;
}

/// Watches on the member's nodes and pods.
pub struct WatchFeed {
    client: Client,
}

impl WatchFeed {
    /// A feed from watches through `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl CapacityFeed for WatchFeed {
    fn run(
        &self,
        sink: Box<dyn Fn(CapacityEvent) + Send + Sync>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        let nodes: Api<WatchedNode> = Api::all(self.client.clone());
        let pods: Api<WatchedPod> = Api::all(self.client.clone());
        Box::pin(async move {
            let mut listed_nodes = BTreeSet::new();
            let on_node = |event: Event<WatchedNode>| match event {
                Event::Init => listed_nodes.clear(),
                Event::InitApply(node) => {
                    listed_nodes.insert(node.name().to_owned());
                    sink(CapacityEvent::Node(node.node()));
                }
                Event::InitDone => sink(CapacityEvent::NodesListed(std::mem::take(
                    &mut listed_nodes,
                ))),
                Event::Apply(node) => sink(CapacityEvent::Node(node.node())),
                Event::Delete(node) => sink(CapacityEvent::NodeGone(node.name().to_owned())),
            };
            let mut listed_pods = BTreeSet::new();
            let own = |pod: &WatchedPod| {
                let trouble = pod.owner().map(|owner| (owner, pod.trouble()));
                let is_in_trouble = matches!(trouble, Some((_, Some(_))));
                if let Some((owner, trouble)) = trouble {
                    sink(CapacityEvent::OwnPod(pod.key(), owner, trouble));
                }
                is_in_trouble
            };
            let on_pod = |event: Event<WatchedPod>| match event {
                Event::Init => listed_pods.clear(),
                Event::InitApply(pod) => {
                    if own(&pod) {
                        listed_pods.insert(pod.key());
                    }
                    if let Some(load) = pod.load() {
                        listed_pods.insert(pod.key());
                        sink(CapacityEvent::Pod(pod.key(), load));
                    }
                }
                Event::InitDone => {
                    sink(CapacityEvent::PodsListed(std::mem::take(&mut listed_pods)));
                }
                Event::Apply(pod) => {
                    sink(match pod.load() {
                        Some(load) => CapacityEvent::Pod(pod.key(), load),
                        None => CapacityEvent::PodGone(pod.key()),
                    });
                    own(&pod);
                }
                Event::Delete(pod) => {
                    sink(CapacityEvent::PodGone(pod.key()));
                    if let Some(owner) = pod.owner() {
                        sink(CapacityEvent::OwnPod(pod.key(), owner, None));
                    }
                }
            };
            let failed = |error: &watcher::Error| {
                if let Some(problem) = refusal(error) {
                    sink(CapacityEvent::Refused(problem));
                }
            };
            futures::join!(
                watch_with(nodes, on_node, failed, &cancel),
                watch_with(pods, on_pod, failed, &cancel),
            );
        })
    }
}
