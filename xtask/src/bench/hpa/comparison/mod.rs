//! The original's rule and ours on the same recorded loads.

mod load;
mod original;
mod ours;
mod replay;

use multi_cluster_hpa::behavior::Bounds;

use super::super::Figure;
use load::Shape;
use original::Original;
use ours::Ours;
use replay::{Score, replay};

/// CPU in percent.
const TARGET: i32 = 50;
/// Of the sum over three clusters.
const BOUNDS: Bounds = Bounds { min: 3, max: 300 };

/// Days of each shape of load, each with its own seed.
pub(super) fn run(quick: bool) -> Vec<Figure> {
    let days = if quick { 1 } else { 10 };
    Shape::ALL.map(|shape| compare(shape, days)).into()
}

fn compare(shape: Shape, days: u64) -> Figure {
    let (mut ours, mut original) = (Score::default(), Score::default());
    for seed in 1..=days {
        let record = shape.record(seed);
        ours.add(replay(&record, Ours::new(TARGET, BOUNDS, None), TARGET));
        original.add(replay(&record, Original::new(TARGET, BOUNDS), TARGET));
    }
    Figure {
        name: format!(
            "{}: 3 clusters, a day, mean of {days} seeds; beside the original's rule",
            shape.name()
        ),
        measured: format!("{}; original {}", words(ours, days), words(original, days)),
        target: "no more replica-minutes, fewer minutes above the target".to_owned(),
        met: ours.replica_minutes <= original.replica_minutes && ours.above < original.above,
    }
}

/// The mean of so many days.
fn words(score: Score, days: u64) -> String {
    let days = days as f64;
    format!(
        "{:.0} replica-minutes, {:.0} minutes above the target ({:.0} by more than a tenth), {:.0} core-minutes lost",
        score.replica_minutes / days,
        score.above as f64 / days,
        score.far_above as f64 / days,
        score.lost / days,
    )
}
