//! Whose each pod is.

use std::collections::BTreeMap;
use std::sync::Arc;

use multi_cluster_hpa::calculator::{Pod, PodKey};
use multi_cluster_hpa::decision::attribute;

use crate::world::World;

type Owners = BTreeMap<PodKey, String>;

fn owners(world: &World, previous: &Owners) -> Owners {
    attribute(&world.snapshot.layout, &world.snapshot.pods, previous)
}

/// How many pods on a cluster belong to a location.
fn count(owners: &Owners, cluster: &str, location: &str) -> usize {
    let of = |(key, owner): &(&PodKey, &String)| key.cluster == cluster && *owner == location;
    owners.iter().filter(of).count()
}

#[test]
fn the_oldest_are_the_clusters_own() {
    let world = World::new(&[("cluster1", 4), ("cluster2", 2)]).placed("cluster1", 3);
    let world = world.run("cluster1", 3, 0).run("cluster2", 3, 0);
    let owners = owners(&world, &Owners::new());
    let names: Vec<_> = owners
        .iter()
        .map(|(key, owner)| (key.name.as_str(), owner.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("pod-0000", "cluster1"),
            ("pod-0001", "cluster1"),
            ("pod-0002", "cluster1"),
            ("pod-0003", "cluster2"),
            ("pod-0004", "cluster2"),
            ("pod-0005", "cluster1"),
        ]
    );
}

#[test]
fn a_pod_that_ends_takes_no_living_ones_place() {
    let mut world = World::new(&[("cluster1", 2), ("cluster2", 1)]).placed("cluster1", 1);
    world = world.run("cluster1", 1, 0).run("cluster2", 2, 0);
    let ending = Pod {
        deleting: true,
        ..Pod::clone(&world.snapshot.pods[1])
    };
    world.snapshot.pods[1] = Arc::new(ending);
    let owners = owners(&world, &Owners::new());
    assert_eq!(owners[&world.snapshot.pods[2].key], "cluster2");
}

#[test]
fn a_rollouts_surge_stays_at_home() {
    let world = World::new(&[("cluster1", 2), ("cluster2", 2)]);
    let world = world.run("cluster1", 3, 0).run("cluster2", 1, 0);
    assert_eq!(
        count(&owners(&world, &Owners::new()), "cluster1", "cluster1"),
        3
    );
}

#[test]
fn what_came_from_elsewhere_stays_whose_it_is_when_that_wants_fewer() {
    let mut world = World::new(&[("cluster1", 4), ("cluster2", 2)]).placed("cluster1", 2);
    world = world.run("cluster1", 2, 0).run("cluster2", 4, 0);
    let first = owners(&world, &Owners::new());
    assert_eq!(count(&first, "cluster2", "cluster1"), 2);
    world
        .snapshot
        .layout
        .wanted
        .insert("cluster1".to_owned(), 2);
    assert_eq!(owners(&world, &first), first);
    // Nobody remembers: they belong where they run.
    let forgotten = owners(&world, &Owners::new());
    assert_eq!(count(&forgotten, "cluster2", "cluster2"), 4);
}

#[test]
fn pods_outside_all_locations_belong_to_those_that_lack_them() {
    let world = World::new(&[("cluster1", 3), ("cluster2", 2)]);
    let world = world
        .placed("cluster1", 1)
        .placed("cluster2", 1)
        .run("cloud", 4, 0);
    let owners = owners(&world, &Owners::new());
    assert_eq!(
        count(&owners, "cloud", "cluster1"),
        3,
        "two lacked, and one that nobody lacks"
    );
    assert_eq!(count(&owners, "cloud", "cluster2"), 1);
}
