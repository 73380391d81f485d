//! Kubernetes quantities, parsed once, at the border, into integers.
//!
//! The grammar is that of `k8s.io/apimachinery/pkg/api/resource.Quantity`: a signed decimal number
//! and a suffix: none, decimal (`n u m k M G T P E`), binary (`Ki Mi Gi Ti Pi Ei`), or an exponent
//! (`e3`, `E3`).

/// A text that is no quantity, or none that a pod can ask for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not of the grammar.
    #[error(
        "{text:?} is not a quantity: write a number with an optional suffix, e.g. 2, \"500m\", \"1.5\", \"512Mi\" or \"1e3\""
    )]
    Malformed {
        /// The text.
        text: String,
    },
    /// Below zero.
    #[error("{text:?} is negative: write 0 or more")]
    Negative {
        /// The text.
        text: String,
    },
    /// Beyond what Kubernetes can count.
    #[error("{text:?} is more than any node has: write at most {}", i64::MAX)]
    TooLarge {
        /// The text.
        text: String,
    },
    /// An exponent that servers would work on for ever.
    #[error("{text:?} has an exponent below -{EXPONENT}: write it with a suffix, e.g. \"1m\"")]
    TooSmall {
        /// The text.
        text: String,
    },
}

/// Exponents up to that, either way, are taken in what a pod asks for. Kubernetes' own suffixes go
/// from -9 to 18; for one of ten digits, kube-apiserver computes a number of as many digits.
const EXPONENT: i32 = 30;

/// Whether a pod can ask for that much: not less than nothing, and not more than can be counted.
pub fn check_amount(text: &str) -> Result<(), QuantityError> {
    let text_of = || text.to_owned();
    let value = parse_whole(text)?;
    let number = text.trim_start_matches([
        '+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
    ]);
    match scale(number) {
        Some((_, exponent)) if exponent < -EXPONENT => {
            Err(QuantityError::TooSmall { text: text_of() })
        }
        Some((_, exponent)) if exponent > EXPONENT => {
            Err(QuantityError::TooLarge { text: text_of() })
        }
        _ if value < 0 => Err(QuantityError::Negative { text: text_of() }),
        _ if value == i64::MAX => Err(QuantityError::TooLarge { text: text_of() }),
        _ => Ok(()),
    }
}

/// Thousandths, rounded up (away from zero), as Kubernetes rounds requests.
pub fn parse_milli(text: &str) -> Result<i64, QuantityError> {
    parse(text, 3)
}

/// Whole units (bytes, pieces), rounded up (away from zero).
pub fn parse_whole(text: &str) -> Result<i64, QuantityError> {
    parse(text, 0)
}

/// The value times 10^`shift`. What does not fit 63 bits is as large as they can say.
fn parse(text: &str, shift: i32) -> Result<i64, QuantityError> {
    let bad = || QuantityError::Malformed {
        text: text.to_owned(),
    };
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(bad());
    }
    let (binary, exponent) = scale(suffix).ok_or_else(bad)?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let power = exponent + shift - i32::try_from(fraction.len()).map_err(|_| bad())?;
    let magnitude = scaled(digits, binary, power);
    Ok(if negative { -magnitude } else { magnitude })
}

/// Powers of two and of ten that a suffix stands for.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => {
            let power = suffix.strip_prefix(['e', 'E'])?;
            let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
            if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
                return None;
            }
            // Anything that long is zero or as large as can be.
            (
                0,
                power
                    .parse::<i32>()
                    .unwrap_or(if power.starts_with('-') { -1000 } else { 1000 })
                    .clamp(-1000, 1000),
            )
        }
    })
}

