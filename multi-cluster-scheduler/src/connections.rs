//! The connections to the members, and what their changes mean for the scheduler.

use std::sync::Arc;

use federation::api::MemberCluster;
use federation::members::{ConnectionEvent, Member};
use federation::operator::queue::Priority;
use kube::ResourceExt as _;
use placement::ClusterName;
use tokio_util::sync::CancellationToken;

use crate::scheduler::Scheduler;
use crate::state::{Registered, State};

impl Scheduler {
    /// Keeps the members connected.
    pub(crate) async fn connect_members(&self, cancel: &CancellationToken) {
        let on_event = |member: &Arc<MemberCluster>, event| self.connection_changed(member, event);
        self.connections.run(on_event, cancel).await;
    }

    fn connection_changed(&self, member: &MemberCluster, event: ConnectionEvent<Member>) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(registered) = same(state, member) else {
            return;
        };
        match event {
            ConnectionEvent::Opened(session) => {
                registered.member = Some(session);
                // Another cluster may answer at its endpoint.
                registered.uid = None;
                registered.problem = None;
                registered.refused = None;
                (registered.nodes_listed, registered.pods_listed) = (false, false);
                self.judge_identities(state);
                // What was handed to the session before is handed over again.
                for key in state.placed_on(&ClusterName::from(member.name_any())) {
                    self.queue.add(key, Priority::Low);
                }
            }
            ConnectionEvent::Recovered => {
                if registered.reachable == Some(true) {
                    registered.problem = None;
                }
            }
            ConnectionEvent::Failed(problem) => {
                // One that is connected goes on by its old access until there is another.
                if registered.member.is_none() {
                    registered.reachable = Some(false);
                }
                registered.problem = Some(problem);
            }
        }
    }
}

/// The member, if it is still the one of this object.
pub(crate) fn same<'a>(state: &'a mut State, object: &MemberCluster) -> Option<&'a mut Registered> {
    let name = ClusterName::from(object.name_any());
    let registered = state.members.get_mut(&name)?;
    (registered.object.metadata.uid == object.metadata.uid).then_some(registered)
}
