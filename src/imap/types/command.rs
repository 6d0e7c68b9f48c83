//! Commands that the parser can give (RFC 9051 §6 and the extensions in README's table).

use super::core::{MailboxArg, Octets, Tag};
use super::event_groups::Notify;
use super::fetch::{FetchItem, FetchModifiers};
use super::list::{List, StatusItem};
use super::search::Search;
use super::select::Select;
use super::sequence::SequenceSet;
use crate::auth::secret::Secret;
use crate::mailbox::flag::{FlagAction, NamedFlags};
use crate::mailbox::id::ModSeq;
use crate::mailbox::name::SpecialUse;
use std::num::NonZeroU32;

/// A whole command line, literals in their places; APPEND up to its first message literal.
#[derive(Debug)]
pub struct Command {
    /// What the answer will carry.
    pub tag: Tag,
    /// What is wanted.
    pub body: CommandBody,
}

/// What a client wants.
#[derive(Debug)]
pub enum CommandBody {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// STARTTLS
    StartTls,
    /// COMPRESS DEFLATE (RFC 4978)
    Compress,
    /// UNAUTHENTICATE (RFC 8437)
    Unauthenticate,
    /// AUTHENTICATE, with the initial response still in base64 (RFC 4959); `=` stands for an empty one
    Authenticate {
        /// The mechanism's name, in capitals.
        mechanism: String,
        /// In base64, if it was given.
        initial_response: Option<Octets>,
    },
    /// LOGIN
    Login {
        /// User name.
        user: Octets,
        /// Password.
        password: Secret,
    },
    /// ID (RFC 2971): pairs of field and value, or NIL
    Id(Vec<(Octets, Option<Octets>)>),
    /// ENABLE: names in capitals
    Enable(Vec<String>),
    /// SELECT
    Select(Select),
    /// EXAMINE
    Examine(Select),
    /// CREATE, with USE (…) (RFC 6154 §3)
    Create {
        /// The name.
        mailbox: MailboxArg,
        /// Known uses asked for.
        special_use: Vec<SpecialUse>,
        /// A use that we do not know was asked for: refused with `[USEATTR]`.
        unknown_use: bool,
    },
    /// DELETE
    Delete(MailboxArg),
    /// RENAME
    Rename {
        /// The present name.
        from: MailboxArg,
        /// The new name.
        to: MailboxArg,
    },
    /// SUBSCRIBE
    Subscribe(MailboxArg),
    /// UNSUBSCRIBE
    Unsubscribe(MailboxArg),
    /// LIST
    List(List),
    /// LSUB (rev1): reference and pattern
    Lsub(MailboxArg, Octets),
    /// NAMESPACE
    Namespace,
    /// STATUS
    Status {
        /// Which mailbox.
        mailbox: MailboxArg,
        /// What of it; at least one.
        items: Vec<StatusItem>,
    },
    /// APPEND: the first message's flags, date and literal announcement; further ones come by
    /// [`AppendNext`] (RFC 3502)
    Append {
        /// The target.
        mailbox: MailboxArg,
        /// The first message.
        message: AppendMessage,
    },
    /// IDLE
    Idle,
    /// NOTIFY (RFC 5465)
    Notify(Notify),
    /// CHECK (rev1)
    Check,
    /// CLOSE
    Close,
    /// UNSELECT
    Unselect,
    /// EXPUNGE
    Expunge,
    /// UID EXPUNGE
    UidExpunge(SequenceSet),
    /// SEARCH or UID SEARCH
    Search {
        /// True for UID SEARCH.
        uid: bool,
        /// What is looked for.
        search: Box<Search>,
    },
    /// FETCH or UID FETCH
    Fetch {
        /// True for UID FETCH.
        uid: bool,
        /// Of which messages.
        set: SequenceSet,
        /// Which items; macros are expanded.
        items: Vec<FetchItem>,
        /// Which of those messages, and what besides.
        modifiers: FetchModifiers,
    },
    /// CANCELUPDATE: tags (RFC 5267 §4.3.5)
    CancelUpdate(Vec<Octets>),
    /// UIDBATCHES
    UidBatches(UidBatches),
    /// STORE or UID STORE
    Store(Store),
    /// COPY or UID COPY
    Copy {
        /// True for UID COPY.
        uid: bool,
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        mailbox: MailboxArg,
    },
    /// MOVE or UID MOVE
    Move {
        /// True for UID MOVE.
        uid: bool,
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        mailbox: MailboxArg,
    },
}

/// UIDBATCHES (RFC 10022 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidBatches {
    /// How many messages a batch has.
    pub messages: NonZeroU32,
    /// Which batches by their ordinals, as written; none means all.
    pub batches: Option<(NonZeroU32, NonZeroU32)>,
}

/// STORE (RFC 9051 §6.4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// True for UID STORE.
    pub uid: bool,
    /// Of which messages.
    pub set: SequenceSet,
    /// Replace, add, remove.
    pub action: FlagAction,
    /// `.SILENT`
    pub silent: bool,
    /// The flags.
    pub flags: NamedFlags,
    /// `\Recent` was among them: refused.
    pub names_recent: bool,
    /// UNCHANGEDSINCE: messages changed after this are left alone (RFC 7162 §3.1.3).
    pub unchanged_since: Option<ModSeq>,
}

/// One message of an APPEND, before its octets (RFC 9051 §6.3.12, RFC 3502).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendMessage {
    /// Flags to set.
    pub flags: NamedFlags,
    /// INTERNALDATE, in seconds since 1970.
    pub internal_date: Option<i64>,
    /// The literal that follows.
    pub literal: LiteralHeader,
    /// Given as `UTF8 (~{n}…)` (RFC 6855 §4): its header may hold UTF-8.
    pub utf8: bool,
}

/// What comes after a message's octets in APPEND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendNext {
    /// Another message (RFC 3502).
    Message(AppendMessage),
    /// The end of the command.
    End,
}

/// `{n}`, `{n+}`, `~{n}`, `~{n+}`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiteralHeader {
    /// How many octets follow.
    pub octets: u64,
    /// True for `+`: the octets follow without a continuation request (RFC 7888).
    pub non_synchronizing: bool,
    /// True for `~`: a literal8, which may hold NUL (RFC 3516).
    pub binary: bool,
}
