//! EMAILID and THREADID (RFC 8474 §5).

use crate::encoding::object_id;
use crate::mailbox::backend::{Mailbox, Result};
use crate::mailbox::id::Uid;
use crate::message::thread;

/// The identifier of a message's octets: copies have the same one.
///
/// # Errors
/// As [`Mailbox::guid`].
pub(super) fn email_id(mailbox: &dyn Mailbox, uid: Uid) -> Result<String> {
    Ok(object_id::of('E', &mailbox.guid(uid)?))
}

/// The identifier of a message's thread: of the message with which it began, or of this one alone.
pub(super) fn thread_id(header: &[u8], email_id: &str) -> String {
    match thread::root(header) {
        Some(root) => object_id::of('T', &root),
        None => object_id::of('T', email_id.as_bytes()),
    }
}
