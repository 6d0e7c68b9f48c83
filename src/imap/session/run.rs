//! The loop: commands in, work out, answers in order.

use super::activity::{Activity, Cursor, Job, Reading};
use super::capabilities::{Circumstances, capabilities, is_offered};
use super::idle::Idle;
use super::progress::Notices;
use super::reply::{CommandError, Completed, Responses, plain, tagged, text};
use super::sync::tell_new_keywords;
use super::table::{Disk, Legal, Row, UNKNOWN, names_numbers, row};
use super::upload::Upload;
use super::{Selected, Session, State};
use crate::imap::commands::fetch::FetchCursor;
use crate::imap::commands::list::ListCursor;
use crate::imap::commands::message_limit::MessageLimits;
use crate::imap::commands::search::SearchCursor;
use crate::imap::commands::store::store;
use crate::imap::commands::uid_batches::uid_batches;
use crate::imap::encode;
use crate::imap::flow::Event;
use crate::imap::types::capability::Capability;
use crate::imap::types::command::{Command, CommandBody};
use crate::imap::types::core::Tag;
use crate::imap::types::response::{Code, Text, Untagged};
use crate::protocol::{HIGH_WATER_OCTETS, Output, Patience, Step};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Instant;

/// What a command in the wrong state gets.
pub(super) const NOT_NOW: CommandError = CommandError::bad("command is not allowed in this state");

/// What [`Session::next_line`] finds.
pub(super) enum NextLine {
    /// Not all of it has come yet.
    None,
    /// A line without its end.
    Whole(Vec<u8>),
    /// Something else, which ends the command.
    Bad(CommandError),
    /// Something that ends the session.
    Fatal,
}

/// What message numbers get after ENABLE UIDONLY (RFC 9586 §3).
const UID_REQUIRED: CommandError = CommandError::Bad(
    Some(Code::UidRequired),
    Cow::Borrowed("message numbers are not allowed once UIDONLY is enabled"),
);

impl Session {
    /// Does what can be done without waiting. See [`crate::protocol::Protocol::step`].
    pub(super) fn run(&mut self, now: Instant, out: &mut Output) -> Step {
        loop {
            if out.len() >= HIGH_WATER_OCTETS {
                return Step::Write;
            }
            if let Some(step) = self.advance(now, out) {
                return step;
            }
        }
    }

    /// Goes on with the activity; none if there is more to do at once.
    fn advance(&mut self, now: Instant, out: &mut Output) -> Option<Step> {
        match std::mem::replace(&mut self.activity, Activity::Ready) {
            Activity::Greeting => {
                let code = Code::Capability(self.capabilities());
                self.responses(out).ok(code, "IMAP server ready");
                None
            }
            Activity::Ready if self.is_telling_arrivals() => {
                self.continue_arrivals(out);
                None
            }
            Activity::Ready => self.next_command(now, out),
            Activity::Exchange(exchange) => self.continue_exchange(exchange, out),
            Activity::Decision(decision) => self.await_decision(decision, now),
            Activity::Delay(until, finish) => self.delay(until, finish, now),
            Activity::Work(job) => {
                let work = self.announce(&job);
                self.activity = Activity::Work(job);
                if work.is_none() {
                    self.give_up_work();
                }
                work.map(Step::Work)
            }
            Activity::Reading(mut reading) if reading.cursor.needs_disk() => {
                self.tell_progress(&mut reading, now, out);
                reading.notices.work_begins(now);
                self.activity = Activity::Work(Box::new(Job::Reading(reading)));
                None
            }
            Activity::Reading(mut reading) => {
                self.tell_progress(&mut reading, now, out);
                self.read_piece(*reading, out);
                None
            }
            Activity::Upload(upload) => self.continue_upload(*upload, out),
            Activity::Idle(idle) => self.continue_idle(*idle, now, out),
            Activity::Finish(finish) => {
                self.finish(finish, out);
                None
            }
            Activity::TlsAgreed => {
                self.activity = Activity::TlsAgreed;
                Some(Step::StartTls)
            }
            Activity::CompressionAgreed => {
                self.activity = Activity::CompressionAgreed;
                Some(Step::StartCompression)
            }
            // and then the next command
            Activity::CompressionOver => Some(Step::StopCompression),
            Activity::Closed => {
                self.activity = Activity::Closed;
                Some(Step::Close)
            }
        }
    }

    fn next_command(&mut self, now: Instant, out: &mut Output) -> Option<Step> {
        match self.flow.next_command() {
            Event::More => return self.wait_for_command(self.patience(), now, out),
            Event::Continue => encode::continuation("OK", out),
            Event::Command(command) => {
                self.services.host.tally().count_command();
                self.begin(command, out);
            }
            Event::Bad { tag, code, text } => self.refuse_line(tag, Text { code, text }),
            Event::No { tag, code, text } => {
                self.end(tag, &UNKNOWN, Err(CommandError::No(Some(code), text)));
            }
            Event::Fatal { code, text } => self.say_bye(Text { code, text }, out),
            Event::Line(_) | Event::UploadOctets(_) | Event::UploadEnd | Event::UploadNext(_) => {
                self.say_bye(text(Code::ServerBug, "Input out of order"), out);
            }
        }
        None
    }

