//! The status of members: standing, room, and what is near.

use std::collections::BTreeMap;

use federation::api::{CONDITION_READY, MemberCluster, MemberClusterStatus, Neighbour, NodeClass};
use federation::members::{AccessReason, Deadlined as _};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Api;
use kube::api::{Patch, PatchParams};
use placement::{ClusterName, Resources};
use serde_json::json;
use tracing::warn;

use crate::hub::HubError;
use crate::scheduler::Scheduler;
use crate::state::{Registered, State};

/// Neighbours in a status.
const NEAREST: usize = 8;

impl Scheduler {
    /// Writes the status of every member whose status has changed.
    pub(crate) async fn write_member_statuses(&self) {
        let names: Vec<_> = self.state().members.keys().cloned().collect();
        for name in names {
            if let Err(error) = self.write_member_status(&name).await {
                warn!(cluster = %name, %error, "status of the member not written");
            }
        }
    }

    pub(crate) async fn write_member_status(&self, name: &ClusterName) -> Result<(), HubError> {
        // One after the other: the one that is written last is the one that was made last.
        let _turn = self.member_status_turn.lock().await;
        let status = {
            let state = self.state();
            let Some(registered) = state.members.get(name) else {
                return Ok(());
            };
            let status = self.member_status(&state, name, registered);
            if registered.reported.as_ref() == Some(&status) {
                return Ok(());
            }
            status
        };
        let members: Api<MemberCluster> = Api::all(self.hub.clone());
        let patch = json!({ "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster", "metadata": { "name": name.as_str() }, "status": status });
        let params = PatchParams::apply("mck8s-scheduler-status").force();
        match members
            .patch_status(name.as_str(), &params, &Patch::Apply(&patch))
            .within(self.options.deadline)
            .await
        {
            Ok(_) => {
                if let Some(registered) = self.state().members.get_mut(name) {
                    registered.reported = Some(status);
                }
                Ok(())
            }
            Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
            Err(error) => Err(HubError::Api(Box::new(error))),
        }
    }

    fn member_status(
        &self,
        state: &State,
        name: &ClusterName,
        registered: &Registered,
    ) -> MemberClusterStatus {
        let open = registered.is_open();
        let refused = registered.refused.as_ref();
        let (reason, message) = match (registered.problem.as_ref(), open) {
            (Some(problem), _) => (problem.reason.as_str(), problem.message.clone()),
            (None, _) if let Some(refused) = refused => ("Forbidden", refused.clone()),
            (None, true) => (
                "Answering",
                "answers, and what it holds is known".to_owned(),
            ),
            (None, false) => ("Listing", "its objects are being listed".to_owned()),
        };
        let before = registered
            .reported
            .iter()
            .flat_map(|status| &status.conditions)
            .find(|one| one.type_ == CONDITION_READY);
        // One that is connected is worked with until it is lost, whatever its access says now.
        let is_denied = (registered.problem.as_ref())
            .is_some_and(|problem| problem.reason != AccessReason::Unreachable);
        let status = if open && refused.is_none() && !is_denied {
            "True"
        } else {
            "False"
        };
        let condition = Condition {
            type_: CONDITION_READY.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: registered.object.metadata.generation,
            last_transition_time: before.filter(|one| one.status == status).map_or_else(
                || {
                    Time(
                        k8s_openapi::jiff::Timestamp::from_second(self.clock.now().as_second())
                            .unwrap_or_default(),
                    )
                },
                |one| one.last_transition_time.clone(),
            ),
        };
        let summary = state.snapshot.summary(name);
        let nearest = state
            .proximity
            .iter()
            .flat_map(|proximity| proximity.nearest(name, NEAREST))
            .map(|(cluster, time)| Neighbour {
                cluster: cluster.to_string(),
                // Tenths: the coordinates move all the time, the status need not.
                round_trip_millis: (time.as_secs_f64() * 10_000.0).round() / 10.0,
            });
        let classes = summary
            .iter()
            .flat_map(|summary| &summary.classes)
            .map(|class| NodeClass {
                nodes: class.nodes,
                allocatable: amounts(&class.allocatable),
                free: amounts(&class.free),
                largest_free: amounts(&class.largest_free),
            });
        MemberClusterStatus {
            observed_generation: registered.object.metadata.generation,
            conditions: vec![condition],
            version: registered.version.clone(),
            nodes: summary.as_ref().map_or(0, |summary| summary.ready_nodes),
            allocatable: summary
                .as_ref()
                .map(|summary| amounts(&summary.allocatable))
                .unwrap_or_default(),
            free: summary
                .as_ref()
                .map(|summary| amounts(&summary.free))
                .unwrap_or_default(),
            node_classes: classes.collect(),
            nearest: nearest.collect(),
            leftovers: registered.leftovers.clone(),
        }
    }
}

/// Amounts as people write them.
fn amounts(resources: &Resources) -> BTreeMap<String, Quantity> {
    let cpu = if resources.cpu_milli % 1000 == 0 {
        (resources.cpu_milli / 1000).to_string()
    } else {
        format!("{}m", resources.cpu_milli)
    };
    let mut all = BTreeMap::from([
        ("cpu".to_owned(), Quantity(cpu)),
        ("memory".to_owned(), Quantity(bytes(resources.memory))),
        ("pods".to_owned(), Quantity(resources.pods.to_string())),
    ]);
    if resources.ephemeral_storage > 0 {
        all.insert(
            "ephemeral-storage".to_owned(),
            Quantity(bytes(resources.ephemeral_storage)),
        );
    }
    all.extend(
        resources
            .extended
            .iter()
            .map(|(name, amount)| (name.clone(), Quantity(amount.to_string()))),
    );
    all
}

fn bytes(amount: i64) -> String {
    const UNITS: [(&str, i64); 3] = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let unit = UNITS
        .iter()
        .find(|(_, size)| amount != 0 && amount % size == 0);
    unit.map_or_else(
        || amount.to_string(),
        |(name, size)| format!("{}{name}", amount / size),
    )
}
