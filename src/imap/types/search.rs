//! What SEARCH can ask (RFC 9051 §6.4.4).

use super::core::Octets;
use super::fetch::FetchItem;
use super::sequence::{PartialRange, SequenceSet};
use crate::mailbox::flag::{Keyword, SystemFlag};
use crate::mailbox::id::ModSeq;

/// A SEARCH or UID SEARCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Result options; none means that the plain form was used (`* SEARCH` in rev1).
    pub returns: Option<SearchReturns>,
    /// CHARSET as written.
    pub charset: Option<Octets>,
    /// What UPDATE asks for of messages that arrive and match (RFC 5465 §7); perhaps nothing.
    pub update_items: Vec<FetchItem>,
    /// The criteria, all of which must hold.
    pub key: SearchKey,
}

/// `RETURN (…)` (RFC 9051 §6.4.4). `RETURN ()` means ALL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent options of the RFC"
)]
pub struct SearchReturns {
    /// MIN
    pub min: bool,
    /// MAX
    pub max: bool,
    /// ALL
    pub all: bool,
    /// COUNT
    pub count: bool,
    /// SAVE
    pub save: bool,
    /// UPDATE (RFC 5267 §4.3)
    pub update: bool,
    /// CONTEXT (RFC 5267 §4.2): a hint, of which nothing follows here.
    pub context: bool,
    /// PARTIAL: a window on what was found (RFC 9394 §3.1); never with ALL.
    pub partial: Option<PartialRange>,
}

/// A calendar day as in SEARCH: year, month 1–12, day 1–31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// 0–9999
    pub year: i16,
    /// 1–12
    pub month: i8,
    /// 1–31, valid for the month
    pub day: i8,
}

/// Which of two dates of a message is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateKind {
    /// INTERNALDATE: BEFORE, ON, SINCE
    Internal,
    /// The Date field: SENTBEFORE, SENTON, SENTSINCE
    Sent,
    /// When it came into this mailbox: SAVEDBEFORE, SAVEDON, SAVEDSINCE (RFC 8514 §4.3)
    Saved,
}

/// How a date is compared; time and zone are disregarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateTest {
    /// Earlier than the day.
    Before,
    /// On the day.
    On,
    /// On the day or later.
    Since,
}

/// One criterion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// ALL
    All,
    /// A system flag is set (ANSWERED …) or not (UNANSWERED …).
    Flag(SystemFlag, bool),
    /// KEYWORD, or UNKEYWORD when false.
    Keyword(Keyword, bool),
    /// NEW: `\Recent` and not `\Seen` (rev1)
    New,
    /// OLD: not `\Recent` (rev1)
    Old,
    /// RECENT (rev1)
    Recent,
    /// BEFORE, ON, SINCE, SENTBEFORE, SENTON, SENTSINCE, SAVEDBEFORE, SAVEDON, SAVEDSINCE
    Date(DateKind, DateTest, Day),
    /// OLDER n (true) or YOUNGER n, in seconds (RFC 5032)
    Within {
        /// True for OLDER.
        older: bool,
        /// At least 1.
        secs: u32,
    },
    /// BCC, CC, FROM, TO, SUBJECT and HEADER: field name and text in the search's charset; empty text: the field exists
    Header(Octets, Octets),
    /// BODY
    Body(Octets),
    /// TEXT
    Text(Octets),
    /// LARGER, in octets
    Larger(u64),
    /// SMALLER, in octets
    Smaller(u64),
    /// MODSEQ: changed at this moment or later (RFC 7162 §3.1.5)
    ModSeq(ModSeq),
    /// SAVEDATESUPPORTED: the save date is known, as it is of every message (RFC 8514 §4.3)
    SaveDateSupported,
    /// EMAILID (RFC 8474 §6)
    EmailId(Octets),
    /// THREADID (RFC 8474 §6)
    ThreadId(Octets),
    /// A set of sequence numbers, or `$`
    Sequence(SequenceSet),
    /// UIDAFTER (RFC 9738 §3.2)
    UidAfter(u32),
    /// UIDBEFORE (RFC 9738 §3.2)
    UidBefore(u32),
    /// UID with a set
    Uid(SequenceSet),
    /// NOT
    Not(Box<Self>),
    /// OR, a chain of them as one: at least two, of which one must hold.
    Or(Vec<Self>),
    /// Parentheses, and the criteria of the whole: at least two, all of which must hold.
    And(Vec<Self>),
}

impl SearchKey {
    /// True if any of the criteria meets a condition, at whatever depth.
    pub fn any(&self, meets: fn(&Self) -> bool) -> bool {
        match self {
            Self::Not(inner) => inner.any(meets),
            Self::Or(keys) | Self::And(keys) => keys.iter().any(|key| key.any(meets)),
            single => meets(single),
        }
    }

    /// True for MODSEQ.
    pub const fn is_mod_seq(&self) -> bool {
        matches!(self, Self::ModSeq(_))
    }

    /// True for message numbers.
    pub const fn is_numbers(&self) -> bool {
        matches!(self, Self::Sequence(SequenceSet::Ranges(_)))
    }
}
