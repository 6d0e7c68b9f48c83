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
    /// How many keywords the client has been told of by FLAGS.
    pub(crate) told_keywords: usize,
}

impl Selected {
    /// The state of a connection that has just opened a mailbox.
    pub(crate) fn open(mailbox: Arc<dyn Mailbox>, name: MailboxName, read_only: bool) -> Self {
        let mut messages = mailbox.write();
        let view = View::open(&mut messages, !read_only);
        let told_keywords = messages.keywords().iter().count();
        drop(messages);
        Self {
            mailbox,
            view,
            name,
            read_only,
            saved: UidSet::new(),
            told_keywords,
        }
    }
}

/// What the client has switched on by ENABLE, and what follows from it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dialect {
    /// `ENABLE IMAP4rev2`: no RECENT, ESEARCH instead of SEARCH, UTF-8 names.
    pub(crate) rev2: bool,
    /// `ENABLE UTF8=ACCEPT`: UTF-8 in quoted strings.
    pub(crate) utf8: bool,
}

impl Dialect {
    /// True if names and quoted strings are UTF-8.
    pub(crate) const fn is_utf8(self) -> bool {
        self.rev2 || self.utf8
    }
}

/// Whether a command has more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The output is full for now; call again when it has been written.
    More,
    /// The command is done.
    Done,
}
