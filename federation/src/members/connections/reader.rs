//! Members read once, by the access that an operator has, for who only looks.

use std::time::Duration;

use kube::{Api, Client};
use placement::{Node, Pod, PodKey};

use super::Resolver as _;
use super::member_access::MemberAccess;
use crate::api::MemberCluster;
use crate::capacity::{WatchedNode, WatchedPod};
use crate::members::access::{AccessProblem, AccessReason};
use crate::members::bundle::uid_bits;
use crate::members::health::{Probe, probe};
use crate::members::kubeconfig_file::Kubeconfig;
use crate::members::listing::list_all;
use crate::members::readable::{Item, mended};
use crate::operator::access_args::AccessRules;
use crate::operator::redacted::redacted_message;

/// Reads what members have. None of its clients can write.
pub struct MemberReader(MemberAccess);

/// What a member has at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberContents {
    /// Uid of the cluster: that of its namespace `kube-system`.
    pub cluster_uid: String,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// Its pods that are bound to a node and have not ended.
    pub pods: Vec<(PodKey, Pod)>,
}

impl MemberReader {
    /// A reader with access by what the hub and the kubeconfig say of it. A member is read within the
    /// deadline or not at all.
    pub fn new(
        hub: Client,
        kubeconfig: Kubeconfig,
        rules: AccessRules,
        deadline: Duration,
    ) -> Self {
        Self(MemberAccess::read_only(hub, kubeconfig, rules, deadline))
    }

    /// What the member has now, or why that is not known.
    pub async fn read(&self, member: &MemberCluster) -> Result<MemberContents, AccessProblem> {
        let deadline = self.0.deadline;
        let read = tokio::time::timeout(deadline, self.read_in_time(member)).await;
        let late = |_| AccessReason::Unreachable.problem(format!("no answer within {deadline:?}"));
        read.map_err(late)?
    }

    async fn read_in_time(&self, member: &MemberCluster) -> Result<MemberContents, AccessProblem> {
        let deadline = self.0.deadline;
        let access = self.0.resolve(member).await?;
        let client = self.0.connect(access, drop).await?;
        let cluster_uid = match probe(&client, deadline).await {
            Probe::Ready(uid) => uid,
            Probe::Unidentified(problem) | Probe::Silent(problem) => {
                return Err(AccessReason::Unreachable.problem(problem));
            }
        };
        let nodes: Api<Item<WatchedNode>> = Api::all(client.clone());
        let pods: Api<Item<WatchedPod>> = Api::all(client);
        let lists = futures::try_join!(list_all(&nodes, deadline), list_all(&pods, deadline));
        let (nodes, pods) = lists.map_err(|error| {
            let problem = redacted_message(&error);
            AccessReason::Unreachable.problem(format!("its nodes and pods: {problem}"))
        })?;
        // What cannot be read has no room, and takes none: of a watch nothing more would be known.
        let nodes = nodes.into_iter().filter_map(|node| mended(node).ok());
        let pods = pods.into_iter().filter_map(|pod| mended(pod).ok());
        Ok(MemberContents {
            cluster_uid,
            nodes: nodes.map(|node| node.node()).collect(),
            pods: pods.filter_map(|pod| pod_of(&pod)).collect(),
        })
    }
}

fn pod_of(pod: &WatchedPod) -> Option<(PodKey, Pod)> {
    let uid = kube::ResourceExt::uid(pod).unwrap_or_default();
    Some((PodKey(uid_bits(&uid)), pod.load()?))
}
