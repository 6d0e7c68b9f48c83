//! Dates: INTERNALDATE (RFC 9051 §9) and the Date field (RFC 5322 §3.3, §4.3).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Names of months, in any case.
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Zones with a name (RFC 5322 §4.3), in hours from UTC. Military letters are not among them: their use was so often wrong that the RFC
/// counts them as unknown, which means UTC.
const ZONES: [(&[u8], i32); 8] = [
    (b"EST", -5),
    (b"EDT", -4),
    (b"CST", -6),
    (b"CDT", -5),
    (b"MST", -7),
    (b"MDT", -6),
    (b"PST", -8),
    (b"PDT", -7),
];

/// First and last second that [`format_internal`] shows as they are: years have four digits.
const SHOWN: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_207_200;

/// The date of a message, as its Date field tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageDate {
    /// Year, month and day as written, in the sender's own zone.
    pub(crate) day: (i16, i8, i8),
    /// The moment, in seconds since 1970.
    pub(crate) unix: i64,
}

/// Parses `" 1-Jan-2026 10:00:00 +0100"`, without quotes, into seconds since 1970.
///
/// `date-time = date-day-fixed "-" date-month "-" date-year SP time SP zone` (RFC 9051 §9); a single digit for the day is accepted too.
pub(crate) fn parse_internal(text: &[u8]) -> Option<i64> {
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let mut words = text.split(|octet| *octet == b' ');
    let (date, time, zone) = (words.next()?, words.next()?, words.next()?);
    let mut date = date.split(|octet| *octet == b'-');
    let (day, month, year) = (date.next()?, date.next()?, date.next()?);
    if words.next().is_some() || date.next().is_some() || month.len() != 3 || year.len() != 4 {
        return None;
    }
    let civil = Civil {
        year: number(year)?,
        month: month_number(month)?,
        day: i8::try_from(number(day)?).ok()?,
        time: (time.len() == 8).then(|| time_of_day(time))??,
    };
    Some(civil.to_date(zone_offset(zone)?)?.unix)
}

/// The INTERNALDATE form of a moment, in UTC: always 26 characters.
pub(crate) fn format_internal(unix: i64) -> String {
    let shown = unix.clamp(*SHOWN.start(), *SHOWN.end());
    let civil = utc(shown);
    let month = usize::try_from(civil.month() - 1)
        .ok()
        .and_then(|month| MONTHS.get(month));
    format!(
        "{:2}-{}-{:04} {:02}:{:02}:{:02} +0000",
        civil.day(),
        month.unwrap_or(&"Jan"),
        civil.year(),
        civil.hour(),
        civil.minute(),
        civil.second()
    )
}

/// The day of a moment in UTC: year, month, day.
pub(crate) fn civil_day(unix: i64) -> (i16, i8, i8) {
    let civil = utc(unix);
    (civil.year(), civil.month(), civil.day())
}

/// Date and time of a moment in UTC; a moment that no calendar holds is moved to the nearest that one does.
fn utc(unix: i64) -> DateTime {
    let bounds = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
    let moment = Timestamp::from_second(unix.clamp(*bounds.start(), *bounds.end()));
    Offset::UTC.to_datetime(moment.unwrap_or(Timestamp::UNIX_EPOCH))
}

/// Reads the value of a Date field: the form of RFC 5322, its obsolete forms (two-digit years, named zones, comments, no day name, no
/// seconds) and what is seen besides (C's `ctime`, hyphens between day, month and year, no zone, words nobody knows).
pub(crate) fn parse_message_date(text: &[u8]) -> Option<MessageDate> {
    let mut found = Found::default();
    for token in without_comments(text)
        .split(|octet| octet.is_ascii_whitespace() || matches!(octet, b',' | 0))
        .filter(|token| !token.is_empty())
    {
        found.take(token);
    }
    let civil = Civil {
        year: found.year?,
        month: found.month?,
        day: found.day?,
        time: found.time.unwrap_or_default(),
    };
    civil.to_date(found.zone.unwrap_or_default())
}

/// What a Date field has told so far.
#[derive(Default)]
struct Found {
    /// The full year.
    year: Option<i16>,
    /// 1–12
    month: Option<i8>,
    /// 1–31
    day: Option<i8>,
    /// Hour, minute, second
    time: Option<(i8, i8, i8)>,
    /// Seconds from UTC
    zone: Option<i32>,
}

impl Found {
    /// Takes one word of the field for what it looks like; what comes twice counts once.
    fn take(&mut self, token: &[u8]) {
        match token {
            [b'+' | b'-', ..] => self.zone = self.zone.or_else(|| zone_offset(token)),
            _ if memchr::memchr(b':', token).is_some() => self.take_time(token),
            _ if memchr::memchr(b'-', token).is_some() => token
                .split(|octet| *octet == b'-')
                .filter(|part| !part.is_empty())
                .for_each(|part| self.take_word(part)),
            _ => self.take_word(token),
        }
    }

