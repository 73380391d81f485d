//! A reader that is slower than what happens, over a socket.

use std::time::Duration;

use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::fixture::Fixture;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Events of this size that the sockets' buffers can't hold, together with the few that may wait.
const EVENTS: usize = 200;
const SIZE: usize = 100_000;
const BACKLOG: usize = 20;
/// After this, nothing comes any more.
const DEADLINE: Duration = Duration::from_secs(30);

/// A watch over a socket. Gives what follows the head of the answer.
async fn watch(fixture: &Fixture) -> BufReader<TcpStream> {
    let address = fixture.listen().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    // HTTP/1.0 has no chunks: lines are lines, and the end of the body ends the connection.
    let request = format!("GET {MAPS}?watch=true&resourceVersion=1 HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert!(line.contains(" 200 "), "{line}");
    while line.trim() != "" {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
    }
    stream
}

async fn next(stream: &mut BufReader<TcpStream>) -> Value {
    let mut line = String::new();
    let read = timeout(DEADLINE, stream.read_line(&mut line)).await;
    assert!(read.is_ok(), "nothing comes any more");
    read.unwrap().unwrap();
    serde_json::from_str(&line).unwrap()
}

#[tokio::test]
async fn a_slow_reader_is_cut_off_and_holds_up_nobody() {
    let options = StoreOptions {
        backlog: BACKLOG,
        ..StoreOptions::default()
    };
    let plane = ControlPlane::start(Store::memory(options), Options::default());
    let fixture = Fixture::of(plane.await.unwrap());
    let (mut slow, mut quick) = (watch(&fixture).await, watch(&fixture).await);
    for number in 0..EVENTS {
        let name = format!("map-{number}");
        let map = json!({"metadata": {"name": name}, "data": {"x": "x".repeat(SIZE)}});
        fixture.post(MAPS, &map).await.expect(201);
        let event = next(&mut quick).await;
        assert_eq!(event["object"]["metadata"]["name"], name.as_str());
    }
    let mut seen = 0;
    let last = loop {
        let event = next(&mut slow).await;
        if event["type"] != "ADDED" {
            break event;
        }
        let name = format!("map-{seen}");
        assert_eq!(event["object"]["metadata"]["name"], name.as_str());
        seen += 1;
    };
    assert!(seen < EVENTS - BACKLOG, "{seen}");
    assert_eq!(
        (
            &last["type"],
            &last["object"]["code"],
            &last["object"]["reason"]
        ),
        (&json!("ERROR"), &json!(410), &json!("Expired"))
    );
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}
