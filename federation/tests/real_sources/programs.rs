//! Starting real programs, and waiting for them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::process::{Child, Command};

/// How long a program may take to get to the state that a test waits for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// The time between two looks at a program.
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// Whether a program is there. In CI everything must be, so that nothing goes untested unseen.
pub(crate) fn is_installed(program: &str) -> bool {
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
pub(crate) fn spawn(mut command: Command) -> Child {
    command
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// A path of this run's own.
pub(crate) fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

/// An address that nobody has, in TCP and UDP. Below the ports that the system gives to
/// connections, so that none of those takes it before the program does.
pub(crate) fn free_address() -> SocketAddr {
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