    /// How long the client may be silent now.
    fn patience(&self) -> Patience {
        if self.flow.has_input() {
            Patience::Command
        } else if matches!(self.state, State::NotAuthenticated) {
            Patience::Greeted
        } else {
            Patience::Idle
        }
    }

    /// A command is to be done.
    fn begin(&mut self, command: Command, out: &mut Output) {
        let row = row(&command.body);
        if !self.is_legal(row.legal) {
            if matches!(command.body, CommandBody::Append { .. }) {
                self.flow.refuse_upload();
            }
            return self.end(command.tag, row, Err(NOT_NOW));
        }
        if self.dialect.uid_only && names_numbers(&command.body) {
            return self.end(command.tag, row, Err(UID_REQUIRED));
        }
        let needs_disk = match row.disk {
            Disk::Never => false,
            Disk::Always => true,
            Disk::IfStale => match &self.state {
                State::Selected(_, selected) => !selected.mailbox.is_current(),
                State::NotAuthenticated | State::Authenticated(_) | State::Logout => false,
            },
        };
        if needs_disk {
            self.activity = Activity::Work(Box::new(Job::Command(command)));
        } else {
            self.execute(command, out);
        }
    }

    const fn is_legal(&self, legal: Legal) -> bool {
        match (legal, &self.state) {
            (_, State::Logout) => false,
            (Legal::Always, _)
            | (Legal::BeforeLogin, State::NotAuthenticated)
            | (Legal::AfterLogin, State::Authenticated(_) | State::Selected(..))
            | (Legal::Selected, State::Selected(..)) => true,
            (Legal::BeforeLogin, State::Authenticated(_) | State::Selected(..))
            | (Legal::AfterLogin, State::NotAuthenticated)
            | (Legal::Selected, State::NotAuthenticated | State::Authenticated(_)) => false,
        }
    }

    /// Does a command, or begins what takes more than one step.
    pub(super) fn execute(&mut self, command: Command, out: &mut Output) {
        let Command { tag, body } = command;
        let row = row(&body);
        if let Err(error) = self.notice_condstore(&body, out) {
            return self.end(tag, row, Err(error));
        }
        match body {
            CommandBody::Logout => {
                let bye = Untagged::Bye(plain("Logging out"));
                self.responses(out).push(&bye);
                let end = tagged(tag, row.name, Ok(Completed::PLAIN));
                encode::tagged(&end, out);
                self.services.host.tally().set_parting("logged_out");
                self.close();
            }
            CommandBody::StartTls => self.start_tls(tag, row, out),
            CommandBody::Unauthenticate => self.unauthenticate(tag, row, out),
            CommandBody::Compress => self.compress(tag, row, out),
            CommandBody::Login { user, password } => self.log_in(tag, row, &user, password),
            CommandBody::Authenticate {
                mechanism,
                initial_response,
            } => self.authenticate(tag, row, &mechanism, initial_response.as_deref(), out),
            CommandBody::Append { mailbox, message } => {
                self.offer_upload(Upload::new(tag, row, mailbox), message, out);
            }
            CommandBody::Idle => self.begin_idle(Idle::new(tag, row), out),
            body => match self.begin_answer(&tag, body, out) {
                Ok((Some(cursor), completed)) => self.read(
                    Reading {
                        tag,
                        row,
                        cursor,
                        completed,
                        notices: Notices::default(),
                    },
                    out,
                ),
                Ok((None, completed)) => self.end(tag, row, Ok(completed)),
                Err(error) => self.end(tag, row, Err(error)),
            },
        }
    }

    /// Does a command, or what of it can be done in one go. Returns the rest of its answer, if there is more, and how it ends after that.
    fn begin_answer(
        &mut self,
        tag: &Tag,
        body: CommandBody,
        out: &mut Vec<u8>,
    ) -> Result<(Option<Cursor>, Completed), CommandError> {
        let only = |cursor| (Some(cursor), Completed::PLAIN);
        let fetch =
            |(cursor, completed): (Option<FetchCursor>, _)| (cursor.map(Cursor::Fetch), completed);
        Ok(match body {
            CommandBody::List(list) => {
                let limit = self.settings.append_limit_octets;
                only(Cursor::List(ListCursor::new(list, self.names(), limit)))
            }
            CommandBody::Fetch {
                uid,
                set,
                items,
                modifiers,
            } => only(Cursor::Fetch(self.with_selected(|selected, dialect| {
                FetchCursor::new(uid, &set, items, modifiers, selected, &dialect)
            })?)),
            CommandBody::Search { uid, search } => {
                let now = self.services.host.unix_time();
                only(Cursor::Search(self.with_selected(
                    |selected, dialect| {
                        SearchCursor::new(uid, tag, *search, now, selected, &dialect)
                    },
                )?))
            }
            CommandBody::CancelUpdate(tags) => {
                let cancel = |selected: &mut Selected, _| selected.contexts.cancel(&tags);
                (None, self.with_selected(cancel)?)
            }
            CommandBody::UidBatches(command) => {
                let mut out = self.responses(out);
                let told = self
                    .with_selected(|selected, _| uid_batches(tag, &command, selected, &mut out));
                (None, told?)
            }
            CommandBody::Store(command) => {
                fetch(self.with_selected(|selected, dialect| store(&command, selected, dialect))?)
            }
            CommandBody::Select(select) => fetch(self.select(&select, false, out)?),
            CommandBody::Examine(select) => fetch(self.select(&select, true, out)?),
            body => (None, self.perform(body, out)?),
        })
    }

