//! FETCH and UID FETCH (RFC 9051 §6.4.5, RFC 7162 §3.1.4).
//!
//! The answer is made in pieces, also within one large literal. Flags, UIDs and sizes come from memory alone, many messages under one lock.
//! For the rest, all of a message that can fail is read before the first octet of its response; after that only literals are streamed,
//! and if a file does not give what was announced, the connection must be closed ([`FetchCursor::is_within_literal`]): padding would give the
//! client a message that is none.
//!
//! Messages that are gone: the others are served, then a command by number ends with `NO [EXPUNGEISSUED]` (RFC 5530 §3, RFC 2180
//! §4.1.2), one by UID with OK, since UIDs that do not exist are no error (RFC 9051 §6.4.9).
//!
//! `\Seen` is set when a message's octets are in the output, by one change for each piece; the session tells of it before the command
//! ends, as of any change.

mod ahead;
mod noted;
mod parts;
mod plan;
mod response;
mod section;

use super::messages::{named_uids, resolve, vanished_since};
use super::open_message::OpenMessage;
use crate::imap::encode::fetch::FetchWriter;
use crate::imap::session::progress::Measure;
use crate::imap::session::reply::CommandError;
use crate::imap::session::vanished::Vanished;
use crate::imap::session::{Dialect, Progress, Selected};
use crate::imap::types::fetch::{FetchItem, FetchModifiers};
use crate::imap::types::response::{Code, FlagList};
use crate::imap::types::sequence::SequenceSet;
use crate::mailbox::backend::{self, FlagChange};
use crate::mailbox::flag::{FlagAction, Flags, NamedFlags, SystemFlag};
use crate::mailbox::id::{ModSeq, SeqNum, Uid};
use crate::mailbox::messages::Messages;
use crate::mailbox::uid_set::UidSet;
use crate::protocol::{HIGH_WATER_OCTETS, Output};
use ahead::{Ahead, Next};
use noted::Noted;
use plan::Plan;
use response::{Following, Response, Sent};
use std::sync::Arc;

/// Most messages read in one piece: a piece without much output ends too.
const MAX_MESSAGES_A_PIECE: usize = 256;

/// Most messages of one command that may fail before the command does.
const MAX_FAILURES: usize = 16;

/// Most octets of a message that are kept in memory between two commands.
const MAX_KEPT_OCTETS: usize = 1024 * 1024;

/// A FETCH in progress: what is still to be sent.
#[derive(Debug)]
pub(crate) struct FetchCursor {
    plan: Arc<Plan>,
    by_uid: bool,
    /// Told before any message (RFC 7162 §3.2.6).
    vanished: Vanished,
    messages: std::vec::IntoIter<(SeqNum, Uid)>,
    /// How many messages are asked for.
    goal: usize,
    /// Only one message is asked for.
    is_single: bool,
    /// Nothing must be read from disk.
    in_memory: bool,
    /// All can be answered from notes.
    noted: Option<Box<Noted>>,
    /// Messages that are read before their turn.
    ahead: Option<Ahead>,
    current: Option<Box<Response>>,
    /// Sent, and to be marked `\Seen`.
    seen: UidSet,
    /// Messages sent whole, for the tally.
    sent: u64,
    troubles: Troubles,
    scratch: Vec<u8>,
}

/// What went wrong so far.
#[derive(Debug, Default)]
struct Troubles {
    /// Messages were gone.
    gone: bool,
    unknown_encoding: bool,
    failures: usize,
    first_failure: Option<backend::Error>,
}

/// The message that was fetched last, kept open for a client that reads it in parts or windows.
#[derive(Debug, Default)]
pub(crate) struct LastMessage(Option<Box<OpenMessage>>);

impl LastMessage {
    /// Takes it, if it is this one.
    pub(crate) fn take(&mut self, uid: Uid) -> Option<Box<OpenMessage>> {
        self.0.take().filter(|kept| kept.uid() == uid)
    }

    /// Closes it.
    pub(crate) fn release(&mut self) {
        self.0 = None;
    }
}

