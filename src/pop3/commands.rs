//! The TRANSACTION state (RFC 1939 §5) and the UPDATE state, which is what QUIT does (§6).
//!
//! A command is done at once if memory has what it needs. Else it becomes a [`Task`]: for the disk, or an answer that is sent in
//! pieces. No other command is read before the task is done.

use super::ahead::Ahead;
use super::encode;
use super::login::Opened;
use super::maildrop::{Entry, Mark};
use super::retrieval::{Progress, Retrieval, refusal, store_refusal};
use super::session::{Advance, Connection, Input, State};
use super::texts::Text;
use super::types::{Command, MessageNumber, Reply};
use super::unique_id;
use crate::mailbox::backend::{Error, FlagChange};
use crate::mailbox::flag::{FlagAction, Flags, NamedFlags, SystemFlag};
use crate::mailbox::id::Uid;
use crate::mailbox::uid_set::UidSet;
use crate::protocol::{HIGH_WATER_OCTETS, Output};
use std::path::Path;
use std::sync::Arc;

/// Messages whose size is found out in one go on a thread of the volume, where that may mean to read them.
const MEASURED_AT_ONCE: usize = 1024;

/// Commands done in one go.
const COMMANDS_AT_ONCE: usize = 32;

/// Messages removed in one go, which ends with a sync and costs a look at each message of the mailbox.
const REMOVED_AT_ONCE: usize = 10_000;

/// A session with its maildrop.
#[derive(Debug)]
pub(super) struct Transaction {
    user: Arc<str>,
    place: Arc<Path>,
    opened: Opened,
    /// The unique-ids in the order of the message numbers, from the first UIDL on.
    unique_ids: Option<Vec<Box<str>>>,
    ahead: Ahead,
    task: Task,
}

/// What is to be done before the next command is read.
#[derive(Debug)]
enum Task {
    /// Nothing.
    None,
    /// Sizes are found out, from a position on; then comes the command.
    Measure(Command, usize),
    /// Unique-ids are made; then comes the command.
    Name(Command),
    /// A message is sent.
    Retrieve(Box<Retrieval>),
    /// LIST is sent, from a position on.
    List(usize),
    /// UIDL is sent, from a position on.
    Uidl(usize),
    /// Messages are removed: those still to be, and how many are.
    Update(Vec<Uid>, u64),
    /// Nothing more.
    HangUp,
}

impl Transaction {
    /// A session that has just logged in.
    pub(super) fn new(user: Arc<str>, opened: Opened) -> Self {
        Self {
            user,
            place: opened.account.place(),
            opened,
            unique_ids: None,
            ahead: Ahead::default(),
            task: Task::None,
        }
    }

    /// True if the answer to a command was begun and not ended.
    pub(super) fn is_answering(&self) -> bool {
        match &self.task {
            Task::List(_) | Task::Uidl(_) => true,
            Task::Retrieve(retrieval) => retrieval.open.is_some(),
            Task::None | Task::Measure(..) | Task::Name(_) | Task::Update(..) | Task::HangUp => {
                false
            }
        }
    }

    /// Does what is to be done, or reads the next command.
    pub(super) fn advance(
        mut self: Box<Self>,
        connection: &mut Connection,
        out: &mut Output,
    ) -> Advance {
        match self.task {
            Task::None => match connection.next_command(true, out) {
                Input::Command(command) => self.execute(command, connection, out),
                Input::Wait(step) => return (State::Transaction(self), Some(step)),
                Input::Answered => {}
                Input::HangUp => return (State::Closed, None),
            },
            Task::List(from) => self.list(from, out),
            Task::Uidl(from) => self.uidl(from, out),
            Task::Measure(..) | Task::Name(_) | Task::Retrieve(_) | Task::Update(..) => {
                let place = Arc::clone(&self.place);
                let step = connection.work(place, Arc::clone(&self.user), self.is_answering());
                return (State::Transaction(self), Some(step));
            }
            // drops the lock before the client hears that the session is over
            Task::HangUp => return (State::Closed, None),
        }
        (State::Transaction(self), None)
    }

