//! What a store of mail must be able to do, in three groups: the account, a mailbox, a message's octets.
//!
//! Every method that is not marked *quick* may touch the disk and is called on a thread of the account's volume only.

use super::flag::{FlagAction, NamedFlags};
use super::id::{ModSeq, Uid, UidValidity};
use super::messages::{Counts, Messages};
use super::name::{MailboxName, SpecialUse};
use super::notes::{Kind, PageNumber, Row, Sheet};
use super::uid_set::UidSet;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Why a store could not do as asked, by whose fault it is.
///
/// `Display` is for the client: no paths. What the operator needs is logged by the store, once, where it happens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No mailbox of that name (`[NONEXISTENT]`, for the target of APPEND, COPY and MOVE `[TRYCREATE]`).
    #[error("no such mailbox")]
    NonExistent,
    /// There is one of that name (`[ALREADYEXISTS]`).
    #[error("mailbox exists already")]
    AlreadyExists,
    /// This store cannot hold it, ever (`[CANNOT]`); the text says why.
    #[error("{0}")]
    Cannot(String),
    /// The mailbox has children or the like, and the operation is not done while it has (`[INUSE]`).
    #[error("{0}")]
    InUse(String),
    /// Too many keywords, mailboxes, octets (`[LIMIT]`).
    #[error("{0}")]
    Limit(String),
    /// No room on the disk or in the quota (`[OVERQUOTA]`).
    #[error("no space left")]
    NoSpace,
    /// Nobody may write there: the volume is mounted for reading (`[NOPERM]`).
    #[error("no permission")]
    NoPermission,
    /// A message asked for is gone (`[EXPUNGEISSUED]`).
    #[error("some of the messages no longer exist")]
    Expunged,
    /// Trouble of ours that may pass: I/O error, lock not to be had (`[UNAVAILABLE]`).
    #[error("mail storage is unavailable for the moment")]
    Unavailable,
    /// What is stored of a message is damaged; all others are served (`[CORRUPTION]`).
    #[error("the message is damaged in the mail store")]
    Corrupt,
    /// Damage that somebody must look at (`[SERVERBUG]`, with the reference that is in the log).
    #[error("internal error, reference {0}")]
    Damaged(String),
}

/// What an operation of a store gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Called when something changed; from any thread, any number of times.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Whose mail, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The account's name.
    pub user: Arc<str>,
    /// The Maildir of its INBOX.
    pub spool: PathBuf,
}

/// A store of many accounts.
pub trait Backend: Send + Sync + fmt::Debug {
    /// Where an account's mail lies: at the place set for this account, else by the template. *Quick.*
    fn locate(&self, user: &str, spool: Option<&Path>) -> Owner;

    /// Opens an account whose owner has logged in. Makes what is missing: the spool, the mailboxes of a new account.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoPermission`], [`Error::Damaged`]
    fn open_account(&self, owner: &Owner) -> Result<Arc<dyn Account>>;

    /// As [`Backend::open_account`], for an owner who reaches INBOX alone: the other mailboxes of a new account may wait for `open_account`.
    ///
    /// # Errors
    /// As [`Backend::open_account`].
    fn open_maildrop(&self, owner: &Owner) -> Result<Arc<dyn Account>> {
        self.open_account(owner)
    }
}

/// A mailbox as LIST tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: MailboxName,
    /// False for a name that only has children (`\NonExistent` in rev2, `\Noselect`).
    pub selectable: bool,
    /// What it is for.
    pub special_use: Vec<SpecialUse>,
}

/// What STATUS can tell of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Messages, unseen, deleted, recent.
    pub counts: Counts,
    /// The next UID.
    pub uid_next: Uid,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The last change.
    pub highest_mod_seq: ModSeq,
    /// Octets in all, with CRLF; only where it was asked for.
    pub size: Option<u64>,
}

/// The mailboxes of one account. Shared by all its connections.
pub trait Account: Send + Sync + fmt::Debug {
    /// The name that is logged. *Quick.*
    fn user(&self) -> &str;

    /// Where it lies; tells the shell which volume. *Quick.*
    fn place(&self) -> Arc<Path>;

    /// All mailboxes, and the names above them that are no mailboxes, in the order of their names, INBOX first.
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    fn mailboxes(&self) -> Result<Vec<Listed>>;

    /// Names subscribed to, existing or not.
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    fn subscriptions(&self) -> Result<BTreeSet<MailboxName>>;

    /// Adds or removes a subscription; not an error if it is so already.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoSpace`], [`Error::NoPermission`]
    fn set_subscribed(&self, name: &MailboxName, subscribed: bool) -> Result<()>;

