//! The formats of texts that are checked. The API server ignores all others.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use regex::Regex;

use crate::schema::names;

/// A check of a text.
pub(super) type Check = fn(&str) -> bool;

/// The check of a format, if it is one that is checked. Dashes in its name do not count.
pub(super) fn check(format: &str) -> Option<Check> {
    let check: Check = match format.replace('-', "").as_str() {
        "bsonobjectid" => |text| text.len() == 24 && text.chars().all(|c| c.is_ascii_hexdigit()),
        "uri" => is_uri,
        "email" => is_email,
        "hostname" => is_hostname,
        "ipv4" => is_ipv4,
        "ipv6" => |text| text.contains(':') && text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr,
        "mac" => is_mac,
        "uuid" => |text| is_uuid(text, None),
        "uuid3" => |text| is_uuid(text, Some('3')),
        "uuid4" => |text| is_uuid(text, Some('4')),
        "uuid5" => |text| is_uuid(text, Some('5')),
        "isbn" => |text| is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10,
        "isbn13" => is_isbn13,
        "creditcard" => is_creditcard,
        "ssn" => |text| text.len() == 11 && SSN.is_match(text),
        "hexcolor" => |text| HEX_COLOR.is_match(text),
        "rgbcolor" => |text| RGB_COLOR.is_match(text),
        "byte" => |text| BASE64.is_match(text),
        "password" => |_| true,
        "date" => is_date,
        "duration" => |text| duration(text).is_some(),
        "datetime" => is_date_time,
        "k8sshortname" => |text| names::label(text).is_empty(),
        "k8slongname" => |text| names::subdomain(text).is_empty(),
        _ => return None,
    };
    Some(check)
}

macro_rules! regex {
    ($name:ident, $pattern:expr) => {
        /// The pattern is a constant: a test compiles each.
        #[allow(clippy::expect_used)]
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($pattern).expect("a constant pattern"));
    };
}

regex!(SSN, r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$");
regex!(HEX_COLOR, r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$");
regex!(
    RGB_COLOR,
    r"^rgb\([\t\n\f\r ]*(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])[\t\n\f\r ]*,[\t\n\f\r ]*(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])[\t\n\f\r ]*,[\t\n\f\r ]*(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])[\t\n\f\r ]*\)$"
);
regex!(
    BASE64,
    r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$"
);
regex!(
    HOSTNAME,
    r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
);
regex!(
    TIME,
    r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$"
);
regex!(
    CREDIT_CARD,
    r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11})$"
);
regex!(LOOSE_DURATION, r"([0-9]+)[\t\n\f\r ]*([A-Za-zµ]+)");

fn is_uri(text: &str) -> bool {
    // As `url.ParseRequestURI`: an absolute path, or a scheme and something after it.
    if text.chars().any(|c| c.is_control() || c == ' ') {
        return false;
    }
    if text == "*" || text.starts_with('/') {
        return has_good_escapes(text);
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_scheme =
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_known);
    is_scheme && rest.starts_with('/') && has_good_escapes(rest) && has_good_host(rest)
}

fn has_good_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn has_good_host(rest: &str) -> bool {
    let Some(authority) = rest.strip_prefix("//") else {
        return true;
    };
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let port = match host.rsplit_once(']') {
        Some((_, port)) => port.strip_prefix(':').unwrap_or(port),
        None => host.split_once(':').map_or("", |(_, port)| port),
    };
    let is_known = |c: char| !matches!(c, '"' | '\\' | '^' | '`' | '{' | '|' | '}' | '<' | '>');
    port.chars().all(|c| c.is_ascii_digit()) && host.chars().all(is_known)
}

fn is_email(text: &str) -> bool {
    // As `mail.ParseAddress`: an address, or a name and an address in angle brackets.
    let text = text.trim();
    let address = match text
        .strip_suffix('>')
        .and_then(|text| text.rsplit_once('<'))
    {
        Some((_, address)) => address,
        None => text,
    };
    let is_atom = |text: &str| {
        let is_known = |c: char| {
            c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
        };
        !text.is_empty() && text.chars().all(is_known)
    };
    let is_local = |local: &str| {
        let is_quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
        is_quoted || local.split('.').all(is_atom)
    };
    let parts = address.rsplit_once('@');
    parts.is_some_and(|(local, domain)| is_local(local) && domain.split('.').all(is_atom))
}

fn is_hostname(text: &str) -> bool {
    text.len() <= 255 && HOSTNAME.is_match(text) && text.split('.').all(|part| part.len() <= 63)
}

