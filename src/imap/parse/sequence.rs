//! Sequence sets (RFC 9051 §9), windows on results (RFC 9394 §4), and what asks for batches (RFC 10022 §4).

use super::core::{ParseResult, after_sp, fail, named, nz_number};
use crate::imap::types::command::UidBatches;
use crate::imap::types::sequence::{PartialRange, SeqBound, SeqRange, SequenceSet};
use nom::Parser;
use nom::branch::alt;
use nom::character::complete::char as octet;
use nom::combinator::{cond, map, opt, value};
use nom::sequence::{preceded, separated_pair};

/// Most ranges in one set: as many as a line after login can hold.
pub(crate) const MAX_RANGES: usize = 32_768;

/// `sequence-set = (seq-number / seq-range) ["," sequence-set]`, `sequence-set =/ seq-last-command`
pub(super) fn sequence_set(input: &[u8]) -> ParseResult<'_, SequenceSet> {
    if let Some(rest) = input.strip_prefix(b"$") {
        return Ok((rest, SequenceSet::Saved));
    }
    let (mut rest, first) = named("a sequence set", seq_range).parse(input)?;
    let mut ranges = vec![first];
    while let Some(after) = rest.strip_prefix(b",") {
        if ranges.len() == MAX_RANGES {
            return fail(rest, "fewer ranges in the sequence set");
        }
        let (after, range) = seq_range(after)?;
        ranges.push(range);
        rest = after;
    }
    Ok((rest, SequenceSet::Ranges(ranges)))
}

/// `seq-range = seq-number ":" seq-number`, or one number
fn seq_range(input: &[u8]) -> ParseResult<'_, SeqRange> {
    let (rest, from) = seq_number(input)?;
    let (rest, to) = opt(preceded(octet(':'), seq_number)).parse(rest)?;
    Ok((
        rest,
        SeqRange {
            from,
            to: to.unwrap_or(from),
        },
    ))
}

/// `seq-number = nz-number / "*"`
fn seq_number(input: &[u8]) -> ParseResult<'_, SeqBound> {
    named(
        "a message number, UID or *",
        alt((
            value(SeqBound::Last, octet('*')),
            map(nz_number, SeqBound::Number),
        )),
    )
    .parse(input)
}

/// `message-batches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number]` (RFC 10022 §4); what follows the name
pub(super) fn uid_batches(input: &[u8]) -> ParseResult<'_, UidBatches> {
    let batches = separated_pair(nz_number, octet(':'), nz_number);
    let arguments = (after_sp(nz_number), opt(after_sp(batches)));
    map(arguments, |(messages, batches)| UidBatches {
        messages,
        batches,
    })
    .parse(input)
}

/// `partial-range = nz-number ":" nz-number / "-" nz-number ":" "-" nz-number`
pub(super) fn partial_range(input: &[u8]) -> ParseResult<'_, PartialRange> {
    let window = |input| {
        let (rest, minus) = opt(octet('-')).parse(input)?;
        let (rest, first) = nz_number(rest)?;
        let (rest, _) = octet(':').parse(rest)?;
        let (rest, _) = cond(minus.is_some(), octet('-')).parse(rest)?;
        let (rest, last) = nz_number(rest)?;
        let window = PartialRange {
            from_end: minus.is_some(),
            first,
            last,
        };
        Ok((rest, window))
    };
    named("a window such as 1:500 or -1:-500", window).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    fn print(set: &SequenceSet) -> String {
        let bound = |bound: &SeqBound| match bound {
            SeqBound::Number(n) => n.to_string(),
            SeqBound::Last => "*".into(),
        };
        match set {
            SequenceSet::Saved => "$".into(),
            SequenceSet::Ranges(ranges) => ranges
                .iter()
                .map(|r| {
                    if r.from == r.to {
                        bound(&r.from)
                    } else {
                        format!("{}:{}", bound(&r.from), bound(&r.to))
                    }
                })
                .collect::<Vec<_>>()
                .join(","),
        }
    }

    #[test]
    fn examples() {
        for text in [
            "1",
            "*",
            "1:*",
            "*:4,5:7",
            "2,4:7,9,12:*",
            "4:2",
            "$",
            "4294967295",
        ] {
            let (rest, set) = sequence_set(text.as_bytes()).unwrap();
            assert_eq!((rest, print(&set)), (&b""[..], text.to_owned()));
        }
        for text in ["", "0", "a", "4294967296", ",1", "1,0", "1,", ":1"] {
            assert!(sequence_set(text.as_bytes()).is_err(), "{text}");
        }
        // what is left is for the next parser to refuse
        for (text, left) in [("1:2:3", ":3"), ("$,1", ",1"), ("1 ", " "), ("1:", ":")] {
            assert_eq!(sequence_set(text.as_bytes()).unwrap().0, left.as_bytes());
        }
    }

    #[test]
    fn windows() {
        let cases = [
            ("1:500", false, 1, 500),
            ("500:400", false, 500, 400),
            ("7:7", false, 7, 7),
            ("-1:-3", true, 1, 3),
            ("-4294967295:-1", true, u32::MAX, 1),
        ];
        for (text, from_end, first, last) in cases {
            let (rest, window) = partial_range(text.as_bytes()).unwrap();
            assert_eq!((rest, window.from_end), (&b""[..], from_end), "{text}");
            assert_eq!((window.first.get(), window.last.get()), (first, last));
        }
        for text in [
            "",
            "1",
            "-1",
            "0:1",
            "1:0",
            "1:*",
            "*:1",
            "1:-3",
            "-1:3",
            "-1:*",
            "- 1:-2",
            "1:4294967296",
        ] {
            assert!(partial_range(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_number_of_ranges_is_bounded() {
        let text = "1,".repeat(MAX_RANGES) + "1";
        assert!(sequence_set(text.as_bytes()).is_err());
        assert!(sequence_set(&text.as_bytes()[2..]).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_again(ranges in prop::collection::vec((0_u32..40, 0_u32..40), 1..20)) {
            let bound = |n| NonZeroU32::new(n).map_or(SeqBound::Last, SeqBound::Number);
            let set = SequenceSet::Ranges(ranges.into_iter().map(|(a, b)| SeqRange { from: bound(a), to: bound(b) }).collect());
            let text = print(&set);
            prop_assert_eq!(sequence_set(text.as_bytes()).unwrap(), (&b""[..], set));
        }
    }
}
