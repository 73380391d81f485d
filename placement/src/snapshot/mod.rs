//! Clusters, their nodes and their pods, kept incrementally, with what was computed from them.
//!
//! A change of a node or a pod costs the same however many there are: the columns of its node
//! change, and every cached shape's total by the difference. A decision reads totals; only where
//! other pods, or the replicas themselves, keep a shape from nodes that have room, it counts.

mod bound;
mod cache;
mod column;
mod interned;
mod labels;
mod matching;
mod profiles;
mod reservation;
mod room;
mod seats;
mod summary;
mod table;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::{Cluster, Node, Pod};
use crate::name::{ClusterName, OwnerKey, PodKey};
use crate::shape::PodShape;
use cache::Cache;
use reservation::Back;
pub use summary::{NodeClass, Summary};
use table::Table;

/// Clusters, nodes and pods.
#[derive(Default)]
pub struct Snapshot {
    clusters: BTreeMap<ClusterName, Cluster>,
    tables: BTreeMap<ClusterName, Table>,
    cache: RefCell<Cache>,
    next_table: u32,
}

impl Snapshot {
    /// Without any cluster.
    pub fn new() -> Self {
        Self::default()
    }

    /// A cluster joined or changed. Its nodes and pods stay.
    pub fn upsert_cluster(&mut self, cluster: Cluster) {
        self.parts(&cluster.name);
        self.clusters.insert(cluster.name.clone(), cluster);
    }

    /// A cluster left, with its nodes and pods.
    pub fn remove_cluster(&mut self, name: &ClusterName) {
        self.clusters.remove(name);
        if let Some(table) = self.tables.remove(name) {
            self.cache.get_mut().forget(table.id);
        }
    }

    /// A node joined or changed.
    pub fn upsert_node(&mut self, cluster: &ClusterName, node: Node) {
        let (table, cache) = self.parts(cluster);
        table.upsert_node(node, cache);
    }

    /// A node left. Pods that were bound to it count again if it comes back.
    pub fn remove_node(&mut self, cluster: &ClusterName, name: &str) {
        let (table, cache) = self.parts(cluster);
        table.remove_node(name, cache);
    }

    /// A pod was bound or changed. The same pod again changes nothing.
    pub fn upsert_pod(&mut self, cluster: &ClusterName, key: PodKey, pod: Pod) {
        let (table, cache) = self.parts(cluster);
        table.upsert_pod(key, pod, cache);
    }

    /// A pod ended or left.
    pub fn remove_pod(&mut self, cluster: &ClusterName, key: PodKey) {
        let (table, cache) = self.parts(cluster);
        table.remove_pod(key, cache);
    }

    /// The nodes were listed: there are no others.
    pub fn retain_nodes(&mut self, cluster: &ClusterName, names: &BTreeSet<String>) {
        let (table, cache) = self.parts(cluster);
        for name in table.node_names_but(names) {
            table.remove_node(&name, cache);
        }
    }

    /// The pods were listed: there are no others.
    pub fn retain_pods(&mut self, cluster: &ClusterName, keys: &BTreeSet<PodKey>) {
        let (table, cache) = self.parts(cluster);
        for key in table.pods_but(keys) {
            table.remove_pod(key, cache);
        }
    }

    /// The owner shall run `replicas` of the shape there. As many as are not seen as pods yet hold
    /// room on nodes that would take them, until their pods are seen or the hold is released.
    pub fn reserve(
        &mut self,
        cluster: &ClusterName,
        owner: OwnerKey,
        shape: &PodShape,
        replicas: u32,
    ) {
        let (table, cache) = self.parts(cluster);
        table.reserve(owner, shape, replicas, cache);
    }

    /// What the owner's unseen replicas hold is free again.
    pub fn release(&mut self, cluster: &ClusterName, owner: OwnerKey) {
        if self.tables.contains_key(cluster) {
            let (table, cache) = self.parts(cluster);
            table.release(owner, cache);
        }
    }

    /// The clusters that an origin names: those of the region, or else the one cluster.
    pub fn origins(&self, origin: &str) -> Vec<ClusterName> {
        let within = |cluster: &&Cluster| cluster.region.as_deref() == Some(origin);
        let region = self.clusters.values().filter(within);
        let region: Vec<_> = region.map(|cluster| cluster.name.clone()).collect();
        if region.is_empty() {
            vec![ClusterName::from(origin)]
        } else {
            region
        }
    }

    /// Replicas of the shape that fit on the cluster now.
    pub fn capacity(&self, cluster: &ClusterName, shape: &PodShape) -> u64 {
        let Some(table) = self.tables.get(cluster) else {
            return 0;
        };
        let mut cache = self.cache.borrow_mut();
        let view = cache.view(shape, table);
        match table.peers(shape, None) {
            Some(peers) => table.room_among(view, peers, &Back::new()),
            None => view.total,
        }
    }

    /// The same, with the owner's own pods and reservation counted as free.
    pub fn room(&self, cluster: &ClusterName, shape: &PodShape, owner: OwnerKey) -> u64 {
        let Some(table) = self.tables.get(cluster) else {
            return 0;
        };
        let mut cache = self.cache.borrow_mut();
        let view = cache.view(shape, table);
        match table.peers(shape, Some(owner)) {
            Some(peers) => table.room_among(view, peers, &table.back(owner)),
            None => view.total + table.gain_without(owner, view),
        }
    }

    /// The clusters, by name.
    pub fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.values()
    }

    /// One cluster.
    pub fn cluster(&self, name: &ClusterName) -> Option<&Cluster> {
        self.clusters.get(name)
    }

    /// Sums over a cluster's nodes.
    pub fn summary(&self, name: &ClusterName) -> Option<Summary> {
        self.tables.get(name).map(Summary::of)
    }

    /// Grows whenever there may be more room than before: then it is worth trying again what did
    /// not fit.
    pub fn version(&self, name: &ClusterName) -> u64 {
        self.tables.get(name).map_or(0, |table| table.version)
    }

    /// The cluster's table (nodes may be heard of before their cluster) and the cache beside it.
    fn parts(&mut self, name: &ClusterName) -> (&mut Table, &mut Cache) {
        let next = &mut self.next_table;
        let table = self.tables.entry(name.clone()).or_insert_with(|| {
            *next += 1;
            Table::new(*next)
        });
        (table, self.cache.get_mut())
    }
}
