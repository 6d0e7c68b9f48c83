//! APPEND in progress: octets from the flow, work for the disk, in turn (RFC 9051 §6.3.12, RFC 3502).

use super::activity::{Activity, Job};
use super::reply::{CommandError, text};
use super::table::Row;
use super::{Session, State};
use crate::imap::commands::append::{Append, BACKLOG_OCTETS};
use crate::imap::encode;
use crate::imap::flow::Event;
use crate::imap::types::command::{AppendMessage, AppendNext};
use crate::imap::types::core::{MailboxArg, Tag};
use crate::imap::types::response::{Code, Text};
use crate::protocol::{Patience, Step, Wait};

/// An APPEND in progress.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) tag: Tag,
    pub(super) row: &'static Row,
    append: Append,
    stage: Stage,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A message is announced, and the client waits to be asked for it.
    Offered,
    /// Octets come in.
    Receiving,
    /// The whole command has come in.
    Ended,
}

impl Upload {
    /// An APPEND of which the first message is announced.
    pub(super) const fn new(tag: Tag, row: &'static Row, mailbox: MailboxArg) -> Self {
        Self {
            tag,
            row,
            append: Append::new(mailbox),
            stage: Stage::Offered,
        }
    }
}

impl Session {
    /// Takes or refuses the next message announced. A large one is asked for only when it is certain that it can be stored; of a small
    /// one the octets are cheaper than a look at the disk.
    pub(super) fn offer_upload(
        &mut self,
        mut upload: Upload,
        message: AppendMessage,
        out: &mut Vec<u8>,
    ) {
        let literal = message.literal;
        let is_large = literal.octets > BACKLOG_OCTETS as u64;
        let begun = if message.utf8 && !self.dialect.utf8 {
            Err(CommandError::bad("UTF8=ACCEPT is not enabled"))
        } else {
            let limit = self.settings.max_append_messages;
            let limits = self.message_limits();
            upload.append.begin(message, limit, limits)
        };
        upload.stage = Stage::Offered;
        match begun {
            Err(error) => self.abandon_upload(upload, error),
            Ok(()) if is_large && !literal.non_synchronizing => {
                self.activity = Activity::Work(Box::new(Job::Upload(upload)));
            }
            Ok(()) => self.accept_upload(upload, out),
        }
    }

    fn accept_upload(&mut self, mut upload: Upload, out: &mut Vec<u8>) {
        if self.flow.accept_upload() {
            encode::continuation("OK", out);
        }
        upload.stage = Stage::Receiving;
        self.activity = Activity::Upload(Box::new(upload));
    }

    /// Takes what has come in.
    pub(super) fn continue_upload(
        &mut self,
        mut upload: Upload,
        out: &mut Vec<u8>,
    ) -> Option<Step> {
        while !upload.append.is_full() {
            match self.flow.next_upload() {
                Event::More => {
                    self.activity = Activity::Upload(Box::new(upload));
                    return Some(Step::Wait(Wait::for_input(Patience::Command)));
                }
                Event::UploadOctets(octets) => upload.append.write(octets),
                Event::UploadEnd => upload.append.end(),
                Event::UploadNext(AppendNext::Message(message)) => {
                    self.offer_upload(upload, message, out);
                    return None;
                }
                Event::UploadNext(AppendNext::End) => {
                    upload.stage = Stage::Ended;
                    break;
                }
                Event::Continue => encode::continuation("OK", out),
                Event::Bad { text, .. } => {
                    self.end(upload.tag, upload.row, Err(CommandError::Bad(None, text)));
                    return None;
                }
                Event::No { code, text, .. } => {
                    let error = CommandError::No(Some(code), text);
                    self.end(upload.tag, upload.row, Err(error));
                    return None;
                }
                Event::Fatal { code, text } => {
                    self.say_bye(Text { code, text }, out);
                    return None;
                }
                Event::Command(_) | Event::Line(_) => {
                    self.say_bye(text(Code::ServerBug, "Input out of order"), out);
                    return None;
                }
            }
        }
        self.activity = Activity::Work(Box::new(Job::Upload(upload)));
        None
    }

    /// Writes what has come in, on a thread of the volume.
    pub(super) fn write_upload(&mut self, mut upload: Upload, out: &mut Vec<u8>) {
        if upload.stage == Stage::Ended {
            return self.deliver_upload(upload);
        }
        let written = match self.parts() {
            Ok((context, _)) => upload.append.flush(&context),
            Err(error) => Err(error),
        };
        match (written, upload.stage) {
            (Err(error), _) => self.abandon_upload(upload, error),
            (Ok(()), Stage::Offered) => self.accept_upload(upload, out),
            (Ok(()), Stage::Receiving | Stage::Ended) => {
                self.activity = Activity::Upload(Box::new(upload));
            }
        }
    }

    fn deliver_upload(&mut self, upload: Upload) {
        let Upload {
            tag, row, append, ..
        } = upload;
        let delivered = match self.parts() {
            Ok((context, _)) => append.finish(&context),
            Err(error) => Err(error),
        };
        let result = delivered.map(|(target, completed)| {
            self.look_after_delivery(&target);
            if let Some(Code::AppendUid(_, uids)) = &completed.code {
                self.note_own_messages(&target, uids);
            }
            completed
        });
        self.end(tag, row, result);
    }

    /// A message in the selected mailbox is told of at once (RFC 3502); a look that fails is made up for by the next one.
    fn look_after_delivery(&self, target: &crate::mailbox::name::MailboxName) {
        if let State::Selected(_, selected) = &self.state
            && selected.name == *target
            && !selected.mailbox.is_current()
        {
            drop(selected.mailbox.refresh(selected.intake()));
        }
    }

    /// The APPEND has failed: nothing of it is kept, and what the client still sends of it is passed over.
    pub(super) fn abandon_upload(&mut self, upload: Upload, error: CommandError) {
        if upload.stage != Stage::Ended {
            self.flow.refuse_upload();
        }
        self.end(upload.tag, upload.row, Err(error));
    }
}