    /// A day, month or year, or the name of a zone.
    fn take_word(&mut self, word: &[u8]) {
        if let Some(value) = number(word) {
            match i8::try_from(value) {
                Ok(day @ 1..=31) if self.day.is_none() && word.len() <= 2 => self.day = Some(day),
                _ => self.year = self.year.or_else(|| full_year(value, word.len())),
            }
        } else if self.month.is_none()
            && let Some(month) = word.get(..3).and_then(month_number)
        {
            self.month = Some(month);
        } else if let Some((_, hours)) = ZONES
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name))
        {
            self.zone = self.zone.or(Some(hours * 3600));
        }
    }

    /// A time of day, perhaps with its zone attached.
    fn take_time(&mut self, token: &[u8]) {
        let end = token.iter().position(|octet| matches!(octet, b'+' | b'-'));
        let (time, zone) = token.split_at(end.unwrap_or(token.len()));
        self.time = self.time.or_else(|| time_of_day(time));
        self.zone = self.zone.or_else(|| zone_offset(zone));
    }
}

/// A date and time in some zone, not yet checked.
struct Civil {
    /// The full year.
    year: i16,
    /// Month
    month: i8,
    /// Day
    day: i8,
    /// Hour, minute, second
    time: (i8, i8, i8),
}

impl Civil {
    /// Checks it against the calendar. `zone` is in seconds from UTC. A leap second counts as the one before it.
    fn to_date(&self, zone: i32) -> Option<MessageDate> {
        let (hour, minute, second) = self.time;
        let second = if second == 60 { 59 } else { second };
        let civil = DateTime::new(self.year, self.month, self.day, hour, minute, second, 0).ok()?;
        let local = Offset::UTC.to_timestamp(civil).ok()?.as_second();
        Some(MessageDate {
            day: (self.year, self.month, self.day),
            unix: local - i64::from(zone),
        })
    }
}

/// Digits only.
fn number(text: &[u8]) -> Option<i16> {
    let digits = text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The year that 2, 3 or more digits mean (RFC 5322 §4.3).
fn full_year(value: i16, digits: usize) -> Option<i16> {
    match (digits, value) {
        (2, 0..=49) => Some(2000 + value),
        (2 | 3, _) => Some(1900 + value),
        (4.., _) => Some(value),
        _ => None,
    }
}

/// The month with that name of three letters.
fn month_number(name: &[u8]) -> Option<i8> {
    let index = MONTHS
        .iter()
        .position(|month| name.eq_ignore_ascii_case(month.as_bytes()))?;
    i8::try_from(index + 1).ok()
}

/// `hh:mm` or `hh:mm:ss`, with a fraction or not.
fn time_of_day(text: &[u8]) -> Option<(i8, i8, i8)> {
    let text = text.split(|octet| *octet == b'.').next()?;
    let mut fields = text.split(|octet| *octet == b':');
    let mut field = |default: Option<i8>| match fields.next() {
        Some(digits) if digits.len() <= 2 => i8::try_from(number(digits)?).ok(),
        Some(_) => None,
        None => default,
    };
    let time = (field(None)?, field(None)?, field(Some(0))?);
    let is_whole = fields.next().is_none();
    (is_whole && time.0 < 24 && time.1 < 60 && time.2 <= 60).then_some(time)
}

/// `+hhmm` or `-hhmm`, in seconds.
fn zone_offset(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let value = i32::from(number(digits)?);
    let (hours, minutes) = (value / 100, value % 100);
    (digits.len() == 4 && hours < 24 && minutes < 60)
        .then_some(sign * (hours * 3600 + minutes * 60))
}

/// The text without comments and without the blanks that obsolete syntax allows around a colon.
fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut depth = 0_usize;
    let mut escaped = false;
    let mut out = Vec::with_capacity(text.len());
    for octet in text {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if depth > 0 => escaped = true,
            b'(' => depth += 1,
            b')' => {
                depth = depth.saturating_sub(1);
                push_closer(b' ', &mut out);
            }
            _ if depth == 0 => push_closer(*octet, &mut out),
            _ => {}
        }
    }
    out
}

