//! Counts what the pods of a cluster have served and used.
//!
//! All ready pods of a workload serve alike. So one integral a workload is enough: what one pod that
//! was always ready would have served. A pod has served what that has grown by while it was ready.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::curve::Crowd;
use super::usage::{Costs, Load};
use crate::simulated::cache::ObjectKey;
use crate::simulated::context::{after, until};

/// The longest step of an integral: the noise's.
const STEP: Duration = Duration::from_mins(1);

/// What the pods of a cluster have served and used.
pub(super) struct Meter {
    cluster: String,
    seed: u64,
    loads: BTreeMap<String, Load>,
    workloads: BTreeMap<String, Workload>,
    pods: BTreeMap<ObjectKey, Pod>,
    /// What pods that are gone have received and sent, by node.
    gone: BTreeMap<String, (f64, f64)>,
}

/// The pods of one workload.
struct Workload {
    ready: BTreeSet<ObjectKey>,
    /// What a pod that was always ready would have served up to `at`.
    served: f64,
    at: Timestamp,
}

/// A pod that runs.
struct Pod {
    uid: String,
    workload: String,
    deployment: Option<String>,
    node: String,
    containers: Vec<String>,
    since: Timestamp,
    /// What it has served, up to the time when it was last not ready.
    before: f64,
    /// What the workload's integral was when it became ready; none while it is not.
    joined: Option<f64>,
}

/// A pod as the meter is told of it.
pub(super) struct Running {
    pub(super) uid: String,
    /// `namespace/name` of what made it.
    pub(super) workload: String,
    /// The Deployment that made it, if one did.
    pub(super) deployment: Option<String>,
    pub(super) node: String,
    pub(super) containers: Vec<String>,
    pub(super) ready: bool,
}

/// What a pod is doing now and has done so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) node: String,
    /// The Deployment that made it, if one did.
    pub(super) deployment: Option<String>,
    pub(super) containers: Vec<String>,
    /// Requests a second, now.
    pub(super) serves: f64,
    /// Requests, so far.
    pub(super) requests: f64,
    /// Cores, now.
    pub(super) cpu: f64,
    /// Seconds of a core, so far.
    pub(super) cpu_seconds: f64,
    /// Bytes, now.
    pub(super) memory: f64,
    /// Bytes a second, now.
    pub(super) receives: f64,
    /// Bytes, so far.
    pub(super) received: f64,
    /// Bytes a second, now.
    pub(super) sends: f64,
    /// Bytes, so far.
    pub(super) sent: f64,
}

impl Meter {
    pub(super) fn new(cluster: String, loads: BTreeMap<String, Load>, seed: u64) -> Self {
        Self {
            cluster,
            seed,
            loads,
            workloads: BTreeMap::new(),
            pods: BTreeMap::new(),
            gone: BTreeMap::new(),
        }
    }

    /// A pod runs, and is ready or not. Saying so again changes nothing.
    pub(super) fn set(&mut self, key: &ObjectKey, running: Running, now: Timestamp) {
        if self.pods.get(key).is_some_and(|pod| pod.uid != running.uid) {
            self.remove(key, now);
        }
        let served = self.advance(&running.workload, now);
        let workload = running.workload.clone();
        let ready = running.ready;
        let pod = self.pods.entry(key.clone()).or_insert_with(|| Pod {
            uid: running.uid,
            workload: running.workload,
            deployment: running.deployment,
            node: running.node,
            containers: running.containers,
            since: now,
            before: 0.0,
            joined: None,
        });
        match (pod.joined, ready) {
            (None, true) => pod.joined = Some(served),
            (Some(joined), false) => {
                pod.before += served - joined;
                pod.joined = None;
            }
            _ => {}
        }
        if let Some(workload) = self.workloads.get_mut(&workload) {
            if ready {
                workload.ready.insert(key.clone());
            } else {
                workload.ready.remove(key);
            }
        }
    }

    /// A crowd comes to a workload from now on.
    pub(super) fn add_crowd(&mut self, workload: &str, crowd: Crowd, now: Timestamp) {
        self.advance(workload, now);
        if let Some(load) = self.loads.get_mut(workload) {
            load.requests.crowds.push(crowd);
        }
    }

    /// A pod has ended or is gone.
    pub(super) fn remove(&mut self, key: &ObjectKey, now: Timestamp) {
        let Some(pod) = self.pods.get(key) else {
            return;
        };
        let workload = pod.workload.clone();
        let served = self.advance(&workload, now);
        if let Some(pod) = self.pods.remove(key) {
            let costs = self.costs(&pod.workload);
            let total = pod.served(served);
            let gone = self.gone.entry(pod.node).or_default();
            gone.0 += total * costs.received;
            gone.1 += total * costs.sent;
        }
        if let Some(known) = self.workloads.get_mut(&workload) {
            known.ready.remove(key);
            // Without pods there is nothing to integrate, and the next one begins anew.
            if !self.pods.values().any(|pod| pod.workload == workload) {
                self.workloads.remove(&workload);
            }
        }
    }

    /// What every pod is doing now and has done.
    pub(super) fn read(&mut self, now: Timestamp) -> BTreeMap<ObjectKey, Reading> {
        let names: Vec<String> = self.workloads.keys().cloned().collect();
        for name in names {
            self.advance(&name, now);
        }
        let read = |(key, pod): (&ObjectKey, &Pod)| (key.clone(), self.reading(pod, now));
        self.pods.iter().map(read).collect()
    }