    /// Rises whenever names or subscriptions may have changed, as far as the watch tells: who listed them after reading this number need
    /// not list them again while it stays. *Quick.*
    fn names_version(&self) -> u64;

    /// Calls `waker` when names or subscriptions may have changed, by this process or another, until the [`Watch`] is dropped.
    fn watch_names(&self, waker: Waker) -> Box<dyn Watch>;

    /// Makes a mailbox, and what it needs above it. Its UIDVALIDITY is one that this account never had.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Cannot`] for a name that the layout cannot hold, [`Error::NoSpace`] and so on
    fn create(&self, name: &MailboxName, special_use: &[SpecialUse]) -> Result<()>;

    /// Removes a mailbox and its messages; its children stay (RFC 9051 §6.3.5). A name without a mailbox but with children is
    /// [`Error::InUse`].
    ///
    /// # Errors
    /// [`Error::NonExistent`], [`Error::Cannot`] for INBOX
    fn delete(&self, name: &MailboxName) -> Result<()>;

    /// Renames a mailbox and all below it. INBOX: its messages move to the new name, itself stays (RFC 9051 §6.3.6).
    ///
    /// # Errors
    /// [`Error::NonExistent`], [`Error::AlreadyExists`], [`Error::Cannot`]
    fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<()>;

    /// Tells of a mailbox without opening it for a connection. With `with_size`, also the octets of all messages.
    ///
    /// # Errors
    /// [`Error::NonExistent`], [`Error::Unavailable`]
    fn status(&self, name: &MailboxName, with_size: bool) -> Result<Status>;

    /// Identifies a mailbox, also under another name (MAILBOXID, RFC 8474 §4); letters and digits. None where nothing can be noted.
    ///
    /// # Errors
    /// [`Error::NonExistent`], [`Error::Unavailable`]
    fn mailbox_id(&self, name: &MailboxName) -> Result<Option<String>>;

    /// True if the mailbox with this identifier was made by a rename of INBOX, as far as this process remembers. *Quick.*
    fn was_inbox(&self, mailbox_id: &str) -> bool;

    /// Opens a mailbox; the same one for all connections of this process. It has been looked at on disk ([`Mailbox::refresh`] with the
    /// same `intake`).
    ///
    /// # Errors
    /// [`Error::NonExistent`], [`Error::Unavailable`], [`Error::Damaged`]
    fn open(&self, name: &MailboxName, intake: Intake) -> Result<Arc<dyn Mailbox>>;

    /// Begins to take in a message for a mailbox. Nothing is seen of it until [`Account::deliver`].
    ///
    /// # Errors
    /// [`Error::NonExistent`], [`Error::NoSpace`], [`Error::Unavailable`]
    fn upload(&self, name: &MailboxName) -> Result<Box<dyn Upload>>;

    /// Puts uploaded messages into the mailbox for which they were begun: all or none, durable when this returns. UIDs are in the order
    /// of the uploads.
    ///
    /// # Errors
    /// [`Error::NonExistent`], [`Error::NoSpace`], [`Error::Unavailable`]
    fn deliver(&self, name: &MailboxName, uploads: Vec<Box<dyn Upload>>) -> Result<Placed>;
}

/// Whether a look at the disk also takes messages out of `new/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// `new/` goes to `cur/` (SELECT).
    Take,
    /// Nothing is moved (EXAMINE, STATUS).
    Look,
}

/// A message on its way in. Dropped without [`Account::deliver`], it leaves nothing behind.
pub trait Upload: Send + fmt::Debug {
    /// Takes the next octets.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Unavailable`]
    fn write(&mut self, octets: &[u8]) -> Result<()>;

