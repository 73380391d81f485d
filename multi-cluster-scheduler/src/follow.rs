//! Where a service goes: to its `locations`, or to where the deployment with its name is.

use std::collections::BTreeMap;

use federation::api::PlacementStatus;

use crate::decide::Assignment;
use crate::index::{Index, MemberRecord};
use crate::validate::{Invalid, named_clusters};
use crate::workload::{Key, Kind, Spec, Workload};

/// The next assignment of a service; none if it is not known.
pub fn decide(index: &Index, workload: &Workload) -> Result<Option<Assignment>, Invalid> {
    let spec = match &workload.spec {
        Ok(Spec::Service(spec)) => spec,
        Ok(_) => return Ok(None),
        Err(problem) => return Err(Invalid(problem.clone())),
    };
    let named = named_clusters(spec.locations.as_deref(), spec.clusters.as_ref())?;
    let (names, why) = match named {
        Some(mut names) => {
            let is_leaving = |cluster: &String| {
                let member = index.members().member(cluster.as_str());
                member.is_some_and(MemberRecord::is_leaving)
            };
            if names.iter().any(is_leaving) {
                // From a cluster that is being removed it goes after the deployment's pods.
                let backends = followed(index, workload).unwrap_or_default();
                names.retain(|cluster| !is_leaving(cluster) || backends.contains(cluster));
            }
            (names, "named as a location")
        }
        None => (
            followed(index, workload)?,
            "follows the deployment of its name",
        ),
    };
    let placement = |cluster: String| PlacementStatus {
        cluster,
        location: true,
        why: why.to_owned(),
        ..PlacementStatus::default()
    };
    let mut placements: BTreeMap<String, PlacementStatus> = names
        .into_iter()
        .map(|cluster| (cluster.clone(), placement(cluster)))
        .collect();
    let Some(inputs) = index.inputs(&workload.key) else {
        return Ok(None);
    };
    let before = &inputs.before;
    before.keep_on_record(&mut placements, &inputs.members);
    let mut next = Assignment {
        placements: placements.into_values().collect(),
        ..Assignment::default()
    };
    next.decision.sequence = before.decision.sequence.saturating_add(1);
    Ok(Some(next))
}

/// The clusters of the deployment with the service's name.
fn followed(index: &Index, workload: &Workload) -> Result<Vec<String>, Invalid> {
    let deployment = Key {
        kind: Kind::Deployment,
        ..workload.key.clone()
    };
    let followed = index.workloads().get(&deployment);
    let followed = followed.filter(|one| one.workload().deleted_at.is_none());
    let Some(followed) = followed else {
        return Err(Invalid(format!(
            "there is no MultiClusterDeployment {} in namespace {} to follow: create it, or name the clusters in locations",
            workload.key.name, workload.key.namespace
        )));
    };
    let placements = followed.assignment().placements.iter();
    Ok(placements.map(|one| one.cluster.clone()).collect())
}