    /// Does a command, or begins to.
    fn execute(&mut self, command: Command, connection: &Connection, out: &mut Output) {
        let reply = match command {
            Command::Stat | Command::List(None) if self.is_unmeasured() => {
                self.task = Task::Measure(command, 0);
                return;
            }
            Command::Uidl(_) if self.unique_ids.is_none() => {
                self.task = Task::Name(command);
                return;
            }
            Command::Stat => Ok(Reply::ok(Text::Numbers).with(self.opened.maildrop.totals())),
            Command::List(None) => {
                self.task = Task::List(0);
                Ok(Reply::ok(Text::Totals).with(self.opened.maildrop.totals()))
            }
            Command::Uidl(None) => {
                self.task = Task::Uidl(0);
                Ok(Reply::ok(Text::UniqueIds))
            }
            Command::List(Some(number)) => match self.entry(number).map(|entry| entry.octets) {
                Ok(None) => {
                    self.task = Task::Measure(command, 0);
                    return;
                }
                Ok(Some(octets)) => {
                    Ok(Reply::ok(Text::Numbers).with([u64::from(number.0), octets]))
                }
                Err(reply) => Err(reply),
            },
            Command::Uidl(Some(number)) => match self.entry(number) {
                Ok(_entry) => return self.tell_unique_id(number, out),
                Err(reply) => Err(reply),
            },
            Command::Retr(number) => return self.retrieve(number, None, connection, out),
            Command::Top(number, lines) => {
                return self.retrieve(number, Some(lines), connection, out);
            }
            Command::Dele(number) => self.delete(number),
            Command::Rset => {
                self.opened.maildrop.reset();
                Ok(Reply::ok(Text::Reset))
            }
            Command::Noop => Ok(Reply::ok(Text::Nothing)),
            Command::Quit => return self.quit(connection, out),
            Command::Capa
            | Command::Utf8
            | Command::Lang(_)
            | Command::Stls
            | Command::User(_)
            | Command::Pass(_)
            | Command::Apop
            | Command::Mechanisms
            | Command::Auth { .. } => Err(Reply::err(Text::IsLoggedIn)),
        };
        connection.reply(&reply.unwrap_or_else(|refusal| refusal), out);
    }

    /// A message that is there and not marked as deleted.
    fn entry(&self, number: MessageNumber) -> Result<&Entry, Reply> {
        let Some(entry) = self.opened.maildrop.entry(number) else {
            return Err(Reply::err(Text::NoSuchMessage));
        };
        match entry.mark {
            Mark::None => Ok(entry),
            Mark::Deleted => Err(Reply::err(Text::IsDeleted).about(number)),
            Mark::Gone => Err(Reply::err(Text::Gone).about(number)),
        }
    }

    /// True if a size is to be found out before all can be told.
    fn is_unmeasured(&self) -> bool {
        self.opened.maildrop.unmeasured(0).next().is_some()
    }

    /// DELE
    fn delete(&mut self, number: MessageNumber) -> Result<Reply, Reply> {
        match self.entry(number) {
            // what the client wants is so already
            Err(refusal) if refusal.text != Text::Gone => return Err(refusal),
            Ok(_) | Err(_) => {}
        }
        if let Some(entry) = self.opened.maildrop.entry_mut(number) {
            entry.mark = Mark::Deleted;
        }
        Ok(Reply::ok(Text::Deleted).about(number))
    }

    /// UIDL of one message
    fn tell_unique_id(&self, number: MessageNumber, out: &mut Vec<u8>) {
        let ids = self.unique_ids.as_deref().unwrap_or_default();
        let id = number.index().and_then(|index| ids.get(index));
        encode::unique_id(number, id.map_or("", |id| id), out);
    }

    /// RETR and TOP
    fn retrieve(
        &mut self,
        number: MessageNumber,
        body_lines: Option<u64>,
        connection: &Connection,
        out: &mut Output,
    ) {
        match self.entry(number).copied() {
            Ok(entry) => {
                let retrieval = Retrieval {
                    number,
                    uid: entry.uid,
                    octets: entry.octets,
                    body_lines,
                    ascii_only: connection.settings.refuse_utf8_headers && !connection.utf8,
                    open: None,
                };
                let is_whole = body_lines.is_none();
                match is_whole.then(|| self.ahead.take(number)).flatten() {
                    Some(ready) => retrieval.send(ready, connection, out),
                    None => self.task = Task::Retrieve(Box::new(retrieval)),
                }
            }
            Err(refusal) => connection.reply(&refusal, out),
        }
    }

    /// Sends LIST from a position on, as far as the output holds.
    fn list(&mut self, from: usize, out: &mut Vec<u8>) {
        for (number, entry) in self.opened.maildrop.listed(from) {
            if out.len() >= HIGH_WATER_OCTETS {
                self.task = Task::List(number.index().unwrap_or(usize::MAX));
                return;
            }
            encode::scan_listing(number, entry.octets.unwrap_or(0), out);
        }
        encode::end(out);
        self.task = Task::None;
    }

