//! Round-trip times and traffic, fetched in the background: a decision never waits for them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use federation::proximity::serf::{AuthKey, round_trip_times};
use federation::proximity::{RoundTripTimes, matrix};
use placement::{ClusterName, Proximity};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::index::{Event, MemberRecord};
use crate::runtime::Scheduler;

/// How often they are fetched.
const INTERVAL: Duration = Duration::from_secs(15);
/// The same, until the members are known.
const FIRST: Duration = Duration::from_millis(200);

/// Where round-trip times come from.
#[derive(Clone)]
pub enum ProximitySource {
    /// An agent of serf.
    Serf {
        /// Its RPC address.
        address: String,
        /// Its key.
        key: Option<AuthKey>,
    },
    /// A CSV file; read again and again, so that it may change.
    Matrix(PathBuf),
    /// Times that are known and stay.
    Fixed(RoundTripTimes),
}

impl Scheduler {
    /// Keeps round-trip times and traffic fresh until cancelled. What cannot be fetched is left as
    /// it was when it was last fetched, and said once.
    pub(crate) async fn follow_sources(
        &self,
        proximity: Option<ProximitySource>,
        cancel: &CancellationToken,
    ) {
        let mut problems: BTreeMap<&'static str, String> = BTreeMap::new();
        loop {
            if let Some(source) = &proximity {
                let fetched = self
                    .round_trips(source)
                    .await
                    .map(|times| self.handle(Event::Proximity(times)));
                said_once(&mut problems, "round-trip times", fetched);
            }
            if let Some(source) = &self.traffic {
                let fetched = source
                    .on_creation()
                    .await
                    .map_err(|error| error.to_string());
                let fetched = fetched.map(|traffic| {
                    let traffic = traffic
                        .into_iter()
                        .map(|(name, value)| (ClusterName::from(name), value));
                    self.handle(Event::Traffic(traffic.collect()));
                });
                said_once(&mut problems, "traffic", fetched);
            }
            // Before the members are known, there is nothing to ask serf for.
            let has_members = !self.index().members().is_empty();
            self.sources_tried.store(has_members, Relaxed);
            let pause = if has_members { INTERVAL } else { FIRST };
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn round_trips(&self, source: &ProximitySource) -> Result<Proximity, String> {
        let (times, names) = match source {
            ProximitySource::Fixed(times) => (times.clone(), BTreeMap::new()),
            ProximitySource::Matrix(file) => (
                matrix::read(file).map_err(|error| error.to_string())?,
                BTreeMap::new(),
            ),
            ProximitySource::Serf { address, key } => {
                let names: BTreeMap<String, ClusterName> = {
                    let index = self.index();
                    let serf_name = |name: &ClusterName, one: &MemberRecord| {
                        one.object()
                            .spec
                            .serf_name
                            .clone()
                            .unwrap_or_else(|| name.to_string())
                    };
                    index
                        .members()
                        .all()
                        .map(|(name, one)| (serf_name(name, one), name.clone()))
                        .collect()
                };
                let nodes: Vec<String> = names.keys().cloned().collect();
                let times = round_trip_times(address, key.as_ref(), &nodes)
                    .await
                    .map_err(|error| error.to_string())?;
                (times, names)
            }
        };
        Ok(proximity_of(times, &names))
    }
}

fn proximity_of(times: RoundTripTimes, names: &BTreeMap<String, ClusterName>) -> Proximity {
    let name = |text: String| {
        names
            .get(&text)
            .cloned()
            .unwrap_or_else(|| ClusterName::from(text))
    };
    let mut proximity = Proximity::new();
    for ((from, to), time) in times {
        proximity.insert(name(from), name(to), time);
    }
    proximity
}

fn said_once(
    problems: &mut BTreeMap<&'static str, String>,
    what: &'static str,
    result: Result<(), String>,
) {
    match result {
        Ok(()) => {
            if problems.remove(what).is_some() {
                info!("{what} are there again");
            }
        }
        Err(problem) => {
            if problems.get(what) != Some(&problem) {
                warn!(
                    problem,
                    "{what} cannot be fetched; what was known before is used"
                );
                problems.insert(what, problem);
            }
        }
    }
}
