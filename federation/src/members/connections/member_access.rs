//! Access to members by what the hub and the operator's kubeconfig say of it.

use std::time::Duration;

use kube::{Api, Client};

use super::Resolver;
use super::secrets::SecretsApi;
use crate::api::MemberCluster;
use crate::members::access::{AccessProblem, ResolvedAccess, connect, resolve};
use crate::members::kubeconfig_file::Kubeconfig;
use crate::operator::access_args::{AccessNamespaces, AccessRules};
use crate::operator::context::OperatorContext;
use crate::operator::fence::ApiRequests;
use crate::operator::leader::Leadership;
use crate::operator::network::Network;

/// What access is resolved and clients are made with.
pub(super) struct MemberAccess {
    hub: Client,
    kubeconfig: Option<Kubeconfig>,
    rules: AccessRules,
    network: Network,
    leadership: Leadership,
    requests: ApiRequests,
    pub(super) deadline: Duration,
}

impl MemberAccess {
    pub(super) fn of(context: &OperatorContext) -> Self {
        Self {
            hub: context.hub.clone(),
            kubeconfig: context.kubeconfig.clone(),
            rules: context.access.clone(),
            network: context.network.clone(),
            leadership: context.leadership.clone(),
            requests: context.requests.clone(),
            deadline: context.deadline,
        }
    }

    /// With this access to the hub, and clients that cannot write.
    pub(super) fn read_only(
        hub: Client,
        kubeconfig: Kubeconfig,
        rules: AccessRules,
        deadline: Duration,
    ) -> Self {
        Self {
            hub,
            kubeconfig: Some(kubeconfig),
            rules,
            network: Network::default(),
            leadership: Leadership::never(),
            requests: ApiRequests::default(),
            deadline,
        }
    }

    /// The namespaces whose Secrets are watched, and how; an empty name is all of them.
    pub(super) fn watched_namespaces(&self) -> Vec<(String, SecretsApi)> {
        match &self.rules.namespaces {
            AccessNamespaces::All => vec![(String::new(), Api::all(self.hub.clone()))],
            AccessNamespaces::Only(names) => {
                let named = names.iter().filter(|name| !name.is_empty());
                named
                    .map(|name| (name.clone(), Api::namespaced(self.hub.clone(), name)))
                    .collect()
            }
        }
    }
}

impl Resolver for MemberAccess {
    async fn resolve(&self, member: &MemberCluster) -> Result<ResolvedAccess, AccessProblem> {
        let file = self.kubeconfig.as_ref().map(Kubeconfig::read);
        let (hub, spec) = (&self.hub, &member.spec);
        resolve(hub, file.as_ref(), spec, &self.rules, self.deadline).await
    }

    async fn connect(
        &self,
        access: ResolvedAccess,
        on_slow: impl FnOnce(AccessProblem) + Send,
    ) -> Result<Client, AccessProblem> {
        let (network, leadership) = (self.network.clone(), self.leadership.clone());
        let (requests, deadline) = (self.requests.clone(), self.deadline);
        connect(network, access, leadership, requests, deadline, on_slow).await
    }
}
