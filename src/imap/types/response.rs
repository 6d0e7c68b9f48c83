//! Responses, typed (RFC 9051 §7). Only `imap::encode` turns them into octets; FETCH goes through its streaming writer there.

use super::capability::Capability;
use super::core::Tag;
use super::list::{ListAttribute, StatusItem, StatusValue};
use super::sequence::PartialRange;
use crate::mailbox::flag::SystemFlag;
use crate::mailbox::id::{ModSeq, SeqNum, Uid, UidValidity};
use crate::mailbox::uid_set::UidSet;
use std::ops::RangeInclusive;

/// Which kind of status response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// OK
    Ok,
    /// NO
    No,
    /// BAD
    Bad,
}

/// A status response's text, with its code: `[CODE] text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The response code.
    pub code: Option<Code>,
    /// Human-readable, ASCII, no line ends, never empty.
    pub text: std::borrow::Cow<'static, str>,
}

/// A response code (RFC 9051 §7.1, RFC 5530 and the extensions in README's table).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// ALERT
    Alert,
    /// ALREADYEXISTS
    AlreadyExists,
    /// APPENDUID validity uid-set
    AppendUid(UidValidity, UidSet),
    /// AUTHENTICATIONFAILED
    AuthenticationFailed,
    /// AUTHORIZATIONFAILED
    AuthorizationFailed,
    /// BADCHARSET (…): the charsets that we know
    BadCharset(Vec<&'static str>),
    /// BADEVENT (…): the events that are offered (RFC 5465 §3.1)
    BadEvent(&'static [&'static str]),
    /// CANNOT
    Cannot,
    /// CAPABILITY …
    Capability(Vec<Capability>),
    /// CLIENTBUG
    ClientBug,
    /// CLOSED
    Closed,
    /// COMPRESSIONACTIVE (RFC 4978)
    CompressionActive,
    /// CONTACTADMIN
    ContactAdmin,
    /// COPYUID validity source-set target-set, in matching order
    CopyUid(UidValidity, UidSet, UidSet),
    /// CORRUPTION
    Corruption,
    /// EXPIRED
    Expired,
    /// EXPUNGEISSUED
    ExpungeIssued,
    /// HASCHILDREN
    HasChildren,
    /// HIGHESTMODSEQ n (RFC 7162)
    HighestModSeq(ModSeq),
    /// INPROGRESS (tag done goal) (RFC 9585)
    InProgress {
        /// The command's tag.
        tag: Tag,
        /// How many messages are done, and of how many, if that is known.
        measure: Option<(u32, u32)>,
    },
    /// INUSE
    InUse,
    /// LIMIT
    Limit,
    /// MESSAGELIMIT n, perhaps with the lowest UID that was processed (RFC 9738)
    MessageLimit(u32, Option<Uid>),
    /// MAILBOXID (objectid) (RFC 8474 §4)
    MailboxId(String),
    /// MODIFIED set: numbers, or UIDs after a UID command (RFC 7162 §3.1.3)
    Modified(Vec<RangeInclusive<u32>>),
    /// NONEXISTENT
    NonExistent,
    /// NOPERM
    NoPerm,
    /// NOUPDATE tag: the search is not kept up to date (RFC 5267 §4.3.1)
    NoUpdate(Tag),
    /// NOTIFICATIONOVERFLOW (RFC 5465 §5.8)
    NotificationOverflow,
    /// NOTSAVED
    NotSaved,
    /// OVERQUOTA
    OverQuota,
    /// PARSE
    Parse,
    /// PERMANENTFLAGS (…): flags and keywords as written, `\*` if more may be added
    PermanentFlags(Vec<String>),
    /// PRIVACYREQUIRED
    PrivacyRequired,
    /// READ-ONLY
    ReadOnly,
    /// READ-WRITE
    ReadWrite,
    /// SERVERBUG
    ServerBug,
    /// TOOBIG (RFC 4469, 7889)
    TooBig,
    /// TOOFEW (RFC 10022)
    TooFew,
    /// TOOMANY (RFC 10022)
    TooMany,
    /// TRYCREATE
    TryCreate,
    /// UIDNEXT n
    UidNext(Uid),
    /// UIDREQUIRED (RFC 9586 §3)
    UidRequired,
    /// UIDVALIDITY n
    UidValidity(UidValidity),
    /// UNAVAILABLE
    Unavailable,
    /// UNKNOWN-CTE (RFC 3516)
    UnknownCte,
    /// UNSEEN n (rev1)
    Unseen(SeqNum),
    /// USEATTR (RFC 6154)
    UseAttr,
}

