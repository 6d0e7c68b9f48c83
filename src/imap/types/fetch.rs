//! What FETCH can ask for (RFC 9051 §6.4.5).

use super::sequence::{OctetWindow, PartialRange};
use crate::mailbox::id::ModSeq;
use std::num::NonZeroU32;

/// One data item of FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// `UID`
    Uid,
    /// `FLAGS`
    Flags,
    /// `MODSEQ` (RFC 7162 §3.1.4.2)
    ModSeq,
    /// `INTERNALDATE`
    InternalDate,
    /// `SAVEDATE` (RFC 8514 §4.2)
    SaveDate,
    /// `EMAILID` (RFC 8474 §5.1)
    EmailId,
    /// `THREADID` (RFC 8474 §5.2)
    ThreadId,
    /// `RFC822.SIZE`
    Rfc822Size,
    /// `ENVELOPE`
    Envelope,
    /// `BODY`: the structure without extension data
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `BODY[section]<window>` or `BODY.PEEK[…]`
    BodySection {
        /// True for `.PEEK`: `\Seen` is not set.
        peek: bool,
        /// Which part.
        section: Section,
        /// Which octets of it.
        window: Option<OctetWindow>,
    },
    /// `RFC822`: as `BODY[]` under another name (RFC 3501 §6.4.5)
    Rfc822,
    /// `RFC822.HEADER`: as `BODY.PEEK[HEADER]` under another name
    Rfc822Header,
    /// `RFC822.TEXT`: as `BODY[TEXT]` under another name
    Rfc822Text,
    /// `BINARY[part]<window>` or `BINARY.PEEK[…]`: transfer encoding removed
    Binary {
        /// True for `.PEEK`.
        peek: bool,
        /// The part; empty means the whole message.
        part: Vec<NonZeroU32>,
        /// Which octets of it, after decoding.
        window: Option<OctetWindow>,
    },
    /// `BINARY.SIZE[part]`
    BinarySize {
        /// The part; empty means the whole message.
        part: Vec<NonZeroU32>,
    },
}

/// Modifiers of FETCH (RFC 4466 §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FetchModifiers {
    /// CHANGEDSINCE: only messages changed after this (RFC 7162 §3.1.4.1).
    pub changed_since: Option<ModSeq>,
    /// VANISHED: also which of them are gone; only with CHANGEDSINCE and only in UID FETCH (RFC 7162 §3.2.6).
    pub vanished: bool,
    /// PARTIAL: only those messages of the set that lie in this window (RFC 9394 §3.3).
    pub partial: Option<PartialRange>,
}

/// A section of a message: a part, and what of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// Part numbers; empty means the message itself.
    pub part: Vec<NonZeroU32>,
    /// What of the part.
    pub text: SectionText,
}

/// What of a part is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SectionText {
    /// All of it: `BODY[]`, `BODY[1.2]`
    #[default]
    Whole,
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS (…)`
    HeaderFields(Vec<Vec<u8>>),
    /// `HEADER.FIELDS.NOT (…)`
    HeaderFieldsNot(Vec<Vec<u8>>),
    /// `TEXT`
    Text,
    /// `MIME`; only with a part number
    Mime,
}
