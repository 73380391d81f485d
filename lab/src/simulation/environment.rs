//! A simulated world as the stage of a scenario.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use multi_cluster_hpa::source::MetricSource;

use super::link::{Link, Reach};
use super::operator::Operator;
use super::world::{Error, World};
use crate::operators::OPERATORS;
use crate::scenario::ScenarioEnvironment;
use crate::simulated::{Cluster, Metrics, OperatorName};

/// A world, and the operators that serve it.
pub struct SimulatedEnvironment<'a> {
    world: &'a World,
    operators: BTreeMap<&'static str, Operator>,
}

impl<'a> SimulatedEnvironment<'a> {
    /// Starts all operators, with the flags that they have by default. The world's Prometheus is
    /// theirs.
    pub fn open(world: &'a World) -> Result<Self, Error> {
        let prometheus: Arc<dyn MetricSource> = Arc::new(world.prometheus());
        let substitutes = world.substitutes().with(prometheus);
        let alone = ["--leader-elect=false"];
        let operators = OPERATORS.iter().map(|entry| {
            let operator = world.operator(*entry, entry.name, &alone, substitutes.clone());
            Ok((entry.name, operator?))
        });
        Ok(Self {
            operators: operators.collect::<Result<_, Error>>()?,
            world,
        })
    }
}

impl ScenarioEnvironment for SimulatedEnvironment<'_> {
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
        let name = operator.as_str();
        let operator = self.operators.get(name);
        let operator = operator.ok_or_else(|| format!("{name} does not run"))?;
        operator.kill_at(1, down);
        Ok(())
    }
}
