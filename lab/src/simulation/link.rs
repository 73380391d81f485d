//! The ways between processes and hosts: how long they take, what they lose, whether they are open.

use std::time::Duration;

use crate::simulated::Random;

/// The first wait before what was lost is sent again, and the most doublings of it, as Linux has
/// them (`TCP_RTO_MIN`).
const SENT_AGAIN: Duration = Duration::from_millis(200);
const DOUBLINGS: u32 = 6;

/// Whether a host can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// It can.
    #[default]
    Open,
    /// Its machine is there and nobody listens: connections are refused.
    Refused,
    /// Nothing comes back.
    Silent,
}

/// What the way to a host is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// From a caller to there and back.
    pub round_trip: Duration,
    /// The share of packets that are lost, from 0 to 1. As with TCP, they are sent again: what is
    /// lost comes late.
    pub loss: f64,
}

impl Link {
    /// A way that loses nothing.
    pub fn of(round_trip: Duration) -> Self {
        Self {
            round_trip,
            loss: 0.0,
        }
    }

    /// How long one crossing takes this time.
    pub(super) fn crossing(&self, random: &mut Random) -> Duration {
        let mut time = self.round_trip / 2;
        if self.loss > 0.0 {
            let mut doublings = 0;
            while doublings < DOUBLINGS && random.happens(self.loss) {
                time += SENT_AGAIN * 2_u32.pow(doublings);
                doublings += 1;
            }
        }
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_comes_late() {
        let mut random = Random::new(1, "link");
        let near = Link::of(Duration::from_millis(10));
        assert_eq!(near.crossing(&mut random), Duration::from_millis(5));
        let lossy = Link { loss: 0.5, ..near };
        let times: Vec<Duration> = (0..100).map(|_| lossy.crossing(&mut random)).collect();
        assert!(times.contains(&Duration::from_millis(5)));
        assert!(times.contains(&Duration::from_millis(205)));
        assert!(times.contains(&Duration::from_millis(605)));
        let dead = Link { loss: 1.0, ..near };
        assert_eq!(dead.crossing(&mut random), Duration::from_millis(12_605));
    }
}
