//! The index: what is remembered of mailboxes so that it need not be found out anew, and may be lost at any time.
//!
//! Mod-sequences (RFC 7162), the memory of expunged UIDs, and what STATUS tells. The truth lies in the spool; whoever opens a mailbox
//! compares the two, and what differs counts as changed then. So the index may lack its newest entries, be damaged or be removed:
//! no UID and no flag depends on it. What is lost with it is only which mod-sequence each message had, and since new ones are above
//! the clock in microseconds, they are above all that were ever told: clients then hear of messages that they know already.
//!
//! Several processes share it: an old and a new server during a restart, the command line. Mod-sequences are therefore given within
//! [`Index::change`], one process after the other, each having heard first what the others did. A client that was told "up to n" by
//! one of them misses nothing that it asks "since n" of another.
//!
//! - [`Key`] says which mailbox is meant. It holds what a copy of a mailbox does not share with the original, since a copied directory
//!   has the same GUID.
//! - [`Version`] is what a process knows of a mailbox's record: a count of the changes, and a sum over all of them, so that a record
//!   that was lost and begun anew is not taken for the same one continued.
//! - A record is a snapshot of the whole ([`encode`]) and the changes after it ([`Delta`]). Both carry checksums; the sum in the
//!   [`Version`] runs over snapshot and changes, so that a change that is missing is noticed as well as one that is damaged.
//!
//! The trait knows nothing of SQLite; [`sqlite`] is its form on one database for each account.

mod codec;
mod committer;
mod database;
mod notes;
mod record;
mod run;
pub mod sqlite;
#[cfg(test)]
mod sqlite_tests;
mod status;

pub use codec::encode;
pub use status::StatusNote;

use crate::mailbox::flag::{Flags, KeywordTable};
use crate::mailbox::id::{ModSeq, Uid, UidValidity};
use crate::mailbox::messages::{ChangeKind, Messages};
use crate::mailbox::notes::{Page, PageId};
use crate::mailbox::remembered::Remembered;
use crate::mailbox::uid_set::UidSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Which mailbox of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The GUID in its UID list.
    pub guid: [u8; 16],
    /// UIDVALIDITY: with another one, nothing that is remembered is true.
    pub uid_validity: UidValidity,
    /// Inode of its directory of messages.
    pub directory: u64,
}

/// How much of a mailbox's record a process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Counts the changes.
    generation: u64,
    /// Sum over all of them.
    sum: u64,
}

/// One change, as it is remembered and as other processes learn of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// Its mod-sequence.
    pub mod_seq: ModSeq,
    /// The next UID after it.
    pub uid_next: Uid,
    /// What happened.
    pub what: What,
    /// What the keywords of its flags are.
    pub keywords: KeywordTable,
}

/// What happened to messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// They arrived or were changed, and have these flags since.
    Set(Vec<(Uid, Flags)>),
    /// They are gone.
    Expunged(UidSet),
}

impl Delta {
    /// The changes after a mod-sequence, with the flags that messages have now; none if they are not all known.
    pub fn since(messages: &Messages, since: ModSeq) -> Option<Vec<Self>> {
        let changes = messages.changes_since(since)?;
        if messages.expunged().floor() > since {
            return None;
        }
        let delta = |(mod_seq, what)| Self {
            mod_seq,
            uid_next: messages.uid_next(),
            keywords: match &what {
                What::Set(set) => keywords_of(set, messages.keywords()),
                What::Expunged(_) => KeywordTable::default(),
            },
            what,
        };
        let flags = |uid| Some((uid, messages.flags(uid)?));
        let set = changes
            .filter(|change| change.kind != ChangeKind::Expunged)
            .map(|change| {
                let set = change.uids.iter().filter_map(flags).collect();
                (change.mod_seq, What::Set(set))
            });
        let expunged = (messages.expunged().entries())
            .filter(|(mod_seq, _)| *mod_seq > since)
            .map(|(mod_seq, uids)| (mod_seq, What::Expunged(uids.clone())));
        let mut all: Vec<(ModSeq, What)> = set.chain(expunged).collect();
        all.sort_by_key(|(mod_seq, _)| *mod_seq);
        Some(all.into_iter().map(delta).collect())
    }
}

