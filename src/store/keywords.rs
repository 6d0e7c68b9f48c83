//! Keywords of a mailbox: `dovecot-keywords` for the 26 that have letters, `restante-keywords` for the rest.
//!
//! Both are changed under the lock of the UID list only.

use crate::durable::Ownership;
use crate::mailbox::flag::{Flags, Keyword, KeywordTable};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// How many keywords have a letter in file names.
pub(super) const LETTERS: usize = 26;

/// Both files as last read.
#[derive(Debug)]
pub(super) struct KeywordFiles {}

impl KeywordFiles {
    /// For the mailbox in a directory; nothing is read yet.
    pub(super) fn new(_directory: &Path) -> Self {
        todo!()
    }

    /// Reads what changed since the last look; true if something did. A missing file is an empty one.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn look(&mut self) -> io::Result<bool> {
        todo!()
    }

    /// The keywords and their positions; those below [`LETTERS`] are letters.
    pub(super) fn table(&self) -> &KeywordTable {
        todo!()
    }

    /// The keywords without letter that a message has, by the base name of its file. Cheap when there are none.
    pub(super) fn extra(&self, _base: &[u8]) -> Flags {
        todo!()
    }

    /// Adds keywords, durably, and returns their positions; those known already keep theirs. `used` has the keyword flags (letters)
    /// that file names of this mailbox hold, so that a letter without a line is not given to a new keyword. None when there is no room
    /// for all of them: then nothing is changed. Call it with the UID list locked, after [`KeywordFiles::look`].
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn add(
        &mut self,
        _keywords: &[Keyword],
        _used: Flags,
        _like: &Ownership,
    ) -> io::Result<Option<Vec<usize>>> {
        todo!()
    }

    /// Sets the keywords without letter of messages, by base name, durably; an empty set takes the message out. Other bits are passed
    /// over. Call it with the UID list locked, after [`KeywordFiles::look`]. Writes nothing if nothing changes.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn set_extra(
        &mut self,
        _changes: &BTreeMap<Vec<u8>, Flags>,
        _like: &Ownership,
    ) -> io::Result<()> {
        todo!()
    }
}
