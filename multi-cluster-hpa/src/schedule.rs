//! Limits that hold for a time: a cron expression says when it begins, a duration how long it lasts.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use crate::behavior::Bounds;

/// Limits for a time.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
    duration: SignedDuration,
    min: Option<u32>,
    max: Option<u32>,
}

/// A schedule as it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written<'a> {
    /// Five fields: minute, hour, day of month, month, day of week; or `@daily` and its like.
    pub cron: &'a str,
    /// Name of the tz database; UTC when there is none.
    pub time_zone: Option<&'a str>,
    /// `90m`, `8h`, `1h30m`
    pub duration: &'a str,
    /// Instead of the spec's, while it is active.
    pub min: Option<u32>,
    /// Instead of the spec's, while it is active.
    pub max: Option<u32>,
}

/// Why a schedule cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The expression is none.
    #[error(
        "spec.schedules: {text:?}: {source}: write minute, hour, day of month, month and day of week, e.g. \"0 8 * * MON-FRI\""
    )]
    Cron {
        /// The expression.
        text: String,
        /// What is wrong.
        source: CronError,
    },
    /// The tz database does not know the zone.
    #[error("spec.schedules: time zone {0:?} is unknown: write a name like \"Europe/Paris\"")]
    Zone(String),
    /// The duration is none, or not above zero.
    #[error("spec.schedules: {0:?} is no duration above zero: write e.g. \"90m\" or \"8h\"")]
    Duration(String),
}

impl Schedule {
    /// Reads a schedule. Time zones come with the program, so that they mean the same everywhere.
    pub fn read(written: &Written<'_>) -> Result<Self, ScheduleError> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(written.cron);
        let cron = cron.map_err(|source| ScheduleError::Cron {
            text: written.cron.to_owned(),
            source,
        })?;
        let zone = match written.time_zone {
            None => TimeZone::UTC,
            Some(name) => TimeZoneDatabase::bundled()
                .get(name)
                .map_err(|_| ScheduleError::Zone(name.to_owned()))?,
        };
        let duration = written.duration.parse().ok();
        let duration = duration.filter(SignedDuration::is_positive);
        Ok(Self {
            cron,
            zone,
            duration: duration
                .ok_or_else(|| ScheduleError::Duration(written.duration.to_owned()))?,
            min: written.min,
            max: written.max,
        })
    }

    /// Whether it has begun and not ended. A start that a change to summer time leaves out is at the
    /// first minute after it.
    pub fn is_active(&self, now: Timestamp) -> bool {
        let Ok(earliest) = now.checked_sub(self.duration) else {
            return false;
        };
        let earliest = earliest.to_zoned(self.zone.clone());
        // A start at `earliest` itself has just ended. No further start is an error.
        let start = self.cron.find_next_occurrence(&earliest, false);
        start.is_ok_and(|start| start.timestamp() <= now)
    }
}

