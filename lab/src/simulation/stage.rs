//! A simulated world as the stage of a scenario.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use multi_cluster_hpa::source::MetricSource;

use super::link::{Link, Reach};
use super::operator::Operator;
use super::world::{Error, World};
use crate::scenario::Stage;
use crate::simulated::{Cluster, Metrics, OperatorName};

/// A world, and the operators that serve it.
pub struct Theatre<'a> {
    world: &'a World,
    scheduler: Operator,
    autoscaler: Operator,
}

impl<'a> Theatre<'a> {
    /// Starts the operators, with the flags that they have if nothing is said. The world's Prometheus
    /// is theirs.
    pub fn open(world: &'a World) -> Result<Self, Error> {
        let prometheus = Some(Arc::new(world.prometheus()) as Arc<dyn MetricSource>);
        Ok(Self {
            world,
            scheduler: world.scheduler(&[])?,
            autoscaler: world.autoscaler(&[], world.clock.clone(), prometheus)?,
        })
    }
}

impl Stage for Theatre<'_> {
    fn hub(&self) -> Client {
        self.world.hub_client()
    }

    fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.world.members.get(name).map(|member| &member.cluster)
    }

    fn metrics(&self, name: &str) -> Option<&Metrics> {
        self.world.members.get(name).map(|member| &member.metrics)
    }

    fn set_reach(&self, member: &str, reach: Reach) -> Result<(), String> {
        self.world.network.set_reach(member, reach);
        Ok(())
    }

    fn set_link(&self, host: &str, link: Link) -> Result<(), String> {
        self.world.network.set_link(host, link);
        Ok(())
    }

    fn kill(&self, operator: OperatorName, down: Duration) -> Result<(), String> {
        let operator = match operator {
            OperatorName::Scheduler => &self.scheduler,
            OperatorName::Autoscaler => &self.autoscaler,
        };
        operator.kill_at(1, down);
        Ok(())
    }
}