/// Appends an octet, without blanks on either side of a colon.
fn push_closer(octet: u8, out: &mut Vec<u8>) {
    if octet == b':' {
        out.truncate(out.trim_ascii_end().len());
    }
    if !(octet.is_ascii_whitespace() && out.ends_with(b":")) {
        out.push(octet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn internal_dates() {
        let cases: [(&[u8], Option<i64>); 18] = [
            (b" 1-Jan-1970 00:00:00 +0000", Some(0)),
            (b"01-Jan-1970 00:00:01 +0000", Some(1)),
            (b"1-Jan-1970 00:00:00 +0000", Some(0)),
            (b" 1-jan-2026 10:00:00 +0100", Some(1_767_258_000)),
            (b"17-JUL-1996 02:44:25 -0700", Some(837_596_665)),
            (b"29-Feb-2024 23:59:60 +0000", Some(1_709_251_199)),
            (b"31-Dec-1969 23:59:59 +0000", Some(-1)),
            (b"29-Feb-2023 00:00:00 +0000", None),
            (b"00-Jan-2026 00:00:00 +0000", None),
            (b" 1-Jan-26 00:00:00 +0000", None),
            (b" 1-January-2026 00:00:00 +0000", None),
            (b" 1-Jan-2026 24:00:00 +0000", None),
            (b" 1-Jan-2026 0:00:00 +0000", None),
            (b" 1-Jan-2026 00:00:00 GMT", None),
            (b" 1-Jan-2026 00:00:00 +00:00", None),
            (b" 1-Jan-2026 00:00:00 +0060", None),
            (b" 1-Jan-2026 00:00:00 +0000 ", None),
            (b"", None),
        ];
        for (text, unix) in cases {
            assert_eq!(parse_internal(text), unix, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn moments_are_shown_in_26_characters() {
        for (unix, shown) in [
            (0, " 1-Jan-1970 00:00:00 +0000"),
            (1_767_258_000, " 1-Jan-2026 09:00:00 +0000"),
            (1_709_251_199, "29-Feb-2024 23:59:59 +0000"),
            (i64::MIN, " 1-Jan-0000 00:00:00 +0000"),
            (i64::MAX, "30-Dec-9999 22:00:00 +0000"),
        ] {
            assert_eq!(format_internal(unix), shown);
        }
        assert_eq!(civil_day(1_709_251_199), (2024, 2, 29));
    }

    /// Field, day as written, moment.
    type Case = (&'static [u8], (i16, i8, i8), i64);

    const MESSAGE_DATES: &[Case] = &[
        (b"Thu, 1 Jan 1970 00:00:00 +0000", (1970, 1, 1), 0),
        (
            b"Fri, 21 Nov 1997 09:55:06 -0600",
            (1997, 11, 21),
            880_127_706,
        ),
        (b"21 Nov 97 09:55:06 GMT", (1997, 11, 21), 880_106_106),
        (b"21 Nov 097 09:55:06 UT", (1997, 11, 21), 880_106_106),
        (b"1 Feb 03 00:00 EST", (2003, 2, 1), 1_044_075_600),
        (
            b"Fri,21 Nov 1997 09(comment):   55  :  06 -0600",
            (1997, 11, 21),
            880_127_706,
        ),
        (
            b"Fri, 21 Nov 1997 09:55:06 -0600 (CST)",
            (1997, 11, 21),
            880_127_706,
        ),
        (
            b"Fri, 21 Nov 1997 (a (nested \\) one)) 09:55:06 -0600",
            (1997, 11, 21),
            880_127_706,
        ),
        (b"Fri Nov 21 09:55:06 1997", (1997, 11, 21), 880_106_106),
        (b"21-Nov-1997 09:55:06 +0000", (1997, 11, 21), 880_106_106),
        (
            b"Friday, 21 November 1997 09:55:06-0600",
            (1997, 11, 21),
            880_127_706,
        ),
        (b"21 Nov 1997", (1997, 11, 21), 880_070_400),
        (
            b"21 Nov 1997 09:55:06.123 +0000",
            (1997, 11, 21),
            880_106_106,
        ),
        (b"21 Nov 1997 09:55:06 Z", (1997, 11, 21), 880_106_106),
        (b"21 Nov 1997 09:55:06 A", (1997, 11, 21), 880_106_106),
        (b"21 Nov 1997 09:55:06 \"GMT\"", (1997, 11, 21), 880_106_106),
        (b"21 Nov 1997 99:55:06 +0000", (1997, 11, 21), 880_070_400),
        (b"21 Nov 1997 09:55:06 +9999", (1997, 11, 21), 880_106_106),
        (
            b"Sat, 31 Dec 2016 23:59:60 +0000",
            (2016, 12, 31),
            1_483_228_799,
        ),
        (
            b"Tue, 1 Jul 2003 23:52:37 +0200",
            (2003, 7, 1),
            1_057_096_357,
        ),
    ];

    #[test]
    fn message_dates() {
        for (text, day, unix) in MESSAGE_DATES {
            let expected = MessageDate {
                day: *day,
                unix: *unix,
            };
            assert_eq!(
                parse_message_date(text),
                Some(expected),
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn what_is_no_date() {
        let cases: [&[u8]; 8] = [
            b"",
            b"yesterday",
            b"Nov 1997",
            b"31 Feb 2024 00:00:00 +0000",
            b"32 Jan 2024 00:00:00 +0000",
            b"1 Jan",
            b"99999999999999999999 Jan 2024",
            b"(1 Jan 2024",
        ];
        for text in cases {
            assert_eq!(parse_message_date(text), None, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_parses(unix in -62_167_219_200_i64..=253_402_207_200) {
            let shown = format_internal(unix);
            prop_assert_eq!(shown.len(), 26);
            prop_assert_eq!(parse_internal(shown.as_bytes()), Some(unix));
        }

        #[test]
        fn any_octets_are_read(text: Vec<u8>, near in "[0-9A-Za-z:+, ()-]{0,40}") {
            parse_internal(&text);
            parse_message_date(&text);
            parse_message_date(near.as_bytes());
        }
    }
}
