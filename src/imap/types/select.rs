//! SELECT and EXAMINE with parameters (RFC 4466 §2.1, RFC 7162 §3.1.8, §3.2.5).

use super::core::MailboxArg;
use crate::mailbox::id::{ModSeq, UidValidity};
use crate::mailbox::uid_set::UidSet;
use std::ops::RangeInclusive;

/// A SELECT or EXAMINE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// Which mailbox.
    pub mailbox: MailboxArg,
    /// CONDSTORE
    pub condstore: bool,
    /// QRESYNC: what the client knows from before.
    pub qresync: Option<Box<Known>>,
}

/// What a client knows of a mailbox from before (RFC 7162 §3.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// UIDVALIDITY; if it is another one now, the rest means nothing.
    pub uid_validity: UidValidity,
    /// HIGHESTMODSEQ
    pub mod_seq: ModSeq,
    /// The UIDs that it knows of; none stands for all.
    pub uids: Option<UidSet>,
    /// Some numbers with their UIDs (RFC 7162 §3.2.5.2).
    pub matches: Option<MatchData>,
}

/// Message numbers and the UIDs that belong to them, both rising and as many of the one as of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchData {
    /// Message numbers.
    pub seq_nums: Vec<RangeInclusive<u32>>,
    /// Their UIDs, in the same order.
    pub uids: Vec<RangeInclusive<u32>>,
}

impl MatchData {
    /// Pairs of number and UID.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32)> {
        let numbers = self.seq_nums.iter().cloned().flatten();
        numbers.zip(self.uids.iter().cloned().flatten())
    }
}