impl FetchCursor {
    /// Begins a FETCH. Touches no disk.
    ///
    /// # Errors
    /// [`CommandError::Bad`] for numbers that are not in the view, `NO [MESSAGELIMIT …]` for a window that is too wide.
    pub(crate) fn new(
        uid: bool,
        set: &SequenceSet,
        mut items: Vec<FetchItem>,
        modifiers: FetchModifiers,
        selected: &mut Selected,
        dialect: &Dialect,
    ) -> Result<Self, CommandError> {
        selected.limits.check_window(modifiers.partial)?;
        let mut messages = resolve(set, uid, selected)?;
        if let Some(window) = modifiers.partial {
            let within = window.of(messages.len());
            messages = messages.drain(within).collect();
        }
        messages = selected.limits.cut(messages, |(_, uid)| *uid);
        let mut gone = UidSet::new();
        if let Some(since) = modifiers.changed_since {
            let shared = selected.mailbox.read();
            if modifiers.vanished {
                let named = named_uids(set, selected, &shared);
                gone = vanished_since(since, Some(&named), &shared, &selected.view);
            }
            messages.retain(|(_, uid)| {
                let position = shared.position(*uid);
                position.is_some_and(|at| shared.mod_seq_at(at) > since)
            });
        }
        let tells_mod_seqs = dialect.tells_mod_seqs() && items.contains(&FetchItem::Flags);
        if tells_mod_seqs || modifiers.changed_since.is_some() {
            items.push(FetchItem::ModSeq);
        }
        Ok(Self::of(uid, messages, items, selected.read_only, *dialect).after_vanished(&gone))
    }

    /// Begins a FETCH of messages that were looked up already.
    pub(crate) fn of(
        uid: bool,
        messages: Vec<(SeqNum, Uid)>,
        items: Vec<FetchItem>,
        read_only: bool,
        dialect: Dialect,
    ) -> Self {
        // UIDFETCH begins with the UID
        let plan = Plan::new(items, uid && !dialect.uid_only, read_only);
        Self {
            in_memory: !plan.file && !plan.date && !plan.save_date && !plan.email_id,
            noted: Noted::new(&plan.items, dialect.is_utf8()).map(Box::new),
            ahead: None,
            plan: Arc::new(plan),
            by_uid: uid,
            vanished: Vanished::default(),
            is_single: messages.len() == 1,
            goal: messages.len(),
            messages: messages.into_iter(),
            current: None,
            seen: UidSet::new(),
            sent: 0,
            troubles: Troubles::default(),
            scratch: Vec::new(),
        }
    }

    /// Begins to tell of messages that have arrived, unasked: nothing is marked `\Seen` (RFC 5465 §5.2, §7).
    pub(crate) fn of_arrivals(
        messages: Vec<(SeqNum, Uid)>,
        given: Vec<FetchItem>,
        dialect: Dialect,
    ) -> Self {
        let mut items: Vec<FetchItem> = Vec::new();
        for item in given {
            if !items.contains(&item) {
                items.push(item);
            }
        }
        if dialect.tells_mod_seqs() && items.contains(&FetchItem::Flags) {
            items.push(FetchItem::ModSeq);
        }
        Self::of(false, messages, items, true, dialect)
    }

    /// Has VANISHED (EARLIER) told first.
    pub(crate) fn after_vanished(mut self, uids: &UidSet) -> Self {
        self.vanished = Vanished::earlier(uids.ranges().collect());
        self
    }

    /// Other messages were named that are gone.
    pub(crate) const fn note_gone(&mut self) {
        self.troubles.gone = true;
    }

    /// True if [`FetchCursor::advance`] may touch the disk; else it may be called without a thread of the volume.
    pub(crate) fn needs_disk(&self) -> bool {
        !self.in_memory && !self.is_ready()
    }

    /// True if what comes next is in memory, and a helper reads what follows.
    fn is_ready(&self) -> bool {
        let ahead = self.ahead.as_ref().filter(|_| self.plan.may_be_ready);
        ahead.is_some_and(|ahead| match &self.current {
            Some(response) => response.parts.message.is_none(),
            None => ahead.is_at_leisure(),
        })
    }

    /// True if the output ends within a response, mostly within a literal. If the command ends now, by an error or because a thread is not
    /// to be had, the connection must be closed without another word.
    pub(crate) const fn is_within_literal(&self) -> bool {
        self.current.is_some()
    }

    /// How far it is.
    pub(crate) fn measure(&self) -> Measure {
        Measure {
            done: self.goal - self.messages.as_slice().len(),
            goal: self.goal,
        }
    }

    /// How many messages were sent whole since the last call.
    pub(crate) const fn take_sent(&mut self) -> u64 {
        std::mem::replace(&mut self.sent, 0)
    }

