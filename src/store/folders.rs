//! Mailbox names and the directories that hold them, in two layouts.

use crate::durable::Ownership;
use crate::mailbox::name::MailboxName;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How mailboxes lie below the root. INBOX is the root itself in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Maildir++: `.Sent.2026`
    #[default]
    MaildirPlusPlus,
    /// Directories in directories: `Sent/2026`
    Fs,
}

/// A mailbox, or a name that only has mailboxes below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// Its name.
    pub(super) name: MailboxName,
    /// Its directory; none for a name without a mailbox.
    pub(super) directory: Option<PathBuf>,
}

/// The mailboxes of one account on disk. Keeps nothing in memory.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    root: PathBuf,
    layout: Layout,
}

impl Folders {
    /// For the Maildir of an account.
    pub(super) fn new(_root: &Path, _layout: Layout) -> Self {
        todo!()
    }

    /// Directory of INBOX, and of the files that concern the account.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The layout.
    pub(super) const fn layout(&self) -> Layout {
        self.layout
    }

    /// Makes what is missing of the root: the directory itself (its parent must be there), `cur`, `new`, `tmp`.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn ensure_root(&self) -> io::Result<Ownership> {
        todo!()
    }

    /// All mailboxes and the names above them, INBOX first, then by name. One reading of the directory in Maildir++.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn list(&self) -> io::Result<Vec<Folder>> {
        todo!()
    }

    /// Directory of a mailbox; none if there is no such mailbox.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn find(&self, _name: &MailboxName) -> io::Result<Option<PathBuf>> {
        todo!()
    }

    /// Makes a mailbox: it is there as a whole, with what `prepare` put into its directory, or not at all. Durable when it returns.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], [`io::ErrorKind::InvalidFilename`] for a name too long, and what the system says.
    pub(super) fn create(
        &self,
        _name: &MailboxName,
        _like: &Ownership,
        _prepare: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        todo!()
    }

    /// Renames a mailbox, or a name without one, and all below it. Durable when it returns. Not for INBOX.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], [`io::ErrorKind::AlreadyExists`], [`io::ErrorKind::InvalidInput`] to a name below itself,
    /// [`io::ErrorKind::InvalidFilename`] and what the system says.
    pub(super) fn rename(
        &self,
        _from: &MailboxName,
        _to: &MailboxName,
        _like: &Ownership,
    ) -> io::Result<()> {
        todo!()
    }

    /// Removes a mailbox; mailboxes below stay. It is gone when it returns, whatever happens to its files.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] and what the system says; [`io::ErrorKind::InvalidInput`] for INBOX.
    pub(super) fn remove(&self, _name: &MailboxName) -> io::Result<()> {
        todo!()
    }

    /// Removes what an interrupted [`Folders::create`] (older than an hour) or [`Folders::remove`] left. Returns how many.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn sweep(&self, _now: SystemTime) -> io::Result<usize> {
        todo!()
    }
}
