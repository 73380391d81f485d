//! What goes wrong with requests, by a seed.

use std::time::Duration;

use fastrand::Rng;
use http::{Method, Request, StatusCode};
use kube::client::Body;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered like this, and not done.
    Answer(StatusCode),
    /// It is done, and nobody hears of it.
    LostAnswer,
    /// The watch that it starts ends after this long.
    LostWatch(Duration),
}

/// How much goes wrong.
#[derive(Clone, Debug)]
pub struct Faults {
    random: Rng,
    /// Of a thousand requests, how many.
    per_mille: u32,
}

impl Faults {
    /// So many of a thousand requests go wrong; which and how is a matter of the seed.
    pub fn new(seed: u64, per_mille: u32) -> Self {
        Self {
            random: Rng::with_seed(seed),
            per_mille,
        }
    }

    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::new(0, 0)
    }

    /// What goes wrong with this request.
    pub fn draw(&mut self, request: &Request<Body>) -> Option<Fault> {
        if self.random.u32(0..1000) >= self.per_mille {
            return None;
        }
        let code = |code: StatusCode| Fault::Answer(code);
        let is_read = request.method() == Method::GET;
        Some(match self.random.u32(0..7) {
            0 => code(StatusCode::TOO_MANY_REQUESTS),
            1 => code(StatusCode::INTERNAL_SERVER_ERROR),
            2 => code(StatusCode::GATEWAY_TIMEOUT),
            3 if is_read => code(StatusCode::GONE),
            3 => code(StatusCode::CONFLICT),
            4 | 5 if is_read => Fault::LostWatch(Duration::from_secs(self.random.u64(0..120))),
            _ => Fault::LostAnswer,
        })
    }
}