    /// Appends the next piece of the answer. The tagged end is for the caller to send; an error is how the command ends, after all
    /// that could be sent.
    ///
    /// # Errors
    /// `NO [EXPUNGEISSUED]` if messages named by number were gone; `NO [UNKNOWN-CTE]`; what the store gives.
    pub(crate) fn advance(
        &mut self,
        selected: &mut Selected,
        dialect: &Dialect,
        out: &mut Output,
    ) -> Result<Progress, CommandError> {
        if self.vanished.advance(*dialect, out) == Progress::More {
            return Ok(Progress::More);
        }
        let mut advanced = Ok(());
        if self.in_memory {
            self.advance_in_memory(selected, *dialect, out);
        } else if self.is_ready() {
            advanced = self.advance_ready(selected, *dialect, out);
        } else {
            advanced = self.advance_on_disk(selected, *dialect, out);
            self.mark_seen(selected);
        }
        advanced?;
        if self.current.is_some() || self.is_ahead() {
            return Ok(Progress::More);
        }
        self.scratch = Vec::new();
        self.troubles.end(self.by_uid)
    }

    /// True if there are messages that no answer was begun to.
    fn is_ahead(&self) -> bool {
        let is_ready = self.noted.as_ref().is_some_and(|noted| noted.is_ready());
        is_ready || !self.messages.as_slice().is_empty()
    }

    /// Flags, UIDs and sizes of as many messages as there is room for, under one lock.
    fn advance_in_memory(&mut self, selected: &mut Selected, dialect: Dialect, out: &mut Vec<u8>) {
        let messages = selected.mailbox.read();
        let mut expected = 0;
        let mut highest = ModSeq::ZERO;
        while let Some((seq_num, uid)) = self.messages.as_slice().first().copied() {
            if out.len() >= HIGH_WATER_OCTETS {
                break;
            }
            let is_next = messages.uids().get(expected) == Some(&uid);
            let found = is_next.then_some(expected);
            let Some(position) = found.or_else(|| messages.position(uid)) else {
                self.messages.next();
                self.troubles.gone = true;
                continue;
            };
            expected = position + 1;
            let size = messages.size_at(position);
            if self.plan.size && size.is_none() {
                self.in_memory = false;
                break;
            }
            self.messages.next();
            let flags = flag_list(
                messages.flags_at(position),
                uid,
                &messages,
                selected,
                dialect,
            );
            let mut writer = FetchWriter::new(dialect.number(seq_num, uid), out);
            for item in &self.plan.items {
                match item {
                    FetchItem::Uid => writer.uid(uid),
                    FetchItem::Flags => writer.flags(flags),
                    FetchItem::ModSeq => {
                        let mod_seq = messages.mod_seq_at(position);
                        writer.mod_seq(mod_seq);
                        highest = highest.max(mod_seq);
                    }
                    _ => writer.rfc822_size(size.unwrap_or_default()),
                }
            }
            writer.finish();
        }
        drop(messages);
        selected.hears_of(highest);
    }

    /// As much as is ready and there is room for.
    fn advance_ready(
        &mut self,
        selected: &mut Selected,
        dialect: Dialect,
        out: &mut Output,
    ) -> Result<(), CommandError> {
        while out.len() < HIGH_WATER_OCTETS && self.is_ready() {
            if let Some(response) = self.current.take() {
                self.write(response, selected, dialect, out)?;
            } else if let Some(next) = self.read(&selected.mailbox) {
                self.prepare(next, selected)?;
            }
        }
        Ok(())
    }

    /// As many messages as there is room for, or the next piece of one.
    fn advance_on_disk(
        &mut self,
        selected: &mut Selected,
        dialect: Dialect,
        out: &mut Output,
    ) -> Result<(), CommandError> {
        let mut begun = 0;
        while out.len() < HIGH_WATER_OCTETS {
            if let Some(response) = self.current.take() {
                self.write(response, selected, dialect, out)?;
                continue;
            }
            if begun >= MAX_MESSAGES_A_PIECE || !self.is_ahead() {
                break;
            }
            let Some(next) = self.next(selected, dialect, &mut begun, out)? else {
                continue;
            };
            self.prepare(next, selected)?;
        }
        Ok(())
    }

    /// Begins the response about a message.
    fn prepare(&mut self, next: Next, selected: &mut Selected) -> Result<(), CommandError> {
        match Response::prepare(&self.plan, next, selected) {
            Ok(response) => self.current = Some(Box::new(response)),
            Err(error) => self.troubles.note(error)?,
        }
        Ok(())
    }