    /// All octets are in: flags, and INTERNALDATE in seconds since 1970 (now, if none).
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Unavailable`], [`Error::Limit`] for too many keywords
    fn finish(&mut self, flags: &NamedFlags, internal_date: Option<i64>) -> Result<()>;

    /// The implementation itself, for its own store.
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send>;
}

/// Where messages were put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// UIDVALIDITY of the mailbox.
    pub uid_validity: UidValidity,
    /// Their UIDs there, in the order in which they were given.
    pub uids: Vec<Uid>,
}

/// Messages that went from one mailbox to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    /// UIDVALIDITY of the target.
    pub uid_validity: UidValidity,
    /// UID in the source, UID in the target, rising in both.
    pub pairs: Vec<(Uid, Uid)>,
}

/// What STORE shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagChange {
    /// Replace, add or remove.
    pub action: FlagAction,
    /// Which flags. `\Recent` cannot be among them.
    pub flags: NamedFlags,
    /// Messages changed after this are left alone (UNCHANGEDSINCE, RFC 7162 §3.1.3).
    pub unchanged_since: Option<ModSeq>,
}

/// What STORE did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// The mod-sequence of the change; none if all messages had these flags already.
    pub mod_seq: Option<ModSeq>,
    /// Messages left alone because they were changed after `unchanged_since`.
    pub modified: UidSet,
    /// Messages that are no longer there.
    pub missing: UidSet,
}

/// One mailbox, shared by all connections that have it open.
pub trait Mailbox: Send + Sync + fmt::Debug {
    /// The messages as known in memory. *Quick*; the lock is never held while the disk or a client is waited for.
    fn messages(&self) -> &RwLock<Messages>;

    /// True if nothing has happened on disk since the last look, as far as the watch tells. *Quick*; false where nobody watches.
    fn is_current(&self) -> bool;

    /// Looks at the disk and brings [`Mailbox::messages`] up to date.
    ///
    /// # Errors
    /// [`Error::NonExistent`] if the mailbox was deleted, [`Error::Unavailable`]
    fn refresh(&self, intake: Intake) -> Result<()>;

    /// Calls `waker` when something changes, by this process or another, until the [`Watch`] is dropped.
    fn watch(&self, waker: Waker) -> Box<dyn Watch>;

    /// Changes flags, durably, in one change of [`Mailbox::messages`].
    ///
    /// # Errors
    /// [`Error::Limit`] when there is no room for a keyword: then nothing is changed; [`Error::NoPermission`], [`Error::Unavailable`]
    fn store(&self, uids: &UidSet, change: &FlagChange) -> Result<Stored>;

    /// Removes messages. Returns those removed by this call; those gone already are not among them.
    ///
    /// # Errors
    /// [`Error::NoPermission`], [`Error::Unavailable`]
    fn expunge(&self, uids: &UidSet) -> Result<UidSet>;

    /// Copies messages to another mailbox of the account with their flags and dates: all or none.
    ///
    /// # Errors
    /// [`Error::NonExistent`] for the target, [`Error::Expunged`] if one of them is gone, [`Error::NoSpace`] and so on
    fn copy(&self, uids: &UidSet, target: &MailboxName) -> Result<Transferred>;

    /// Moves messages to another mailbox of the account (RFC 6851). Those gone already are left out; on error each message is in one of
    /// both places.
    ///
    /// # Errors
    /// as [`Mailbox::copy`]
    fn move_to(&self, uids: &UidSet, target: &MailboxName) -> Result<Transferred>;

    /// Opens a message to read it.
    ///
    /// # Errors
    /// [`Error::Expunged`] if it is gone, [`Error::Unavailable`]
    fn message(&self, uid: Uid) -> Result<Box<dyn Message>>;

    /// INTERNALDATE, in seconds since 1970.
    ///
    /// # Errors
    /// as [`Mailbox::message`]
    fn internal_date(&self, uid: Uid) -> Result<i64>;

    /// When the message was put into this mailbox, in seconds since 1970 (RFC 8514).
    ///
    /// # Errors
    /// as [`Mailbox::message`]
    fn save_date(&self, uid: Uid) -> Result<i64>;

    /// What names the octets of the message, here and wherever they are copied to (RFC 8474 §5.1). *Quick.*
    ///
    /// # Errors
    /// [`Error::Expunged`] if it is gone, [`Error::Unavailable`]
    fn guid(&self, uid: Uid) -> Result<Vec<u8>>;

    /// RFC822.SIZE, in octets with CRLF; notes it in [`Mailbox::messages`].
    ///
    /// # Errors
    /// as [`Mailbox::message`]
    fn size(&self, uid: Uid) -> Result<u64>;

    /// As [`Mailbox::size`], of many messages, in their order; several are measured at once where that is quicker.
    fn sizes(&self, uids: &[Uid]) -> Vec<Result<u64>> {
        uids.iter().map(|uid| self.size(*uid)).collect()
    }

    /// Reads messages and has each looked at, in any order and from several threads at once where that is quicker. The reader is told which
    /// of the UIDs it is, by its place among them.
    fn read_each(&self, uids: &[Uid], extent: Extent, reader: &Reader<'_>);

    /// Reads messages one after the other and has each looked at, as long as there is a next one: the reader is told its place.
    fn read_while(&self, extent: Extent, next: &Next<'_>, reader: &Reader<'_>);

    /// Has something read by another thread if one has time; false, and nothing done, if none has. *Quick.*
    fn have_helped(&self, reading: Box<dyn FnOnce() + Send>) -> bool;

    /// What is noted about the messages of some pages, of these kinds; in the order of the pages.
    fn notes(&self, kinds: &[Kind], pages: &[PageNumber]) -> Vec<Sheet>;

    /// Adds notes about messages of some pages. Returns all there are of these kinds then, in the order of the pages.
    fn keep_notes(&self, kinds: &[Kind], rows: &[(PageNumber, Vec<Row>)]) -> Vec<Sheet>;

    /// POP3 unique-ids that were stored for messages and go before any made from a format (`P` field of the UID list).
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    fn stored_unique_ids(&self) -> Result<Vec<(Uid, String)>>;

    /// The base name of a message's file, or what stands for it: for unique-ids made of file names. Empty if it is gone. *Quick.*
    fn base_name(&self, uid: Uid) -> String;

    /// Order of messages for POP3 where it is not the order of UIDs (`O` field of the UID list): lower first, those without after
    /// all with. *Quick.*
    fn pop3_order(&self, uid: Uid) -> Option<u32>;

    /// Takes the mailbox for one POP3 session alone; none if another has it. The lock lasts until it is dropped.
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    fn lock_maildrop(&self) -> Result<Option<Box<dyn MaildropLock>>>;
}

impl dyn Mailbox + '_ {
    /// Opens a message and has it looked at, as [`Mailbox::read_each`] does with many.
    pub fn read_one(&self, at: usize, uid: Uid, extent: Extent, reader: &Reader<'_>) {
        let read = || {
            let date = self.internal_date(uid)?;
            if extent == Extent::Date {
                return Ok((date, 0, Vec::new()));
            }
            let mut message = self.message(uid)?;
            let stored = message.stored_octets();
            if extent == Extent::Small && stored > MAX_SMALL_OCTETS {
                return Ok((date, stored, Vec::new()));
            }
            let octets = message.read_all()?;
            Ok((date, octets.len() as u64, octets))
        };
        let read: Result<(i64, u64, Vec<u8>)> = read();
        let reading = read.as_ref().map(|(date, stored, octets)| Reading {
            date: *date,
            stored: *stored,
            octets,
        });
        reader(at, reading.map_err(Error::clone));
    }

    /// Takes [`Mailbox::messages`] to read. *Quick.*
    pub fn read(&self) -> RwLockReadGuard<'_, Messages> {
        // a panic elsewhere leaves whole columns: nothing is half written while the lock is held
        self.messages()
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes [`Mailbox::messages`] to change them. *Quick.*
    pub fn write(&self) -> RwLockWriteGuard<'_, Messages> {
        self.messages()
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of a message is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Nothing: its date is wanted.
    Date,
    /// At least the header, with the empty line that ends it.
    Header,
    /// All of it if it has at most [`MAX_SMALL_OCTETS`], else any part of it.
    Small,
    /// All of it.
    Whole,
}

/// Largest message that is read as a whole to be sent, in octets as they are stored; larger ones are read in pieces.
pub const MAX_SMALL_OCTETS: u64 = 1024 * 1024;

/// A message that was read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// INTERNALDATE, in seconds since 1970.
    pub date: i64,
    /// How many octets are stored; 0 if only the date was asked for.
    pub stored: u64,
    /// As much as was asked for, as it is stored.
    pub octets: &'a [u8],
}

impl Reading<'_> {
    /// True if all octets of the message were read.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.octets.len() as u64 == self.stored
    }
}

/// Looks at a message that was read, or hears why it could not be. Called from any thread.
pub type Reader<'a> = dyn Fn(usize, Result<Reading<'_>>) + Sync + 'a;

/// Gives the place and the UID of the next message to be read.
pub type Next<'a> = dyn Fn() -> Option<(usize, Uid)> + 'a;

/// Keeps a waker registered while it lives.
pub trait Watch: Send + Sync + fmt::Debug {}

/// Keeps other POP3 sessions out while it lives (RFC 1939 §4).
pub trait MaildropLock: Send + Sync + fmt::Debug {}

/// The octets of one message as they are stored, with whatever line ends they have.
pub trait Message: Send + fmt::Debug {
    /// How many octets are stored.
    fn stored_octets(&self) -> u64;

    /// Reads from a position into a buffer; returns how many octets, 0 at the end.
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize>;

    /// Reads all of it.
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    fn read_all(&mut self) -> Result<Vec<u8>> {
        let mut octets = vec![0; usize::try_from(self.stored_octets()).unwrap_or(0)];
        let mut filled = 0;
        while let Some(rest) = octets.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(filled as u64, rest)? {
                0 => break,
                read => filled += read,
            }
        }
        octets.truncate(filled);
        Ok(octets)
    }
}
