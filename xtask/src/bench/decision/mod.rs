//! How fast placements are decided, at the sizes that the operator is built for.

mod fleet;
mod many_clusters;
mod requests;

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use placement::{ClusterName, PodKey, PodShape, Snapshot};

use super::Figure;
use fleet::{Draw, Size, cluster_name, filled, pod, shape};
use many_clusters::ManyClusters;
use requests::decisions;

const LARGE: Size = Size {
    clusters: 100,
    nodes: 5_000,
    pods: 2_000_000,
};
/// Shapes that a snapshot keeps.
const KEPT: usize = 128;

/// Measures decisions and events on 100 clusters of 5,000 nodes with 2,000,000 pods, and decisions
/// on 1,000 clusters of 50 nodes with 1,000,000.
pub(crate) fn run(quick: bool) -> Result<Vec<Figure>> {
    // Filled first and kept: what one of them frees would hide what the other takes.
    let many = ManyClusters::fill(quick)?;
    let mut figures = large_clusters(quick)?;
    figures.extend(many.measure());
    Ok(figures)
}

fn large_clusters(quick: bool) -> Result<Vec<Figure>> {
    let less = if quick { 10 } else { 1 };
    let size = Size {
        nodes: LARGE.nodes / less,
        pods: LARGE.pods / less,
        ..LARGE
    };
    let mut draw = Draw(0x6d63_6b38);
    let before = resident()?;
    let mut snapshot = filled(&mut draw, size);

    let shapes: Vec<PodShape> = (0..400).map(|number| shape(&mut draw, number)).collect();
    let new = decisions(&snapshot, shapes.iter());
    let kept = &shapes[shapes.len() - KEPT..];
    let again = decisions(&snapshot, kept.iter().cycle().take(2_000));
    let events = if quick { 20_000 } else { 200_000 };
    let event = fold(&mut snapshot, &mut draw, size, events);
    let memory = resident()?.saturating_sub(before);

    let conditions = size.describe();
    Ok(vec![
        figure(
            format!("decision, a shape never seen before, P99 ({conditions})"),
            percentile(new, 99),
            Duration::from_millis(2),
        ),
        figure(
            "decision, a shape seen before, P99".to_owned(),
            percentile(again, 99),
            Duration::from_micros(100),
        ),
        figure(
            format!("one pod event, {KEPT} shapes kept, mean"),
            event,
            Duration::from_micros(5),
        ),
        memory_figure("memory of the snapshot with all that is kept", memory, 1024),
        fork(&snapshot),
        first_change(&snapshot, &mut draw, size),
    ])
}

/// What a fork costs, beside a list of as many pointers.
fn fork(snapshot: &Snapshot) -> Figure {
    const TIMES: usize = 1_000;
    let pointers: Vec<(ClusterName, Arc<ClusterName>)> = snapshot
        .clusters()
        .map(|cluster| (cluster.name.clone(), Arc::new(cluster.name.clone())))
        .collect();
    let floor = percentile(times(TIMES, || pointers.clone()), 50);
    let fork = percentile(times(TIMES, || snapshot.fork()), 50);
    let target = Duration::from_millis(1);
    Figure {
        name: "fork of it, made and dropped, P50".to_owned(),
        measured: format!("{fork:.1?}; floor {floor:.1?}"),
        target: format!("< {target:?}"),
        met: fork < target,
    }
}

/// The first pod in a fork: its cluster is copied.
fn first_change(snapshot: &Snapshot, draw: &mut Draw, size: Size) -> Figure {
    let pods: Vec<_> = (0..100)
        .map(|number| (cluster_name(number % size.clusters), pod(draw, size)))
        .collect();
    let mut changes = Vec::new();
    for (cluster, pod) in pods {
        let mut fork = snapshot.fork();
        let start = Instant::now();
        fork.upsert_pod(&cluster, PodKey(1 << 65), pod);
        changes.push(start.elapsed());
    }
    figure(
        "first change of a cluster in a fork, P50".to_owned(),
        percentile(changes, 50),
        Duration::from_millis(10),
    )
}

/// How long each of so many calls takes, with what it gives dropped.
fn times<T>(count: usize, call: impl Fn() -> T) -> Vec<Duration> {
    let time = |_| {
        let start = Instant::now();
        drop(black_box(call()));
        start.elapsed()
    };
    (0..count).map(time).collect()
}

fn figure(name: String, measured: Duration, target: Duration) -> Figure {
    Figure {
        name,
        measured: format!("{measured:.1?}"),
        target: format!("< {target:?}"),
        met: measured < target,
    }
}

fn memory_figure(name: &str, bytes: u64, mebibytes: u64) -> Figure {
    Figure {
        name: name.to_owned(),
        measured: format!("{} MiB", bytes >> 20),
        target: format!("< {mebibytes} MiB"),
        met: bytes < mebibytes << 20,
    }
}

/// The mean time of a pod that comes or goes.
fn fold(snapshot: &mut Snapshot, draw: &mut Draw, size: Size, events: u32) -> Duration {
    let changes: Vec<_> = (0..u128::from(events))
        .map(|number| {
            let cluster = cluster_name(draw.below(size.clusters));
            (cluster, PodKey((1 << 64) | (number / 2)), pod(draw, size))
        })
        .collect();
    let mut last = None;
    let start = Instant::now();
    for (cluster, key, pod) in changes {
        match last.take() {
            None => {
                last = Some(cluster.clone());
                snapshot.upsert_pod(&cluster, key, pod);
            }
            Some(cluster) => snapshot.remove_pod(&cluster, key),
        }
    }
    start.elapsed() / events
}

fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: u64 = kib.context("/proc/self/status tells no VmRSS")?.parse()?;
    Ok(kib << 10)
}
