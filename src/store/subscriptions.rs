//! `subscriptions`: version 2 read and written, version 1 read.

use super::folders::Layout;
use crate::durable::Ownership;
use crate::mailbox::name::MailboxName;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Reads the subscriptions of an account; Courier's if there are none of Dovecot's form. Lines that are no mailbox names are passed over.
///
/// # Errors
/// What the system says; a missing file is none.
pub(super) fn read(_root: &Path, _layout: Layout) -> io::Result<BTreeSet<MailboxName>> {
    todo!()
}

/// Adds or removes names, durably, under Dovecot's lock. Lines we do not understand stay.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] when the lock was not to be had, and what the system says.
pub(super) fn change(
    _root: &Path,
    _layout: Layout,
    _like: &Ownership,
    _changes: &[(MailboxName, bool)],
) -> io::Result<()> {
    todo!()
}
