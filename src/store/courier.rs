//! What Courier-IMAP left in a spool, read when there is nothing of ours.

use super::uidlist::UidList;
use crate::mailbox::flag::Keyword;
use crate::mailbox::name::MailboxName;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;

/// `courierimapuiddb` of a mailbox; none if there is none.
///
/// # Errors
/// What the system says.
pub(super) fn uid_list(_directory: &Path, _guid: [u8; 16]) -> io::Result<Option<UidList>> {
    todo!()
}

/// What `courierpop3dsizelist` tells of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pop3Entry {
    /// The unique-id that clients were told.
    pub(super) unique_id: String,
    /// Octets with CRLF.
    pub(super) crlf_size: u64,
}

/// `courierpop3dsizelist` in the root: by base name, for messages of INBOX.
///
/// # Errors
/// What the system says; a missing file is an empty map.
pub(super) fn pop3_list(_root: &Path) -> io::Result<HashMap<Vec<u8>, Pop3Entry>> {
    todo!()
}

/// `courierimapsubscribed` in the root; none if there is none.
///
/// # Errors
/// What the system says.
pub(super) fn subscriptions(_root: &Path) -> io::Result<Option<BTreeSet<MailboxName>>> {
    todo!()
}

/// `courierimapkeywords/` of a mailbox: keywords by base name. Words that are no keywords in IMAP are left out.
///
/// # Errors
/// What the system says; a missing directory is an empty map.
pub(super) fn keywords(_directory: &Path) -> io::Result<HashMap<Vec<u8>, Vec<Keyword>>> {
    todo!()
}