/// An untagged response other than FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untagged {
    /// `* OK`, `* NO`, `* BAD`
    Status(Condition, Text),
    /// `* PREAUTH` never; `* BYE`
    Bye(Text),
    /// `* CAPABILITY …`
    Capability(Vec<Capability>),
    /// `* ENABLED …`
    Enabled(Vec<&'static str>),
    /// `* LIST` or `* LSUB`
    List(ListEntry),
    /// `* NAMESPACE …`: prefix (wire form) of the personal namespace and the delimiter
    Namespace {
        /// Encoded as mailbox names are at this moment.
        prefix: Vec<u8>,
        /// The hierarchy delimiter.
        delimiter: char,
    },
    /// `* STATUS mailbox (…)`
    MailboxStatus {
        /// Wire form of the name.
        mailbox: Vec<u8>,
        /// Items and values, in the order asked.
        items: Vec<(StatusItem, StatusValue)>,
    },
    /// `* FLAGS (…)`
    Flags(Vec<String>),
    /// `* SEARCH …` (rev1): what was found, and its last change, if MODSEQ was among the criteria (RFC 7162 §3.1.6)
    Search(Vec<u32>, Option<ModSeq>),
    /// `* ESEARCH …`
    ESearch(ESearch),
    /// `* ESEARCH …` that tells how the results of an earlier search changed (RFC 5267 §4.3)
    ContextUpdate(ContextUpdate),
    /// `* UIDBATCHES …`: ranges with their high ends first, falling (RFC 10022 §3.1.2)
    UidBatches {
        /// The command's tag.
        tag: Tag,
        /// The ranges; perhaps none.
        batches: Vec<(Uid, Uid)>,
    },
    /// `* n EXISTS`
    Exists(u32),
    /// `* n RECENT` (rev1)
    Recent(u32),
    /// `* n EXPUNGE`
    Expunge(SeqNum),
    /// `* VANISHED …`, with EARLIER for what a client is told of the past (RFC 7162 §3.2.10)
    Vanished {
        /// True for EARLIER.
        earlier: bool,
        /// Which; at least one.
        uids: Vec<RangeInclusive<u32>>,
    },
    /// `* ID (…)`; nothing told is NIL
    Id(Vec<(&'static str, String)>),
}

/// One line of LIST or LSUB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// True for LSUB.
    pub lsub: bool,
    /// Attributes.
    pub attributes: Vec<ListAttribute>,
    /// None is NIL.
    pub delimiter: Option<char>,
    /// Wire form of the name: modified UTF-7, or UTF-8.
    pub mailbox: Vec<u8>,
    /// CHILDINFO ("SUBSCRIBED") (RFC 5258 §3.5)
    pub child_info_subscribed: bool,
    /// OLDNAME (RFC 9051 §6.3.9.7), wire form
    pub old_name: Option<Vec<u8>>,
}

/// An ESEARCH answer (RFC 9051 §7.3.4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ESearch {
    /// The command's tag.
    pub tag: Option<Tag>,
    /// UID SEARCH.
    pub uid: bool,
    /// MIN
    pub min: Option<u32>,
    /// MAX
    pub max: Option<u32>,
    /// ALL, as ranges; empty is left out
    pub all: Vec<RangeInclusive<u32>>,
    /// COUNT
    pub count: Option<u32>,
    /// MODSEQ: the last change of what is told (RFC 4731 §3.2)
    pub mod_seq: Option<ModSeq>,
    /// PARTIAL: the window asked for, and what lies in it (RFC 9394 §3.1)
    pub partial: Option<(PartialRange, Vec<RangeInclusive<u32>>)>,
}

/// How the results of a search changed; what is removed is told first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextUpdate {
    /// The search's tag.
    pub tag: Tag,
    /// It was a UID SEARCH.
    pub uid: bool,
    /// REMOVEFROM; perhaps none
    pub removed: Vec<Moved>,
    /// ADDTO; perhaps none
    pub added: Vec<Moved>,
}

/// Neighbours in a result list that come or go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Where the first of them is or will be, from 1.
    pub position: u32,
    /// Numbers or UIDs, rising; at least one.
    pub messages: Vec<RangeInclusive<u32>>,
}

/// The tagged end of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The command's tag.
    pub tag: Tag,
    /// OK, NO or BAD.
    pub condition: Condition,
    /// Code and text.
    pub text: Text,
}

/// Flags of one message as FETCH tells them.
#[derive(Debug, Clone, Copy)]
pub struct FlagList<'a> {
    /// System flags and keywords.
    pub flags: crate::mailbox::flag::Flags,
    /// `\Recent` (rev1)
    pub recent: bool,
    /// Names of the keywords.
    pub keywords: &'a crate::mailbox::flag::KeywordTable,
}

impl FlagList<'_> {
    /// The system flags set.
    pub fn system_flags(&self) -> impl Iterator<Item = SystemFlag> {
        self.flags.system_flags()
    }
}
