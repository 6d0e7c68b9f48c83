//! Which messages a client means: sequence sets against a connection's view.

use crate::imap::session::Selected;
use crate::imap::session::reply::CommandError;
use crate::imap::types::sequence::{SeqBound, SeqRange, SequenceSet};
use crate::mailbox::id::{ModSeq, SeqNum, Uid};
use crate::mailbox::messages::Messages;
use crate::mailbox::uid_set::UidSet;
use crate::mailbox::view::View;
use std::ops::RangeInclusive;

/// The messages of a set, each once, rising.
///
/// UIDs that are not in the view are passed over (RFC 9051 §6.4.9), but `n:*` always means at least the last message.
///
/// # Errors
/// BAD for a sequence number that is not in the view; that includes `*` in an empty mailbox (RFC 9051 §9, `seq-number`).
pub(crate) fn resolve(
    set: &SequenceSet,
    uid: bool,
    selected: &Selected,
) -> Result<Vec<(SeqNum, Uid)>, CommandError> {
    let view = &selected.view;
    let mut messages = Vec::new();
    match set {
        SequenceSet::Saved => messages.extend(
            selected
                .saved
                .ranges()
                .flat_map(|range| view.uids_within(*range.start(), *range.end())),
        ),
        SequenceSet::Ranges(ranges) if uid => {
            let last = view.last_uid().map_or(0, Uid::value);
            for (first, last) in normalize(ranges, last) {
                messages.extend(view.uids_within(first, last));
            }
        }
        SequenceSet::Ranges(ranges) => {
            let count = view.len();
            for (first, last) in normalize(ranges, count) {
                if first == 0 || last > count {
                    return Err(CommandError::bad(
                        "there is no message with this number in the mailbox",
                    ));
                }
                messages.extend(view.numbered(first, last));
            }
        }
    }
    Ok(messages)
}

/// The UIDs of the messages of a set. See [`resolve`].
///
/// # Errors
/// as [`resolve`]
pub(crate) fn resolve_uids(
    set: &SequenceSet,
    uid: bool,
    selected: &Selected,
) -> Result<UidSet, CommandError> {
    let messages = resolve(set, uid, selected)?;
    Ok(messages.into_iter().map(|(_, uid)| uid).collect())
}

/// The UIDs of a set, whether there are messages with them or not. `*` is the highest UID that a message ever had.
pub(crate) fn named_uids(set: &SequenceSet, selected: &Selected, messages: &Messages) -> UidSet {
    match set {
        SequenceSet::Saved => selected.saved.clone(),
        SequenceSet::Ranges(ranges) => {
            let last = messages.uid_next().value() - 1;
            let ranges = normalize(ranges, last).into_iter();
            ranges.map(|(first, last)| first..=last).collect()
        }
    }
}

/// Which of some UIDs, or of all, have vanished after a moment, as far as that is remembered; else all that no message has
/// (RFC 7162 §3.2.6). Messages that are gone but still in the view are not among them: they are told otherwise.
pub(crate) fn vanished_since(
    since: ModSeq,
    among: Option<&UidSet>,
    messages: &Messages,
    view: &View,
) -> UidSet {
    let mut uids: UidSet = [1..=messages.uid_next().value() - 1].into_iter().collect();
    if let Some(among) = among {
        uids = uids.intersection(among);
    }
    let gone = match messages.expunged_since(since) {
        Some(expunged) => uids.intersection(&expunged),
        None => uids.difference(&messages.uids().iter().copied().collect()),
    };
    gone.difference(&view.uid_set())
}

/// UIDs that a set names, whether or not there are such messages.
#[derive(Debug)]
pub(crate) struct UidRanges {
    /// Those between two numbers.
    closed: UidSet,
    /// The lowest `n` of `n:*`; a `*` alone counts as the highest.
    from: Option<u32>,
}

impl UidRanges {
    /// The UIDs of a set.
    pub(crate) fn new(ranges: &[SeqRange]) -> Self {
        let number = |bound| match bound {
            SeqBound::Number(number) => Some(number.get()),
            SeqBound::Last => None,
        };
        let mut closed = Vec::new();
        let mut from: Option<u32> = None;
        for range in ranges {
            match (number(range.from), number(range.to)) {
                (Some(one), Some(two)) => closed.push(one.min(two)..=one.max(two)),
                (one, two) => {
                    let open = one.or(two).unwrap_or(u32::MAX);
                    from = Some(from.map_or(open, |from| from.min(open)));
                }
            }
        }
        Self {
            closed: closed.into_iter().collect(),
            from,
        }
    }

    /// True if a message is among them in a mailbox with this last UID, which `n:*` always means too.
    pub(crate) fn contains(&self, uid: Uid, last: u32) -> bool {
        let is_late = |from: u32| uid.value() >= from.min(last);
        self.closed.contains(uid) || self.from.is_some_and(is_late)
    }

