//! Ports on the loopback interface.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

/// Below Linux's default ephemeral range (32768…60999): a port from inside it
/// could be the source of somebody's connection by the time that a stopped
/// cluster wants it back.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// The ports of one cluster. They stay the same when it is stopped and
/// started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) api: u16,
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    /// KWOK's metrics.
    pub(crate) kwok: u16,
    pub(crate) metrics_server: u16,
}

impl Ports {
    /// Ports of their own.
    pub(crate) fn free() -> Self {
        Self {
            api: free_port(),
            etcd: free_port(),
            etcd_peer: free_port(),
            kwok: free_port(),
            metrics_server: free_port(),
        }
    }
}

/// A port that nobody listens on now, and that this process gave to nobody else.
pub fn free_port() -> u16 {
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    // Labs of several processes (test binaries run beside each other)
    // start at different places, so that they rarely meet; a clash that
    // happens nevertheless is seen when a server cannot bind.
    let from = next.get_or_insert_with(|| {
        let random = RandomState::new().hash_one(std::process::id());
        (random % u64::from(RANGE.end - RANGE.start)) as u16
    });
    for _ in RANGE {
        *from = (*from + 1) % (RANGE.end - RANGE.start);
        let port = RANGE.start + *from;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            break;
        }
    }
    RANGE.start + *from
}

/// The offset in the range that was given out last.
static NEXT: Mutex<Option<u16>> = Mutex::new(None);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_are_distinct() {
        let ports: BTreeSet<_> = (0..20)
            .map(|_| Ports::free())
            .flat_map(|p| [p.api, p.etcd, p.etcd_peer, p.kwok, p.metrics_server])
            .collect();
        assert_eq!(ports.len(), 100);
        assert!(ports.iter().all(|port| RANGE.contains(port)));
    }
}
