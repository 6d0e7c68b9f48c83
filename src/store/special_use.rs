//! `restante-special-use`: which mailbox is for what (RFC 6154).

use crate::durable::Ownership;
use crate::mailbox::name::{MailboxName, SpecialUse};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The uses recorded for an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SpecialUses {}

impl SpecialUses {
    /// Reads the record; a missing file is an empty one.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn read(_root: &Path) -> io::Result<Self> {
        todo!()
    }

    /// Reads, changes and writes the record durably, under a lock.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when the lock was not to be had, and what the system says.
    pub(super) fn update(
        _root: &Path,
        _like: &Ownership,
        _change: impl FnOnce(&mut Self),
    ) -> io::Result<()> {
        todo!()
    }

    /// What each of these mailboxes is for: as recorded, and by well-known names for uses that are recorded for none of them.
    pub(super) fn assign<'a>(
        &self,
        _names: impl IntoIterator<Item = &'a MailboxName>,
    ) -> BTreeMap<&'a MailboxName, Vec<SpecialUse>> {
        todo!()
    }

    /// Records what a mailbox is for; nothing takes it out.
    pub(super) fn set(&mut self, _name: &MailboxName, _uses: &[SpecialUse]) {
        todo!()
    }

    /// Follows a rename, of the mailbox and of those below it.
    pub(super) fn rename(&mut self, _from: &MailboxName, _to: &MailboxName) {
        todo!()
    }

    /// True if nothing is recorded.
    pub(super) fn is_empty(&self) -> bool {
        todo!()
    }
}