    /// What pods that are gone have received and sent on a node, in bytes.
    pub(super) fn gone(&self, node: &str) -> (f64, f64) {
        self.gone.get(node).copied().unwrap_or_default()
    }

    fn reading(&self, pod: &Pod, now: Timestamp) -> Reading {
        let costs = self.costs(&pod.workload);
        let workload = self.workloads.get(&pod.workload);
        let total = pod.served(workload.map_or(0.0, |workload| workload.served));
        let pods = workload.map_or(0, |workload| workload.ready.len());
        let reaching = self.reaching(&pod.workload, now);
        let serves = match pod.joined {
            Some(_) => costs.served(reaching, pods),
            None => 0.0,
        };
        let age = until(pod.since, now).as_secs_f64();
        Reading {
            node: pod.node.clone(),
            deployment: pod.deployment.clone(),
            containers: pod.containers.clone(),
            serves,
            requests: total,
            cpu: costs.cpu_at(serves),
            cpu_seconds: costs.idle_cpu * age + costs.cpu * total,
            memory: costs.memory_at(serves),
            receives: costs.received * serves,
            received: costs.received * total,
            sends: costs.sent * serves,
            sent: costs.sent * total,
        }
    }

    fn costs(&self, workload: &str) -> Costs {
        let load = self.loads.get(workload);
        load.map_or_else(Costs::default, |load| load.costs)
    }

    /// Requests a second that reach a workload.
    fn reaching(&self, workload: &str, now: Timestamp) -> f64 {
        let load = self.loads.get(workload);
        load.map_or(0.0, |load| {
            load.requests.rate(workload, &self.cluster, self.seed, now)
        })
    }

    /// Brings a workload's integral to `now`, and gives it.
    fn advance(&mut self, name: &str, now: Timestamp) -> f64 {
        let mut known = self.workloads.remove(name).unwrap_or(Workload {
            ready: BTreeSet::new(),
            served: 0.0,
            at: now,
        });
        let costs = self.costs(name);
        let pods = known.ready.len();
        if self.loads.contains_key(name) && pods > 0 {
            while known.at < now {
                let next = after(known.at, STEP).min(now);
                let span = until(known.at, next);
                let middle = after(known.at, span / 2);
                let served = costs.served(self.reaching(name, middle), pods);
                known.served += served * span.as_secs_f64();
                known.at = next;
            }
        }
        known.at = known.at.max(now);
        let served = known.served;
        self.workloads.insert(name.to_owned(), known);
        served
    }
}

impl Pod {
    /// What it has served, given its workload's integral.
    fn served(&self, integral: f64) -> f64 {
        self.before + self.joined.map_or(0.0, |joined| integral - joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::load::Curve;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            namespace: "default".to_owned(),
            name: name.to_owned(),
        }
    }

    fn running(name: &str, ready: bool) -> Running {
        Running {
            uid: name.to_owned(),
            workload: "default/web".to_owned(),
            deployment: Some("web".to_owned()),
            node: "n1".to_owned(),
            containers: vec!["web".to_owned()],
            ready,
        }
    }

    /// 100 requests a second.
    fn meter(most: Option<f64>) -> Meter {
        let load = Load {
            requests: Curve {
                base: 100.0,
                ..Curve::default()
            },
            costs: Costs {
                most,
                ..Costs::default()
            },
        };
        let loads = BTreeMap::from([("default/web".to_owned(), load)]);
        Meter::new("c1".to_owned(), loads, 1)
    }

    fn close(one: f64, other: f64) {
        assert!(
            (one - other).abs() < 1e-6 * other.abs().max(1.0),
            "{one} is not {other}"
        );
    }

    #[test]
    fn the_ready_pods_share_the_requests() {
        let mut meter = meter(None);
        meter.set(&key("a"), running("a", true), at(0));
        meter.set(&key("b"), running("b", false), at(0));
        meter.set(&key("b"), running("b", true), at(100));
        let seen = meter.read(at(200));
        // 100 s alone and 100 s shared; 2,000 bytes each.
        close(seen[&key("a")].received, (10_000.0 + 5_000.0) * 2_000.0);
        close(seen[&key("b")].received, 5_000.0 * 2_000.0);
        close(seen[&key("a")].receives, 50.0 * 2_000.0);
        close(seen[&key("a")].cpu, 0.001 + 0.005 * 50.0);
        close(seen[&key("b")].cpu_seconds, 0.2 + 0.005 * 5_000.0);
    }

    #[test]
    fn a_counter_does_not_care_how_often_it_is_read() {
        let (mut once, mut often) = (meter(None), meter(None));
        for meter in [&mut once, &mut often] {
            meter.set(&key("a"), running("a", true), at(0));
        }
        for second in 0..86_400 / 60 {
            often.read(at(second * 60));
        }
        let (once, often) = (once.read(at(86_400)), often.read(at(86_400)));
        close(once[&key("a")].received, often[&key("a")].received);
    }

    #[test]
    fn a_pod_serves_no_more_than_it_can_and_what_it_served_stays_with_its_node() {
        let mut meter = meter(Some(30.0));
        meter.set(&key("a"), running("a", true), at(0));
        close(meter.read(at(10))[&key("a")].received, 300.0 * 2_000.0);
        meter.set(&key("a"), running("a", false), at(10));
        close(meter.read(at(20))[&key("a")].received, 300.0 * 2_000.0);
        close(meter.read(at(20))[&key("a")].receives, 0.0);
        meter.remove(&key("a"), at(30));
        assert!(meter.read(at(30)).is_empty());
        close(meter.gone("n1").0, 300.0 * 2_000.0);
    }
}
