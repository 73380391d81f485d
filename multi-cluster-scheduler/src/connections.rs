//! The connections to the members, and what their changes mean for the scheduler.

use std::sync::Arc;

use federation::api::MemberCluster;
use federation::members::{ConnectionEvent, Member};
use tokio_util::sync::CancellationToken;

use crate::index::Event;
use crate::runtime::Scheduler;

impl Scheduler {
    /// Keeps the members connected.
    pub(crate) async fn connect_members(&self, cancel: &CancellationToken) {
        let on_event = |member: &Arc<MemberCluster>, event| self.connection_changed(member, event);
        self.connections.run(on_event, cancel).await;
    }

    fn connection_changed(&self, member: &Arc<MemberCluster>, event: ConnectionEvent<Member>) {
        let member = member.clone();
        self.handle(match event {
            ConnectionEvent::Opened(session) => Event::Connected(member, session),
            ConnectionEvent::Recovered => Event::AccessRestored(member),
            ConnectionEvent::Failed(problem) => Event::AccessFailed(member, problem),
        });
    }
}
