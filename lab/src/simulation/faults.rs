//! What goes wrong with requests, by a seed.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use kube::client::Body;

use crate::simulated::Random;

/// Await points of a server's work on a request, about: of more it has none.
const POINTS: usize = 8;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered like this, and not done.
    Answer(StatusCode),
    /// It is refused for now: 429, with the seconds after which it may be tried again.
    Busy(u64),
    /// It does not arrive.
    LostRequest,
    /// It is done, and nobody hears of it.
    LostAnswer,
    /// It is done so much later, when nobody waits any more.
    Late(Duration),
    /// It arrives, and whoever asked goes away at this await point of the server's work on it.
    Gone(usize),
    /// The watch that it starts does not end well.
    Watch(Duration, WatchFault),
}

/// What becomes of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFault {
    /// The connection breaks.
    Lost,
    /// Nothing comes any more, and the connection stays.
    Hung,
    /// The server says that its history does not reach so far back: 410.
    Expired,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Watch,
    List,
    Get,
    Write,
}

impl Purpose {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        if request.method() != Method::GET {
            return Self::Write;
        }
        let query = request.uri().query().unwrap_or_default();
        let mut pairs = query.split('&');
        if pairs.any(|pair| matches!(pair, "watch=true" | "watch=1")) {
            Self::Watch
        } else if query.contains("limit=") {
            Self::List
        } else {
            Self::Get
        }
    }
}

/// How much goes wrong.
#[derive(Clone, Debug)]
pub struct Faults {
    random: Random,
    /// Of all requests, from 0 to 1.
    share: f64,
}

impl Faults {
    /// This share of all requests goes wrong; which and how is a matter of the seed.
    pub fn new(seed: u64, share: f64) -> Self {
        Self {
            random: Random::new(seed, "faults"),
            share,
        }
    }

    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::new(0, 0.0)
    }

    /// What goes wrong with this request.
    pub fn draw(&mut self, request: &Request<Body>) -> Option<Fault> {
        // Watches are few and long: ten times as large a share of them goes wrong.
        let purpose = Purpose::of(request);
        let share = match purpose {
            Purpose::Watch => (self.share * 10.0).min(0.5),
            _ => self.share,
        };
        if !self.random.happens(share) {
            return None;
        }
        let seconds = |random: &mut Random, below| Duration::from_secs(random.below(below) as u64);
        Some(match self.random.below(10) {
            0 => Fault::Busy(self.random.below(5) as u64),
            1 => Fault::Answer(StatusCode::INTERNAL_SERVER_ERROR),
            2 => Fault::Answer(StatusCode::GATEWAY_TIMEOUT),
            3 => Fault::LostRequest,
            4 => Fault::LostAnswer,
            chance => match purpose {
                Purpose::Watch => {
                    let what = [WatchFault::Lost, WatchFault::Hung, WatchFault::Expired];
                    Fault::Watch(seconds(&mut self.random, 120), what[chance % 3])
                }
                Purpose::List => Fault::Answer(StatusCode::GONE),
                Purpose::Get => Fault::Answer(StatusCode::SERVICE_UNAVAILABLE),
                Purpose::Write if chance < 7 => Fault::Answer(StatusCode::CONFLICT),
                Purpose::Write if chance < 8 => Fault::Gone(self.random.below(POINTS)),
                Purpose::Write => Fault::Late(seconds(&mut self.random, 30)),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, query: &str) -> Request<Body> {
        let uri = format!("http://hub/apis/apps/v1/deployments?{query}");
        let builder = Request::builder().method(method).uri(uri);
        builder.body(Body::empty()).unwrap()
    }

    /// All that can go wrong does, where it can, within a few hundred requests.
    #[test]
    fn every_fault_comes_where_it_can() {
        let drawn = |request: &Request<Body>| {
            let mut faults = Faults::new(1, 1.0);
            let all = (0..2000).filter_map(|_| faults.draw(request));
            all.map(|fault| format!("{fault:?}")).collect::<Vec<_>>()
        };
        let has = |all: &[String], what: &str| all.iter().any(|one| one.contains(what));
        let watch = drawn(&request(Method::GET, "watch=true"));
        for what in [
            "Lost)",
            "Hung",
            "Expired",
            "Busy",
            "500",
            "504",
            "LostRequest",
        ] {
            assert!(has(&watch, what), "{what}");
        }
        let list = drawn(&request(Method::GET, "limit=500"));
        assert!(has(&list, "410") && !has(&list, "Watch") && !has(&list, "409"));
        let write = drawn(&request(Method::PATCH, ""));
        assert!(has(&write, "409") && has(&write, "Late") && has(&write, "LostAnswer"));
        for point in 0..POINTS {
            assert!(has(&write, &format!("Gone({point})")), "{point}");
        }
        assert!(!has(&write, "410"));
    }
}
