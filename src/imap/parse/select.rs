//! SELECT and EXAMINE with parameters (RFC 4466 §2.1, RFC 7162 §7).

use super::core::{ParseResult, after_sp, fail, list1, mod_sequence, name, named, nz_number};
use super::mailbox::mailbox;
use super::sequence::sequence_set;
use crate::imap::types::select::{Known, MatchData, Select};
use crate::imap::types::sequence::{SeqBound, SequenceSet};
use crate::mailbox::id::UidValidity;
use nom::Parser;
use nom::character::complete::char as octet;
use nom::combinator::{cut, map, not, opt, peek};
use nom::sequence::{delimited, preceded};
use std::ops::RangeInclusive;

/// A parameter.
#[derive(Debug)]
enum Parameter {
    /// CONDSTORE
    Condstore,
    /// QRESYNC
    Qresync(Known),
}

/// `select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]`; what follows the name
pub(super) fn select(input: &[u8]) -> ParseResult<'_, Select> {
    let (rest, mailbox) = after_sp(mailbox).parse(input)?;
    let parameters = preceded(peek(octet('(')), cut(list1(parameter)));
    let (after, given) = opt(after_sp(parameters)).parse(rest)?;
    let mut select = Select {
        mailbox,
        condstore: false,
        qresync: None,
    };
    for parameter in given.into_iter().flatten() {
        let is_repeated = match parameter {
            Parameter::Condstore => std::mem::replace(&mut select.condstore, true),
            Parameter::Qresync(known) => select.qresync.replace(Box::new(known)).is_some(),
        };
        if is_repeated {
            return fail(rest, "each parameter once");
        }
    }
    Ok((after, select))
}

/// `select-param = "CONDSTORE" / "QRESYNC" SP "(" … ")"`
fn parameter(input: &[u8]) -> ParseResult<'_, Parameter> {
    let (rest, word) = named("a parameter", name).parse(input)?;
    match word.as_str() {
        "CONDSTORE" => Ok((rest, Parameter::Condstore)),
        "QRESYNC" => map(cut(after_sp(known)), Parameter::Qresync).parse(rest),
        _ => fail(input, "parameters of SELECT that are offered"),
    }
}

/// `"(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"`
fn known(input: &[u8]) -> ParseResult<'_, Known> {
    let uids = preceded(not(octet('(')), numbers);
    let fields = (
        map(named("UIDVALIDITY", nz_number), UidValidity::from),
        after_sp(mod_sequence),
        opt(after_sp(uids)),
        opt(after_sp(match_data)),
    );
    map(
        delimited(octet('('), fields, named(")", octet(')'))),
        |(uid_validity, mod_seq, uids, matches)| Known {
            uid_validity,
            mod_seq,
            uids: uids.map(|ranges| ranges.into_iter().collect()),
            matches,
        },
    )
    .parse(input)
}

/// `seq-match-data = "(" known-sequence-set SP known-uid-set ")"`, both rising and of the same length
fn match_data(input: &[u8]) -> ParseResult<'_, MatchData> {
    let sets = (numbers, after_sp(numbers));
    let (rest, (seq_nums, uids)) =
        delimited(octet('('), sets, named(")", octet(')'))).parse(input)?;
    let count = |ranges: &[RangeInclusive<u32>]| -> u64 {
        let size = |range: &RangeInclusive<u32>| u64::from(range.end() - range.start()) + 1;
        ranges.iter().map(size).sum()
    };
    if !is_ascending(&seq_nums) || !is_ascending(&uids) {
        return fail(input, "message numbers and UIDs in ascending order");
    }
    if count(&seq_nums) != count(&uids) {
        return fail(input, "as many UIDs as message numbers");
    }
    Ok((rest, MatchData { seq_nums, uids }))
}

/// `sequence-set` without `*` and `$`; ranges as they stand, their ends in order
fn numbers(input: &[u8]) -> ParseResult<'_, Vec<RangeInclusive<u32>>> {
    let (rest, set) = sequence_set(input)?;
    let SequenceSet::Ranges(ranges) = set else {
        return fail(input, "a sequence set without $");
    };
    let ranges = ranges
        .into_iter()
        .map(|range| match (range.from, range.to) {
            (SeqBound::Number(from), SeqBound::Number(to)) => {
                Some(from.min(to).get()..=from.max(to).get())
            }
            (SeqBound::Last, _) | (_, SeqBound::Last) => None,
        })
        .collect::<Option<Vec<_>>>();
    match ranges {
        Some(ranges) => Ok((rest, ranges)),
        None => fail(input, "a sequence set without *"),
    }
}

/// True if each range begins after the one before.
fn is_ascending(ranges: &[RangeInclusive<u32>]) -> bool {
    ranges.windows(2).all(|pair| match pair {
        [before, after] => before.end() < after.start(),
        _ => true,
    })
}
