//! The capacity feed of a member: what happens to its nodes and pods.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use placement::{Node, OwnerKey, Pod, PodKey};
use tokio_util::sync::CancellationToken;

use super::trouble::Trouble;
use super::watched::{WatchedNode, WatchedPod};
use crate::members::{
    Outbox, Read, Readable, Unreadable, metadata, refusal, uid_bits, watch_member,
};

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
    /// There is an object of this kind that cannot be read.
    Unreadable(&'static str),
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
    cluster: String,
    outbox: Outbox,
}

impl WatchFeed {
    /// A feed from watches through `client` on the cluster of this name. Nothing is read while `outbox`
    /// is full.
    pub fn new(client: Client, cluster: String, outbox: Outbox) -> Self {
        Self {
            client,
            cluster,
            outbox,
        }
    }
}

impl CapacityFeed for WatchFeed {
    fn run(
        &self,
        sink: Box<dyn Fn(CapacityEvent) + Send + Sync>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        let nodes: Api<Readable<WatchedNode>> = Api::all(self.client.clone());
        let pods: Api<Readable<WatchedPod>> = Api::all(self.client.clone());
        let (cluster, outbox) = (self.cluster.clone(), self.outbox.clone());
        Box::pin(async move {
            let mut listed_nodes = BTreeSet::new();
            // What cannot be read is there, with what was last known of it.
            let known_node = |node: Read<WatchedNode>| {
                let mended = |unreadable: &Unreadable| {
                    sink(CapacityEvent::Unreadable("Node"));
                    unreadable.mended()
                };
                node.map_or_else(|unreadable| mended(&unreadable), Some)
            };
            let on_node = |event: Event<Read<WatchedNode>>| match event {
                Event::Init => listed_nodes.clear(),
                Event::InitApply(node) => {
                    listed_nodes.insert(metadata(&node).name.clone().unwrap_or_default());
                    if let Some(node) = known_node(node) {
                        sink(CapacityEvent::Node(node.node()));
                    }
                }
                Event::InitDone => sink(CapacityEvent::NodesListed(std::mem::take(
                    &mut listed_nodes,
                ))),
                Event::Apply(node) => {
                    if let Some(node) = known_node(node) {
                        sink(CapacityEvent::Node(node.node()));
                    }
                }
                Event::Delete(node) => {
                    let name = metadata(&node).name.clone();
                    sink(CapacityEvent::NodeGone(name.unwrap_or_default()));
                }
            };
            let mut listed_pods = BTreeSet::new();
            let known_pod = |pod: Read<WatchedPod>| {
                let mended = |unreadable: &Unreadable| {
                    sink(CapacityEvent::Unreadable("Pod"));
                    unreadable.mended()
                };
                pod.map_or_else(|unreadable| mended(&unreadable), Some)
            };
            let own = |key: PodKey, pod: &WatchedPod| {
                let trouble = pod.owner().map(|owner| (owner, pod.trouble()));
                let is_in_trouble = matches!(trouble, Some((_, Some(_))));
                if let Some((owner, trouble)) = trouble {
                    sink(CapacityEvent::OwnPod(key, owner, trouble));
                }
                is_in_trouble
            };
            let on_pod = |event: Event<Read<WatchedPod>>| match event {
                Event::Init => listed_pods.clear(),
                Event::InitApply(pod) => {
                    let key = key_of(&pod);
                    let Some(pod) = known_pod(pod) else {
                        listed_pods.insert(key);
                        return;
                    };
                    if own(key, &pod) {
                        listed_pods.insert(key);
                    }
                    if let Some(load) = pod.load() {
                        listed_pods.insert(key);
                        sink(CapacityEvent::Pod(key, load));
                    }
                }
                Event::InitDone => {
                    sink(CapacityEvent::PodsListed(std::mem::take(&mut listed_pods)));
                }
                Event::Apply(pod) => {
                    let key = key_of(&pod);
                    if let Some(pod) = known_pod(pod) {
                        sink(match pod.load() {
                            Some(load) => CapacityEvent::Pod(key, load),
                            None => CapacityEvent::PodGone(key),
                        });
                        own(key, &pod);
                    }
                }
                Event::Delete(pod) => {
                    let key = key_of(&pod);
                    sink(CapacityEvent::PodGone(key));
                    if let Some(owner) = pod.ok().and_then(|pod| pod.owner()) {
                        sink(CapacityEvent::OwnPod(key, owner, None));
                    }
                }
            };
            let failed = |error: &watcher::Error| {
                if let Some(problem) = refusal(error) {
                    sink(CapacityEvent::Refused(problem));
                }
            };
            futures::join!(
                watch_member(&cluster, nodes, on_node, failed, &outbox, &cancel),
                watch_member(&cluster, pods, on_pod, failed, &outbox, &cancel),
            );
        })
    }
}

fn key_of(pod: &Read<WatchedPod>) -> PodKey {
    PodKey(uid_bits(metadata(pod).uid.as_deref().unwrap_or_default()))
}
