//! A pod's life as its kubelet plays it: what happens to it next, and when.

use std::time::Duration;

use jiff::Timestamp;

use crate::simulated::context::after;
use crate::simulated::delay::Delay;
use crate::simulated::options::Options;
use crate::simulated::random::Random;

/// The waits before a container that ends again and again is started anew: none, then 10 s,
/// doubled up to five minutes.
const RESTARTS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(5));

/// What a pod's spec and annotations say of how it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Script {
    /// What happens to containers that end.
    pub(super) restart: Restart,
    /// How long its containers run, where it says so.
    pub(super) run: Option<Duration>,
    /// With what they end, where it says so.
    pub(super) exit: Option<i32>,
}

/// A pod's `restartPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    Always,
    OnFailure,
    Never,
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// Its containers are being made.
    Starting { ready: Timestamp },
    /// They run; they end then and with that, or never.
    Running {
        since: Timestamp,
        end: Option<(Timestamp, i32)>,
    },
    /// They have ended with this, and wait to be started anew.
    Waiting { ended: Ended, again: Timestamp },
    /// They have ended with this for good.
    Done(Ended),
}

/// Containers that ran from one moment to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) since: Timestamp,
    pub(super) at: Timestamp,
    pub(super) exit: i32,
}

/// A pod's life so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Life {
    script: Script,
    pub(super) started: Timestamp,
    pub(super) stage: Stage,
    pub(super) restarts: i32,
    /// How the containers ended before they ran this time.
    pub(super) last: Option<Ended>,
    /// When it is gone, once it is to go.
    gone: Option<Timestamp>,
}

impl Life {
    /// A pod that a kubelet hears of.
    pub(super) fn begin(
        script: Script,
        options: &Options,
        random: &mut Random,
        now: Timestamp,
    ) -> Self {
        let ready = after(now, options.startup.draw(random));
        Self {
            script,
            started: now,
            stage: Stage::Starting { ready },
            restarts: 0,
            last: None,
            gone: None,
        }
    }

    /// A pod that ran already when its kubelet was started.
    pub(super) fn resume(
        script: Script,
        options: &Options,
        random: &mut Random,
        now: Timestamp,
    ) -> Self {
        let mut life = Self::begin(script, options, random, now);
        life.run(options, random, now);
        life
    }

