//! What machines, networks and processes do in a story.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::objects::member_clusters;
use super::{Error, Story};
use crate::simulated::NodeGroup;
use crate::simulation::faults::Faults;
use crate::simulation::link::{Link, Reach};
use crate::simulation::world::HUB;

/// A copy of the scheduler dies within so many await points at most.
const POINTS: usize = 3000;
/// The way to a host in a story, if nothing is wrong with it.
const ROUND_TRIP: Duration = Duration::from_millis(10);

impl Story {
    pub(super) async fn add_nodes(&mut self) -> Result<(), Error> {
        let (name, count) = (self.member(), 1 + self.random.below(2));
        self.note(&format!("{name} gets {count} nodes"));
        self.enlarge(&name, count).await
    }

    async fn enlarge(&self, member: &str, count: usize) -> Result<(), Error> {
        let member = self.world.members.get(member).ok_or("no such member")?;
        let group = NodeGroup {
            count,
            ..NodeGroup::default()
        };
        member.cluster.add_nodes(&group).await?;
        Ok(())
    }

    pub(super) async fn remove_a_node(&mut self) -> Result<(), Error> {
        let name = self.member();
        let Some(node) = self.node(&name) else {
            return Ok(());
        };
        self.note(&format!("{node} is removed"));
        *self.removed.entry(name.clone()).or_default() += 1;
        self.lost.remove(&(name.clone(), node.clone()));
        let api: Api<Node> = Api::all(self.member_client(&name)?);
        api.delete(&node, &DeleteParams::default()).await?;
        Ok(())
    }

    pub(super) fn lose_or_return_a_node(&mut self) {
        let name = self.member();
        let Some(node) = self.node(&name) else {
            return;
        };
        let Some(member) = self.world.members.get(&name) else {
            return;
        };
        let key = (name.clone(), node.clone());
        if self.lost.remove(&key) {
            member.cluster.return_node(&node);
            self.note(&format!("{node} is back"));
        } else {
            member.cluster.lose_node(&node);
            self.lost.insert(key);
            self.note(&format!("{node} is lost"));
        }
    }

    /// A node of a member, any; none if it has none.
    fn node(&mut self, member: &str) -> Option<String> {
        let nodes = self.world.members.get(member)?.cluster.nodes();
        let node = nodes.get(self.random.below(nodes.len()))?;
        Some(node.name_any())
    }

    pub(super) fn cut_or_open_a_member(&mut self) {
        let (name, reach) = (self.member(), self.reach());
        self.note(&format!("{name} is {reach:?}"));
        self.world.network.set_reach(&name, reach);
    }

    fn reach(&mut self) -> Reach {
        [Reach::Open, Reach::Open, Reach::Refused, Reach::Silent][self.random.below(4)]
    }

    /// The hub or a member.
    fn host(&mut self) -> String {
        if self.random.happens(0.5) {
            return HUB.to_owned();
        }
        self.member()
    }

    /// A copy of the scheduler, any.
    fn copy(&mut self) -> String {
        let number = self.random.below(self.schedulers.len());
        let mut names = self.schedulers.keys();
        names.nth(number).cloned().unwrap_or_default()
    }

    pub(super) fn partition(&mut self) {
        let (copy, host, reach) = (self.copy(), self.host(), self.reach());
        self.note(&format!("{host} is {reach:?} for {copy}"));
        self.world.network.partition(&copy, &host, reach);
    }

    pub(super) fn slow(&mut self) {
        let host = self.host();
        let link = Link {
            round_trip: Duration::from_millis([1, 10, 300, 2000][self.random.below(4)]),
            loss: [0.0, 0.0, 0.05, 0.3][self.random.below(4)],
        };
        self.note(&format!("the way to {host} is {link:?}"));
        self.world.network.set_link(&host, link);
    }

    /// A copy of the scheduler dies at one of its next await points, near or far.
    pub(super) fn kill_a_scheduler(&mut self) {
        let copy = self.copy();
        let below = [10, 100, POINTS][self.random.below(3)];
        let point = 1 + self.random.below(below) as u64;
        let down = Duration::from_millis(self.random.below(30_000) as u64);
        self.note(&format!("{copy} dies at await point {point}"));
        if let Some(scheduler) = self.schedulers.get(&copy) {
            scheduler.kill_at(point, down);
        }
    }

    /// Nothing goes wrong any more.
    pub(super) async fn mend(&mut self) -> Result<(), Error> {
        self.note("all is mended");
        let network = &self.world.network;
        network.set_faults(Faults::none());
        network.open();
        for name in self.world.members.keys().map(String::as_str).chain([HUB]) {
            network.set_link(name, Link::of(ROUND_TRIP));
        }
        for (member, node) in std::mem::take(&mut self.lost) {
            if let Some(member) = self.world.members.get(&member) {
                member.cluster.return_node(&node);
            }
        }
        // What is placed is not moved because its node is gone: it waits for another.
        for (name, count) in std::mem::take(&mut self.removed) {
            self.enlarge(&name, count).await?;
        }
        for name in std::mem::take(&mut self.left) {
            self.world.register(&name).await?;
        }
        let api = member_clusters(&self.world.hub_client());
        for member in self.world.members.keys() {
            let patch = Patch::Merge(json!({ "spec": { "unschedulable": false } }));
            api.patch(member, &PatchParams::default(), &patch).await?;
        }
        Ok(())
    }
}
