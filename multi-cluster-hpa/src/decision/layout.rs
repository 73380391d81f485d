//! A deployment's locations, from its spec and the scheduler's record.

use std::collections::BTreeMap;

use federation::api::{MultiClusterDeploymentSpec, PlacementFields, WorkloadStatus};

/// Where a deployment's replicas are wanted, and where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Replicas that the spec wants, by location.
    pub wanted: BTreeMap<String, u32>,
    /// Replicas that are to run on a cluster and to stay there, by cluster. A cluster that is no
    /// location holds what others had no room for.
    pub placed: BTreeMap<String, u32>,
    /// `clusterReplicas` has entries for clusters that are no locations any more.
    pub has_stale_entries: bool,
}

/// Why the locations of a deployment are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// `replicaOverrides` does not hold numbers.
    #[error(
        "replicaOverrides: {0:?} is not a number of replicas: write a list like [2, 3], or \"2,3\""
    )]
    Overrides(String),
}

impl Layout {
    /// Reads it. The locations are the clusters that the spec names, or else those that were chosen.
    /// Wanted is what `clusterReplicas` says, else `replicaOverrides`, else `replicas`. Where the spec
    /// names its clusters, `clusterReplicas` adds none.
    pub fn read(
        spec: &MultiClusterDeploymentSpec,
        status: &WorkloadStatus,
    ) -> Result<Self, LayoutError> {
        let fields = &spec.placement;
        let mut wanted: BTreeMap<String, u32> = locations(fields, status)
            .into_iter()
            .map(|cluster| (cluster.to_owned(), spec.replicas))
            .collect();
        wanted.extend(by_position(fields)?);
        let are_named = fields.clusters.is_some() || fields.locations.is_some();
        let mut has_stale_entries = false;
        for named in &fields.cluster_replicas {
            if are_named && !wanted.contains_key(&named.cluster) {
                has_stale_entries = true;
            } else {
                wanted.insert(named.cluster.clone(), named.replicas);
            }
        }
        let placed = status.placements.iter().map(|placement| {
            let staying = placement.replicas.saturating_sub(placement.leaving);
            (placement.cluster.clone(), staying)
        });
        Ok(Self {
            wanted,
            placed: placed.collect(),
            has_stale_entries,
        })
    }

    /// Replicas that are to run on a cluster and to stay there.
    pub(super) fn placed_on(&self, cluster: &str) -> u32 {
        self.placed.get(cluster).copied().unwrap_or_default()
    }

    /// Replicas that are wanted for a location and do not run on its own cluster.
    pub(super) fn deficit(&self, location: &str) -> u32 {
        let wanted = self.wanted.get(location).copied().unwrap_or_default();
        wanted.saturating_sub(self.placed_on(location))
    }

    /// Replicas that are wanted over all locations.
    pub(super) fn total(&self) -> u32 {
        self.wanted
            .values()
            .fold(0, |sum, one| sum.saturating_add(*one))
    }
}

fn locations<'a>(fields: &'a PlacementFields, status: &'a WorkloadStatus) -> Vec<&'a str> {
    if let Some(clusters) = &fields.clusters {
        return clusters.iter().map(|name| name.trim()).collect();
    }
    if let Some(locations) = &fields.locations {
        let names = locations.split(',').map(str::trim);
        return names.filter(|name| !name.is_empty()).collect();
    }
    if !fields.cluster_replicas.is_empty() {
        // They name the clusters, too.
        return Vec::new();
    }
    let chosen = status.placements.iter().filter(|one| one.location);
    chosen.map(|one| one.cluster.as_str()).collect()
}

/// `replicaOverrides` by the cluster at the same position of `locations`; `clusters` wins over both.
fn by_position(fields: &PlacementFields) -> Result<Vec<(String, u32)>, LayoutError> {
    let (Some(overrides), Some(locations), None) = (
        &fields.replica_overrides,
        &fields.locations,
        &fields.clusters,
    ) else {
        return Ok(Vec::new());
    };
    let replicas = overrides.parse().map_err(LayoutError::Overrides)?;
    let names = locations.split(',').map(|name| name.trim().to_owned());
    Ok(names.zip(replicas).collect())
}
