//! How long connections may take, and how many there are, in virtual time.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::super::sending::holding;
use super::*;
use crate::store::{Options as StoreOptions, Store};
use crate::{ControlPlane, Options, User};

/// What a client sends that gets no more than a head.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// A connection that is served.
struct Served {
    client: DuplexStream,
    task: JoinHandle<()>,
    _end: watch::Sender<()>,
}

impl Served {
    fn new(router: Router) -> Self {
        let (client, server) = duplex(1024);
        let (end, ended) = watch::channel(());
        Self {
            client,
            task: tokio::spawn(connection(server, router, Activity::new(), ended)),
            _end: end,
        }
    }

    /// How many seconds it lasts from now on.
    async fn lasts(self) -> u64 {
        let began = Instant::now();
        self.task.await.unwrap();
        began.elapsed().as_secs()
    }
}

/// Reads the head of an answer.
async fn head(client: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Whether the server has closed a connection.
async fn is_closed(client: &mut DuplexStream) -> bool {
    let mut byte = [0];
    let read = timeout(Duration::from_millis(1), client.read(&mut byte)).await;
    read.is_ok_and(|read| read.unwrap() == 0)
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_ten_seconds() {
    let folder = std::env::temp_dir().join(format!("serving-{}", std::process::id()));
    let tls = Tls::open(&folder, &["localhost"]).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let (mut client, server) = duplex(1024);
    let (_end, ended) = watch::channel(());
    // The beginning of a record.
    client.write_all(&[22, 3, 1]).await.unwrap();
    let began = Instant::now();
    greet(
        tls.acceptor(),
        server,
        Router::new(),
        Activity::new(),
        ended,
    )
    .await;
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_first_request_has_ten_seconds() {
    let silent = Served::new(Router::new());
    assert_eq!(silent.lasts().await, 10);
    let mut slow = Served::new(Router::new());
    slow.client.write_all(&REQUEST[..10]).await.unwrap();
    assert_eq!(slow.lasts().await, 10);
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_be_idle_for_ninety_seconds() {
    let mut idle = Served::new(Router::new());
    for _ in 0..2 {
        idle.client.write_all(REQUEST).await.unwrap();
        head(&mut idle.client).await;
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    assert_eq!(idle.lasts().await, 30);
}

#[tokio::test(start_paused = true)]
async fn a_head_has_ten_seconds_once_it_has_begun() {
    let mut slow = Served::new(Router::new());
    slow.client.write_all(REQUEST).await.unwrap();
    head(&mut slow.client).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    slow.client.write_all(&REQUEST[..10]).await.unwrap();
    // More of it does not give it more time.
    tokio::time::sleep(Duration::from_secs(5)).await;
    slow.client.write_all(&REQUEST[10..20]).await.unwrap();
    assert_eq!(slow.lasts().await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_a_minute() {
    let store = Store::memory(StoreOptions::default());
    let plane = ControlPlane::start(store, Options::default()).await;
    let limits = Arc::new(Limits::new(1));
    let router = plane.unwrap().router_for(User::admin());
    let mut slow = Served::new(router.layer(Extension(super::Served(limits))));
    let request = "POST /api/v1/namespaces HTTP/1.1\r\nhost: x\r\n\
                   content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    slow.client.write_all(request.as_bytes()).await.unwrap();
    let began = Instant::now();
    let answer = head(&mut slow.client).await;
    assert_eq!(began.elapsed().as_secs(), 60);
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_is_idle_longest_makes_room() {
    let (_end, ended) = watch::channel(());
    let forever = axum::routing::post(std::future::pending::<()>);
    let server = Server {
        router: Router::new().route("/", forever),
        acceptor: None,
        limits: Arc::new(Limits::new(2)),
        ended,
    };
    let open = async |request: &[u8]| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (mut client, stream) = duplex(1024);
        server.accept(stream);
        // Fails if it was closed.
        let _ = client.write_all(request).await;
        client
    };
    let unanswered = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let mut used = open(unanswered).await;
    let mut idle = open(REQUEST).await;
    head(&mut idle).await;
    let mut silent = open(b"").await;
    assert!(is_closed(&mut idle).await);
    assert!(!is_closed(&mut silent).await);
    let mut other = open(unanswered).await;
    assert!(is_closed(&mut silent).await);
    // All are used.
    let mut refused = open(REQUEST).await;
    assert!(is_closed(&mut refused).await);
    assert!(!is_closed(&mut used).await && !is_closed(&mut other).await);
    assert_eq!(server.limits.connections(), 2);
    drop((used, other));
    // A client that goes away leaves its place.
    let mut last = open(REQUEST).await;
    head(&mut last).await;
    assert_eq!(server.limits.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_gives_its_memory_back() {
    const BYTES: usize = 1 << 20;
    let limits = Arc::new(Limits::with_answers(1, BYTES / 1024));
    let shared = Arc::clone(&limits);
    let router = Router::new().fallback(move || async move {
        let place = shared.answer(BYTES).await.ok();
        holding(Response::new(Body::from(vec![b'x'; BYTES])), place)
    });
    let mut served = Served::new(router);
    served.client.write_all(REQUEST).await.unwrap();
    // The answer is under way when nothing else is to be done.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(limits.answer(BYTES).await.is_err());
    served.task.await.unwrap();
    assert!(limits.answer(BYTES).await.is_ok());
}
