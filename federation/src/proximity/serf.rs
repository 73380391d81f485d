//! Round-trip times from a serf agent.
//!
//! The protocol is serf's RPC (`cmd/serf/command/agent/ipc.go`): over TCP, each side sends
//! msgpack values one after the other without any framing. A request is a header
//! `{Command, Seq}` and a body; an answer is a header `{Seq, Error}` and, for some commands, a
//! body. A connection begins with `handshake` and, if the agent has an `rpc_auth` key, `auth`.
//!
//! The distance is that of serf's `coordinate.DistanceTo`, on network coordinates kept by
//! Vivaldi (Dabek et al., SIGCOMM 2004) with heights and with the adjustment term of
//! Ledlie et al. (NSDI 2007).

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Cursor, ErrorKind};
use std::time::Duration;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{RoundTripTimes, pair};

/// How long one answer may take.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// The only version of the protocol that there is.
const VERSION: u32 = 1;

/// The longest value that is accepted; a coordinate takes about 150 bytes.
const MAX_VALUE: usize = 64 * 1024;

/// The error that a coordinate begins with (serf's `VivaldiErrorMax`). Where distances are short
/// and uneven, a coordinate can come back to it.
const UNMEASURED: f64 = 1.5;

/// The round-trip times between the nodes of these names, as estimated now.
///
/// `address` is the agent's RPC address, `host:port`. A node that serf doesn't know, or has not
/// measured yet, is left out.
pub async fn round_trip_times(
    address: &str,
    auth: Option<&AuthKey>,
    names: &[String],
) -> Result<RoundTripTimes, SerfError> {
    let mut agent = SerfClient::new(address, auth.cloned(), DEADLINE);
    let mut coordinates = BTreeMap::new();
    for name in names {
        if let Some(coordinate) = agent.coordinate(name).await? {
            coordinates.insert(name.as_str(), coordinate);
        }
    }
    let mut times = RoundTripTimes::new();
    for (place, (one, from)) in coordinates.iter().enumerate() {
        for (other, to) in coordinates.iter().skip(place + 1) {
            if let Some(distance) = from.distance_to(to) {
                times.insert(pair(one, other), distance);
            }
        }
    }
    Ok(times)
}

/// A node's place in the network, in seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Coordinate {
    /// The place in Euclidean space. Serf sends null for a node that it doesn't know.
    #[serde(rename = "Vec", deserialize_with = "null_as_empty")]
    pub position: Vec<f64>,
    /// The confidence: 1.5 is none, 0 is full. Without unit.
    pub error: f64,
    /// What observed times differ by from the distance, on average. May be negative.
    pub adjustment: f64,
    /// The way from the node to the core of the network.
    pub height: f64,
}

impl Coordinate {
    /// Whether the node has been measured at all: before that it is at the origin.
    fn is_measured(&self) -> bool {
        self.error < UNMEASURED || self.position.iter().any(|&axis| axis != 0.0)
    }

    /// The estimated round-trip time, or `None` if the two can't be compared.
    pub fn distance_to(&self, other: &Self) -> Option<Duration> {
        if self.position.len() != other.position.len() {
            return None;
        }
        let axes = self.position.iter().zip(&other.position);
        let squares: f64 = axes.map(|(here, there)| (here - there).powi(2)).sum();
        let raw = squares.sqrt() + self.height + other.height;
        // Adjustments may outweigh a short distance; then serf goes by the distance alone.
        let adjusted = raw + self.adjustment + other.adjustment;
        let seconds = if adjusted > 0.0 { adjusted } else { raw };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// The agent's `rpc_auth` key. It is never printed.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct AuthKey(String);

impl AuthKey {
    /// Wraps a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("AuthKey(…)")
    }
}

/// What went wrong between us and the agent.
#[derive(Debug, thiserror::Error)]
#[error("serf agent at {address}: {fault}")]
pub struct SerfError {
    /// The agent's RPC address.
    pub address: String,
    /// The kind of failure.
    #[source]
    pub fault: SerfFault,
}

/// A kind of failure.
#[derive(Debug, thiserror::Error)]
pub enum SerfFault {
    /// There is no connection.
    #[error("can't connect ({0}); is the agent running with this -rpc-addr?")]
    Connect(#[source] std::io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[source] std::io::Error),
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// The agent refused a command.
    #[error("refused {command}: {reason}{}", if *.command == "auth" || .reason.contains("uthentication") { "; check the RPC auth key" } else { "" })]
    Refused {
        /// The command.
        command: &'static str,
        /// The agent's words.
        reason: String,
    },
    /// What came is not serf's protocol.
    #[error(
        "not an answer of serf's RPC protocol ({0}); is this its RPC port, and not its gossip port?"
    )]
    Malformed(String),
}

/// A connection to one agent; made when it is needed, and made anew after a failure.
#[derive(Debug)]
pub struct SerfClient {
    address: String,
    auth: Option<AuthKey>,
    deadline: Duration,
    connection: Option<Connection>,
}

impl SerfClient {
    /// A client that gives every call this long; it connects at the first call.
    pub fn new(address: impl Into<String>, auth: Option<AuthKey>, deadline: Duration) -> Self {
        Self {
            address: address.into(),
            auth,
            deadline,
            connection: None,
        }
    }

