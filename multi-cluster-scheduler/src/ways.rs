//! Connections to the members: resolves a member's access and reconnects when endpoint or credentials
//! change.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use federation::api::MemberCluster;
use federation::members::{
    AccessProblem, Content, Kubeconfig, LOOK_AGAIN, Member, MemberOptions, Plugins, ResolvedAccess,
    connect_late, resolve,
};
use kube::{Client, ResourceExt as _};
use placement::ClusterName;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::index::Event;
use crate::runtime::Scheduler;

/// The connections, by member and uid of its object.
pub(crate) type Connections = BTreeMap<(ClusterName, Option<String>), Connection>;

/// What is known of a connection.
#[derive(Default)]
pub(crate) struct Connection {
    /// Digest of the access that is in use.
    digest: Option<u128>,
    /// Digest of the access for which a client is being made.
    attempt: Option<u128>,
    /// The credential plugins that run for it.
    plugins: Plugins,
}

impl Scheduler {
    /// Keeps the members connected until cancelled.
    pub(crate) async fn connect_members(self: &Arc<Self>, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            let objects: Vec<_> = {
                let index = self.index();
                let members = index.members().all();
                members.map(|(_, one)| one.object().clone()).collect()
            };
            let keys: Vec<_> = objects.iter().map(|object| key(object)).collect();
            self.connections().retain(|key, _| keys.contains(key));
            let file = self.options.kubeconfig.as_ref().map(Kubeconfig::read);
            let looks = objects
                .iter()
                .map(|object| self.reconcile_connection(object, file.as_ref()));
            cancel
                .run_until_cancelled(futures::future::join_all(looks))
                .await;
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = self.access_changed.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The member's object is still this one, with this spec.
    fn is_current(&self, object: &MemberCluster) -> bool {
        let index = self.index();
        let record = index.members().same(object);
        record.is_some_and(|one| one.object().metadata.generation == object.metadata.generation)
    }

    /// Resolves a member's access; connects if it is another one.
    async fn reconcile_connection(
        self: &Arc<Self>,
        object: &Arc<MemberCluster>,
        file: Option<&Content>,
    ) {
        let options = &self.options;
        let spec = &object.spec;
        let hub = self.hub.client();
        let access = resolve(hub, file, spec, &options.access, options.deadline).await;
        if !self.is_current(object) {
            return;
        }
        let access = match access {
            Err(problem) => return self.access_failed(object, problem),
            Ok(access) => access,
        };
        let plugin = {
            let mut connections = self.connections();
            let connection = connections.entry(key(object)).or_default();
            if connection.attempt == Some(access.digest) {
                return;
            }
            if connection.digest == Some(access.digest) {
                connection.attempt = None;
                drop(connections);
                return self.handle(Event::AccessRestored(Box::new((**object).clone())));
            }
            let plugin = connection.plugins.admit(&access);
            if plugin.is_ok() {
                connection.attempt = Some(access.digest);
            }
            plugin
        };
        match plugin {
            Ok(plugin) => {
                let connected = self.clone().connect(object.clone(), access);
                tokio::spawn(async move {
                    connected.await;
                    drop(plugin);
                });
            }
            Err(problem) => self.access_failed(object, problem),
        }
    }

    /// Makes a client and starts the member with it, if its access is still this one.
    async fn connect(self: Arc<Self>, object: Arc<MemberCluster>, access: ResolvedAccess) {
        let digest = access.digest;
        let client = self.client(&object, access).await;
        {
            let mut connections = self.connections();
            let connection = connections.get_mut(&key(&object));
            let Some(connection) = connection.filter(|one| one.attempt == Some(digest)) else {
                return;
            };
            connection.attempt = None;
            if client.is_ok() {
                connection.digest = Some(digest);
            }
        }
        let client = match client {
            Ok(client) => client,
            Err(problem) => return self.access_failed(&object, problem),
        };
        let name = ClusterName::from(object.name_any());
        info!(cluster = %name, "connecting");
        let options = MemberOptions {
            hub: self.hub_uid.clone(),
            deadline: self.options.deadline,
            probe_interval: self.options.probe_interval,
            parallel: self.options.member_parallel,
        };
        let member = Member::start(name, client, options, self.events.clone());
        let mut index = self.index();
        let effects = index.connected(&object, Arc::new(member));
        self.perform(&index, effects);
    }

    async fn client(
        &self,
        object: &MemberCluster,
        access: ResolvedAccess,
    ) -> Result<Client, AccessProblem> {
        let on_slow = |problem| self.access_failed(object, problem);
        let (network, leadership) = (self.network.clone(), self.leadership.clone());
        let requests = self.metrics.requests.clone();
        let deadline = self.options.deadline;
        connect_late(network, access, leadership, requests, deadline, on_slow).await
    }

    fn access_failed(&self, object: &MemberCluster, problem: AccessProblem) {
        self.handle(Event::AccessFailed(Box::new(object.clone()), problem));
    }
}

fn key(object: &MemberCluster) -> (ClusterName, Option<String>) {
    let name = ClusterName::from(object.name_any());
    (name, object.metadata.uid.clone())
}