    /// When something happens next; never if nothing does.
    pub(super) fn next(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Starting { ready } => Some(ready),
            Stage::Running { end, .. } => end.map(|(at, _)| at),
            Stage::Waiting { again, .. } => Some(again),
            Stage::Done(_) => None,
        }
    }

    /// Lets happen what is due. Says whether something did.
    pub(super) fn advance(
        &mut self,
        options: &Options,
        random: &mut Random,
        now: Timestamp,
    ) -> bool {
        if self.next().is_none_or(|next| next > now) {
            return false;
        }
        match self.stage {
            Stage::Starting { .. } => self.run(options, random, now),
            Stage::Waiting { ended, .. } => self.start_anew(ended, options, random, now),
            Stage::Running { since, end } => {
                let exit = end.map_or(0, |(_, exit)| exit);
                let ended = Ended {
                    since,
                    at: now,
                    exit,
                };
                self.end(ended, options, random, now);
            }
            Stage::Done(_) => {}
        }
        true
    }

    /// When a pod that is to go is gone. What it is at decides how long that takes, the first time
    /// that this is asked.
    pub(super) fn gone(
        &mut self,
        grace: Duration,
        options: &Options,
        random: &mut Random,
        now: Timestamp,
    ) -> Timestamp {
        let stage = self.stage;
        *self.gone.get_or_insert_with(|| {
            let running = matches!(stage, Stage::Running { .. });
            let takes = if running {
                options.shutdown
            } else {
                Delay::Fixed(Duration::ZERO)
            };
            after(now, takes.draw(random).min(grace))
        })
    }

    fn run(&mut self, options: &Options, random: &mut Random, now: Timestamp) {
        let end = match self.script.run {
            Some(run) => Some((run, self.script.exit.unwrap_or(0))),
            None if self.script.restart == Restart::Always => {
                let crash = random.until_next(options.failures.crashes_an_hour);
                crash.map(|crash| (crash, self.script.exit.unwrap_or(1)))
            }
            None => {
                let run = options.run.draw(random);
                let fails = random.happens(options.failures.job);
                Some((run, self.script.exit.unwrap_or(i32::from(fails))))
            }
        };
        self.stage = Stage::Running {
            since: now,
            end: end.map(|(run, exit)| (after(now, run), exit)),
        };
    }

    fn end(&mut self, ended: Ended, options: &Options, random: &mut Random, now: Timestamp) {
        let restart = match self.script.restart {
            Restart::Always => true,
            Restart::OnFailure => ended.exit != 0,
            Restart::Never => false,
        };
        if !restart {
            self.stage = Stage::Done(ended);
            return;
        }
        match self.restarts {
            0 => self.start_anew(ended, options, random, now),
            restarts => {
                let factor = 2_u32.saturating_pow(restarts.unsigned_abs().saturating_sub(1));
                let wait = RESTARTS.0.saturating_mul(factor).min(RESTARTS.1);
                let again = after(now, wait);
                self.stage = Stage::Waiting { ended, again };
            }
        }
    }

    fn start_anew(&mut self, ended: Ended, options: &Options, random: &mut Random, now: Timestamp) {
        self.restarts = self.restarts.saturating_add(1);
        self.last = Some(ended);
        self.run(options, random, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::options::Failures;

    const ON_ITS_OWN: Script = Script {
        restart: Restart::Always,
        run: None,
        exit: None,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn random() -> Random {
        Random::new(1, "life")
    }

    /// All moments at which something happens, up to `end`.
    fn moments(script: Script, options: &Options, end: i64) -> Vec<i64> {
        let mut random = random();
        let mut life = Life::begin(script, options, &mut random, at(0));
        let mut moments = Vec::new();
        while let Some(next) = life.next().filter(|next| *next <= at(end)) {
            assert!(life.advance(options, &mut random, next));
            moments.push(next.as_second());
        }
        moments
    }

    #[test]
    fn a_server_starts_and_stays() {
        assert_eq!(moments(ON_ITS_OWN, &Options::default(), 100_000), [2]);
    }

    #[test]
    fn a_job_runs_as_long_as_it_says_and_ends_for_good() {
        let script = Script {
            restart: Restart::Never,
            run: Some(Duration::from_secs(30)),
            exit: Some(3),
        };
        assert_eq!(moments(script, &Options::default(), 100_000), [2, 32]);
        let mut random = random();
        let mut life = Life::begin(script, &Options::default(), &mut random, at(0));
        life.advance(&Options::default(), &mut random, at(2));
        life.advance(&Options::default(), &mut random, at(32));
        let ended = Ended {
            since: at(2),
            at: at(32),
            exit: 3,
        };
        assert_eq!(life.stage, Stage::Done(ended));
    }

    #[test]
    fn what_crashes_again_and_again_waits_longer_each_time() {
        let script = Script {
            restart: Restart::OnFailure,
            run: Some(Duration::from_secs(1)),
            exit: Some(1),
        };
        // Ends at 3, at once anew, ends at 4, waits 10 s, 20 s, 40 s.
        let moments = moments(script, &Options::default(), 100);
        assert_eq!(moments, [2, 3, 4, 14, 15, 35, 36, 76, 77]);
    }

    #[test]
    fn jobs_fail_as_often_as_configured() {
        let options = Options {
            failures: Failures {
                job: 0.3,
                crashes_an_hour: 0.0,
            },
            ..Options::default()
        };
        let script = Script {
            restart: Restart::Never,
            ..ON_ITS_OWN
        };
        let mut random = random();
        let failed = (0..10_000).filter(|_| {
            let life = Life::resume(script, &options, &mut random, at(0));
            matches!(
                life.stage,
                Stage::Running {
                    end: Some((_, 1)),
                    ..
                }
            )
        });
        let failed = failed.count();
        assert!((2800..3200).contains(&failed), "{failed}");
    }

    #[test]
    fn nobody_takes_longer_to_stop_than_the_grace_period() {
        let options = Options {
            shutdown: Delay::Fixed(Duration::from_mins(1)),
            ..Options::default()
        };
        let mut random = random();
        let mut life = Life::resume(ON_ITS_OWN, &options, &mut random, at(0));
        let gone = life.gone(Duration::from_secs(30), &options, &mut random, at(10));
        assert_eq!(gone, at(40));
        // Asked again, it is the same moment.
        let gone = life.gone(Duration::from_secs(30), &options, &mut random, at(20));
        assert_eq!(gone, at(40));
    }
}