/// digits × 2^binary × 10^power, rounded up, at most `i64::MAX`.
fn scaled(digits: &str, binary: u32, power: i32) -> i64 {
    if digits.is_empty() {
        return 0;
    }
    // 128 bits hold 38 digits; more than 20 before the point are too large anyway, and those far
    // behind it only matter for rounding up.
    let kept = digits.len().min(30);
    let dropped = i32::try_from(digits.len() - kept).unwrap_or(i32::MAX);
    let Ok(mut value) = digits[..kept].parse::<u128>() else {
        return i64::MAX;
    };
    let mut inexact = digits[kept..].bytes().any(|c| c != b'0');
    let mut power = power.saturating_add(dropped);
    let mut binary = binary;
    while binary > 0 || power != 0 {
        if power < 0 && (binary == 0 || value > u128::MAX >> 11) {
            inexact |= value % 10 != 0;
            value /= 10;
            power += 1;
            if value == 0 {
                break;
            }
        } else if binary > 0 {
            let Some(next) = value.checked_mul(2) else {
                return i64::MAX;
            };
            value = next;
            binary -= 1;
        } else {
            let Some(next) = value.checked_mul(10) else {
                return i64::MAX;
            };
            value = next;
            power -= 1;
        }
    }
    i64::try_from(value.saturating_add(u128::from(inexact))).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1", 1000)]
    #[case("500m", 500)]
    #[case("1.5", 1500)]
    #[case(".5", 500)]
    #[case("5.", 5000)]
    #[case("+2", 2000)]
    #[case("-1", -1000)]
    #[case("1u", 1)]
    #[case("100n", 1)]
    #[case("1500000n", 2)]
    #[case("1e3", 1_000_000)]
    #[case("1E3", 1_000_000)]
    #[case("1e-3", 1)]
    #[case("0", 0)]
    #[case("0.0001", 1)]
    #[case("2k", 2_000_000)]
    fn milli(#[case] text: &str, #[case] value: i64) {
        assert_eq!(parse_milli(text), Ok(value));
    }

    #[rstest]
    #[case("1024Mi", 1 << 30)]
    #[case("1Gi", 1 << 30)]
    #[case("1.5Gi", 3 << 29)]
    #[case("0.1Ki", 103)]
    #[case("128974848", 128_974_848)]
    #[case("129e6", 129_000_000)]
    #[case("129M", 129_000_000)]
    #[case("128974848000m", 128_974_848)]
    #[case("123Mi", 128_974_848)]
    #[case("1E", 1_000_000_000_000_000_000)]
    #[case("7Ei", 8_070_450_532_247_928_832)]
    #[case("8Ei", i64::MAX)]
    #[case("1e40", i64::MAX)]
    #[case("1e-40", 1)]
    #[case("1P", 1_000_000_000_000_000)]
    fn whole(#[case] text: &str, #[case] value: i64) {
        assert_eq!(parse_whole(text), Ok(value));
    }

    #[rstest]
    #[case("0", None)]
    #[case("-0", None)]
    #[case("500m", None)]
    #[case("1e-9", None)]
    #[case("9223372036854775806", None)]
    #[case("-1", Some("write 0 or more"))]
    #[case("-1m", Some("write 0 or more"))]
    #[case("8Ei", Some("write at most"))]
    #[case("9223372036854775808", Some("write at most"))]
    #[case("1e2147483647", Some("write at most"))]
    #[case("1E99999999999", Some("write at most"))]
    #[case("0e2147483647", Some("write at most"))]
    #[case("1e-2147483648", Some("write it with a suffix"))]
    #[case("1Mb", Some("write a number"))]
    fn amounts(#[case] text: &str, #[case] refused: Option<&str>) {
        let error = check_amount(text).err().map(|error| error.to_string());
        match refused {
            None => assert_eq!(error, None),
            Some(why) => assert!(error.is_some_and(|error| error.contains(why))),
        }
    }

    #[rstest]
    #[case("")]
    #[case("Mi")]
    #[case("1Mb")]
    #[case("1 Gi")]
    #[case("1.2.3")]
    #[case("--1")]
    #[case("1e")]
    #[case("1e+-3")]
    #[case("ten")]
    fn refused(#[case] text: &str) {
        let error = parse_whole(text).unwrap_err().to_string();
        assert!(error.contains("write a number"), "{error}");
    }
}
