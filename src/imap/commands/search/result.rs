//! What a search has found, what of it is told and what of it SAVE keeps.

use crate::imap::commands::messages::collapse;
use crate::imap::session::Selected;
use crate::imap::types::core::Tag;
use crate::imap::types::response::ESearch;
use crate::imap::types::search::SearchReturns;
use crate::imap::types::sequence::PartialRange;
use crate::mailbox::id::{SeqNum, Uid};
use crate::mailbox::uid_set::UidSet;

/// In which order messages are looked at, and when that is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// All.
    All,
    /// From the first, until so many match.
    First(u32),
    /// From the first to one that matches, then from the last to one that matches.
    FirstAndLast,
    /// From the last, until so many match.
    Last(u32),
}

impl Order {
    /// The order that result options allow: PARTIAL needs no more than its window reaches, and SAVE keeps no more than is told
    /// (RFC 9051 §6.4.4.1, RFC 9394 §3.2).
    pub(super) fn of(returns: Option<SearchReturns>) -> Self {
        let needs_all = |returns: &SearchReturns| returns.all || returns.count || returns.update;
        let Some(returns) = returns.filter(|returns| !needs_all(returns)) else {
            return Self::All;
        };
        match (returns.min, returns.max, returns.partial) {
            (true, true, None) => Self::FirstAndLast,
            (true, false, None) => Self::First(1),
            (false, true, None) => Self::Last(1),
            (_, false, Some(window)) if !window.from_end => Self::First(window.reach()),
            (false, _, Some(window)) if window.from_end => Self::Last(window.reach()),
            _ => Self::All,
        }
    }
}

/// The messages that match, in whichever order they were looked at.
#[derive(Debug, Default)]
pub(super) struct Found {
    rising: UidSet,
    /// Those found from the last one backwards.
    falling: Vec<Uid>,
    count: u32,
}

impl Found {
    /// One more, above all but those found from the end.
    pub(super) fn push(&mut self, uid: Uid) {
        self.rising.insert(uid);
        self.count = self.count.saturating_add(1);
    }

    /// One more, below all that were found so far from the end.
    pub(super) fn push_before(&mut self, uid: Uid) {
        self.falling.push(uid);
        self.count = self.count.saturating_add(1);
    }

    /// How many there are.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// All of them, when no more will come.
    pub(super) fn uids(&mut self) -> &UidSet {
        self.rising.extend(self.falling.drain(..).rev());
        &self.rising
    }
}

/// What `$` becomes (RFC 9051 §6.4.4.1, RFC 9394 §3.2): where PARTIAL, MIN or MAX are told and neither ALL nor COUNT, those messages, else all.
pub(super) fn kept(returns: SearchReturns, found: &UidSet) -> UidSet {
    let some = returns.min || returns.max || returns.partial.is_some();
    if returns.all || returns.count || !some {
        return found.clone();
    }
    let mut kept = UidSet::new();
    kept.extend(found.iter().next().filter(|_| returns.min));
    if let Some(window) = returns.partial {
        kept.unite(&within(window, found));
    }
    kept.extend(found.iter().next_back().filter(|_| returns.max));
    kept
}

/// The ESEARCH response without MODSEQ; no options mean ALL. `found` are those messages that decide what is told.
pub(super) fn extended(
    tag: &Tag,
    uid: bool,
    returns: SearchReturns,
    found: &UidSet,
    selected: &Selected,
) -> ESearch {
    let all = collapse(numbers(uid, found, selected));
    let (first, last) = (all.first(), all.last());
    let windowed = |window| collapse(numbers(uid, &within(window, found), selected));
    ESearch {
        tag: Some(tag.clone()),
        uid,
        min: first.map(|range| *range.start()).filter(|_| returns.min),
        max: last.map(|range| *range.end()).filter(|_| returns.max),
        count: returns
            .count
            .then(|| u32::try_from(found.len()).unwrap_or(u32::MAX)),
        partial: returns.partial.map(|window| (window, windowed(window))),
        all: if returns.all || returns == SearchReturns::default() {
            all
        } else {
            Vec::new()
        },
        mod_seq: None,
    }
}

