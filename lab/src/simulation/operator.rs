//! An operator at work in a simulation: a process that can be killed at any of its await points,
//! and that is started again when it has ended, as a kubelet does it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Parser as _;
use federation::operator::clock::SharedClock;
use federation::operator::fence::{ApiRequests, Server, fenced_client};
use federation::operator::http::Health;
use federation::operator::leader::{Election, Leadership};
use federation::operator::network::Network as Door;
use kube::Config;
use multi_cluster_scheduler::{Args, Context, Metrics, ProximitySource, lead};
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::network::Network;
use super::vantage::Vantage;
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
    vantage: Vantage,
    /// How long it stays down when it ends.
    down: Duration,
}

impl Operator {
    /// Starts a process, and again whenever it has ended. Its work goes through its end of the
    /// network, and ends when it is told to.
    pub fn start(
        network: Network,
        identity: String,
        work: impl AsyncFn(&Vantage, &CancellationToken) -> Result<(), Error> + 'static,
    ) -> Self {
        let state = Arc::new(Mutex::new(State {
            vantage: network.vantage(&identity),
            down: RESTART,
        }));
        let stop = CancellationToken::new();
        let (shared, ended) = (Arc::clone(&state), stop.clone());
        let task = tokio::task::spawn_local(async move {
            let note = |what: &str| network.trace().line(&format!("== {identity} {what}"));
            while !ended.is_cancelled() {
                let vantage = lock(&shared).vantage.clone();
                let cancel = ended.child_token();
                let life = async {
                    match work(&vantage, &cancel).await {
                        Ok(()) => note("ended"),
                        Err(error) => note(&format!("ended: {error}")),
                    }
                };
                vantage.live(life).await;
                // What it has spawned ends with it.
                vantage.kill();
                cancel.cancel();
                let down = {
                    let mut state = lock(&shared);
                    state.vantage = network.vantage(&identity);
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
        lock(&self.state).vantage.kill();
    }

    /// It dies at the await point of this number from now, stays down for so long, and is started
    /// again.
    pub fn kill_at(&self, point: u64, down: Duration) {
        let mut state = lock(&self.state);
        state.down = down;
        state.vantage.kill_at(point);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A scheduler that is to be started.
#[derive(Clone)]
pub(super) struct Scheduler {
    pub(super) network: Network,
    pub(super) clock: SharedClock,
    pub(super) identity: String,
    pub(super) flags: Vec<String>,
    pub(super) proximity: Option<ProximitySource>,
}

impl Scheduler {
    /// Starts it, and again whenever it has ended.
    pub(super) fn start(self) -> Result<Operator, Error> {
        // Wrong flags are said here.
        self.context(&self.vantage(), Leadership::always())?;
        let (network, identity) = (self.network.clone(), self.identity.clone());
        let work = async move |vantage: &Vantage, cancel: &CancellationToken| {
            self.work(vantage, cancel).await
        };
        Ok(Operator::start(network, identity, work))
    }

    fn vantage(&self) -> Vantage {
        self.network.vantage(&self.identity)
    }

    async fn work(&self, vantage: &Vantage, cancel: &CancellationToken) -> Result<(), Error> {
        let election = self.args()?.common.election("multi-cluster-scheduler")?;
        let leadership = match election {
            None => Leadership::always(),
            Some(options) => {
                let door = Door::simulated(Arc::new(vantage.clone()));
                let requests = ApiRequests::default();
                // As a candidate it must write the lease before it leads.
                let client =
                    fenced_client(&door, hub()?, Leadership::always(), &requests, Server::Hub)?;
                let (election, leadership) = Election::new(client, options, self.clock.clone());
                tokio::spawn(election.run(cancel.clone()));
                leadership
            }
        };
        let context = self.context(vantage, leadership)?;
        Ok(lead(context, cancel.clone()).await?)
    }

    fn args(&self) -> Result<Args, Error> {
        let identity = format!("--identity={}", self.identity);
        let usual = [
            "multi-cluster-scheduler".to_owned(),
            identity,
            access_flag(),
        ];
        Ok(Args::try_parse_from(usual.iter().chain(&self.flags))?)
    }

    fn context(&self, vantage: &Vantage, leadership: Leadership) -> Result<Context, Error> {
        Ok(Context {
            network: Door::simulated(Arc::new(vantage.clone())),
            hub: hub()?,
            hub_context: None,
            member_contexts: None,
            identity: self.identity.clone(),
            leadership,
            options: self.args()?.options(),
            clock: self.clock.clone(),
            metrics: Metrics::new(&mut Registry::default()),
            health: Health::new(&["hub", "members"]),
            traffic: None,
            proximity: self.proximity.clone(),
        })
    }
}

/// Access is read from where [`super::World::register`] puts it.
pub(super) fn access_flag() -> String {
    format!("--access-namespaces={ACCESS_NAMESPACE}")
}

pub(super) fn hub() -> Result<Config, Error> {
    Ok(Config::new(format!("http://{HUB}").parse()?))
}