/// Leading zeros are tolerated.
fn is_ipv4(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    let is_part = |part: &&str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_digit())
            && part.trim_start_matches('0').len() <= 3
            && part.parse::<u32>().is_ok_and(|number| number <= 255)
    };
    parts.len() == 4 && parts.iter().all(is_part)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let max = match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => 128,
        Ok(IpAddr::V4(_)) => 32,
        Err(_) if is_ipv4(address) => 32,
        Err(_) => return false,
    };
    let is_number = !length.is_empty() && length.chars().all(|c| c.is_ascii_digit());
    is_number && length.parse::<u32>().is_ok_and(|length| length <= max)
}

fn is_mac(text: &str) -> bool {
    let is_hex =
        |part: &str, digits| part.len() == digits && part.chars().all(|c| c.is_ascii_hexdigit());
    let parts = |separator, digits: usize, counts: [usize; 3]| {
        let parts: Vec<_> = text.split(separator).collect();
        counts.contains(&parts.len()) && parts.iter().all(|part| is_hex(part, digits))
    };
    parts(':', 2, [6, 8, 20]) || parts('-', 2, [6, 8, 20]) || parts('.', 4, [3, 4, 10])
}

/// The dashes may be missing.
fn is_uuid(text: &str, version: Option<char>) -> bool {
    let mut rest = text;
    let mut digits = String::new();
    for length in [8, 4, 4, 4, 12] {
        let Some((part, after)) = rest.split_at_checked(length) else {
            return false;
        };
        digits.push_str(part);
        rest = after.strip_prefix('-').unwrap_or(after);
    }
    let variant = digits.chars().nth(16).map(|c| c.to_ascii_lowercase());
    let is_variant = matches!(version, None | Some('3'))
        || variant.is_some_and(|c| matches!(c, '8' | '9' | 'a' | 'b'));
    rest.is_empty()
        && !text.ends_with('-')
        && digits.chars().all(|c| c.is_ascii_hexdigit())
        && version.is_none_or(|version| digits.chars().nth(12) == Some(version))
        && is_variant
}

fn isbn_digits(text: &str) -> Vec<u32> {
    let chars = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let digits = chars.enumerate().map(|(index, c)| match c {
        'X' if index == 9 => Some(10),
        c => c.to_digit(10),
    });
    digits.collect::<Option<_>>().unwrap_or_default()
}

fn is_isbn10(text: &str) -> bool {
    let digits = isbn_digits(text);
    let sum: u32 = (1..)
        .zip(&digits)
        .map(|(weight, digit)| weight * digit)
        .sum();
    digits.len() == 10 && sum.is_multiple_of(11)
}

fn is_isbn13(text: &str) -> bool {
    let digits = isbn_digits(text);
    let weights = [1, 3].into_iter().cycle();
    let sum: u32 = weights
        .zip(&digits)
        .map(|(weight, digit)| weight * digit)
        .sum();
    digits.len() == 13 && digits.iter().all(|digit| *digit < 10) && sum.is_multiple_of(10)
}

fn is_creditcard(text: &str) -> bool {
    let number: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = number.chars().rev().filter_map(|c| c.to_digit(10));
    let doubled = [false, true].into_iter().cycle();
    let sum: u32 = doubled
        .zip(digits)
        .map(|(doubled, digit)| match (doubled, digit * 2) {
            (false, _) => digit,
            (true, twice) => twice / 10 + twice % 10,
        })
        .sum();
    CREDIT_CARD.is_match(&number) && sum.is_multiple_of(10)
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        let is_number = digits.chars().all(|c| c.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|_| is_number)
    };
    let has_dashes = bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-');
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    bytes.len() == 10 && has_dashes && (1..=days).contains(&day)
}

fn is_date_time(text: &str) -> bool {
    let text = text.to_lowercase();
    let mut parts = text.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else {
        return false;
    };
    let at_most = |captures: &regex::Captures<'_>, group, max| {
        captures.get(group).is_some_and(|part| part.as_str() <= max)
    };
    is_date(date)
        && TIME.captures(time).is_some_and(|captures| {
            at_most(&captures, 1, "23")
                && at_most(&captures, 2, "59")
                && at_most(&captures, 3, "59")
        })
}

/// A duration in nanoseconds: as Go writes it (`1h30m`), or as Scala does (`2 days`).
pub(super) fn duration(text: &str) -> Option<i64> {
    go_duration(text).or_else(|| loose_duration(text))
}

const SECOND: i64 = 1_000_000_000;

fn go_duration(text: &str) -> Option<i64> {
    let (sign, text) = match text.strip_prefix(['-', '+']) {
        Some(rest) if text.starts_with('-') => (-1, rest),
        Some(rest) => (1, rest),
        None => (1, text),
    };
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let unit = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3_600 * SECOND,
            _ => return None,
        };
        let whole = match number.split_once('.') {
            None => number.parse::<i64>().ok()?.checked_mul(unit)?,
            Some((whole, fraction)) if !(whole.is_empty() && fraction.is_empty()) => {
                let whole = if whole.is_empty() {
                    0
                } else {
                    whole.parse::<i64>().ok()?
                };
                let fraction = format!("0.{fraction}").parse::<f64>().ok()?;
                let fraction = (fraction * unit as f64) as i64;
                whole.checked_mul(unit)?.checked_add(fraction)?
            }
            Some(_) => return None,
        };
        total = total.checked_add(whole)?;
        rest = after;
    }
    (!text.is_empty()).then_some(sign * total)
}

