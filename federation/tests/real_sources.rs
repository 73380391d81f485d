//! Proximity and traffic against the real programs: serf agents and a Prometheus server.

#![expect(
    clippy::unwrap_used,
    reason = "the functions around the tests are tests too"
)]

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use federation::proximity::serf::{AuthKey, SerfClient, SerfFault, round_trip_times};
use federation::traffic::{TrafficError, TrafficOptions, TrafficQueries, TrafficSource};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a program may take to get to the state that a test waits for.
const DEADLINE: Duration = Duration::from_secs(40);

/// The time between two looks at a program.
const TICK: Duration = Duration::from_millis(200);

// --- serf ---

#[tokio::test]
async fn distances_are_those_of_serf_rtt() {
    if !is_installed("serf") {
        return;
    }
    let hub = Agent::start("hub", None, None);
    let _near = Agent::start("fog1", Some(&hub), None);
    // Longer than 31 bytes, which msgpack writes in another way.
    let long = "fog2-with-a-name-of-more-than-thirty-one-bytes";
    let _far = Agent::start(long, Some(&hub), None);
    let names = ["hub", "fog1", long, "nobody"].map(String::from);
    let start = Instant::now();
    let mut compared = 0;
    while compared < 3 {
        assert!(
            start.elapsed() < DEADLINE,
            "serf knows no coordinates yet, or they never rest"
        );
        sleep(TICK).await;
        let Ok(times) = round_trip_times(&hub.rpc, None, &names).await else {
            continue;
        };
        assert!(times.len() <= 3, "{times:?}");
        compared = 0;
        for ((one, other), time) in &times {
            let before = hub.rtt(one, other).await;
            // The coordinates move at every probe; what moved meanwhile says nothing.
            let again = round_trip_times(&hub.rpc, None, &names).await;
            if again.ok().as_ref() != Some(&times) || hub.rtt(one, other).await != before {
                break;
            }
            // serf prints milliseconds with three digits.
            let difference = time.as_secs_f64() * 1000.0 - before.unwrap();
            assert!(
                difference.abs() <= 0.000_501,
                "{one} {other}: {time:?}, serf: {before:?} ms"
            );
            compared += 1;
        }
    }
}

#[tokio::test]
async fn the_distance_grows_with_the_delay() {
    if !is_installed("serf") {
        return;
    }
    let one_way = Duration::from_millis(40);
    let hub = Agent::start("hub", None, None);
    let _near = Agent::start("near", Some(&hub), None);
    let _far = Agent::start("far", Some(&hub), Some(one_way));
    let names = ["hub", "near", "far"].map(String::from);
    let start = Instant::now();
    loop {
        let times = round_trip_times(&hub.rpc, None, &names)
            .await
            .unwrap_or_default();
        let far = times.get(&("far".to_owned(), "hub".to_owned()));
        let near = times.get(&("hub".to_owned(), "near".to_owned()));
        // Vivaldi comes closer with every probe, and the far node pulls at the near one; half of
        // the delay, and half as near, is enough to tell.
        if far.is_some_and(|far| *far >= one_way && near.is_some_and(|near| *near * 2 <= *far)) {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{times:?}");
        sleep(TICK).await;
    }
}

#[tokio::test]
async fn a_key_is_needed_where_there_is_one_and_a_restart_is_survived() {
    if !is_installed("serf") {
        return;
    }
    let key = "a key of more than thirty-one bytes, as it should be";
    let config = scratch("serf.json");
    std::fs::write(&config, format!("{{\"rpc_auth\": {key:?}}}")).unwrap();
    let mut agent = Agent::new("hub", None, None);
    agent.config = Some(config);
    agent.run();

    let patience = Duration::from_secs(5);
    let mut client = SerfClient::new(&agent.rpc, Some(AuthKey::new(key)), patience);
    let start = Instant::now();
    while let Err(error) = client.coordinate("hub").await {
        assert!(matches!(error.fault, SerfFault::Connect(_)), "{error}");
        assert!(start.elapsed() < DEADLINE, "{error}");
        sleep(TICK).await;
    }
    for wrong in [None, Some(AuthKey::new("swordfish"))] {
        let mut stranger = SerfClient::new(&agent.rpc, wrong, patience);
        let error = stranger.coordinate("hub").await.unwrap_err().to_string();
        assert!(error.contains("check the RPC auth key"), "{error}");
        assert!(!error.contains("swordfish"), "{error}");
    }

    // The open connection dies with the agent; the same client goes on with the next one.
    agent.child.take().unwrap().kill().await.unwrap();
    agent.run();
    let start = Instant::now();
    while let Err(error) = client.coordinate("hub").await {
        assert!(start.elapsed() < DEADLINE, "{error}");
        sleep(TICK).await;
    }
}

/// A serf agent on loopback.
struct Agent {
    name: String,
    bind: SocketAddr,
    /// What the others are told to reach it by.
    advertise: SocketAddr,
    rpc: String,
    join: Option<SocketAddr>,
    config: Option<PathBuf>,
    child: Option<Child>,
}

impl Agent {
    fn start(name: &str, join: Option<&Self>, delay: Option<Duration>) -> Self {
        let mut agent = Self::new(name, join, delay);
        agent.run();
        agent
    }

    fn new(name: &str, join: Option<&Self>, delay: Option<Duration>) -> Self {
        let bind = free_address();
        let advertise = delay.map_or(bind, |delay| relay(bind, delay));
        Self {
            name: name.to_owned(),
            bind,
            advertise,
            rpc: free_address().to_string(),
            join: join.map(|agent| agent.advertise),
            config: None,
            child: None,
        }
    }

    fn run(&mut self) {
        let mut command = Command::new("serf");
        // The profile with the shortest time between probes.
        command.args(["agent", "-profile=local", "-retry-interval=1s"]);
        command.arg(format!("-node={}", self.name));
        command.arg(format!("-bind={}", self.bind));
        command.arg(format!("-advertise={}", self.advertise));
        command.arg(format!("-rpc-addr={}", self.rpc));
        command.args(self.join.map(|address| format!("-retry-join={address}")));
        command.args(
            self.config
                .iter()
                .map(|file| format!("-config-file={}", file.display())),
        );
        self.child = Some(spawn(command));
    }

    /// What `serf rtt` says, in milliseconds.
    async fn rtt(&self, one: &str, other: &str) -> Option<f64> {
        let mut command = Command::new("serf");
        command.args(["rtt", &format!("-rpc-addr={}", self.rpc), one, other]);
        let output = timeout(DEADLINE, command.output()).await.unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, number) = text.trim().strip_suffix(" ms")?.rsplit_once(' ')?;
        number.parse().ok()
    }
}

