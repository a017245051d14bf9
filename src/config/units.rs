//! Durations and sizes as people write them: `"250ms"`, `"64MiB"`.
//!
//! One whole number and one unit, nothing between them; no fractions, no sums. A duration always
//! has its unit, so that `timeout = 5` cannot mean five milliseconds to one reader and five seconds
//! to another. Sizes are powers of 1024 and say so (`MiB`); a plain TOML integer is bytes. Ranges
//! are not looked at here.

use std::fmt;
use std::time::Duration;

/// What a duration looks like, for hints.
pub const DURATION_FORM: &str = "a whole number with ms, s, m, h or d, like \"250ms\" or \"5s\"";
/// What a size looks like, for hints.
pub const SIZE_FORM: &str =
    "bytes as a plain integer, or a whole number with KiB, MiB or GiB, like \"64MiB\"";

const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Why a text is not a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No text.
    #[error("is empty")]
    Empty,
    /// It does not begin with a digit; a sign is no digit.
    #[error("does not begin with a number")]
    NoNumber,
    /// A number alone.
    #[error("has no unit")]
    NoUnit,
    /// `1.5s`.
    #[error("is not a whole number")]
    Fraction,
    /// `1m30s`.
    #[error("is more than one number and one unit")]
    Several,
    /// A decimal unit, or a unit in the wrong case, where this one was surely meant.
    #[error("has an unknown unit, perhaps {0} was meant")]
    Nearly(&'static str),
    /// Any other word.
    #[error("has an unknown unit")]
    UnknownUnit,
    /// More than 64 bits hold.
    #[error("is too large")]
    TooLarge,
}

/// Reads `"250ms"`, `"5s"`, `"1m"`, `"2h"`, `"1d"`.
///
/// # Errors
/// Says which part of the text is not as [`DURATION_FORM`] has it.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    scaled(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Reads `"64KiB"`, `"64MiB"`, `"1GiB"` into bytes.
///
/// # Errors
/// Says which part of the text is not as [`SIZE_FORM`] has it. A number in quotes has no unit.
pub fn size(text: &str) -> Result<u64, UnitError> {
    scaled(text, &SIZE_UNITS)
}

fn scaled(text: &str, units: &[(&'static str, u64)]) -> Result<u64, UnitError> {
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::NoNumber);
    }
    let (_, scale) =
        units.iter().find(|(known, _)| *known == unit).ok_or_else(|| bad_unit(unit, units))?;
    number.parse().ok().and_then(|n: u64| n.checked_mul(*scale)).ok_or(UnitError::TooLarge)
}

fn bad_unit(unit: &str, units: &[(&'static str, u64)]) -> UnitError {
    let Some(first) = unit.bytes().next() else { return UnitError::NoUnit };
    if first == b'.' || first == b',' {
        return UnitError::Fraction;
    }
    if unit.bytes().any(|byte| byte.is_ascii_digit()) {
        return UnitError::Several;
    }
    let word = unit.trim().to_ascii_lowercase();
    let meant = match word.as_str() {
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hour" | "hours" => "h",
        "day" | "days" => "d",
        "msec" | "millis" | "milliseconds" => "ms",
        "k" | "kb" | "ki" => "KiB",
        "m" | "mb" | "mi" => "MiB",
        "g" | "gb" | "gi" => "GiB",
        other => other,
    };
    match units.iter().find(|(known, _)| known.eq_ignore_ascii_case(meant)) {
        Some((known, _)) => UnitError::Nearly(known),
        None => UnitError::UnknownUnit,
    }
}

/// Shows a duration in the largest unit that leaves a whole number, as [`duration`] reads it.
/// Parts of a millisecond are not shown.
#[derive(Debug, Clone, Copy)]
pub struct ShowDuration(pub Duration);

impl fmt::Display for ShowDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis == 0 {
            return f.write_str("0s");
        }
        let whole =
            DURATION_UNITS.iter().find(|(_, scale)| millis.is_multiple_of(u128::from(*scale)));
        let (unit, scale) = whole.copied().unwrap_or(("ms", 1));
        write!(f, "{}{unit}", millis / u128::from(scale))
    }
}

/// Shows a size in the largest unit that leaves a whole number, as [`size`] reads it; else as plain
/// bytes.
#[derive(Debug, Clone, Copy)]
pub struct ShowSize(pub u64);

impl fmt::Display for ShowSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIZE_UNITS.iter().find(|(_, scale)| self.0 != 0 && self.0.is_multiple_of(*scale)) {
            Some((unit, scale)) => write!(f, "{}{unit}", self.0 / scale),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_back() {
        for (text, millis, shown) in [
            ("0s", 0, "0s"),
            ("0ms", 0, "0s"),
            ("250ms", 250, "250ms"),
            ("5s", 5_000, "5s"),
            ("60s", 60_000, "1m"),
            ("90s", 90_000, "90s"),
            ("2h", 7_200_000, "2h"),
            ("1d", 86_400_000, "1d"),
            ("1500ms", 1_500, "1500ms"),
        ] {
            let read = duration(text);
            assert_eq!(read, Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(ShowDuration(Duration::from_millis(millis)).to_string(), shown);
        }
    }

    #[test]
    fn texts_that_are_no_durations() {
        for (text, error) in [
            ("", UnitError::Empty),
            ("s", UnitError::NoNumber),
            ("-5s", UnitError::NoNumber),
            (" 5s", UnitError::NoNumber),
            ("5", UnitError::NoUnit),
            ("1.5s", UnitError::Fraction),
            ("1m30s", UnitError::Several),
            ("5 s", UnitError::Nearly("s")),
            ("5sec", UnitError::Nearly("s")),
            ("5S", UnitError::Nearly("s")),
            ("10min", UnitError::Nearly("m")),
            ("5us", UnitError::UnknownUnit),
            ("5MiB", UnitError::UnknownUnit),
            ("99999999999999999999s", UnitError::TooLarge),
            ("18446744073709551615d", UnitError::TooLarge),
        ] {
            assert_eq!(duration(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn sizes_and_back() {
        for (text, bytes) in [("64KiB", 65_536), ("64MiB", 67_108_864), ("1GiB", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes));
            assert_eq!(ShowSize(bytes).to_string(), text);
        }
        assert_eq!(ShowSize(1000).to_string(), "1000");
        assert_eq!(ShowSize(0).to_string(), "0");
    }

    #[test]
    fn texts_that_are_no_sizes() {
        for (text, error) in [
            ("65536", UnitError::NoUnit),
            ("64MB", UnitError::Nearly("MiB")),
            ("64M", UnitError::Nearly("MiB")),
            ("64mib", UnitError::Nearly("MiB")),
            ("64 MiB", UnitError::Nearly("MiB")),
            ("64B", UnitError::UnknownUnit),
            ("18446744073709551615GiB", UnitError::TooLarge),
        ] {
            assert_eq!(size(text), Err(error), "{text:?}");
        }
    }
}
