//! What machines cost in an hour, in thousandths of the unit.

use federation::api::{CloudCluster, NodePool};

use super::machine;
use crate::validate::Settings;

pub(super) fn control_plane_cost(settings: &Settings) -> i64 {
    let price = settings.control_plane_price.unwrap_or(0);
    price.saturating_mul(i64::from(settings.control_plane))
}

/// What the clusters cost in an hour, as far as prices are known.
pub(super) fn spent(settings: &Settings, clusters: &[CloudCluster]) -> i64 {
    let of_pool = |pool: &NodePool| {
        let price = machine(settings, &pool.flavor).and_then(|one| one.price);
        price.unwrap_or(0).saturating_mul(i64::from(pool.nodes))
    };
    let of_cluster = |cluster: &CloudCluster| {
        let pools = cluster.pools.iter().map(of_pool);
        pools.fold(control_plane_cost(settings), i64::saturating_add)
    };
    clusters.iter().map(of_cluster).fold(0, i64::saturating_add)
}

/// The same, if the price of each of their machines is known.
pub(super) fn known_cost(settings: &Settings, clusters: &[CloudCluster]) -> Option<i64> {
    let mut pools = clusters.iter().flat_map(|cluster| &cluster.pools);
    let is_known =
        |pool: &NodePool| machine(settings, &pool.flavor).is_some_and(|one| one.price.is_some());
    let all =
        pools.all(is_known) && (clusters.is_empty() || settings.control_plane_price.is_some());
    all.then(|| spent(settings, clusters))
}
