//! A member at work is the session of whoever delivers to it.

use std::sync::Arc;

use kube::{Client, ResourceExt as _};
use placement::ClusterName;

use super::{Member, MemberOptions};
use crate::api::MemberCluster;
use crate::members::connections::Session;
use crate::members::outbox::Outbox;

/// What all members of an operator share.
pub struct MemberSessions {
    /// How they are dealt with.
    pub options: MemberOptions,
    /// Where their events go.
    pub events: Outbox,
}

impl Session for Member {
    type Shared = MemberSessions;

    fn open(shared: &MemberSessions, member: &Arc<MemberCluster>, client: Client) -> Self {
        let name = ClusterName::from(member.name_any());
        let (options, events) = (shared.options.clone(), shared.events.clone());
        Self::start(name, client, options, events)
    }
}
