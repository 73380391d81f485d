//! What will have room: nodes that are on their way, and what is free on clusters that answer.

use federation::api::{CONDITION_READY, MemberCluster};
use federation::capacity::typed_quantities;
use jiff::Timestamp;
use placement::{ClusterName, ClusterSummary, NodeClass, Snapshot, Summary};

use super::machine;
use crate::observed::{Design, Observed};
use crate::validate::Settings;

/// The clusters that more nodes may go to, and what will have room there.
#[derive(Default)]
pub(super) struct Coming {
    pub(super) room: Snapshot,
    pub(super) clusters: Vec<ClusterName>,
    /// The designs of those that answer, or are being made.
    pub(super) usable: Vec<Design>,
    /// Workers of all clusters.
    pub(super) nodes: u32,
    /// Workers have joined of late: until then the scheduler fills them.
    pub(super) settles: Option<Timestamp>,
}

impl Coming {
    /// More nodes may go to a cluster, and what it will have room for counts.
    pub(super) fn take(
        &mut self,
        settings: &Settings,
        cluster: &Observed,
        member: Option<&MemberCluster>,
    ) {
        self.count(settings, cluster, member);
        self.usable.push(cluster.design.clone());
    }

    /// What a cluster will have room for counts: nodes that are on their way, and what is free on a
    /// member, because what fits there is about to be placed.
    pub(super) fn count(
        &mut self,
        settings: &Settings,
        cluster: &Observed,
        member: Option<&MemberCluster>,
    ) {
        let name = ClusterName::from(cluster.design.cluster.as_str());
        for (flavor, count) in cluster.design.missing() {
            if let Some(machine) = machine(settings, &flavor) {
                self.room.add_upcoming(&name, &machine.node, count);
            }
        }
        self.clusters.push(name);
        if let Some(member) = member.filter(|member| is_ready(member) && takes_work(member)) {
            self.free(member);
        }
    }

    fn free(&mut self, member: &MemberCluster) {
        let classes = member.status.iter().flat_map(|status| &status.node_classes);
        let classes = classes.map(|class| NodeClass {
            nodes: class.nodes,
            allocatable: typed_quantities(&class.allocatable),
            free: typed_quantities(&class.free),
            largest_free: typed_quantities(&class.largest_free),
        });
        let summary = Summary {
            classes: classes.collect(),
            ..Summary::default()
        };
        let name = member.metadata.name.as_deref().unwrap_or_default();
        let name = ClusterName::from(format!("free/{name}"));
        let summary = ClusterSummary::from(&summary);
        self.room.upsert_summary(&name, &summary);
        self.clusters.push(name);
    }
}

pub(super) fn is_ready(member: &MemberCluster) -> bool {
    let conditions = member.status.iter().flat_map(|status| &status.conditions);
    let mut ready = conditions.filter(|one| one.type_ == CONDITION_READY);
    ready.any(|one| one.status == "True")
}

/// Whether the scheduler may place something new there: a person may have cordoned or tainted it.
pub(super) fn takes_work(member: &MemberCluster) -> bool {
    let keeps_away = |effect: &str| effect == "NoSchedule" || effect == "NoExecute";
    let mut taints = member.spec.taints.iter();
    !member.spec.unschedulable && !taints.any(|taint| keeps_away(&taint.effect))
}
