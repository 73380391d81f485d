//! A simulated world as the stage of a scenario.

use std::time::Duration;

use kube::Client;

use super::link::{Link, Reach};
use super::operator::Operator;
use super::world::World;
use crate::scenario::Stage;
use crate::simulated::{Cluster, Metrics};

/// A world, and the scheduler that serves it.
pub struct Theatre<'a> {
    /// The world.
    pub world: &'a World,
    /// The scheduler.
    pub scheduler: &'a Operator,
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

    fn kill(&self, down: Duration) -> Result<(), String> {
        self.scheduler.kill_at(1, down);
        Ok(())
    }
}
