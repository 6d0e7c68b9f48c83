//! Values with units, as people write them: `30 s`, `5 min`, `10 MiB`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::time::Duration;

/// A length of time: a number and `ms`, `s`, `min`, `h` or `d`; blank between or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval(pub Duration);

/// A number of octets: a number and nothing, `B`, `KiB`, `MiB` or `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Octets(pub u64);

/// Units of time, in milliseconds, largest first.
const TIMES: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Units of size, largest first.
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl Interval {
    /// So many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The duration, unless it is zero.
    pub fn non_zero(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

impl Octets {
    /// As a size in memory.
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Reads a number and its unit.
fn read(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim();
    let factor = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?
        .1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Writes a number with the largest unit that divides it.
fn write(value: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let exact = |(_, factor): &&(&str, u64)| value != 0 && value.is_multiple_of(*factor);
    match units.iter().find(exact) {
        Some((unit, factor)) => write!(f, "{} {unit}", value / factor),
        None => write!(
            f,
            "0 {}",
            units
                .iter()
                .rev()
                .nth(usize::from(units.len() > 4))
                .map_or("", |(unit, _)| unit)
        ),
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(
            u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX),
            TIMES,
            f,
        )
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0, SIZES, f)
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let millis = read(&text, TIMES);
        let wrong = || {
            D::Error::custom(format!(
                "\"{text}\" is not a length of time such as \"30 s\", \"500 ms\", \"5 min\", \"1 h\" or \"2 d\""
            ))
        };
        millis
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || {
            D::Error::custom(format!(
                "\"{text}\" is not a size such as \"8 KiB\", \"10 MiB\" or \"1 GiB\""
            ))
        };
        read(&text, SIZES).map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_times() {
        for (text, millis, written) in [
            ("30 s", 30_000, "30 s"),
            ("500ms", 500, "500 ms"),
            ("90 s", 90_000, "90 s"),
            ("120 s", 120_000, "2 min"),
            ("1 h", 3_600_000, "1 h"),
            ("2 D", 172_800_000, "2 d"),
            ("0 s", 0, "0 s"),
        ] {
            assert_eq!(read(text, TIMES), Some(millis), "{text}");
            assert_eq!(Interval(Duration::from_millis(millis)).to_string(), written);
        }
        for text in [
            "",
            "30",
            "s",
            "-1 s",
            "1.5 h",
            "99999999999999999999 s",
            "999999999999999999 d",
        ] {
            assert_eq!(read(text, TIMES), None, "{text}");
        }
    }

    #[test]
    fn reads_and_writes_sizes() {
        for (text, octets, written) in [
            ("8 KiB", 8192, "8 KiB"),
            ("10mib", 10 << 20, "10 MiB"),
            ("1000 B", 1000, "1000 B"),
            ("0 B", 0, "0 B"),
        ] {
            assert_eq!(read(text, SIZES), Some(octets), "{text}");
            assert_eq!(Octets(octets).to_string(), written);
        }
        assert_eq!(read("10 MB", SIZES), None);
    }
}
