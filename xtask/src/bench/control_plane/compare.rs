//! Creates and lists a second, beside a real kube-apiserver: the same requests by the same clients,
//! in turn.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use futures::future::try_join_all;
use http::Method;

use super::super::Figure;
use super::super::procfs::processor_time;
use super::connection::{Connection, Server};
use super::objects::Kind;
use super::runtime;
use super::server::{Ours, Real, build};

/// Objects in the list.
const LISTED: usize = 1000;
/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clients {
    /// One.
    One,
    /// Sixteen, each with a connection.
    Many,
    /// Sixteen on one HTTP/2 connection.
    Shared,
}

impl Clients {
    fn name(self) -> &'static str {
        match self {
            Self::One => "1 client",
            Self::Many => "16 clients",
            Self::Shared => "16 clients on one HTTP/2 connection",
        }
    }

    /// The creates, and the lists, of a sample.
    fn requests(self) -> (usize, usize) {
        match self {
            Self::One => (400, 40),
            Self::Many | Self::Shared => (2000, 80),
        }
    }

    async fn connect(self, server: &Server) -> Result<Vec<Connection>> {
        match self {
            Self::One => connect(server, 1).await,
            Self::Many => connect(server, 16).await,
            Self::Shared => server.connect_shared(16).await,
        }
    }
}

pub(super) fn run(quick: bool) -> Result<Vec<Figure>> {
    build()?;
    let rounds = if quick { 1 } else { 5 };
    runtime()?.block_on(async {
        let mut figures = Vec::new();
        for durable in [false, true] {
            let ours = Ours::start("compare", durable, 1)?;
            let real = Real::start(durable).await?;
            figures.extend(compare(&ours.server, &real.server, durable, rounds).await?);
            real.end().await?;
        }
        Ok(figures)
    })
}

/// What clients ask for.
#[derive(Clone, Copy)]
enum Work {
    Create(Kind),
    List(Kind),
}

impl Work {
    fn name(self) -> String {
        match self {
            Self::Create(kind) => format!("{} creates", kind.name()),
            Self::List(kind) => format!("lists of {LISTED} {}s", kind.name()),
        }
    }

    fn requests(self, clients: Clients) -> usize {
        let (creates, lists) = clients.requests();
        match self {
            Self::Create(_) => creates,
            Self::List(_) => lists,
        }
    }
}

async fn compare(
    ours: &Server,
    real: &Server,
    durable: bool,
    rounds: usize,
) -> Result<Vec<Figure>> {
    let (store, factor) = if durable {
        ("durable store; etcd with fsync", 1.0)
    } else {
        ("memory store; etcd without fsync", 3.0)
    };
    for server in [ours, real] {
        fill(server).await?;
    }
    let mut figures = Vec::new();
    let works = [
        Work::Create(Kind::ConfigMap),
        Work::Create(Kind::Deployment),
        Work::List(Kind::ConfigMap),
        Work::List(Kind::Deployment),
    ];
    for work in works {
        for clients in [Clients::One, Clients::Many, Clients::Shared] {
            let mut samples = [Vec::new(), Vec::new()];
            // The first round is for connections and caches to warm up.
            for round in 0..=rounds {
                for (server, samples) in [ours, real].into_iter().zip(&mut samples) {
                    let sample = sample(server, work, clients).await?;
                    if round > 0 {
                        samples.push(sample);
                    }
                }
            }
            let [ours, real] = samples.map(|samples| Summary::of(&samples));
            let ratio = ours.rate / real.rate;
            figures.push(Figure {
                name: format!("{}, {}, {store}", work.name(), clients.name()),
                measured: format!("{ratio:.1} x: {ours}; kube-apiserver {real}"),
                target: format!("at least {factor} x kube-apiserver"),
                met: ratio >= factor,
            });
        }
    }
    Ok(figures)
}

const LIST: &str = "listed";

/// The objects that are listed.
async fn fill(server: &Server) -> Result<()> {
    let mut connections = connect(server, 16).await?;
    namespace(&mut connections, LIST).await?;
    for kind in [Kind::ConfigMap, Kind::Deployment] {
        create(&mut connections, kind, LIST, LISTED).await?;
    }
    Ok(())
}

async fn connect(server: &Server, clients: usize) -> Result<Vec<Connection>> {
    let connector = server.connector()?;
    try_join_all((0..clients).map(|_| server.connect(&connector))).await
}

