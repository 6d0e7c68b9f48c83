//! `dovecot-uidlist`: which file has which UID. The format (pure), and the file under Dovecot's lock.

use crate::durable::Ownership;
use crate::mailbox::id::{Uid, UidValidity};
use std::io;
use std::path::Path;
use std::time::Duration;

/// The list in memory. Holds the octets of the file once, and twelve octets a record.
#[derive(Debug, Clone)]
pub(super) struct UidList {}

/// One record: a file had or has this UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// The UID.
    pub(super) uid: Uid,
    /// Base name of the file, up to its first `:`.
    pub(super) base: &'a [u8],
    /// Extension fields as they stand, parted by blanks, without the last blank.
    fields: &'a [u8],
}

impl<'a> Record<'a> {
    /// Value of an extension field: `S`, `W` sizes, `P` POP3 unique-id, `O` POP3 order, `G` GUID.
    pub(super) fn field(&self, _key: u8) -> Option<&'a [u8]> {
        todo!()
    }

    /// All extension fields as they stand, to be given to [`NewRecord`] or [`Edit::Fields`].
    pub(super) const fn fields(&self) -> &'a [u8] {
        self.fields
    }
}

/// What was damaged in a list that was read, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Damage {
    /// Lines that were dropped.
    pub(super) lines: usize,
    /// Number of the first of them, from 1.
    pub(super) first_line: Option<usize>,
    /// The header could not be read; UIDVALIDITY was taken from the previous generation or found among what is left of it.
    pub(super) header: bool,
}

impl UidList {
    /// An empty list.
    pub(super) fn new(_uid_validity: UidValidity, _guid: [u8; 16]) -> Self {
        todo!()
    }

    /// Reads a whole list, version 3 or 1. None if not even UIDVALIDITY can be found and no `fallback` is given.
    pub(super) fn parse(_text: Vec<u8>, _fallback: Option<UidValidity>) -> Option<(Self, Damage)> {
        todo!()
    }

    /// UIDVALIDITY of the mailbox.
    pub(super) fn uid_validity(&self) -> UidValidity {
        todo!()
    }

    /// The UID for the next message; above any that was ever in the list. None when there is none left.
    pub(super) fn uid_next(&self) -> Option<Uid> {
        todo!()
    }

    /// GUID of the mailbox.
    pub(super) fn guid(&self) -> Option<[u8; 16]> {
        todo!()
    }

    /// Records, UIDs rising. Some may be of files that are gone; of two with one name the later one counts.
    pub(super) fn records(
        &self,
    ) -> impl DoubleEndedIterator<Item = Record<'_>> + ExactSizeIterator {
        std::iter::empty()
    }

    /// The record of a UID.
    pub(super) fn record(&self, _uid: Uid) -> Option<Record<'_>> {
        todo!()
    }
}

/// A record to be added.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRecord<'a> {
    /// Base name of the file.
    pub(super) base: &'a [u8],
    /// Extension fields as in the file, mostly none.
    pub(super) fields: &'a [u8],
}

/// What becomes of a record when the list is written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// It stays.
    Keep,
    /// It is left out: the file is gone.
    Drop,
    /// It stays with these extension fields.
    Fields(Vec<u8>),
}

/// What a look at the file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// There is none.
    Missing,
    /// It is as it was.
    Unchanged,
    /// Records were added to those known; the records from this position on are new.
    Grown {
        /// Position of the first new record.
        from: usize,
    },
    /// It is another file now, or the first look.
    Replaced,
}

/// The list of one mailbox: what was last read, and how to read on.
#[derive(Debug)]
pub(super) struct UidListFile {}

impl UidListFile {
    /// For the mailbox in a directory; nothing is read yet.
    pub(super) fn new(_directory: &Path) -> Self {
        todo!()
    }

    /// The list as last read; none before the first look, or if there is none.
    pub(super) fn list(&self) -> Option<&UidList> {
        todo!()
    }

    /// Reads what changed since the last look. Only what was added is read where that is all that changed. Damage is logged, once.
    ///
    /// # Errors
    /// What the system says; an unreadable file is an error, never an empty list.
    pub(super) fn look(&mut self) -> io::Result<Look> {
        todo!()
    }

    /// Takes Dovecot's lock, and looks.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] and what the system says.
    pub(super) fn lock(
        &mut self,
        _like: &Ownership,
        _timeout: Duration,
    ) -> io::Result<LockedUidList<'_>> {
        todo!()
    }
}

/// The list while we alone may change it. The lock is given back when it is dropped.
#[derive(Debug)]
pub(super) struct LockedUidList<'a> {
    file: &'a mut UidListFile,
}

impl LockedUidList<'_> {
    /// What was found when the lock was taken.
    pub(super) fn look(&self) -> &Look {
        todo!()
    }

    /// The list; none if there is none yet: then [`LockedUidList::create`] makes one.
    pub(super) fn list(&self) -> Option<&UidList> {
        self.file.list()
    }

    /// Puts this list there, durably (a new one, or Courier's).
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn create(&mut self, _list: UidList) -> io::Result<()> {
        todo!()
    }

    /// Gives the next UIDs to files in this order: durable when it returns. The records are at the end of the list.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no list, [`io::ErrorKind::QuotaExceeded`] if no UID is left, and what the system says; then
    /// no UID was given.
    pub(super) fn append(&mut self, _records: &[NewRecord<'_>]) -> io::Result<Vec<Uid>> {
        todo!()
    }

    /// True if Dovecot would write the list anew, given how many records are of files that are there.
    pub(super) fn wants_rewrite(&self, _live: usize) -> bool {
        todo!()
    }

    /// Writes the list anew, durably.
    ///
    /// # Errors
    /// What the system says; then the old list is as it was.
    pub(super) fn rewrite(&mut self, _edit: impl FnMut(&Record<'_>) -> Edit) -> io::Result<()> {
        todo!()
    }

    /// Raises the next UID, in memory; durable with the next rewrite.
    pub(super) fn raise_uid_next(&mut self, _uid_next: Uid) {
        todo!()
    }

    /// Tells other hosts that we still hold the lock; call it every ten seconds or so in long work.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the lock was taken from us: then nothing may be written any more.
    pub(super) fn touch(&self) -> io::Result<()> {
        todo!()
    }
}