/// The limits at a time: those of the spec, replaced by those of active schedules; the last of
/// several wins. A minimum above the maximum raises it.
pub fn bounds(spec: Bounds, schedules: &[Schedule], now: Timestamp) -> Bounds {
    let active = schedules.iter().filter(|schedule| schedule.is_active(now));
    let Bounds { min, max } = active.fold(spec, |bounds, schedule| Bounds {
        min: schedule.min.unwrap_or(bounds.min),
        max: schedule.max.unwrap_or(bounds.max),
    });
    Bounds {
        min,
        max: max.max(min),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: Bounds = Bounds { min: 2, max: 10 };

    fn schedule(cron: &str, zone: Option<&str>, duration: &str) -> Schedule {
        Schedule::read(&Written {
            cron,
            time_zone: zone,
            duration,
            min: Some(5),
            max: None,
        })
        .unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn is_active(schedule: &Schedule, time: &str) -> bool {
        schedule.is_active(at(time))
    }

    #[test]
    fn it_begins_at_its_minute_and_ends_after_its_duration() {
        let office = schedule("0 8 * * MON-FRI", None, "10h");
        assert!(!is_active(&office, "2026-03-02T07:59:59Z"));
        assert!(is_active(&office, "2026-03-02T08:00:00Z"));
        assert!(is_active(&office, "2026-03-02T17:59:59.999Z"));
        assert!(!is_active(&office, "2026-03-02T18:00:00Z"));
        assert!(!is_active(&office, "2026-03-01T09:00:00Z"), "a Sunday");
    }

    #[test]
    fn it_follows_the_clocks_of_its_zone() {
        let paris = schedule("0 8 * * *", Some("Europe/Paris"), "1h");
        assert!(is_active(&paris, "2026-01-10T07:30:00Z"), "winter: UTC+1");
        assert!(is_active(&paris, "2026-07-10T06:30:00Z"), "summer: UTC+2");
        assert!(!is_active(&paris, "2026-07-10T07:30:00Z"));
    }

    #[test]
    fn a_start_that_summer_time_leaves_out_is_right_after_it() {
        // On 29 March 2026 clocks in Paris go from 02:00 to 03:00, at 01:00 UTC.
        let paris = schedule("30 2 * * *", Some("Europe/Paris"), "30m");
        assert!(!is_active(&paris, "2026-03-29T00:59:00Z"));
        assert!(is_active(&paris, "2026-03-29T01:00:00Z"));
        assert!(!is_active(&paris, "2026-03-29T01:30:00Z"));
    }

    #[test]
    fn a_start_that_happens_twice_counts_once() {
        // On 25 October 2026 clocks in Paris go from 03:00 to 02:00, at 01:00 UTC.
        let paris = schedule("30 2 * * *", Some("Europe/Paris"), "15m");
        assert!(is_active(&paris, "2026-10-25T00:30:00Z"));
        assert!(!is_active(&paris, "2026-10-25T01:30:00Z"));
    }

    #[test]
    fn one_that_is_longer_than_its_interval_never_ends() {
        let always = schedule("0 * * * *", None, "2h");
        assert!(is_active(&always, "2026-03-02T08:30:00Z"));
        assert!(is_active(&always, "2026-03-02T09:00:00Z"));
    }

    #[test]
    fn the_last_active_one_wins_and_leaves_what_it_does_not_name() {
        let now = at("2026-03-02T08:30:00Z");
        let mut night = schedule("0 20 * * *", None, "10h");
        night.min = Some(0);
        let mut peak = schedule("0 8 * * *", None, "1h");
        (peak.min, peak.max) = (None, Some(20));
        let day = schedule("0 6 * * *", None, "14h");
        assert_eq!(bounds(SPEC, &[], now), SPEC);
        assert_eq!(
            bounds(SPEC, &[day.clone(), peak.clone(), night], now),
            Bounds { min: 5, max: 20 }
        );
        peak.min = Some(3);
        assert_eq!(bounds(SPEC, &[day, peak], now), Bounds { min: 3, max: 20 });
    }

    #[test]
    fn a_minimum_above_the_maximum_raises_it() {
        let mut peak = schedule("0 8 * * *", None, "1h");
        peak.min = Some(15);
        let now = at("2026-03-02T08:30:00Z");
        assert_eq!(bounds(SPEC, &[peak], now), Bounds { min: 15, max: 15 });
    }

    #[test]
    fn what_is_no_schedule_says_what_to_write() {
        let written = Written {
            cron: "0 8 * * *",
            duration: "1h",
            ..Written::default()
        };
        let error = |written| Schedule::read(&written).unwrap_err().to_string();
        for cron in ["", "at eight", "61 8 * * *", "0 0 8 * * *", "0 8 * *"] {
            let text = error(Written { cron, ..written });
            assert!(text.contains("\"0 8 * * MON-FRI\""), "{text}");
        }
        let zone = Some("Europe/Atlantis");
        let text = error(Written {
            time_zone: zone,
            ..written
        });
        assert!(text.contains("Europe/Atlantis") && text.contains("Europe/Paris"));
        for duration in ["", "0s", "-1h", "long"] {
            let text = error(Written {
                duration,
                ..written
            });
            assert!(text.contains("\"90m\""), "{text}");
        }
    }
}
