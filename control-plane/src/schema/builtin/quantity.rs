//! Quantities: `500m`, `1.5Gi`, `1e3`.

use std::fmt;

use serde_json::Value;

/// Billionths in one: the finest that a quantity can say.
const ONE: i128 = 1_000_000_000;
const MAX: i128 = (i64::MAX as i128) * ONE;

const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

const BINARY: [(&str, u32); 6] = [
    ("Ki", 10),
    ("Mi", 20),
    ("Gi", 30),
    ("Ti", 40),
    ("Pi", 50),
    ("Ei", 60),
];

/// An amount, and the way it was written. Ordered by the amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantity {
    /// In billionths.
    pub amount: i128,
    style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Decimal,
    Binary,
    Exponent,
}

impl Quantity {
    /// Reads a quantity from JSON, where it may also be a number.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// Reads a quantity. What is finer than a billionth is rounded up, away from zero.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (is_negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, suffix) = rest.split_at(end.unwrap_or(rest.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let (style, power) = scale(suffix)?;
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let mantissa = match digits.get(..30) {
            None if digits.is_empty() => 0,
            None => digits.parse::<i128>().ok()?,
            Some(_) => return Some(Self::capped(is_negative, style)),
        };
        let exponent = power.ten + 9 - i32::try_from(fraction.len()).ok()?;
        let scaled = mantissa.checked_mul(1 << power.two);
        let amount = scaled.and_then(|scaled| shift(scaled, exponent));
        let Some(amount) = amount.filter(|amount| *amount <= MAX) else {
            return Some(Self::capped(is_negative, style));
        };
        let amount = if is_negative { -amount } else { amount };
        Some(Self { amount, style })
    }

    fn capped(is_negative: bool, style: Style) -> Self {
        let amount = if is_negative { -MAX } else { MAX };
        Self { amount, style }
    }

    /// The next thousandth, away from zero.
    pub(super) fn rounded_to_milli(self) -> Self {
        const MILLI: i128 = ONE / 1_000;
        let rest = self.amount % MILLI;
        let up = if rest == 0 {
            0
        } else {
            self.amount.signum() * MILLI - rest
        };
        Self {
            amount: self.amount + up,
            ..self
        }
    }

    /// Whether it is a whole number.
    pub(super) fn is_whole(self) -> bool {
        self.amount % ONE == 0
    }
}

/// A power of ten and one of two.
struct Power {
    ten: i32,
    two: u32,
}

fn scale(suffix: &str) -> Option<(Style, Power)> {
    if let Some((_, ten)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((Style::Decimal, Power { ten: *ten, two: 0 }));
    }
    if let Some((_, two)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((Style::Binary, Power { ten: 0, two: *two }));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    let ten = exponent
        .parse()
        .ok()
        .filter(|ten: &i32| is_number && ten.abs() < 1_000)?;
    Some((Style::Exponent, Power { ten, two: 0 }))
}

/// Times a power of ten, rounded up.
fn shift(amount: i128, exponent: i32) -> Option<i128> {
    let power = 10_i128.checked_pow(exponent.unsigned_abs());
    match power {
        Some(power) if exponent >= 0 => amount.checked_mul(power),
        Some(power) => Some(amount / power + i128::from(amount % power != 0)),
        None if exponent < 0 => Some(i128::from(amount != 0)),
        None if amount == 0 => Some(0),
        None => None,
    }
}

/// As the API writes it: with the largest suffix that leaves a whole number.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.amount == 0 {
            return f.write_str("0");
        }
        let is_small = self.amount.abs() < 1024 * ONE;
        match self.style {
            Style::Binary if !is_small => self.write_binary(f),
            Style::Binary | Style::Decimal => {
                let (mantissa, exponent) = self.in_thousands();
                let suffix = DECIMAL.iter().find(|(_, ten)| *ten == exponent);
                write!(f, "{mantissa}{}", suffix.map_or("", |(name, _)| name))
            }
            Style::Exponent => match self.in_thousands() {
                (mantissa, 0) => write!(f, "{mantissa}"),
                (mantissa, exponent) => write!(f, "{mantissa}e{exponent}"),
            },
        }
    }
}

impl Quantity {
    fn in_thousands(self) -> (i128, i32) {
        let mut mantissa = self.amount;
        let mut exponent = -9;
        while mantissa % 1_000 == 0 && exponent < 18 {
            mantissa /= 1_000;
            exponent += 3;
        }
        (mantissa, exponent)
    }

    fn write_binary(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.amount % ONE;
        let mut mantissa = self.amount / ONE + if rest == 0 { 0 } else { rest.signum() };
        let mut suffix = "";
        for (name, _) in BINARY {
            if mantissa % 1024 != 0 {
                break;
            }
            mantissa /= 1024;
            suffix = name;
        }
        write!(f, "{mantissa}{suffix}")
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.amount.cmp(&other.amount)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Quantity;

    #[test]
    fn quantities_are_written_as_the_api_writes_them() {
        for (text, expected) in [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("0.5Mi", "512Ki"),
            ("512", "512"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("1e3", "1e3"),
            ("12e6", "12e6"),
            ("100Ki", "100Ki"),
            ("1023Ki", "1023Ki"),
            ("1Ki", "1Ki"),
            ("-1.5", "-1500m"),
            ("0Gi", "0"),
            ("0.0000000001", "1n"),
            (".5", "500m"),
            ("5.", "5"),
            ("100E", "9223372036854775807"),
        ] {
            let quantity = Quantity::parse(text).unwrap();
            assert_eq!(quantity.to_string(), expected, "{text}");
        }
        assert_eq!(
            Quantity::parse("1u")
                .unwrap()
                .rounded_to_milli()
                .to_string(),
            "1m"
        );
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "", "-", ".", "1.2.3", "1mi", "Gi", "1 Gi", "a", "1e", "0x1", "1K",
        ] {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            whole in 0_u32..,
            fraction in 0_u32..1000,
            suffix in "(|m|k|M|G|Ki|Mi|Gi|e3)",
        ) {
            let quantity = Quantity::parse(&format!("{whole}.{fraction:03}{suffix}")).unwrap();
            let written = quantity.to_string();
            let again = Quantity::parse(&written).unwrap();
            // Binary ones are rounded up to whole numbers, and may lose their suffix.
            let is_binary = suffix.ends_with('i');
            prop_assert!(again.to_string() == written || is_binary);
            let rounding = again.amount - quantity.amount;
            prop_assert!(rounding == 0 || (is_binary && (0..super::ONE).contains(&rounding)));
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _ = Quantity::parse(&text);
        }
    }
}
