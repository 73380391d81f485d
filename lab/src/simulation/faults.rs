//! What goes wrong with requests, by a seed.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use kube::client::Body;

use crate::simulated::Random;

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
        if !self.random.happens(self.share) {
            return None;
        }
        let code = |code: StatusCode| Fault::Answer(code);
        let is_read = request.method() == Method::GET;
        Some(match self.random.below(7) {
            0 => code(StatusCode::TOO_MANY_REQUESTS),
            1 => code(StatusCode::INTERNAL_SERVER_ERROR),
            2 => code(StatusCode::GATEWAY_TIMEOUT),
            3 if is_read => code(StatusCode::GONE),
            3 => code(StatusCode::CONFLICT),
            4 | 5 if is_read => {
                Fault::LostWatch(Duration::from_secs(self.random.below(120) as u64))
            }
            _ => Fault::LostAnswer,
        })
    }
}