    /// Those of all the messages of a mailbox that are among them.
    pub(crate) fn among(&self, messages: &UidSet, last: u32) -> UidSet {
        let late = self.from.map(|from| from.min(last).max(1)..=u32::MAX);
        let mut named: UidSet = late.into_iter().collect();
        named.unite(&self.closed);
        messages.intersection(&named)
    }
}

/// Rising numbers as ranges.
pub(crate) fn collapse(numbers: impl IntoIterator<Item = u32>) -> Vec<RangeInclusive<u32>> {
    let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(range) if range.end().checked_add(1) == Some(number) => {
                *range = *range.start()..=number;
            }
            _ => ranges.push(number..=number),
        }
    }
    ranges
}

/// Ranges with their ends in order, rising, not overlapping; `*` is `last`.
fn normalize(ranges: &[SeqRange], last: u32) -> Vec<(u32, u32)> {
    let value = |bound| match bound {
        SeqBound::Number(number) => number.get(),
        SeqBound::Last => last,
    };
    let mut pairs: Vec<(u32, u32)> = ranges
        .iter()
        .map(|range| (value(range.from), value(range.to)))
        .map(|(from, to)| (from.min(to), from.max(to)))
        .collect();
    pairs.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::with_capacity(pairs.len());
    for (first, last) in pairs {
        match merged.last_mut() {
            Some(before) if before.1 >= first => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::backend::Mailbox;
    use crate::mailbox::memory::{Mail, Memory};
    use crate::mailbox::name::MailboxName;
    use std::num::NonZeroU32;

    /// A mailbox with these UIDs, seen by one connection.
    fn selected(uids: &[u32]) -> Selected {
        let inbox = Memory::new().inbox("anna");
        let highest = uids.iter().copied().max().unwrap_or(0);
        for _ in 0..highest {
            inbox.add(Mail::new("x\n"));
        }
        let gone = (1..=highest)
            .filter(|uid| !uids.contains(uid))
            .filter_map(Uid::new);
        inbox.expunge(&gone.collect()).unwrap();
        Selected::open(inbox, MailboxName::inbox(), true)
    }

    /// Reads a set; zero stands for `*`.
    fn set(ranges: &[(u32, u32)]) -> SequenceSet {
        let bound = |n| NonZeroU32::new(n).map_or(SeqBound::Last, SeqBound::Number);
        SequenceSet::Ranges(
            ranges
                .iter()
                .map(|(from, to)| SeqRange {
                    from: bound(*from),
                    to: bound(*to),
                })
                .collect(),
        )
    }

    #[test]
    fn sets_name_messages_of_the_view() {
        let selected = selected(&[2, 3, 7, 9]);
        type Case<'a> = (&'a [(u32, u32)], bool, Option<&'a [u32]>);
        let cases: [Case<'_>; 13] = [
            (&[(1, 1)], false, Some(&[2])),
            (&[(3, 2), (2, 4)], false, Some(&[3, 7, 9])),
            (&[(1, 0)], false, Some(&[2, 3, 7, 9])),
            (&[(0, 0)], false, Some(&[9])),
            (&[(5, 5)], false, None),
            (&[(5, 0)], false, None),
            (&[(1, 1), (1, 1)], false, Some(&[2])),
            (&[(1, 0)], true, Some(&[2, 3, 7, 9])),
            (&[(4, 6)], true, Some(&[])),
            (&[(8, 100)], true, Some(&[9])),
            (&[(100, 0)], true, Some(&[9])),
            (&[(0, 8)], true, Some(&[9])),
            (&[(9, 9), (2, 3)], true, Some(&[2, 3, 9])),
        ];
        for (ranges, uid, expected) in cases {
            let found = resolve(&set(ranges), uid, &selected).ok();
            let found: Option<Vec<u32>> =
                found.map(|messages| messages.iter().map(|(_, uid)| uid.value()).collect());
            assert_eq!(found.as_deref(), expected, "{ranges:?} uid {uid}");
        }
    }

    #[test]
    fn an_empty_mailbox_has_no_last_message() {
        let selected = selected(&[]);
        assert!(resolve(&set(&[(1, 0)]), false, &selected).is_err());
        assert!(resolve(&set(&[(0, 0)]), false, &selected).is_err());
        assert_eq!(resolve(&set(&[(1, 0)]), true, &selected), Ok(Vec::new()));
    }

    #[test]
    fn what_was_saved_is_looked_for_in_the_view() {
        let mut selected = selected(&[2, 3, 7]);
        selected.saved = [2, 5, 7].into_iter().filter_map(Uid::new).collect();
        for uid in [false, true] {
            let found = resolve_uids(&SequenceSet::Saved, uid, &selected).unwrap();
            assert_eq!(found.iter().map(Uid::value).collect::<Vec<_>>(), [2, 7]);
        }
    }
}
