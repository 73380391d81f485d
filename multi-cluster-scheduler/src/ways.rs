//! The ways to the members: from what an object says of its access to a member at work.

use std::sync::Arc;

use federation::api::MemberCluster;
use federation::members::{
    AccessProblem, Content, Kubeconfig, LOOK_AGAIN, Member, MemberOptions, ResolvedAccess,
    connect_late, resolve,
};
use federation::operator::queue::Priority;
use kube::{Client, ResourceExt as _};
use placement::ClusterName;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::scheduler::Scheduler;
use crate::state::{Registered, State};

impl Scheduler {
    /// Follows the ways to the members.
    pub(crate) async fn connect_members(self: &Arc<Self>, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            let objects: Vec<_> = self
                .state()
                .members
                .values()
                .map(|registered| registered.object.clone())
                .collect();
            let file = self.options.kubeconfig.as_ref().map(Kubeconfig::read);
            let looks = objects
                .iter()
                .map(|object| self.follow_way(object, file.as_ref()));
            cancel
                .run_until_cancelled(futures::future::join_all(looks))
                .await;
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = self.member_changed.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Looks at the way to a member; if it is another one, goes it.
    async fn follow_way(self: &Arc<Self>, object: &Arc<MemberCluster>, file: Option<&Content>) {
        let options = &self.options;
        let spec = &object.spec;
        let way = resolve(&self.hub, file, spec, &options.access, options.deadline).await;
        let mut state = self.state();
        let Some(registered) = same(&mut state, object) else {
            return;
        };
        if registered.object.metadata.generation != object.metadata.generation {
            return;
        }
        match way {
            Err(problem) => no_way(registered, problem),
            Ok(way) if registered.attempt == Some(way.digest) => {}
            Ok(way) if registered.member.is_some() && registered.digest == way.digest => {
                registered.attempt = None;
                // The way was not to be found for a while, and is again.
                if registered.reachable == Some(true) {
                    registered.problem = None;
                }
            }
            Ok(way) => match registered.plugins.admit(&way) {
                Ok(plugin) => {
                    registered.attempt = Some(way.digest);
                    let connected = self.clone().connect(object.clone(), way);
                    tokio::spawn(async move {
                        connected.await;
                        drop(plugin);
                    });
                }
                Err(problem) => no_way(registered, problem),
            },
        }
    }

    /// Makes a client and starts the member with it, if its way is still this one.
    async fn connect(self: Arc<Self>, object: Arc<MemberCluster>, way: ResolvedAccess) {
        let digest = way.digest;
        let client = self.client(&object, way).await;
        let mut guard = self.state();
        let state = &mut *guard;
        let attempted = |one: &&mut Registered| one.attempt == Some(digest);
        let Some(registered) = same(state, &object).filter(attempted) else {
            return;
        };
        registered.attempt = None;
        let client = match client {
            Ok(client) => client,
            Err(problem) => return no_way(registered, problem),
        };
        let name = ClusterName::from(object.name_any());
        info!(cluster = %name, "connecting");
        let options = MemberOptions {
            hub: self.hub_uid.clone(),
            deadline: self.options.deadline,
            probe_interval: self.options.probe_interval,
            parallel: self.options.member_parallel,
        };
        let events = self.events.clone();
        registered.member = Some(Member::start(name.clone(), client, options, events));
        // The way may lead to another cluster.
        registered.uid = None;
        registered.digest = digest;
        registered.problem = None;
        registered.refused = None;
        (registered.nodes_listed, registered.pods_listed) = (false, false);
        self.judge_identities(state);
        // What was handed to the member under its way before is handed over again.
        for key in state.placed_on(&name) {
            self.queue.add(key, Priority::Low);
        }
    }

    async fn client(
        &self,
        object: &MemberCluster,
        way: ResolvedAccess,
    ) -> Result<Client, AccessProblem> {
        let late = |problem| {
            if let Some(registered) = same(&mut self.state(), object) {
                no_way(registered, problem);
            }
        };
        let (network, leadership) = (self.network.clone(), self.leadership.clone());
        let requests = self.metrics.requests.clone();
        let deadline = self.options.deadline;
        connect_late(network, way, leadership, requests, deadline, late).await
    }
}

/// The member, if it is still the one of this object.
pub(crate) fn same<'a>(state: &'a mut State, object: &MemberCluster) -> Option<&'a mut Registered> {
    let name = ClusterName::from(object.name_any());
    let registered = state.members.get_mut(&name)?;
    (registered.object.metadata.uid == object.metadata.uid).then_some(registered)
}

fn no_way(registered: &mut Registered, problem: AccessProblem) {
    if registered.problem.as_ref() != Some(&problem) {
        let cluster = registered.object.name_any();
        warn!(cluster, %problem, "cannot be reached as its object says");
    }
    // One that is connected goes on by the old way until there is a new one.
    if registered.member.is_none() {
        registered.reachable = Some(false);
    }
    registered.problem = Some(problem);
}
