//! An operator at work in a simulation: a process that can be killed at any of its await points,
//! and that is started again when it has ended, as a kubelet does it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::operator::args::HubAccess;
use federation::operator::clock::SharedClock;
use federation::operator::context::Substitutes;
use federation::operator::fence::{ApiRequests, Server, fenced_client};
use federation::operator::frame::{Environment, OperatorEntry};
use federation::operator::http::Health;
use federation::operator::leader::{Election, Leadership};
use federation::operator::network::Network as OperatorNetwork;
use kube::{Client, Config};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::network::Network;
use super::origin::NetworkOrigin;
use super::world::{ACCESS_NAMESPACE, Error, HUB};

/// From the end of a process until it is started again.
const RESTART: Duration = Duration::from_secs(1);

/// An operator at work. Dropped, it goes on.
pub struct Operator {
    state: Arc<Mutex<State>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

struct State {
    origin: NetworkOrigin,
    /// How long it stays down when it ends.
    down: Duration,
}

impl Operator {
    /// Starts a process, and again whenever it has ended. Its work goes through its end of the
    /// network, and ends when it is told to.
    pub fn start(
        network: Network,
        identity: String,
        work: impl AsyncFn(&NetworkOrigin, &CancellationToken) -> Result<(), Error> + 'static,
    ) -> Self {
        let state = Arc::new(Mutex::new(State {
            origin: network.origin(&identity),
            down: RESTART,
        }));
        let stop = CancellationToken::new();
        let (shared, ended) = (Arc::clone(&state), stop.clone());
        let task = tokio::task::spawn_local(async move {
            let note = |what: &str| network.trace().line(&format!("== {identity} {what}"));
            while !ended.is_cancelled() {
                let origin = lock(&shared).origin.clone();
                let cancel = ended.child_token();
                let life = async {
                    match work(&origin, &cancel).await {
                        Ok(()) => note("ended"),
                        Err(error) => note(&format!("ended: {error}")),
                    }
                };
                origin.live(life).await;
                // What it has spawned ends with it.
                origin.kill();
                cancel.cancel();
                let down = {
                    let mut state = lock(&shared);
                    state.origin = network.origin(&identity);
                    std::mem::replace(&mut state.down, RESTART)
                };
                note(&format!("is down for {down:?}"));
                ended.run_until_cancelled(sleep(down)).await;
            }
        });
        Self { state, stop, task }
    }

    /// Ends it for good, after what it is at.
    pub async fn stop(self) {
        self.stop.cancel();
        // It does not panic, and nobody aborts it.
        drop(self.task.await);
    }

    /// Ends it for good, at whatever point it has reached.
    pub fn kill(self) {
        self.stop.cancel();
        lock(&self.state).origin.kill();
    }

    /// It dies at the await point of this number from now, stays down for so long, and is started
    /// again.
    pub fn kill_at(&self, point: u64, down: Duration) {
        let mut state = lock(&self.state);
        state.down = down;
        state.origin.kill_at(point);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An operator that is to be started.
pub(super) struct Launch {
    pub(super) entry: OperatorEntry,
    pub(super) network: Network,
    pub(super) clock: SharedClock,
    pub(super) identity: String,
    pub(super) flags: Vec<String>,
    pub(super) substitutes: Substitutes,
}

impl Launch {
    /// Starts it, and again whenever it has ended.
    pub(super) fn start(self) -> Result<Operator, Error> {
        // Wrong flags are reported here.
        self.entry.common(&self.flags())?;
        let (network, identity) = (self.network.clone(), self.identity.clone());
        let work = async move |origin: &NetworkOrigin, cancel: &CancellationToken| {
            self.work(origin, cancel).await
        };
        Ok(Operator::start(network, identity, work))
    }

    async fn work(&self, origin: &NetworkOrigin, cancel: &CancellationToken) -> Result<(), Error> {
        let flags = self.flags();
        let network = OperatorNetwork::simulated(Arc::new(origin.clone()));
        let hub = HubAccess {
            config: Config::new(format!("http://{HUB}").parse()?),
            context: None,
        };
        let leadership = match self.entry.common(&flags)?.election(self.entry.name)? {
            None => Leadership::always(),
            Some(options) => {
                let candidate = candidate(&network, hub.config.clone())?;
                let (election, leadership) = Election::new(candidate, options, self.clock.clone());
                tokio::spawn(election.run(cancel.clone()));
                leadership
            }
        };
        let environment = Environment {
            network,
            hub,
            identity: self.identity.clone(),
            leadership,
            clock: self.clock.clone(),
            health: Health::of_operator(),
            substitutes: self.substitutes.clone(),
        };
        let led = self.entry.lead(&flags, environment, cancel.clone());
        Ok(led.await?)
    }

    /// The flags of everybody here, then those that were given.
    fn flags(&self) -> Vec<String> {
        let identity = format!("--identity={}", self.identity);
        // Access is read from where [`super::World::register`] puts it.
        let access = format!("--access-namespaces={ACCESS_NAMESPACE}");
        let usual = [identity, access];
        usual
            .into_iter()
            .chain(self.flags.iter().cloned())
            .collect()
    }
}

/// A client that writes the lease before its operator leads.
fn candidate(network: &OperatorNetwork, hub: Config) -> kube::Result<Client> {
    let (leadership, requests) = (Leadership::always(), ApiRequests::default());
    fenced_client(network, hub, leadership, &requests, Server::Hub)
}