    /// Begins an answer in pieces.
    fn read(&mut self, reading: Reading, out: &mut Output) {
        let mut out = self.responses(out);
        if let (Cursor::Fetch(_), Some(selected)) = (&reading.cursor, self.state.selected()) {
            tell_new_keywords(selected, &mut out);
        }
        self.activity = Activity::Reading(Box::new(reading));
    }

    /// The next piece of an answer.
    pub(super) fn read_piece(&mut self, mut reading: Reading, out: &mut Output) {
        let dialect = self.dialect;
        let progress = match &mut self.state {
            State::Authenticated(authenticated) => {
                reading.cursor.advance(authenticated, None, dialect, out)
            }
            State::Selected(authenticated, selected) => {
                let selected = Some(&mut **selected);
                reading
                    .cursor
                    .advance(authenticated, selected, dialect, out)
            }
            State::NotAuthenticated | State::Logout => Err(NOT_NOW),
        };
        for _ in 0..reading.cursor.take_sent() {
            self.services.host.tally().count_sent();
        }
        match progress {
            Ok(super::Progress::More) => self.activity = Activity::Reading(Box::new(reading)),
            Ok(super::Progress::Done) => self.end(reading.tag, reading.row, Ok(reading.completed)),
            Err(_) if reading.cursor.is_within_literal() => self.break_off(),
            Err(error) => {
                let error = error.beside(reading.completed);
                self.end(reading.tag, reading.row, Err(error));
            }
        }
    }

    fn start_tls(&mut self, tag: Tag, row: &'static Row, out: &mut Vec<u8>) {
        if self.peer.tls.is_some() || !self.peer.may_start_tls {
            let error = CommandError::bad("TLS cannot be started here");
            return self.end(tag, row, Err(error));
        }
        let completed = Completed {
            code: None,
            text: Some("Begin TLS negotiation now"),
        };
        encode::tagged(&tagged(tag, row.name, Ok(completed)), out);
        // whatever came with the command came from nobody knows whom (RFC 9051 §6.2.1)
        self.flow.reset();
        self.activity = Activity::TlsAgreed;
    }

    /// The next line of a command that goes on with lines; on [`NextLine::Fatal`] the client has its BYE.
    pub(super) fn next_line(&mut self, out: &mut Vec<u8>) -> NextLine {
        match self.flow.next_line() {
            Event::More => NextLine::None,
            Event::Line(line) => NextLine::Whole(line),
            Event::Bad { text, .. } => NextLine::Bad(CommandError::Bad(None, text)),
            Event::Fatal { code, text } => {
                self.say_bye(Text { code, text }, out);
                NextLine::Fatal
            }
            Event::Continue
            | Event::Command(_)
            | Event::No { .. }
            | Event::UploadOctets(_)
            | Event::UploadEnd
            | Event::UploadNext(_) => {
                self.say_bye(text(Code::ServerBug, "Input out of order"), out);
                NextLine::Fatal
            }
        }
    }

    /// The capabilities of this moment.
    pub(super) fn capabilities(&self) -> Vec<Capability> {
        let now = Circumstances {
            authenticated: !matches!(self.state, State::NotAuthenticated),
            tls: self.peer.tls.is_some(),
            may_start_tls: self.peer.may_start_tls,
        };
        capabilities(&self.settings, self.disabled_for_account(), now)
    }

    /// True if a capability, in capitals, is switched off neither for all nor for the account: what a client may enable.
    pub(super) fn is_offered(&self, name: &str) -> bool {
        is_offered(&self.settings, self.disabled_for_account(), name)
    }

    /// How many messages one command may process: any number, where the client is not told of a limit.
    pub(super) fn message_limits(&self) -> MessageLimits {
        let (messages, saved) = (self.settings.message_limit, self.settings.save_limit);
        MessageLimits {
            messages: messages.filter(|_| self.is_offered("MESSAGELIMIT")),
            saved: saved.filter(|_| self.is_offered("SAVELIMIT")),
            cut: None,
        }
    }

    /// What is switched off for the account; before login nothing.
    fn disabled_for_account(&self) -> &BTreeSet<String> {
        static NOTHING: BTreeSet<String> = BTreeSet::new();
        match &self.state {
            State::Authenticated(authenticated) | State::Selected(authenticated, _) => {
                &authenticated.disabled_capabilities
            }
            State::NotAuthenticated | State::Logout => &NOTHING,
        }
    }

    /// Where untagged responses go.
    pub(super) const fn responses<'a>(&self, out: &'a mut Vec<u8>) -> Responses<'a> {
        Responses::new(self.dialect, out)
    }
}
