//! Nearly ten thousand idle watches, each on a connection of its own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::super::Figure;
use super::super::procfs::{processor_time, resident};
use super::connection::Connection;
use super::objects::Kind;
use super::runtime;
use super::server::{Ours, build};

/// Of the 10,000 connections that a server has, some are for those who write.
const WATCHES: usize = 9_900;
/// How long the watches are looked at while nothing happens.
const IDLE: Duration = Duration::from_secs(5);
/// Objects that are then created, each of which one watch is for.
const WRITES: usize = 200;
/// How soon a watch shall show what was written.
const SOON: Duration = Duration::from_millis(5);

pub(super) fn run(quick: bool) -> Result<Vec<Figure>> {
    build()?;
    let watches = if quick { WATCHES / 10 } else { WATCHES };
    runtime()?.block_on(measure(watches))
}

async fn measure(watches: usize) -> Result<Vec<Figure>> {
    let ours = Ours::start("watches", false, 1)?;
    let connector = ours.server.connector()?;
    let before = resident(ours.pid())?;
    let mut streams = Vec::with_capacity(watches);
    for number in 0..watches {
        let mut connection = ours.server.connect(&connector).await?;
        let stream = watch(&mut connection, number).await?;
        // A connection ends with its handle.
        streams.push((connection, stream));
    }
    let memory = resident(ours.pid())?.saturating_sub(before);
    let processor = processor_time(&ours.server.pids)?;
    tokio::time::sleep(IDLE).await;
    let processor = processor_time(&ours.server.pids)?.saturating_sub(processor);
    let mut writer = ours.server.connect(&connector).await?;
    let mut latencies = Vec::new();
    for (number, (_, stream)) in streams.iter_mut().enumerate().step_by(watches / WRITES) {
        let begun = Instant::now();
        create(&mut writer, number).await?;
        seen(stream, number).await?;
        latencies.push(begun.elapsed());
    }
    latencies.sort_unstable();
    let [median, worst] = [WRITES / 2, WRITES * 99 / 100 - 1]
        .map(|place| latencies.get(place).copied().unwrap_or_default());
    Ok(vec![
        Figure {
            name: format!("{watches} idle watches, each on a TLS connection of its own, memory"),
            measured: format!(
                "{} MB, {:.1} kB each; processor {processor:.0?} in {IDLE:?}",
                memory / 1_000_000,
                memory as f64 / watches as f64 / 1000.0,
            ),
            target: "< 1000 MB".to_owned(),
            met: memory < 1_000_000_000,
        },
        Figure {
            name: format!("from a create to its event beside {watches} watches, P50 of {WRITES}"),
            measured: format!("{median:.2?}; P99 {worst:.2?}"),
            target: format!("< {SOON:?}"),
            met: median < SOON,
        },
    ])
}

fn name(number: usize) -> String {
    format!("watched-{number}")
}

/// Watches one object, as a kubelet watches each `ConfigMap` that its pods use.
async fn watch(connection: &mut Connection, number: usize) -> Result<Incoming> {
    let path = Kind::ConfigMap.path("default");
    let name = name(number);
    let query = format!("watch=true&resourceVersion=1&fieldSelector=metadata.name%3D{name}");
    connection
        .open(Method::GET, &format!("{path}?{query}"), Bytes::new())
        .await
}

async fn create(connection: &mut Connection, number: usize) -> Result<()> {
    let (path, body) = (
        Kind::ConfigMap.path("default"),
        Kind::ConfigMap.body(&name(number)),
    );
    connection.call(Method::POST, &path, body).await?;
    Ok(())
}

/// The next event is that of this object.
async fn seen(stream: &mut Incoming, number: usize) -> Result<()> {
    let frame = stream.frame().await.context("a watch has ended")??;
    let data = frame.into_data().unwrap_or_default();
    let expected = format!("\"name\":\"{}\"", name(number));
    if !String::from_utf8_lossy(&data).contains(&expected) {
        bail!("a watch saw another object than {}", name(number));
    }
    Ok(())
}
