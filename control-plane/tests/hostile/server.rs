//! The server under attack: this test's own program, started again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs};

use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options, User};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::input::{rbac, rights};

/// Bytes that the server may write to, and may have in memory.
const MEMORY: u64 = 1024 * 1024 * 1024;

/// How long `/readyz` may take.
const WATCHDOG: Duration = Duration::from_secs(2);

/// For an answer to anything else.
const ANSWER: Duration = Duration::from_mins(1);

const MARK: &str = "HOSTILE_SERVER";

/// Serves, when this program was started for it.
#[test]
#[ignore = "it is the server that the other tests start"]
fn serve() {
    if env::var_os(MARK).is_none() {
        return;
    }
    let limit = Rlimit {
        current: Some(MEMORY),
        ..getrlimit(Resource::Data)
    };
    setrlimit(Resource::Data, limit).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    runtime
        .block_on(async {
            let users = [User::admin(), User::new("editor", &[])];
            let tokens = users.map(|user| (user.name.clone(), user));
            let options = Options {
                tokens: tokens.into(),
                ..Options::default()
            };
            let store = Store::memory(StoreOptions::default());
            let plane = ControlPlane::start(store, options).await.unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            println!("ADDRESS {}", listener.local_addr().unwrap());
            let forever = std::future::pending();
            control_plane::serve(listener, None, plane.router(), forever).await
        })
        .unwrap();
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Administrator,
    /// Writes some kinds in the namespace `default`. What it takes counts against the limits.
    Editor,
}

impl Caller {
    pub const ALL: [Self; 2] = [Self::Administrator, Self::Editor];

    fn token(self) -> &'static str {
        match self {
            Self::Administrator => "admin",
            Self::Editor => "editor",
        }
    }
}

/// A server, and who watches it.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    ends: Arc<AtomicBool>,
    watch: Option<JoinHandle<Duration>>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub text: String,
}

impl Answer {
    pub fn message(&self) -> String {
        let status: Value = serde_json::from_str(&self.text).unwrap_or_default();
        status["message"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn expect(self, code: u16) -> Self {
        let shown: String = self.text.chars().take(500).collect();
        assert_eq!(self.code, code, "{shown}");
        self
    }
}

impl Server {
    pub fn start() -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "server::serve", "--ignored", "--nocapture"])
            .env(MARK, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, address) = line.split_once("ADDRESS ")?;
            Some(address.trim().parse().unwrap())
        });
        let address = address.unwrap();
        // What it says later is not read, and must not end it.
        thread::spawn(move || lines.for_each(drop));
        let ends = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ends);
        let watch = thread::spawn(move || {
            let mut worst = Duration::ZERO;
            let ready = &head(Caller::Administrator, "GET", "/readyz", "", 0);
            while !until.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let answer = exchange(address, ready, &[], WATCHDOG * 3);
                let is_ready = answer.is_some_and(|answer| answer.code == 200);
                let took = if is_ready {
                    asked.elapsed()
                } else {
                    WATCHDOG * 3
                };
                worst = worst.max(took);
                thread::sleep(Duration::from_millis(100));
            }
            worst
        });
        let server = Self {
            child,
            address,
            ends,
            watch: Some(watch),
        };
        for (plural, object) in rights() {
            server.post(&rbac(plural), &object).expect(201);
        }
        server
    }

    /// Sends a request of the administrator.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> Answer {
        self.send_as(Caller::Administrator, method, path, kind, body)
    }

    #[track_caller]
    pub fn send_as(
        &self,
        caller: Caller,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
    ) -> Answer {
        let head = head(caller, method, path, kind, body.len());
        let answer = exchange(self.address, &head, body.as_bytes(), ANSWER);
        answer.expect("no answer")
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(Caller::Administrator, path, body)
    }

    #[track_caller]
    pub fn post_as(&self, caller: Caller, path: &str, body: &Value) -> Answer {
        let kind = "application/json";
        self.send_as(caller, "POST", path, kind, &body.to_string())
    }

    /// Bytes in memory at most, so far.
    pub fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }

    /// The server lives, was ready in time all along, and kept to its memory.
    pub fn end(mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let worst = self.watch.take().unwrap().join().unwrap();
        assert!(
            self.child.try_wait().unwrap().is_none(),
            "the server has ended"
        );
        let peak = self.peak();
        println!("peak {} MiB, /readyz took {worst:?} at most", peak >> 20);
        assert!(peak < MEMORY, "{peak} bytes in memory");
        assert!(worst < WATCHDOG, "/readyz took {worst:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The head of a request.
pub fn head(caller: Caller, method: &str, path: &str, kind: &str, length: usize) -> String {
    let token = caller.token();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
         content-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )
}

/// Sends bytes and reads the answer; none if there is none in time.
pub fn exchange(to: SocketAddr, head: &str, body: &[u8], patience: Duration) -> Option<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    // A server that refuses early may close before all is sent, and has answered all the same.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body);
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let code = text.split(' ').nth(1).and_then(|code| code.parse().ok());
    let (_, text) = text.split_once("\r\n\r\n").unwrap_or_default();
    read.ok().or(code.map(usize::from))?;
    Some(Answer {
        code: code?,
        text: text.to_owned(),
    })
}
