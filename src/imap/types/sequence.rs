//! Sequence sets and windows (RFC 9051 §9, `sequence-set`; RFC 9394 §4, `partial-range`).

use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeqBound {
    /// A number, or a UID in a UID command.
    Number(NonZeroU32),
    /// `*`: the last message.
    Last,
}

/// One element of a set: a single number has equal ends. Ends may be in either order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeqRange {
    /// The end written first.
    pub from: SeqBound,
    /// The end written last.
    pub to: SeqBound,
}

/// Numbers or UIDs that a client names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceSet {
    /// Ranges; at least one.
    Ranges(Vec<SeqRange>),
    /// `$`: what the last SEARCH saved (RFC 9051 §6.4.4.1).
    Saved,
}

/// `FETCH BODY[]<origin.octets>`: a window of octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OctetWindow {
    /// First octet, from 0.
    pub origin: u64,
    /// How many at most; never 0.
    pub octets: NonZeroU64,
}

/// `PARTIAL first:last` or `PARTIAL -first:-last`: a window on results in mailbox order (RFC 9394 §3.1), its ends as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialRange {
    /// Counted from the last result, which is -1; else from the first, which is 1.
    pub from_end: bool,
    /// The end written first, without its sign.
    pub first: NonZeroU32,
    /// The end written last, without its sign. Ends may be in either order.
    pub last: NonZeroU32,
}

impl PartialRange {
    /// Which of `count` results lie in the window, as indices into them; none if it lies beyond them.
    pub fn of(self, count: usize) -> Range<usize> {
        let near = self.first.min(self.last).get() as usize - 1;
        let far = (self.reach() as usize).min(count);
        if near >= far {
            0..0
        } else if self.from_end {
            count - far..count - near
        } else {
            near..far
        }
    }

    /// How many results must be known, from the end that it counts from, to fill the window.
    pub fn reach(self) -> u32 {
        self.first.max(self.last).get()
    }

    /// How many results it can hold.
    pub fn size(self) -> u64 {
        u64::from(self.first.get().abs_diff(self.last.get())) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_cut_to_the_results() {
        let window = |from_end, first, last| PartialRange {
            from_end,
            first: NonZeroU32::new(first).unwrap(),
            last: NonZeroU32::new(last).unwrap(),
        };
        let cases = [
            (window(false, 1, 3), 5, 0..3),
            (window(false, 3, 1), 5, 0..3),
            (window(false, 4, 9), 5, 3..5),
            (window(false, 5, 5), 5, 4..5),
            (window(false, 6, 9), 5, 0..0),
            (window(true, 1, 3), 5, 2..5),
            (window(true, 3, 1), 5, 2..5),
            (window(true, 4, 9), 5, 0..2),
            (window(true, 6, 6), 5, 0..0),
            (window(true, 1, u32::MAX), 5, 0..5),
            (window(false, 1, u32::MAX), 0, 0..0),
        ];
        for (window, count, expected) in cases {
            assert_eq!(window.of(count), expected, "{window:?} of {count}");
        }
        assert_eq!(window(true, 9, 4).size(), 6);
    }
}