/// The keywords that occur in flags.
fn keywords_of(set: &[(Uid, Flags)], table: &KeywordTable) -> KeywordTable {
    let used = set
        .iter()
        .fold(Flags::NONE, |used, (_, flags)| used.union(*flags));
    let mut keywords = KeywordTable::default();
    for at in used.keyword_indexes() {
        if let Some(keyword) = table.keyword(at) {
            keywords.set(at, keyword.clone());
        }
    }
    keywords
}

/// What the index has for somebody who is going to change a mailbox.
#[derive(Debug)]
pub enum Found {
    /// Nothing: it was never seen, or what was remembered is lost.
    Nothing,
    /// What others did since the version given; mostly none.
    Missed(Vec<Delta>),
    /// All of it.
    Whole(Box<Remembered>),
}

/// What shall be remembered.
#[derive(Debug)]
pub enum Record {
    /// Nothing new.
    Nothing,
    /// These changes.
    Deltas(Vec<Delta>),
    /// All of it.
    Whole(Snapshot),
}

/// The whole of a mailbox, as made by [`encode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    octets: Vec<u8>,
    highest_mod_seq: ModSeq,
    /// The pages on which notes about its messages may stand, rising.
    pages: Vec<RangeInclusive<u32>>,
}

/// What a change of a mailbox does while no other process can: told what is remembered, and whether it is time to write the whole
/// again, it says what to remember.
pub type Change<'a> = dyn FnMut(Found, bool) -> Record + 'a;

/// The index did not do it; that was logged. Nothing is lost but time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index is not available")]
pub struct Unavailable;

/// What comes of asking the index.
pub type Result<T> = std::result::Result<T, Unavailable>;

/// What is remembered of the mailboxes of many accounts. An account is named by the place of its spool.
///
/// Every method may touch the disk. None takes long: an index that another process holds is [`Unavailable`] after a moment.
pub trait Index: Send + Sync + fmt::Debug {
    /// Runs a change while no other process makes one in this account. `known` is what this process knows of the record. Returns what
    /// it knows now; none if there is no record.
    ///
    /// # Errors
    /// [`Unavailable`], before or after the change was run; then what it said is not remembered, or not for sure.
    fn change(
        &self,
        account: &Path,
        key: &Key,
        known: Option<Version>,
        change: &mut Change<'_>,
    ) -> Result<Option<Version>>;

    /// What was noted for STATUS, and the last mod-sequence given; none if nothing was, or if it is of another mailbox.
    ///
    /// # Errors
    /// [`Unavailable`]
    fn status(&self, account: &Path, key: &Key) -> Result<Option<(StatusNote, ModSeq)>>;

    /// Notes what STATUS shall tell.
    ///
    /// # Errors
    /// [`Unavailable`]
    fn note_status(&self, account: &Path, key: &Key, note: &StatusNote) -> Result<()>;

    /// Which pages of notes there are.
    ///
    /// # Errors
    /// [`Unavailable`]
    fn noted(&self, account: &Path, key: &Key) -> Result<Vec<PageId>>;

    /// Pages of notes, in the order in which they are named; none for one that is not there or is damaged.
    ///
    /// # Errors
    /// [`Unavailable`]
    fn notes(&self, account: &Path, key: &Key, pages: &[PageId]) -> Result<Vec<Option<Page>>>;

    /// Keeps pages of notes in place of those there are, if the mailbox is remembered. Notes about messages that are gone go when the
    /// whole of the mailbox is written anew.
    ///
    /// # Errors
    /// [`Unavailable`]
    fn keep_notes(&self, account: &Path, key: &Key, pages: &[(PageId, Arc<Page>)]) -> Result<()>;

    /// What [`Index::keep_names`] kept of this state of the disk; none if there is nothing, or if it is damaged or of another mailbox.
    ///
    /// # Errors
    /// [`Unavailable`]
    fn names(&self, account: &Path, key: &Key, disk: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Keeps which file holds which message, and for which state of the disk that is true, both in a form that is the store's own business, if the
    /// mailbox is remembered.
    ///
    /// # Errors
    /// [`Unavailable`]
    fn keep_names(&self, account: &Path, key: &Key, disk: &[u8], names: Vec<u8>) -> Result<()>;

    /// Forgets a mailbox that was deleted.
    ///
    /// # Errors
    /// [`Unavailable`]
    fn forget(&self, account: &Path, guid: &[u8; 16]) -> Result<()>;
}

/// A clock that only goes forward.
#[expect(
    clippy::disallowed_methods,
    reason = "what could not be used is tried again after a while"
)]
fn now() -> Instant {
    Instant::now()
}