    /// Sends UIDL from a position on, as far as the output holds.
    fn uidl(&mut self, from: usize, out: &mut Vec<u8>) {
        let ids = self.unique_ids.as_deref().unwrap_or_default();
        for (number, _) in self.opened.maildrop.listed(from) {
            let index = number.index().unwrap_or(usize::MAX);
            if out.len() >= HIGH_WATER_OCTETS {
                self.task = Task::Uidl(index);
                return;
            }
            if let Some(id) = ids.get(index) {
                encode::listed_unique_id(number, id, out);
            }
        }
        encode::end(out);
        self.task = Task::None;
    }

    /// QUIT: the UPDATE state, if there is anything to remove.
    fn quit(&mut self, connection: &Connection, out: &mut Vec<u8>) {
        let mut deleted: Vec<Uid> = self.opened.maildrop.deleted().collect();
        if deleted.is_empty() {
            connection.reply(&Reply::ok(Text::Bye), out);
            connection.part(Text::Bye);
            self.task = Task::HangUp;
            return;
        }
        deleted.sort_unstable();
        self.task = Task::Update(deleted, 0);
    }

    /// Does the next part of a task, on a thread of the volume. If the client has sent further commands that want the disk, they are
    /// done on the same visit: a client that pipelines RETR then waits for few threads.
    pub(super) fn work(&mut self, connection: &mut Connection, out: &mut Output) {
        self.do_task(connection, out);
        for _ in 1..COMMANDS_AT_ONCE {
            if out.len() >= HIGH_WATER_OCTETS || !matches!(self.task, Task::None) {
                return;
            }
            match connection.next_command(true, out) {
                Input::Command(command) => {
                    self.execute(command, connection, out);
                    self.do_task(connection, out);
                }
                Input::Answered => {}
                Input::HangUp => self.task = Task::HangUp,
                Input::Wait(_) => return,
            }
        }
    }

    /// Does the next part of a task.
    fn do_task(&mut self, connection: &Connection, out: &mut Output) {
        match std::mem::replace(&mut self.task, Task::None) {
            Task::Measure(command, from) => self.measure(command, from, connection, out),
            Task::Name(command) => self.name(command, connection, out),
            Task::Retrieve(retrieval) => self.send(retrieval, connection, out),
            Task::Update(uids, removed) => self.update(uids, removed, connection, out),
            task @ (Task::None | Task::List(_) | Task::Uidl(_) | Task::HangUp) => self.task = task,
        }
    }

    /// The volume did not take the work.
    pub(super) fn work_refused(&mut self, connection: &Connection, out: &mut Vec<u8>) {
        let was_answering = self.is_answering();
        let task = std::mem::replace(&mut self.task, Task::None);
        match task {
            // half a message is out: only the end of the connection tells that the rest will not come
            _ if was_answering => self.break_off(connection),
            Task::Update(_, removed) => {
                self.end_update(removed, Some(&Error::Unavailable), connection, out);
            }
            Task::HangUp => self.task = Task::HangUp,
            Task::None
            | Task::Measure(..)
            | Task::Name(_)
            | Task::Retrieve(_)
            | Task::List(_)
            | Task::Uidl(_) => connection.reply(&store_refusal(&Error::Unavailable), out),
        }
    }

    /// Finds out sizes; when all that are needed are known, goes on with the command.
    fn measure(
        &mut self,
        command: Command,
        from: usize,
        connection: &Connection,
        out: &mut Output,
    ) {
        let unmeasured: Vec<MessageNumber> = match command {
            Command::List(Some(number)) => {
                let entry = self.entry(number);
                let is_unmeasured = entry.is_ok_and(|entry| entry.octets.is_none());
                is_unmeasured.then_some(number).into_iter().collect()
            }
            _ => {
                let unmeasured = self.opened.maildrop.unmeasured(from);
                unmeasured.take(MEASURED_AT_ONCE).collect()
            }
        };
        if let Err(error) = self.measure_all(&unmeasured) {
            return connection.reply(&store_refusal(&error), out);
        }
        match unmeasured.last().and_then(|last| last.index()) {
            Some(last) if unmeasured.len() == MEASURED_AT_ONCE => {
                self.task = Task::Measure(command, last);
            }
            Some(_) | None => self.execute(command, connection, out),
        }
    }

