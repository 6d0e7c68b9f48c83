//! Sequence sets and windows (RFC 9051 §9, `sequence-set`; RFC 9394 §3, `partial-range`).

use std::num::{NonZeroU32, NonZeroU64};

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