/// Messages as numbers or UIDs, rising.
pub(super) fn numbers<'a>(
    uid: bool,
    found: &'a UidSet,
    selected: &'a Selected,
) -> impl Iterator<Item = u32> + 'a {
    found.iter().filter_map(move |message| {
        if uid {
            Some(message.value())
        } else {
            selected.view.seq_of(message).map(SeqNum::value)
        }
    })
}

/// What lies in a window.
fn within(window: PartialRange, found: &UidSet) -> UidSet {
    let positions = window.of(found.len());
    let within = found.iter().skip(positions.start).take(positions.len());
    within.collect()
}

impl SearchReturns {
    /// True if something is to be told.
    pub(super) const fn tells(self) -> bool {
        self.min || self.max || self.all || self.count || self.partial.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn window(from_end: bool, first: u32, last: u32) -> PartialRange {
        PartialRange {
            from_end,
            first: NonZeroU32::new(first).unwrap(),
            last: NonZeroU32::new(last).unwrap(),
        }
    }

    #[test]
    fn no_more_is_looked_at_than_is_told() {
        let none = SearchReturns::default();
        let min = SearchReturns { min: true, ..none };
        let max = SearchReturns { max: true, ..none };
        let partial = |window, returns: SearchReturns| SearchReturns {
            partial: Some(window),
            ..returns
        };
        let (early, late) = (window(false, 30, 11), window(true, 1, 30));
        let cases = [
            (none, Order::All),
            (min, Order::First(1)),
            (max, Order::Last(1)),
            (SearchReturns { max: true, ..min }, Order::FirstAndLast),
            (SearchReturns { count: true, ..min }, Order::All),
            (
                SearchReturns {
                    update: true,
                    ..min
                },
                Order::All,
            ),
            (partial(early, none), Order::First(30)),
            (partial(early, min), Order::First(30)),
            (partial(early, max), Order::All),
            (partial(late, none), Order::Last(30)),
            (partial(late, max), Order::Last(30)),
            (partial(late, min), Order::All),
        ];
        for (returns, order) in cases {
            assert_eq!(Order::of(Some(returns)), order, "{returns:?}");
        }
        assert_eq!(Order::of(None), Order::All);
    }

    #[test]
    fn what_is_kept_is_what_is_told() {
        let uids = |values: &[u32]| values.iter().copied().filter_map(Uid::new).collect();
        let found: UidSet = uids(&[2, 3, 5, 7, 11]);
        let table = [
            ((false, false, false, false), &[5, 7][..]),
            ((true, false, false, false), &[2, 5, 7]),
            ((false, true, false, false), &[5, 7, 11]),
            ((true, true, false, false), &[2, 5, 7, 11]),
            ((true, true, true, false), &[2, 3, 5, 7, 11]),
            ((false, false, false, true), &[2, 3, 5, 7, 11]),
        ];
        for ((min, max, count, all), expected) in table {
            let returns = SearchReturns {
                min,
                max,
                count,
                all,
                save: true,
                update: false,
                context: false,
                partial: Some(window(false, 3, 4)),
            };
            assert_eq!(kept(returns, &found), uids(expected), "{returns:?}");
        }
    }

    #[test]
    fn messages_found_from_both_ends_are_one_set() {
        let mut found = Found::default();
        for value in [3, 4] {
            found.push(Uid::new(value).unwrap());
        }
        for value in [9, 7, 6] {
            found.push_before(Uid::new(value).unwrap());
        }
        assert_eq!(found.count(), 5);
        let values: Vec<u32> = found.uids().iter().map(Uid::value).collect();
        assert_eq!(values, [3, 4, 6, 7, 9]);
    }
}
