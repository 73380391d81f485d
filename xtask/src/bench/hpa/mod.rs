//! The autoscaler: how fast it follows a load, what it costs, and how it compares with the original's
//! rule.

mod comparison;
mod cost;
mod federation;
mod prometheus;
mod reaction;
mod usage;

use std::time::Duration;

use anyhow::Result;

use super::operator::build;
use super::{Figure, Part};
use cost::{Meter, queries};
use federation::{Federation, Metric};
use reaction::Reactions;

/// The parts, in the order of the document.
pub(super) const PARTS: &[Part] = &[work, |quick| Ok(comparison::run(quick))];

/// Rounds of evaluations over which queries are counted.
const ROUNDS: u32 = 4;

/// The operator at work, on a federation that grows.
fn work(quick: bool) -> Result<Vec<Figure>> {
    build(&["multi-cluster-scheduler", "multi-cluster-hpa"])?;
    // Hub and members are here, too.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(measure(quick))
}

async fn measure(quick: bool) -> Result<Vec<Figure>> {
    let (sizes, steps) = if quick {
        ([2, 10, 50], 5)
    } else {
        ([10, 100, 1000], 40)
    };
    let span = Duration::from_secs(if quick { 30 } else { 120 });
    let mut figures = Vec::new();
    let mut federation = Federation::start().await?;

    let [few, .., many] = sizes;
    federation.grow_to(few).await?;
    let reactions = Reactions::watch(&federation);
    let first = (0..few).cycle().take(few);
    reactions.step_up(&federation, first, span / 24).await;
    figures.push(reaction::figure(few, &reactions.all().await?));

    federation.go_by(Metric::Query).await?;
    let mut asked = Vec::new();
    for size in sizes {
        federation.grow_to(size).await?;
        asked.push(queries(&federation, ROUNDS).await);
    }
    figures.push(query_figure(&sizes, &asked));
    let meter = Meter::start(&federation).await?;
    tokio::time::sleep(span).await;
    let cost = meter.stop(&federation).await?;
    figures.push(cost.figure("one query, the same numbers all the time"));

    federation.go_by(Metric::Cpu).await?;
    let meter = Meter::start(&federation).await?;
    tokio::time::sleep(span).await;
    let cost = meter.stop(&federation).await?;
    figures.push(cost.figure("metrics.k8s.io of all clusters, the same numbers all the time"));

    federation.loads.set_noisy(true);
    let reactions = Reactions::watch(&federation);
    let meter = Meter::start(&federation).await?;
    let apart = span / steps;
    let next = few..few + steps as usize;
    reactions.step_up(&federation, next, apart).await;
    let cost = meter.stop(&federation).await?;
    figures.push(cost.figure(&format!(
        "metrics.k8s.io, every number another one in every round, and a step of the load every {:.0} s",
        apart.as_secs_f64()
    )));
    figures.push(reaction::figure(many, &reactions.all().await?));
    Ok(figures)
}

/// The number of queries in a round, by the number of autoscalers.
fn query_figure(sizes: &[usize], asked: &[f64]) -> Figure {
    let each = sizes.iter().zip(asked);
    let each: Vec<_> = each
        .map(|(size, asked)| format!("{asked:.2} with {size}"))
        .collect();
    let (first, most) = (
        asked.first().copied().unwrap_or_default(),
        asked.iter().copied().fold(0.0, f64::max),
    );
    Figure {
        name: "queries to Prometheus in a round, by the autoscalers of the same metric".to_owned(),
        measured: each.join(", "),
        target: "as many with 1000 autoscalers as with 10".to_owned(),
        // A round more or less may fall into the time.
        met: first > 0.0 && most < first + 0.5,
    }
}