async fn namespace(connections: &mut [Connection], name: &str) -> Result<()> {
    let body =
        format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":{name:?}}}}}"#);
    for connection in connections.iter_mut().take(1) {
        let body = Bytes::from(body.clone());
        connection
            .call(Method::POST, "/api/v1/namespaces", body)
            .await?;
    }
    Ok(())
}

/// One measurement.
struct Sample {
    rate: f64,
    /// Sorted.
    latencies: Vec<Duration>,
    /// Of the servers, for each request.
    processor: Duration,
}

async fn sample(server: &Server, work: Work, clients: Clients) -> Result<Sample> {
    let requests = work.requests(clients);
    let mut connections = clients.connect(server).await?;
    for connection in &mut connections {
        connection.ready().await?;
    }
    let before = processor_time(&server.pids)?;
    let begun = Instant::now();
    let mut latencies = match work {
        Work::Create(kind) => create(&mut connections, kind, "default", requests).await?,
        Work::List(kind) => list(&mut connections, kind, requests).await?,
    };
    let took = begun.elapsed();
    let processor = processor_time(&server.pids)?.saturating_sub(before);
    if let Work::Create(kind) = work {
        clear(server, kind, requests).await?;
    }
    latencies.sort_unstable();
    Ok(Sample {
        rate: requests as f64 / took.as_secs_f64(),
        latencies,
        processor: processor / requests as u32,
    })
}

fn name(number: usize) -> String {
    format!("bench-{number:05}")
}

async fn create(
    connections: &mut [Connection],
    kind: Kind,
    namespace: &str,
    count: usize,
) -> Result<Vec<Duration>> {
    let path = kind.path(namespace);
    let bodies: Vec<Bytes> = (0..count).map(|number| kind.body(&name(number))).collect();
    let requests = bodies.into_iter();
    let requests = requests.map(|body| (Method::POST, path.clone(), body));
    send(connections, requests.collect()).await
}

async fn list(connections: &mut [Connection], kind: Kind, count: usize) -> Result<Vec<Duration>> {
    let request = (Method::GET, kind.path(LIST), Bytes::new());
    send(connections, vec![request; count]).await
}

/// Deletes what was created.
async fn clear(server: &Server, kind: Kind, count: usize) -> Result<()> {
    let path = kind.path("default");
    let requests = (0..count).map(|number| {
        let path = format!("{path}/{}", name(number));
        (Method::DELETE, path, Bytes::new())
    });
    let mut connections = connect(server, 16).await?;
    send(&mut connections, requests.collect()).await?;
    Ok(())
}

type Request = (Method, String, Bytes);

/// Sends requests over all connections, each of which has one under way. Gives how long each took.
async fn send(connections: &mut [Connection], requests: Vec<Request>) -> Result<Vec<Duration>> {
    let share = requests.len().div_ceil(connections.len());
    let shares = connections.iter_mut().zip(requests.chunks(share));
    let clients = shares.map(async |(connection, requests)| -> Result<Vec<Duration>> {
        let mut latencies = Vec::with_capacity(requests.len());
        for (method, path, body) in requests {
            let begun = Instant::now();
            connection.call(method.clone(), path, body.clone()).await?;
            latencies.push(begun.elapsed());
        }
        Ok(latencies)
    });
    Ok(try_join_all(clients).await?.concat())
}

/// The median sample of each.
struct Summary {
    rate: f64,
    median: Duration,
    worst: Duration,
    processor: Duration,
}

impl Summary {
    fn of(samples: &[Sample]) -> Self {
        let each = |value: &dyn Fn(&Sample) -> Duration| {
            let mut values: Vec<Duration> = samples.iter().map(value).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        let percentile = |sample: &Sample, percent: usize| {
            let place = (sample.latencies.len() * percent).div_ceil(100);
            let latency = sample.latencies.get(place.saturating_sub(1));
            latency.copied().unwrap_or_default()
        };
        let mut rates: Vec<f64> = samples.iter().map(|sample| sample.rate).collect();
        rates.sort_unstable_by(f64::total_cmp);
        Self {
            rate: rates.get(rates.len() / 2).copied().unwrap_or_default(),
            median: each(&|sample| percentile(sample, 50)),
            worst: each(&|sample| percentile(sample, 99)),
            processor: each(&|sample| sample.processor),
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            rate,
            median,
            worst,
            processor,
        } = self;
        write!(
            formatter,
            "{rate:.0}/s, P50 {median:.2?}, P99 {worst:.2?}, processor {processor:.2?} each"
        )
    }
}
