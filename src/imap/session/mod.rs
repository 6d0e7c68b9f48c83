//! An IMAP connection's states and the way of a command through them.

pub mod reply;

use crate::mailbox::backend::Mailbox;
use crate::mailbox::name::MailboxName;
use crate::mailbox::uid_set::UidSet;
use crate::mailbox::view::View;
use std::sync::Arc;

/// What the selected state holds (RFC 9051 §3.3).
#[derive(Debug)]
pub(crate) struct Selected {
    /// The mailbox, shared with other connections.
    pub(crate) mailbox: Arc<dyn Mailbox>,
    /// What this connection believes of it.
    pub(crate) view: View,
    /// Its name when it was selected.
    pub(crate) name: MailboxName,
    /// EXAMINE: nothing may be changed.
    pub(crate) read_only: bool,
    /// What the last SEARCH saved (`$`).
    pub(crate) saved: UidSet,
}

/// What the client has switched on by ENABLE, and what follows from it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dialect {
    /// `ENABLE IMAP4rev2`: no RECENT, ESEARCH instead of SEARCH, UTF-8 names.
    pub(crate) rev2: bool,
    /// `ENABLE UTF8=ACCEPT`: UTF-8 in quoted strings.
    pub(crate) utf8: bool,
}

/// Whether a command has more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The output is full for now; call again when it has been written.
    More,
    /// The command is done.
    Done,
}
