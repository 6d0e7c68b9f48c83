//! APPEND and MULTIAPPEND: messages on their way to the disk (RFC 9051 §6.3.12, RFC 3502, RFC 4315 §3).
//!
//! What came in waits in a backlog of some 64 KiB and is then written by one piece of work; a small message, or several, are opened, written
//! and put into their mailbox by a single one. Whatever ends the command before its end drops the uploads, and nothing is left behind.

use super::Context;
use super::message_limit::MessageLimits;
use crate::imap::session::reply::{CommandError, Completed};
use crate::imap::types::command::AppendMessage;
use crate::imap::types::core::MailboxArg;
use crate::imap::types::response::Code;
use crate::mailbox::backend::Upload;
use crate::mailbox::name::MailboxName;
use crate::mailbox::uid_set::UidSet;

/// Octets that wait to be written before a thread of the volume is asked for.
pub(crate) const BACKLOG_OCTETS: usize = 64 * 1024;

/// What the message itself counts in the backlog: without octets, it still takes room.
const MESSAGE_COST_OCTETS: usize = 512;

/// What came in and is not written yet.
#[derive(Debug)]
enum Piece {
    Begin(AppendMessage),
    Octets(Vec<u8>),
    End,
}

/// Messages of one APPEND on their way.
#[derive(Debug)]
pub(crate) struct Append {
    mailbox: MailboxArg,
    /// Looked up by the first piece of work.
    target: Option<MailboxName>,
    backlog: Vec<Piece>,
    backlog_octets: usize,
    announced: usize,
    current: Option<(Box<dyn Upload>, AppendMessage)>,
    uploads: Vec<Box<dyn Upload>>,
}

impl Append {
    /// Nothing yet, for this mailbox.
    pub(crate) const fn new(mailbox: MailboxArg) -> Self {
        Self {
            mailbox,
            target: None,
            backlog: Vec::new(),
            backlog_octets: 0,
            announced: 0,
            current: None,
            uploads: Vec::new(),
        }
    }

    /// A message is announced.
    ///
    /// # Errors
    /// NO for an empty message, which is how a client gives up (RFC 3502), and for one too many.
    pub(crate) fn begin(
        &mut self,
        message: AppendMessage,
        max_messages: usize,
        limits: MessageLimits,
    ) -> Result<(), CommandError> {
        if message.literal.octets == 0 {
            return Err(CommandError::No(None, "an empty message is none".into()));
        }
        let limit = limits.to_save();
        if let Some(limit) = limit.filter(|limit| self.announced >= *limit as usize) {
            return Err(CommandError::no(
                Code::MessageLimit(limit, None),
                "too many messages to append at once",
            ));
        }
        if self.announced == max_messages {
            return Err(CommandError::no(
                Code::Limit,
                "too many messages in one command",
            ));
        }
        self.announced += 1;
        self.push(Piece::Begin(message), MESSAGE_COST_OCTETS);
        Ok(())
    }

    /// Octets of the message came in.
    pub(crate) fn write(&mut self, octets: Vec<u8>) {
        let length = octets.len();
        self.push(Piece::Octets(octets), length);
    }

    /// The message is complete.
    pub(crate) fn end(&mut self) {
        self.push(Piece::End, 0);
    }

    fn push(&mut self, piece: Piece, octets: usize) {
        self.backlog.push(piece);
        self.backlog_octets = self.backlog_octets.saturating_add(octets);
    }

    /// True if the backlog is to be written before more is taken in.
    pub(crate) const fn is_full(&self) -> bool {
        self.backlog_octets >= BACKLOG_OCTETS
    }

    /// Writes the backlog.
    ///
    /// # Errors
    /// `NO [TRYCREATE]`, `NO [OVERQUOTA]` and what else the store gives; the APPEND has failed then.
    pub(crate) fn flush(&mut self, context: &Context<'_>) -> Result<(), CommandError> {
        let target = match self.target.take() {
            Some(target) => target,
            None => context.existing(&self.mailbox)?,
        };
        self.backlog_octets = 0;
        for piece in std::mem::take(&mut self.backlog) {
            self.put(piece, &target, context)
                .map_err(CommandError::Target)?;
        }
        self.target = Some(target);
        Ok(())
    }

    fn put(
        &mut self,
        piece: Piece,
        target: &MailboxName,
        context: &Context<'_>,
    ) -> crate::mailbox::backend::Result<()> {
        match (piece, self.current.take()) {
            (Piece::Begin(message), _) => {
                self.current = Some((context.account.upload(target)?, message));
            }
            (Piece::Octets(octets), Some((mut upload, message))) => {
                upload.write(&octets)?;
                self.current = Some((upload, message));
            }
            (Piece::End, Some((mut upload, message))) => {
                upload.finish(&message.flags, message.internal_date)?;
                self.uploads.push(upload);
            }
            (Piece::Octets(_) | Piece::End, None) => {}
        }
        Ok(())
    }

    /// Writes what is left and puts all messages into the mailbox. Returns its name as well.
    ///
    /// # Errors
    /// as [`Append::flush`]
    pub(crate) fn finish(
        mut self,
        context: &Context<'_>,
    ) -> Result<(MailboxName, Completed), CommandError> {
        self.flush(context)?;
        let Some(target) = self.target else {
            return Err(CommandError::UNAVAILABLE);
        };
        let placed = context
            .account
            .deliver(&target, self.uploads)
            .map_err(CommandError::Target)?;
        let uids: UidSet = placed.uids.iter().copied().collect();
        context
            .tally
            .count_added(u64::try_from(placed.uids.len()).unwrap_or(u64::MAX));
        let completed = Completed::with(Code::AppendUid(placed.uid_validity, uids));
        Ok((target, completed))
    }
}