/// An address that leads to `target`, where every packet takes `delay` in each direction. It does
/// for one agent what `tc netem` does, on any kernel and without privileges.
fn relay(target: SocketAddr, delay: Duration) -> SocketAddr {
    let address = free_address();
    tokio::spawn(async move {
        let listener = TcpListener::bind(address).await.unwrap();
        loop {
            let (mut inbound, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                if let Ok(mut outbound) = TcpStream::connect(target).await {
                    let _ended = tokio::io::copy_bidirectional(&mut inbound, &mut outbound).await;
                }
            });
        }
    });
    tokio::spawn(async move {
        let inbound = Arc::new(UdpSocket::bind(address).await.unwrap());
        let mut ways: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
        let mut packet = vec![0; 65536];
        loop {
            let (length, from) = inbound.recv_from(&mut packet).await.unwrap();
            if let Entry::Vacant(way) = ways.entry(from) {
                let outbound = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                way.insert(Arc::clone(&outbound));
                tokio::spawn(answers(outbound, Arc::clone(&inbound), from, delay));
            }
            send_later(
                Arc::clone(&ways[&from]),
                packet[..length].to_vec(),
                target,
                delay,
            );
        }
    });
    address
}

async fn answers(
    outbound: Arc<UdpSocket>,
    inbound: Arc<UdpSocket>,
    to: SocketAddr,
    delay: Duration,
) {
    let mut packet = vec![0; 65536];
    loop {
        match outbound.recv_from(&mut packet).await {
            Ok((length, _)) => {
                send_later(Arc::clone(&inbound), packet[..length].to_vec(), to, delay);
            }
            // "Connection refused": the agent isn't there yet.
            Err(_) => sleep(TICK).await,
        }
    }
}

fn send_later(socket: Arc<UdpSocket>, packet: Vec<u8>, to: SocketAddr, delay: Duration) {
    tokio::spawn(async move {
        sleep(delay).await;
        let _sent = socket.send_to(&packet, to).await;
    });
}

// --- Prometheus ---

