//! The network of a simulation: who answers at a URL, how long the way takes, and what goes wrong.
//!
//! A host is an API server in this process. It works on a request as long as somebody waits: whoever
//! goes away, at whatever await point, drops its work, as over a connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use http::{Request, Uri};
use kube::client::Body;
use tokio::sync::watch;

use super::faults::{Fault, Faults, Purpose};
use super::link::{Link, Reach};
use super::origin::NetworkOrigin;
use super::trace::Trace;
use crate::simulated::Random;

/// A network. Clones are the same one.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    hosts: Mutex<BTreeMap<String, Host>>,
    /// By process and host.
    ways: Mutex<BTreeMap<(String, String), watch::Sender<Reach>>>,
    troubles: Mutex<Troubles>,
    trace: Trace,
}

#[derive(Clone)]
pub(super) struct Host {
    pub(super) router: Router,
    link: Link,
    reach: Reach,
}

struct Troubles {
    faults: Faults,
    losses: Random,
    /// The most objects in a page of a list.
    page: Option<usize>,
}

impl Network {
    /// A network without hosts. All that is drawn depends on the seed.
    pub fn new(seed: u64, trace: Trace) -> Self {
        let troubles = Troubles {
            faults: Faults::none(),
            losses: Random::new(seed, "losses"),
            page: None,
        };
        Self(Arc::new(Inner {
            hosts: Mutex::default(),
            ways: Mutex::default(),
            troubles: Mutex::new(troubles),
            trace,
        }))
    }

    /// An API server that answers at `http://NAME`, so far away.
    pub fn add(&self, name: &str, router: Router, round_trip: Duration) {
        let host = Host {
            router,
            link: Link::of(round_trip),
            reach: Reach::Open,
        };
        self.hosts().insert(name.to_owned(), host);
    }

    /// A host is gone: nobody answers there any more.
    pub fn remove(&self, name: &str) {
        self.set_reach(name, Reach::Refused);
        self.hosts().remove(name);
    }

    /// Changes how long the way to a host takes, and what it loses.
    pub fn set_link(&self, name: &str, link: Link) {
        if let Some(host) = self.hosts().get_mut(name) {
            host.link = link;
        }
    }

    /// What the way to a host is like; none if there is no such host.
    pub fn link(&self, name: &str) -> Option<Link> {
        self.hosts().get(name).map(|host| host.link)
    }

    /// Cuts a host off from all processes, or opens the way again. Watches stall while it is
    /// silent, and end when connections are refused.
    pub fn set_reach(&self, name: &str, reach: Reach) {
        if let Some(host) = self.hosts().get_mut(name) {
            host.reach = reach;
        }
        for ((_, host), way) in &*self.ways() {
            if host == name {
                way.send_replace(reach);
            }
        }
    }

    /// Cuts a host off from one process alone, or opens the way again.
    pub fn partition(&self, process: &str, host: &str, reach: Reach) {
        self.way(process, host);
        if let Some(way) = self.ways().get(&(process.to_owned(), host.to_owned())) {
            way.send_replace(reach);
        }
    }

    /// Opens all ways.
    pub fn open(&self) {
        for host in self.hosts().values_mut() {
            host.reach = Reach::Open;
        }
        for way in self.ways().values() {
            way.send_replace(Reach::Open);
        }
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.troubles().faults = faults;
    }

    /// Lists come in pages of at most so many objects, so that they are continued often; none for
    /// as many as was asked for.
    pub fn set_page(&self, page: Option<usize>) {
        self.troubles().page = page;
    }

    /// A process's end of the network.
    pub fn origin(&self, process: &str) -> NetworkOrigin {
        NetworkOrigin::new(self.clone(), process)
    }

    pub(super) fn trace(&self) -> &Trace {
        &self.0.trace
    }

    pub(super) fn host(&self, name: &str) -> Option<Host> {
        self.hosts().get(name).cloned()
    }

    /// The state of the way from a process to a host.
    pub(super) fn way(&self, process: &str, name: &str) -> watch::Receiver<Reach> {
        let reach = self.hosts().get(name).map(|host| host.reach);
        let key = (process.to_owned(), name.to_owned());
        let mut ways = self.ways();
        let way = ways
            .entry(key)
            .or_insert_with(|| watch::Sender::new(reach.unwrap_or_default()));
        way.subscribe()
    }

    /// How long the way to a host takes this time.
    pub(super) fn crossing(&self, name: &str) -> Duration {
        let link = self.link(name).unwrap_or(Link::of(Duration::ZERO));
        link.crossing(&mut self.troubles().losses)
    }

    pub(super) fn fault(&self, request: &Request<Body>) -> Option<Fault> {
        self.troubles().faults.draw(request)
    }

    /// The request with a shorter page, if pages are short.
    pub(super) fn paged(&self, mut request: Request<Body>) -> Request<Body> {
        if let Some(page) = self.troubles().page
            && Purpose::of(&request) == Purpose::List
        {
            let shorter = request.uri().to_string();
            let shorter = shorter.replace("limit=500", &format!("limit={page}"));
            if let Ok(uri) = shorter.parse::<Uri>() {
                *request.uri_mut() = uri;
            }
        }
        request
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, Host>> {
        self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ways(&self) -> MutexGuard<'_, BTreeMap<(String, String), watch::Sender<Reach>>> {
        self.0.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.0
            .troubles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
