//! LIST and its extensions (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154), and STATUS.

use super::core::{MailboxArg, Octets};

/// A LIST command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Which mailboxes; `RECURSIVEMATCH` never stands alone.
    pub selection: Selection,
    /// The reference name.
    pub reference: MailboxArg,
    /// Patterns with `*` and `%`; at least one.
    pub patterns: Vec<Octets>,
    /// What to tell besides.
    pub returns: ListReturns,
    /// True if any extended syntax was used: then `""` as the only pattern still means the hierarchy delimiter.
    pub extended: bool,
}

/// Selection options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent options of the RFC"
)]
pub struct Selection {
    /// SUBSCRIBED
    pub subscribed: bool,
    /// REMOTE: we have none; changes nothing.
    pub remote: bool,
    /// RECURSIVEMATCH
    pub recursive_match: bool,
    /// SPECIAL-USE
    pub special_use: bool,
}

/// Return options.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListReturns {
    /// SUBSCRIBED
    pub subscribed: bool,
    /// CHILDREN
    pub children: bool,
    /// SPECIAL-USE
    pub special_use: bool,
    /// STATUS (…)
    pub status: Vec<StatusItem>,
}

/// An item of STATUS (RFC 9051 §6.3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT (rev1)
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
    /// DELETED
    Deleted,
    /// SIZE
    Size,
    /// APPENDLIMIT (RFC 7889)
    AppendLimit,
    /// HIGHESTMODSEQ (RFC 7162 §3.1.7)
    HighestModSeq,
    /// MAILBOXID (RFC 8474 §4.3)
    MailboxId,
}

/// A value of STATUS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusValue {
    /// A number.
    Number(u64),
    /// An object identifier.
    ObjectId(String),
}

/// An attribute of a mailbox in a LIST answer (RFC 9051 §7.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListAttribute {
    /// `\NonExistent`
    NonExistent,
    /// `\NoAccess`: it is there and cannot be opened (RFC 5465 §3.1)
    NoAccess,
    /// `\Noselect`
    NoSelect,
    /// `\Noinferiors`
    NoInferiors,
    /// `\HasChildren`
    HasChildren,
    /// `\HasNoChildren`
    HasNoChildren,
    /// `\Marked`
    Marked,
    /// `\Unmarked`
    Unmarked,
    /// `\Subscribed`
    Subscribed,
    /// `\Remote`
    Remote,
    /// A special use.
    SpecialUse(crate::mailbox::name::SpecialUse),
}
