//! Dates of APPEND and SEARCH.

use super::core::{ParseResult, digits, fail, named, number, quoted};
use crate::encoding::date::parse_internal;
use crate::imap::types::search::Day;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take;
use nom::character::complete::char as octet;
use nom::sequence::delimited;

/// Names of the months, in order.
const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// `date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE`, as seconds since 1970
pub(super) fn date_time(input: &[u8]) -> ParseResult<'_, i64> {
    let (rest, text) = quoted(input)?;
    match parse_internal(&text) {
        Some(moment) => Ok((rest, moment)),
        None => fail(input, "a date like \" 1-Jan-2026 10:00:00 +0100\""),
    }
}

/// `date = date-text / DQUOTE date-text DQUOTE`
pub(super) fn date(input: &[u8]) -> ParseResult<'_, Day> {
    named(
        "a date like 1-Jan-2026",
        alt((delimited(octet('"'), date_text, octet('"')), date_text)),
    )
    .parse(input)
}

/// `date-text = date-day "-" date-month "-" date-year`; a blank before the day, as in INTERNALDATE, is passed over
fn date_text(input: &[u8]) -> ParseResult<'_, Day> {
    let rest = input.strip_prefix(b" ").unwrap_or(input);
    let (rest, (day, _, month, _, year)) =
        (number, octet('-'), month, octet('-'), digits(4)).parse(rest)?;
    match (i16::try_from(year), i8::try_from(day)) {
        (Ok(year), Ok(day)) if day >= 1 && day <= days_of(year, month) => {
            Ok((rest, Day { year, month, day }))
        }
        _ => fail(input, "a day that exists"),
    }
}

/// `date-month`, in any case, as 1–12
fn month(input: &[u8]) -> ParseResult<'_, i8> {
    let (rest, name) = take(3_usize).parse(input)?;
    (1..)
        .zip(MONTHS)
        .find(|(_, month)| name.eq_ignore_ascii_case(&month[..]))
        .map_or_else(|| fail(input, "a month"), |(number, _)| Ok((rest, number)))
}

/// How many days a month has.
const fn days_of(year: i16, month: i8) -> i8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        for (text, expected) in [
            ("1-Feb-1994", Some((1994, 2, 1))),
            ("01-FEB-1994", Some((1994, 2, 1))),
            ("\"1-Feb-1994\"", Some((1994, 2, 1))),
            ("\" 1-Feb-1994\"", Some((1994, 2, 1))),
            ("29-feb-2024", Some((2024, 2, 29))),
            ("29-feb-2000", Some((2000, 2, 29))),
            ("29-feb-1900", None),
            ("31-apr-2024", None),
            ("0-apr-2024", None),
            ("1-foo-2024", None),
            ("1-jan-24", None),
            ("1-jan", None),
            ("\"1-jan-2024", None),
            ("300-jan-2024", None),
        ] {
            let parsed = date(text.as_bytes())
                .ok()
                .filter(|(rest, _)| rest.is_empty());
            assert_eq!(
                parsed.map(|(_, day)| (day.year, day.month, day.day)),
                expected,
                "{text}"
            );
        }
    }
}
