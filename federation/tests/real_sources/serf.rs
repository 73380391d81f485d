//! Round-trip times from serf agents on loopback.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use federation::proximity::serf::{AuthKey, SerfClient, SerfFault, round_trip_times};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::programs::{DEADLINE, TICK, free_address, is_installed, scratch, spawn};

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
    // Two federations: in one, a far node would pull at the near one for a while.
    let hubs = [(); 2].map(|()| Agent::start("hub", None, None));
    let _near = Agent::start("member", Some(&hubs[0]), None);
    let _far = Agent::start("member", Some(&hubs[1]), Some(one_way));
    let start = Instant::now();
    loop {
        let near = hubs[0].to_member().await;
        let far = hubs[1].to_member().await;
        // Vivaldi comes closer with every probe; a quarter of the delay is enough to tell.
        if let (Some(near), Some(far)) = (near, far)
            && far >= one_way / 2
            && far >= near * 2
        {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "near {near:?}, far {far:?}");
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

    /// The round-trip time to the one other node, as far as it is known.
    async fn to_member(&self) -> Option<Duration> {
        let names = ["hub", "member"].map(String::from);
        let times = round_trip_times(&self.rpc, None, &names).await.ok()?;
        times.into_values().next()
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