fn loose_duration(text: &str) -> Option<i64> {
    const UNITS: [(&[&str], &str, i64); 8] = [
        (&["ns"], "nano", 1),
        (&["us", "µs"], "micro", 1_000),
        (&["ms"], "milli", 1_000_000),
        (&["s"], "sec", SECOND),
        (&["m"], "min", 60 * SECOND),
        (&["h", "hr"], "hour", 3_600 * SECOND),
        (&["d"], "day", 86_400 * SECOND),
        (&["w", "wk"], "week", 604_800 * SECOND),
    ];
    let mut total = None;
    for captures in LOOSE_DURATION.captures_iter(text) {
        let number: i64 = captures.get(1)?.as_str().parse().ok()?;
        let unit = captures.get(2)?.as_str().to_lowercase();
        let known = UNITS
            .iter()
            .find(|(exact, prefix, _)| exact.contains(&unit.as_str()) || unit.starts_with(prefix));
        if let Some((_, _, factor)) = known {
            let part = number.wrapping_mul(*factor);
            total = Some(total.unwrap_or(0_i64).wrapping_add(part));
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn good_texts_pass_and_bad_ones_do_not() {
        let cases: [(&str, &[&str], &[&str]); 20] = [
            (
                "date-time",
                &["2020-01-01T00:00:00Z", "2020-02-29t23:59:59.1+01:00"],
                &[
                    "2020-01-01",
                    "2020-13-01T00:00:00Z",
                    "2020-01-01T24:00:00Z",
                    "",
                ],
            ),
            (
                "date",
                &["2020-02-29"],
                &["2021-02-29", "2020-1-1", "é020-01-0"],
            ),
            ("byte", &["YQ==", "YWJj"], &["", "YQ=", "a b="]),
            (
                "duration",
                &["1h30m", "-1.5s", "0", "2 days", "1d"],
                &["", "h", "1x", "1"],
            ),
            (
                "ipv4",
                &["10.0.0.1", "010.0.0.1"],
                &["10.0.0", "256.0.0.1", "::1"],
            ),
            ("ipv6", &["::1", "fe80::1"], &["10.0.0.1", ":::"]),
            (
                "cidr",
                &["10.0.0.0/8", "::/0"],
                &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8"],
            ),
            (
                "mac",
                &["01:23:45:67:89:ab", "0123.4567.89ab"],
                &["01:23:45:67:89", "0g:23:45:67:89:ab"],
            ),
            (
                "uuid",
                &[
                    "550E8400-e29b-41d4-a716-446655440000",
                    "550e8400e29b41d4a716446655440000",
                ],
                &["550e8400", "550e8400-e29b-41d4-a716-44665544000é"],
            ),
            (
                "uuid4",
                &["550e8400-e29b-41d4-a716-446655440000"],
                &[
                    "550e8400-e29b-31d4-a716-446655440000",
                    "550e8400-e29b-41d4-c716-446655440000",
                ],
            ),
            (
                "hostname",
                &["a.example.com", "localhost"],
                &["-a", "a..b", "a_b"],
            ),
            (
                "uri",
                &["http://a.b/c?d=%20", "/a", "mailto:/x"],
                &["a", "http://a b", "http://a:x/", "/%zz"],
            ),
            (
                "email",
                &["a@b.c", "A <a@b.c>"],
                &["a", "a@", "@b", "a b@c"],
            ),
            ("hexcolor", &["#fff", "aBcDeF"], &["#ffff"]),
            ("rgbcolor", &["rgb(0, 10,255)"], &["rgb(256,0,0)"]),
            ("isbn", &["0321751043", "978-0321751041"], &["0321751044"]),
            (
                "creditcard",
                &["4111 1111 1111 1111"],
                &["4111 1111 1111 1112"],
            ),
            ("ssn", &["111-11-1111"], &["111-11-111"]),
            ("k8s-short-name", &["a-b"], &["a.b"]),
            ("bsonobjectid", &["507f1f77bcf86cd799439011"], &["507f1f77"]),
        ];
        for (format, good, bad) in cases {
            let check = check(format).unwrap();
            for text in good {
                assert!(check(text), "{format} {text}");
            }
            for text in bad {
                assert!(!check(text), "{format} {text}");
            }
        }
    }

    #[test]
    fn other_formats_are_ignored() {
        assert!(check("int32").is_none());
        assert!(check("hex").is_none());
    }
}