    /// The next message that is to be answered here, and what was read of it. Those that notes tell all of are answered on the way. How many
    /// were read is added to those `begun`.
    fn next(
        &mut self,
        selected: &mut Selected,
        dialect: Dialect,
        begun: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<Next>, CommandError> {
        if let Some(mut noted) = self.noted.take() {
            let advanced = self.advance_noted(&mut noted, selected, dialect, out);
            self.noted = Some(noted);
            let (read, other) = advanced?;
            *begun += read;
            return Ok(other.map(|(seq_num, uid)| Next::unread(seq_num, uid)));
        }
        *begun += 1;
        Ok(if self.plan.file && !self.is_single {
            self.read(&selected.mailbox)
        } else {
            self.unread()
        })
    }

    /// Writes the next piece of a response; keeps it if there is more.
    fn write(
        &mut self,
        mut response: Box<Response>,
        selected: &mut Selected,
        dialect: Dialect,
        out: &mut Output,
    ) -> Result<(), CommandError> {
        let sent = response.send(&mut self.scratch, out);
        if sent != Ok(Sent::All) {
            self.current = Some(response);
            return sent.map(drop).map_err(CommandError::Store);
        }
        let mut writer = if response.written == 0 {
            let number = dialect.number(response.seq_num, response.uid);
            FetchWriter::new(number, out)
        } else {
            FetchWriter::resume(out)
        };
        while let Some(item) = self.plan.items.get(response.written) {
            response.written += 1;
            match response.item(item, selected, dialect, &mut writer) {
                Following::Item => {}
                Following::Octets => {
                    self.current = Some(response);
                    return Ok(());
                }
                Following::UnknownEncoding => self.troubles.unknown_encoding = true,
            }
        }
        writer.finish();
        self.finish(*response, selected);
        Ok(())
    }

    /// A response is written.
    fn finish(&mut self, response: Response, selected: &mut Selected) {
        if self.plan.sets_seen && !response.flags.has(SystemFlag::Seen) {
            self.seen.insert(response.uid);
        }
        self.sent += u64::from(self.plan.whole);
        if self.plan.mod_seq {
            selected.hears_of(response.mod_seq);
        }
        if let Some(mut message) = response
            .parts
            .message
            .filter(|_| self.is_single && self.plan.comes_again)
        {
            message.shrink(MAX_KEPT_OCTETS);
            selected.last_message = LastMessage(Some(message));
        }
    }

    /// Sets `\Seen` where that is due. A store that cannot has logged it; the messages are read all the same.
    fn mark_seen(&mut self, selected: &mut Selected) {
        let uids = std::mem::take(&mut self.seen);
        if uids.is_empty() {
            return;
        }
        let change = FlagChange {
            action: FlagAction::Add,
            flags: NamedFlags {
                system: Flags::NONE.with(SystemFlag::Seen),
                keywords: Vec::new(),
            },
            unchanged_since: None,
        };
        if let Ok(stored) = selected.mailbox.store(&uids, &change)
            && let Some(mod_seq) = stored.mod_seq
        {
            // the client's own doing, of which it hears also where it wants no word of flags
            selected.view.silence(mod_seq);
            selected.view.remind(&uids);
        }
    }
}

impl Troubles {
    /// Notes that a message cannot be told of; an error if the command is given up.
    fn note(&mut self, error: backend::Error) -> Result<(), CommandError> {
        match error {
            backend::Error::Expunged => self.gone = true,
            backend::Error::NonExistent => return Err(error.into()),
            error => {
                self.failures += 1;
                if self.failures == MAX_FAILURES {
                    return Err(error.into());
                }
                self.first_failure.get_or_insert(error);
            }
        }
        Ok(())
    }

    /// How the command ends.
    fn end(&mut self, by_uid: bool) -> Result<Progress, CommandError> {
        if let Some(error) = self.first_failure.take() {
            return Err(error.into());
        }
        if self.gone && !by_uid {
            return Err(backend::Error::Expunged.into());
        }
        if self.unknown_encoding {
            let text = "Some parts have an unknown content transfer encoding";
            return Err(CommandError::no(Code::UnknownCte, text));
        }
        Ok(Progress::Done)
    }
}

/// Flags as this connection sees them.
fn flag_list<'a>(
    flags: Flags,
    uid: Uid,
    messages: &'a Messages,
    selected: &Selected,
    dialect: Dialect,
) -> FlagList<'a> {
    FlagList {
        flags,
        recent: !dialect.rev2 && selected.view.is_recent(uid),
        keywords: messages.keywords(),
    }
}

#[cfg(test)]
mod tests;
