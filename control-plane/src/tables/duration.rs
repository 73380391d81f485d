//! Ages for people, as apimachinery's `duration.HumanDuration` writes them.

use jiff::Timestamp;
use serde_json::Value;

use crate::meta::text;

/// The age of an object.
pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    since(now, text(object, "/metadata/creationTimestamp")).into()
}

/// The time since a timestamp, as `5d3h`; `<unknown>` if there is none.
pub(super) fn since(now: Timestamp, then: &str) -> String {
    if then.is_empty() {
        return "<unknown>".to_owned();
    }
    match then.parse::<Timestamp>() {
        Ok(then) => human(now.duration_since(then).as_millis()),
        Err(_) => "<invalid>".to_owned(),
    }
}

/// The time between two timestamps.
pub(super) fn between(then: &str, now: &str) -> String {
    match now.parse::<Timestamp>() {
        Ok(now) => since(now, then),
        Err(_) => "<invalid>".to_owned(),
    }
}

/// Of milliseconds.
fn human(milliseconds: i128) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    let two = |big: i128, big_unit: &str, small: i128, small_unit: &str| {
        if small == 0 {
            format!("{big}{big_unit}")
        } else {
            format!("{big}{big_unit}{small}{small_unit}")
        }
    };
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => two(days, "d", hours % 24, "h"),
        () if days < 2 * 365 => format!("{days}d"),
        () if days < 8 * 365 => two(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let cases = [
            (-3, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (130, "2m10s"),
            (600, "10m"),
            (3 * 3600 - 1, "179m"),
            (3 * 3600, "3h"),
            (7 * 3600 + 60, "7h1m"),
            (47 * 3600, "47h"),
            (48 * 3600, "2d"),
            (50 * 3600, "2d2h"),
            (8 * 86400, "8d"),
            (729 * 86400, "729d"),
            (731 * 86400, "2y1d"),
            (3000 * 86400, "8y"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(human(seconds * 1000), expected);
        }
    }
}