    /// Finds out the sizes of messages, or that they are gone.
    fn measure_all(&mut self, numbers: &[MessageNumber]) -> Result<(), Error> {
        let maildrop = &mut self.opened.maildrop;
        let uid = |number: &MessageNumber| Some(maildrop.entry(*number)?.uid);
        let uids: Vec<Uid> = numbers.iter().filter_map(uid).collect();
        let sizes = self.opened.mailbox.sizes(&uids);
        for (number, size) in numbers.iter().zip(sizes) {
            let Some(entry) = maildrop.entry_mut(*number) else {
                continue;
            };
            match size {
                Ok(octets) => entry.octets = Some(octets),
                Err(Error::Expunged) => entry.mark = Mark::Gone,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the unique-ids and goes on with the command.
    fn name(&mut self, command: Command, connection: &Connection, out: &mut Output) {
        let (mailbox, maildrop) = (&self.opened.mailbox, &self.opened.maildrop);
        let stored = match mailbox.stored_unique_ids() {
            Ok(stored) => stored,
            Err(error) => return connection.reply(&store_refusal(&error), out),
        };
        let uids: Vec<Uid> = maildrop.entries().iter().map(|entry| entry.uid).collect();
        let format = &connection.settings.unique_id_format;
        let file_name = |uid| mailbox.base_name(uid);
        let ids = unique_id::assign(format, maildrop.uid_validity(), &uids, &stored, file_name);
        self.unique_ids = Some(ids);
        self.execute(command, connection, out);
    }

    /// Sends the next piece of a message.
    fn send(&mut self, mut retrieval: Box<Retrieval>, connection: &Connection, out: &mut Output) {
        let mailbox = &self.opened.mailbox;
        // to set \Seen, the disk is needed for each
        let may_be_ready = retrieval.body_lines.is_none() && !connection.settings.mark_seen;
        if may_be_ready && retrieval.open.is_none() {
            let maildrop = &self.opened.maildrop;
            match self.ahead.read(retrieval.number, maildrop, mailbox) {
                Ok(Some(ready)) => return retrieval.send(ready, connection, out),
                Ok(None) => {}
                Err(error) => {
                    return connection.reply(&refusal(&error, retrieval.number), out);
                }
            }
        }
        match retrieval.advance(&**mailbox, connection.language, out) {
            Progress::More => self.task = Task::Retrieve(retrieval),
            Progress::Done if retrieval.body_lines.is_none() => {
                connection.services.host.tally().count_sent();
                if connection.settings.mark_seen {
                    self.mark_seen(retrieval.uid);
                }
            }
            Progress::Done => {}
            Progress::Refused(reply) => connection.reply(&reply, out),
            Progress::Broken => self.break_off(connection),
        }
    }

    /// Sets `\Seen`. The client has its message; that a flag could not be set is none of its business.
    fn mark_seen(&self, uid: Uid) {
        let change = FlagChange {
            action: FlagAction::Add,
            flags: NamedFlags {
                system: Flags::NONE.with(SystemFlag::Seen),
                keywords: Vec::new(),
            },
            unchanged_since: None,
        };
        if let Err(error) = self
            .opened
            .mailbox
            .store(&UidSet::from_iter([uid]), &change)
        {
            tracing::debug!(%uid, %error, "not_marked_seen");
        }
    }

    /// Removes some of the messages that are to be removed.
    fn update(
        &mut self,
        mut uids: Vec<Uid>,
        removed: u64,
        connection: &Connection,
        out: &mut Vec<u8>,
    ) {
        let rest = uids.split_off(uids.len().min(REMOVED_AT_ONCE));
        match self.opened.mailbox.expunge(&uids.into_iter().collect()) {
            Ok(gone) => {
                let removed = removed.saturating_add(gone.len() as u64);
                if rest.is_empty() {
                    self.end_update(removed, None, connection, out);
                } else {
                    self.task = Task::Update(rest, removed);
                }
            }
            Err(error) => self.end_update(removed, Some(&error), connection, out),
        }
    }

    /// Says how QUIT ended. Messages that others removed first count neither as removed nor as an error: they are gone.
    fn end_update(
        &mut self,
        removed: u64,
        error: Option<&Error>,
        connection: &Connection,
        out: &mut Vec<u8>,
    ) {
        connection.services.host.tally().count_removed(removed);
        let reply = match error {
            None => Reply::ok(Text::Removed).with([removed, 0]),
            Some(error) => Reply {
                text: Text::NotRemoved,
                ..store_refusal(error)
            },
        };
        connection.reply(&reply, out);
        connection.part(reply.text);
        self.task = Task::HangUp;
    }

    /// Ends the session in the middle of an answer.
    fn break_off(&mut self, connection: &Connection) {
        connection.part(Text::StorageUnavailable);
        self.task = Task::HangUp;
    }
}
