//! Decisions for many locations on many small clusters.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use placement::{
    ClusterName, Overflow, PodKey, PodShape, Proximity, Request, Snapshot, Target, Targets,
};

use super::fleet::{Draw, Size, cluster_name, filled, shape};
use super::requests::{decide, policies, request, traffic};
use super::{Figure, figure, memory_figure, percentile, resident};

const MANY: Size = Size {
    clusters: 1_000,
    nodes: 50,
    pods: 1_000_000,
};

/// Shapes that wait for room.
const WAITING: i64 = 5_000;

type Change<'a> = &'a dyn Fn(&mut Request<'a>);

pub(super) struct ManyClusters {
    snapshot: Snapshot,
    draw: Draw,
    size: Size,
    memory: u64,
}

impl ManyClusters {
    pub(super) fn fill(quick: bool) -> Result<Self> {
        let size = if quick {
            Size {
                pods: MANY.pods / 10,
                ..MANY
            }
        } else {
            MANY
        };
        let mut draw = Draw(0x636c_7573);
        let before = resident()?;
        let snapshot = filled(&mut draw, size);
        Ok(Self {
            memory: resident()?.saturating_sub(before),
            snapshot,
            draw,
            size,
        })
    }

    pub(super) fn measure(self) -> Vec<Figure> {
        let Self {
            mut snapshot,
            mut draw,
            size,
            memory,
        } = self;
        let shapes: Vec<PodShape> = (0..100).map(|number| shape(&mut draw, number)).collect();
        let (traffic, proximity) = (traffic(&snapshot), proximity(&mut draw));
        let all = Targets::Chosen {
            count: MANY.clusters as u32,
        };
        let full = half_of_them_full();
        let rows: [(&str, Change<'_>); 3] = [
            ("chosen", &|request| request.targets = all.clone()),
            ("half of them full, overflow down the ranking", &|request| {
                request.targets = full.clone();
            }),
            ("half of them full, overflow to the nearest", &|request| {
                request.targets = full.clone();
                request.overflow = Overflow::Nearest;
                request.inputs.proximity = Some(&proximity);
            }),
        ];
        let name = format!("memory of a snapshot of {}", size.describe());
        let mut figures = vec![memory_figure(&name, memory, 512)];
        for (name, change) in rows {
            let (first, next) = time(&snapshot, &shapes, &traffic, change);
            figures.push(row(
                format!("decision, 1,000 locations, {name}, P99"),
                first,
            ));
            let name = format!("the same with an assignment before: {name}, P99");
            figures.push(row(name, next));
        }
        figures.push(waiting(&mut snapshot, &mut draw));
        figures
    }
}

fn row(name: String, times: Vec<Duration>) -> Figure {
    figure(name, percentile(times, 99), Duration::from_millis(10))
}

/// How long decisions take, without an assignment before, and with what they gave.
fn time<'a>(
    snapshot: &Snapshot,
    shapes: &'a [PodShape],
    traffic: &'a BTreeMap<ClusterName, f64>,
    change: Change<'a>,
) -> (Vec<Duration>, Vec<Duration>) {
    let decisions = shapes.iter().zip(policies()).map(|(shape, policy)| {
        let mut request = request(shape, traffic);
        change(&mut request);
        let (plan, first) = decide(snapshot, &request, policy);
        request.current = plan.current();
        (first, decide(snapshot, &request, policy).1)
    });
    decisions.unzip()
}

/// Every cluster is a location; every other one is meant to run more than it has room for.
fn half_of_them_full() -> Targets {
    let target = |number: u64| Target {
        cluster: cluster_name(number),
        replicas: Some(if number.is_multiple_of(2) { 20_000 } else { 10 }),
    };
    Targets::Given((0..MANY.clusters).map(target).collect())
}

/// A time between any two clusters.
fn proximity(draw: &mut Draw) -> Proximity {
    let mut proximity = Proximity::new();
    let names: Vec<ClusterName> = (0..MANY.clusters).map(cluster_name).collect();
    for (place, a) in names.iter().enumerate() {
        for b in &names[place + 1..] {
            let time = Duration::from_micros(100 + draw.below(100_000));
            proximity.insert(a.clone(), b.clone(), time);
        }
    }
    proximity
}

/// Which of many waiting shapes may have room after 1,000 pods have ended, all over the clusters.
fn waiting(snapshot: &mut Snapshot, draw: &mut Draw) -> Figure {
    // Most fit on few of the nodes.
    let shapes = (0..WAITING).map(|number| shape(draw, 60_000 + number));
    let shapes: Vec<PodShape> = shapes.collect();
    let watermark = snapshot.watermark();
    for number in 0..1_000_u64 {
        let cluster = cluster_name(number % MANY.clusters);
        snapshot.remove_pod(&cluster, PodKey(u128::from(number)));
    }
    let start = Instant::now();
    let growth = snapshot.growth(watermark);
    let reached = shapes.iter().filter(|shape| growth.reaches(shape)).count();
    let took = start.elapsed();
    let target = Duration::from_millis(50);
    Figure {
        name: format!("which of {WAITING} waiting shapes 1,000 ended pods make room for"),
        measured: format!("{took:.1?}; {reached} of them"),
        target: format!("< {target:?}"),
        met: took < target,
    }
}
