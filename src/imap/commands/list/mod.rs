//! LIST, basic and extended (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154), and LSUB (RFC 3501 §6.3.9).

mod lsub;
mod pattern;
mod plan;

use super::status::{status_items, wanted_id, wants_size};
use crate::imap::session::names::Names;
use crate::imap::session::reply::{CommandError, Responses};
use crate::imap::session::{Dialect, Progress};
use crate::imap::types::list::{List, ListAttribute};
use crate::imap::types::response::{ListEntry, Untagged};
use crate::mailbox::backend::{Account, Error};
use crate::mailbox::name::MailboxName;
use crate::protocol::HIGH_WATER_OCTETS;

pub(crate) use lsub::lsub;
pub(crate) use plan::{attributes_of, has_children};

/// Mailboxes whose STATUS is looked up by one piece of work, so that a long list does not look like a hung volume.
const STATUS_AT_ONCE: usize = 32;

/// One line of the answer, and the mailbox of which STATUS is to follow.
#[derive(Debug)]
struct Line {
    entry: ListEntry,
    status_of: Option<MailboxName>,
}

/// A LIST in progress.
#[derive(Debug)]
pub(crate) struct ListCursor {
    command: List,
    names: Names,
    append_limit: u64,
    lines: Option<std::vec::IntoIter<Line>>,
}

impl ListCursor {
    /// Begins a LIST. Touches no disk.
    pub(crate) fn new(command: List, names: Names, append_limit: u64) -> Self {
        let mut cursor = Self {
            command,
            names,
            append_limit,
            lines: None,
        };
        if cursor.asks_for_delimiter() {
            cursor.lines = Some(vec![cursor.delimiter()].into_iter());
        }
        cursor
    }

    /// True if [`ListCursor::advance`] touches the disk.
    pub(crate) fn needs_disk(&self) -> bool {
        self.lines.is_none() || !self.command.returns.status.is_empty()
    }

    /// Appends the next lines.
    ///
    /// # Errors
    /// What the store gives before the first line; later troubles of single mailboxes only cost their STATUS.
    pub(crate) fn advance(
        &mut self,
        account: &dyn Account,
        dialect: Dialect,
        out: &mut Vec<u8>,
    ) -> Result<Progress, CommandError> {
        if self.lines.is_none() {
            let lines = plan::lines(&self.command, &self.names, dialect, account)?;
            self.lines = Some(lines.into_iter());
        }
        let mut looked_up = 0;
        while let Some(line) = self.lines.as_mut().and_then(Iterator::next) {
            looked_up += usize::from(line.status_of.is_some());
            self.tell(line, account, &mut Responses::new(dialect, out));
            if out.len() >= HIGH_WATER_OCTETS || looked_up >= STATUS_AT_ONCE {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }

    fn tell(&self, mut line: Line, account: &dyn Account, out: &mut Responses<'_>) {
        let items = &self.command.returns.status;
        let status = line.status_of.map(|name| {
            let status = account.status(&name, wants_size(items))?;
            Ok((status, wanted_id(items, account, &name)?))
        });
        if let Some(Err(Error::NonExistent)) = status {
            line.entry.attributes = vec![ListAttribute::NonExistent, ListAttribute::NoSelect];
        }
        let mailbox = line.entry.mailbox.clone();
        out.push(&Untagged::List(line.entry));
        if let Some(Ok((status, id))) = status {
            let id = id.as_deref();
            let items = status_items(items, &status, None, self.append_limit, id);
            out.push(&Untagged::MailboxStatus { mailbox, items });
        }
    }

    /// `LIST x ""` asks for the delimiter; only in the basic syntax.
    fn asks_for_delimiter(&self) -> bool {
        !self.command.extended
            && matches!(self.command.patterns.as_slice(), [only] if only.is_empty())
    }

    fn delimiter(&self) -> Line {
        Line {
            entry: ListEntry {
                lsub: false,
                attributes: vec![ListAttribute::NoSelect],
                delimiter: Some(self.names.delimiter),
                mailbox: Vec::new(),
                child_info_subscribed: false,
                old_name: None,
            },
            status_of: None,
        }
    }
}