#[tokio::test]
async fn both_queries_give_the_traffic_by_cluster() {
    if !is_installed("prometheus") {
        return;
    }
    let server = free_address();
    let config = scratch("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: members\n  honor_labels: true\n  static_configs:\n  - targets: ['{}']\n",
        exporter().await
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!(
        "--storage.tsdb.path={}",
        scratch("prometheus").display()
    ));
    command.arg(format!("--web.listen-address={server}"));
    let _server = spawn(command);

    let url = format!("http://{server}");
    let source = TrafficSource::new(&url, TrafficOptions::default()).unwrap();
    let on_creation = [("fog1", 300.0), ("fog2", 50.0)];
    until(&on_creation, || source.on_creation()).await;
    let on_update = [("fog1", 1100.0), ("fog2", 7.0)];
    until(&on_update, || source.on_update("shop", "web.v1-")).await;
    assert!(
        source
            .on_update("shop", "nothing-")
            .await
            .unwrap()
            .is_empty()
    );

    // A query that someone has mistyped: the server's own words.
    let queries = TrafficQueries {
        creation: "sum by (cluster_name) (".to_owned(),
        update: "7".to_owned(),
        ..TrafficQueries::default()
    };
    let options = TrafficOptions {
        queries,
        ..TrafficOptions::default()
    };
    let mistyped = TrafficSource::new(&url, options).unwrap();
    let error = mistyped.on_creation().await.unwrap_err().to_string();
    assert!(error.contains("parse error"), "{error}");
    let error = mistyped.on_update("shop", "web").await.unwrap_err();
    assert!(matches!(error, TrafficError::Shape { .. }), "{error}");
}

/// Waits until the answer is as expected, within five percent: scrapes are not a second apart to
/// the microsecond.
async fn until<F>(expected: &[(&str, f64)], ask: impl Fn() -> F)
where
    F: Future<Output = Result<BTreeMap<String, f64>, TrafficError>>,
{
    let start = Instant::now();
    loop {
        let answer = ask().await;
        if let Ok(traffic) = &answer {
            let fits = |(name, bytes): &(&str, f64)| {
                traffic
                    .get(*name)
                    .is_some_and(|found| (found - bytes).abs() <= bytes * 0.05)
            };
            if traffic.len() == expected.len() && expected.iter().all(fits) {
                return;
            }
        }
        assert!(
            start.elapsed() < DEADLINE,
            "expected {expected:?}, got {answer:?}"
        );
        sleep(TICK).await;
    }
}

/// Exports what the members' Prometheus servers would. The counters grow at every scrape.
async fn exporter() -> SocketAddr {
    let scrapes = Arc::new(AtomicU64::new(0));
    let metrics = move || async move {
        let scrape = scrapes.fetch_add(1, Ordering::Relaxed);
        let nodes = [
            ("fog1", "n1", "100"),
            ("fog1", "n2", "200"),
            ("fog2", "n1", "50"),
            ("fog3", "n1", "NaN"),
        ];
        let pods = [
            ("fog1", "shop", "web.v1-7d9f-aaaaa", 1000),
            ("fog1", "shop", "web.v1-7d9f-bbbbb", 100),
            ("fog2", "shop", "web.v1-7d9f-ccccc", 7),
            // Not to be counted: the dot is a dot, the namespace is one, the prefix is at the start.
            ("fog2", "shop", "webXv1-7d9f-ddddd", 5000),
            ("fog2", "bank", "web.v1-7d9f-eeeee", 5000),
            ("fog2", "shop", "the-web.v1-7d9f-fffff", 5000),
        ];
        let mut text = String::new();
        for (cluster, node, bytes) in nodes {
            let _written = writeln!(
                text,
                "instance:node_network_receive_bytes_excluding_lo:rate1m{{cluster_name=\"{cluster}\",instance=\"{node}\"}} {bytes}"
            );
        }
        for (cluster, namespace, pod, rate) in pods {
            let bytes = rate * scrape;
            let _written = writeln!(
                text,
                "container_network_receive_bytes_total{{cluster_name=\"{cluster}\",namespace=\"{namespace}\",pod=\"{pod}\"}} {bytes}"
            );
        }
        text
    };
    let router = axum::Router::new().route("/metrics", axum::routing::get(metrics));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        axum::serve(listener, router).await.unwrap();
    });
    address
}

// --- programs ---

/// Whether a program is there. In CI everything must be, so that nothing goes untested unseen.
fn is_installed(program: &str) -> bool {
    let version = std::process::Command::new(program)
        .arg("--version")
        .output();
    if version.is_ok() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{program} is missing (apt-get install {program})"
    );
    println!("not run: {program} is missing (apt-get install {program})");
    false
}

/// Starts a program that ends with the test.
fn spawn(mut command: Command) -> Child {
    command
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// A path of this run's own.
fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

/// An address that nobody has, in TCP and UDP. Below the ports that the system gives to
/// connections, so that none of those takes it before the program does.
fn free_address() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Two runs at once begin at different ports.
    let first = 10_000 + u16::try_from(std::process::id() % 200).unwrap() * 100;
    loop {
        let port = first + TAKEN.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let tcp = std::net::TcpListener::bind(address);
        let udp = std::net::UdpSocket::bind(address);
        if tcp.is_ok() && udp.is_ok() {
            return address;
        }
    }
}
