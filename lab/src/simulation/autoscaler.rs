//! The autoscaler in a simulation.

use std::sync::Arc;

use clap::Parser as _;
use federation::operator::clock::SharedClock;
use federation::operator::http::Health;
use federation::operator::leader::Leadership;
use federation::operator::network::Network as Door;
use multi_cluster_hpa::source::MetricSource;
use multi_cluster_hpa::{Args, Context, Metrics, lead};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::network::Network;
use super::operator::{Operator, access_flag, hub};
use super::vantage::Vantage;
use super::world::Error;

/// An autoscaler that is to be started, the only copy.
pub(super) struct Autoscaler {
    pub(super) network: Network,
    pub(super) clock: SharedClock,
    pub(super) flags: Vec<String>,
    pub(super) prometheus: Option<Arc<dyn MetricSource>>,
}

impl Autoscaler {
    /// Starts it, and again whenever it has ended.
    pub(super) fn start(self) -> Result<Operator, Error> {
        // Wrong flags are said here.
        self.args()?;
        let network = self.network.clone();
        let work = async move |vantage: &Vantage, cancel: &CancellationToken| {
            Ok(lead(self.context(vantage)?, cancel.clone()).await?)
        };
        Ok(Operator::start(network, "autoscaler".to_owned(), work))
    }

    fn args(&self) -> Result<Args, Error> {
        let usual = ["multi-cluster-hpa".to_owned(), access_flag()];
        Ok(Args::try_parse_from(usual.iter().chain(&self.flags))?)
    }

    fn context(&self, vantage: &Vantage) -> Result<Context, Error> {
        Ok(Context {
            network: Door::simulated(Arc::new(vantage.clone())),
            hub: hub()?,
            identity: "autoscaler".to_owned(),
            leadership: Leadership::always(),
            options: self.args()?.options(),
            clock: self.clock.clone(),
            metrics: Metrics::new(&mut Registry::default()),
            health: Health::new(&["hub", "members"]),
            prometheus: self.prometheus.clone(),
        })
    }
}
