//! `dovecot-uidvalidity`: the last UIDVALIDITY handed out in an account.

use super::folders::Folders;
use crate::durable::Ownership;
use crate::mailbox::id::UidValidity;
use std::io;
use std::path::Path;

/// A UIDVALIDITY that no mailbox of the account has or had: above the last one handed out, above `floor`; with no record of the last one
/// also not below `now` in seconds since 1970. Durable when it returns.
///
/// # Errors
/// What the system says.
pub(super) fn allocate(
    _root: &Path,
    _like: &Ownership,
    _now: u64,
    _floor: Option<UidValidity>,
) -> io::Result<UidValidity> {
    todo!()
}

/// Notes, durably, that this value was in use, before its mailbox is removed.
///
/// # Errors
/// What the system says.
pub(super) fn note_used(_root: &Path, _like: &Ownership, _used: UidValidity) -> io::Result<()> {
    todo!()
}

/// The highest UIDVALIDITY of the mailboxes on disk, from the first lines of their lists: the `floor` of [`allocate`].
///
/// # Errors
/// What the system says.
pub(super) fn highest(_folders: &Folders) -> io::Result<Option<UidValidity>> {
    todo!()
}
