//! What an operator works with, however it was started.

use std::time::Duration;

use kube::Client;

use super::access_args::AccessRules;
use super::clock::SharedClock;
use super::events::Recorder;
use super::fence::ApiRequests;
use super::http::Health;
use super::leader::Leadership;
use super::network::Network;
use crate::members::Kubeconfig;

/// What an operator works with while it leads. Made by the frame ([`super::frame`]), the same in a
/// process of its own, in `mck8s up` and in a simulation.
#[derive(Clone)]
pub struct OperatorContext {
    /// The network that hub and members are on.
    pub network: Network,
    /// A client for the hub. It writes only while this process leads.
    pub hub: Client,
    /// The kubeconfig's context that the hub is, if it is one.
    pub hub_context: Option<String>,
    /// Uid of the hub: of its namespace `kube-system`.
    pub hub_uid: String,
    /// The name of this copy of the operator.
    pub identity: String,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// The time of day.
    pub clock: SharedClock,
    /// The checks of `/readyz`; `members` is the operator's to set.
    pub health: Health,
    /// Counts requests to API servers.
    pub requests: ApiRequests,
    /// Records Events.
    pub recorder: Recorder,
    /// The file whose contexts are members, if one was given.
    pub kubeconfig: Option<Kubeconfig>,
    /// Which access to members counts.
    pub access: AccessRules,
    /// The longest that one call may take.
    pub deadline: Duration,
    /// Objects that are reconciled at the same time.
    pub concurrent_syncs: usize,
    /// What takes the place of servers that flags name.
    pub substitutes: Substitutes,
}

/// What takes the place of servers that an operator's flags name: where everything is simulated,
/// nothing serves a Prometheus or a serf agent. One value of each type; an operator takes those that
/// it knows.
#[derive(Clone, Debug, Default)]
pub struct Substitutes(http::Extensions);

impl Substitutes {
    /// The same with this value instead of one of its type.
    #[must_use]
    pub fn with<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.0.insert(value);
        self
    }

    /// The value of this type, if there is one.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.get().cloned()
    }
}
