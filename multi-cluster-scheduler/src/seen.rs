//! What is seen of an object on its members: its state, what they say is wrong, and who fights over it.

use federation::api::{PlacementStatus, RetainedField};
use federation::members::{Contest, Diagnosis, Observed, Rival};
use placement::ClusterName;

use crate::index::{Index, Tracked};
use crate::workload::Kind;

/// What members say is wrong with their shares, the leaving ones left out.
pub(crate) fn diagnoses<'a>(index: &Index, tracked: &'a Tracked) -> Vec<(&'a str, Diagnosis)> {
    let shares = tracked.assignment().placements.iter();
    let staying = shares.filter(|one| one.replicas > one.leaving);
    staying
        .filter_map(|one| {
            let cluster = ClusterName::from(one.cluster.as_str());
            Some((one.cluster.as_str(), diagnosis(index, tracked, &cluster)?))
        })
        .collect()
}

/// What a member says is wrong with its share.
pub(crate) fn diagnosis(
    index: &Index,
    tracked: &Tracked,
    cluster: &ClusterName,
) -> Option<Diagnosis> {
    let (owner, kind) = (
        tracked.workload().owner_bits(),
        tracked.workload().key.kind.on_members(),
    );
    index.members().get(cluster)?.diagnosis(owner, kind)
}

/// What is seen of the object on a member.
pub(crate) fn observed(index: &Index, tracked: &Tracked, cluster: &str) -> Option<Observed> {
    let (owner, kind) = (
        tracked.workload().owner_bits(),
        tracked.workload().key.kind.on_members(),
    );
    index
        .members()
        .get(&ClusterName::from(cluster))?
        .observed(owner, kind)
}

/// How many replicas a cluster is to run: its share, unless the number is the member's to say.
pub(crate) fn wanted(
    tracked: &Tracked,
    share: &PlacementStatus,
    observed: Option<Observed>,
) -> u32 {
    let retained = tracked.workload().retained();
    match observed {
        Some(Observed::Replicas(replicas)) if retained.contains(&RetainedField::Replicas) => {
            replicas.wanted
        }
        _ => share.replicas,
    }
}

/// Another writer on a member who undoes again and again what is applied there; what to do.
pub(crate) fn contest(index: &Index, tracked: &Tracked, cluster: &ClusterName) -> Option<String> {
    let owner = tracked.workload().owner_bits();
    let Contest { object, rival } = index.members().get(cluster)?.contest(owner)?;
    let (manager, fields) = match rival {
        Rival::Deletes => {
            return Some(format!(
                "another client deletes {object} again and again: stop it there"
            ));
        }
        Rival::Sets { manager, fields } => (manager, fields),
    };
    let retainable = RetainedField::ALL.into_iter().find(|one| {
        let path = format!("spec.{}", one.name());
        let below = format!("{path}.");
        tracked.workload().key.kind == Kind::Deployment
            && (fields.iter()).any(|field| *field == path || field.starts_with(&below))
    });
    let leave = retainable.map_or(String::new(), |field| {
        format!(
            ", or leave the field to it with spec.retain: [{}]",
            field.name()
        )
    });
    Some(format!(
        "{manager} sets {} of {object} again and again: stop it there{leave}",
        fields.join(", ")
    ))
}