    /// A node's coordinate, or `None` if serf doesn't know the node or has not measured it.
    pub async fn coordinate(&mut self, node: &str) -> Result<Option<Coordinate>, SerfError> {
        let was_open = self.connection.is_some();
        let mut answer = self.ask(node).await;
        // The agent may have been restarted since the last call.
        if was_open && matches!(answer, Err(SerfFault::Broken(_))) {
            answer = self.ask(node).await;
        }
        answer.map_err(|fault| SerfError {
            address: self.address.clone(),
            fault,
        })
    }

    /// Asks on the open connection or a new one. It is kept only after an answer: after a failure
    /// nobody knows what is still under way on it.
    async fn ask(&mut self, node: &str) -> Result<Option<Coordinate>, SerfFault> {
        let open = self.connection.take();
        let asked = timeout(self.deadline, async {
            let mut connection = match open {
                Some(connection) => connection,
                None => Connection::open(&self.address, self.auth.as_ref()).await?,
            };
            let answer = connection.coordinate(node).await?;
            Ok((connection, answer))
        });
        let (connection, answer) = asked
            .await
            .map_err(|_| SerfFault::Silent(self.deadline))??;
        self.connection = Some(connection);
        Ok(answer)
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// What has come and was not read yet.
    buffer: Vec<u8>,
    seq: u64,
}

impl Connection {
    async fn open(address: &str, auth: Option<&AuthKey>) -> Result<Self, SerfFault> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(SerfFault::Connect)?;
        let mut connection = Self {
            stream,
            buffer: Vec::new(),
            seq: 0,
        };
        connection
            .call("handshake", &Handshake { version: VERSION })
            .await?;
        if let Some(auth_key) = auth {
            connection.call("auth", &Auth { auth_key }).await?;
        }
        Ok(connection)
    }

    async fn coordinate(&mut self, node: &str) -> Result<Option<Coordinate>, SerfFault> {
        self.call("get-coordinate", &GetCoordinate { node }).await?;
        let answer: CoordinateAnswer = self.read().await?;
        let coordinate = Some(answer.coord).filter(|_| answer.ok);
        Ok(coordinate.filter(Coordinate::is_measured))
    }

    /// Sends a command and reads the header of its answer.
    async fn call(
        &mut self,
        command: &'static str,
        body: &impl Serialize,
    ) -> Result<(), SerfFault> {
        self.seq += 1;
        let mut request = encode(&RequestHeader {
            command,
            seq: self.seq,
        })?;
        request.extend(encode(body)?);
        self.stream
            .write_all(&request)
            .await
            .map_err(SerfFault::Broken)?;
        let header: AnswerHeader = self.read().await?;
        if !header.error.is_empty() {
            let reason = header.error;
            return Err(SerfFault::Refused { command, reason });
        }
        if header.seq != self.seq {
            let reason = format!("an answer to request {} for {}", header.seq, self.seq);
            return Err(SerfFault::Malformed(reason));
        }
        Ok(())
    }

    /// Reads one value off the stream. There is no framing: it ends where msgpack says it ends.
    async fn read<T: DeserializeOwned>(&mut self) -> Result<T, SerfFault> {
        loop {
            if let Some(length) = complete(&self.buffer)? {
                let value = rmp_serde::from_slice(&self.buffer[..length]).map_err(malformed)?;
                self.buffer.drain(..length);
                return Ok(value);
            }
            if self.buffer.len() > MAX_VALUE {
                let reason = format!("a value of more than {MAX_VALUE} bytes");
                return Err(SerfFault::Malformed(reason));
            }
            let mut chunk = [0; 4096];
            let read = self
                .stream
                .read(&mut chunk)
                .await
                .map_err(SerfFault::Broken)?;
            if read == 0 {
                return Err(SerfFault::Broken(ErrorKind::UnexpectedEof.into()));
            }
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}

/// The length of the value at the beginning of `buffer`, or `None` while some of it is missing.
fn complete(buffer: &[u8]) -> Result<Option<usize>, SerfFault> {
    use rmp_serde::decode::Error::{InvalidDataRead, InvalidMarkerRead};
    let mut cursor = Cursor::new(buffer);
    match rmp_serde::from_read::<_, IgnoredAny>(&mut cursor) {
        Ok(_) => Ok(usize::try_from(cursor.position()).ok()),
        Err(InvalidMarkerRead(error) | InvalidDataRead(error))
            if error.kind() == ErrorKind::UnexpectedEof =>
        {
            Ok(None)
        }
        Err(error) => Err(malformed(error)),
    }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, SerfFault> {
    rmp_serde::to_vec_named(value).map_err(|error| SerfFault::Malformed(error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "to be given to map_err")]
fn malformed(error: rmp_serde::decode::Error) -> SerfFault {
    SerfFault::Malformed(error.to_string())
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Vec<f64>, D::Error> {
    Ok(Option::<Vec<f64>>::deserialize(value)?.unwrap_or_default())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RequestHeader {
    command: &'static str,
    seq: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Handshake {
    version: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Auth<'a> {
    auth_key: &'a AuthKey,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetCoordinate<'a> {
    node: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerHeader {
    seq: u64,
    error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CoordinateAnswer {
    coord: Coordinate,
    ok: bool,
}

#[cfg(test)]
#[path = "serf_tests.rs"]
mod tests;
