//! A scenario in wall time, on what runs here.

use std::time::Duration;

use anyhow::Result;
use federation::operator::clock::SharedClock;
use jiff::tz::TimeZone;
use kube::Client;
use lab::scenario::{ScenarioEnvironment, play};
use lab::simulated::{Cluster, Metrics, OperatorName, Scenario};
use lab::simulation::{Link, Network, Reach};

use crate::member::{Member, client};
use crate::operators::Operators;
use crate::screen::Screen;
use crate::stdout;
use crate::world::World;

/// Plays a scenario to its end. What happens is said when it happens, with the time of day.
pub(crate) async fn run_scenario(
    scenario: &Scenario,
    environment: &LiveEnvironment<'_>,
    clock: &SharedClock,
    screen: Option<&Screen>,
) -> Result<()> {
    let say = |what: &str| {
        let now = clock.now().to_zoned(TimeZone::system());
        let line = format!("{} == {what}", now.strftime("%H:%M:%S"));
        match screen {
            // A terminal that is gone ends the table, too.
            Some(screen) => drop(screen.say(&line)),
            None => drop(stdout::print(&format!("{line}\n"))),
        }
    };
    play(scenario, environment, |_, what| say(what)).await?;
    say("the scenario is over; everything runs on");
    Ok(())
}

/// The hub, the members, the operators, and the network between them.
pub(crate) struct LiveEnvironment<'a> {
    pub(crate) world: &'a World,
    pub(crate) network: &'a Network,
    pub(crate) operators: &'a Operators,
}

impl LiveEnvironment<'_> {
    fn member(&self, name: &str) -> Option<&Member> {
        self.world.members.iter().find(|member| member.name == name)
    }
}

impl ScenarioEnvironment for LiveEnvironment<'_> {
    fn hub(&self) -> Client {
        client(&self.world.hub)
    }

    fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.member(name).map(|member| &member.cluster)
    }

    fn metrics(&self, name: &str) -> Option<&Metrics> {
        self.member(name).map(|member| &member.metrics)
    }

    fn set_reach(&self, member: &str, reach: Reach) -> Result<(), String> {
        self.network.set_reach(member, reach);
        Ok(())
    }

    fn set_link(&self, host: &str, link: Link) -> Result<(), String> {
        self.network.set_link(host, link);
        Ok(())
    }

    fn kill(&self, operator: OperatorName, down: Duration) -> Result<(), String> {
        self.operators.kill(operator, down);
        Ok(())
    }
}
