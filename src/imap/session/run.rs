//! The loop: commands in, work out, answers in order.

use super::activity::{Activity, Cursor, Finish, Job, Reading};
use super::capabilities::{Circumstances, capabilities};
use super::idle::Idle;
use super::reply::{CommandError, CommandResult, Completed, Responses, plain, tagged, text};
use super::sync::Pending;
use super::table::{Disk, Legal, Row, UNKNOWN, row};
use super::upload::Upload;
use super::{Session, State};
use crate::imap::commands::fetch::FetchCursor;
use crate::imap::commands::list::ListCursor;
use crate::imap::commands::search::SearchCursor;
use crate::imap::commands::store::store;
use crate::imap::encode;
use crate::imap::flow::Event;
use crate::imap::types::capability::Capability;
use crate::imap::types::command::{Command, CommandBody};
use crate::imap::types::core::Tag;
use crate::imap::types::response::{Code, Condition, Tagged, Text, Untagged};
use crate::mailbox::backend::Error;
use crate::protocol::{HIGH_WATER_OCTETS, Interrupt, Patience, Step, Wait, Work};
use std::sync::Arc;
use std::time::Instant;

/// What a command in the wrong state gets.
pub(super) const NOT_NOW: CommandError = CommandError::bad("command is not allowed in this state");

impl Session {
    /// Does what can be done without waiting. See [`crate::protocol::Protocol::step`].
    pub(super) fn run(&mut self, now: Instant, out: &mut Vec<u8>) -> Step {
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
    fn advance(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Step> {
        match std::mem::replace(&mut self.activity, Activity::Ready) {
            Activity::Greeting => {
                let code = Code::Capability(self.capabilities());
                self.responses(out).ok(code, "IMAP server ready");
                None
            }
            Activity::Ready => self.next_command(out),
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
            Activity::Reading(reading) if reading.cursor.needs_disk() => {
                self.activity = Activity::Work(Box::new(Job::Reading(*reading)));
                None
            }
            Activity::Reading(reading) => {
                self.read_piece(*reading, out);
                None
            }
            Activity::Upload(upload) => self.continue_upload(*upload, out),
            Activity::Idle(idle) => self.continue_idle(*idle, now, out),
            Activity::Finish(finish) => {
                self.finish(*finish, out);
                None
            }
            Activity::TlsAgreed => {
                self.activity = Activity::TlsAgreed;
                Some(Step::StartTls)
            }
            Activity::Closed => {
                self.activity = Activity::Closed;
                Some(Step::Close)
            }
        }
    }

    fn next_command(&mut self, out: &mut Vec<u8>) -> Option<Step> {
        match self.flow.next_command() {
            Event::More => return Some(Step::Wait(Wait::for_input(self.patience()))),
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

    /// BAD for what is no command.
    fn refuse_line(&mut self, tag: Option<Tag>, text: Text) {
        self.count_bad();
        let bye = self.patience_with_mistakes();
        let condition = Condition::Bad;
        let mut finish = Finish {
            pending: Pending::default(),
            tagged: None,
            bye,
        };
        match tag {
            Some(tag) => {
                finish.tagged = Some(Tagged {
                    tag,
                    condition,
                    text,
                });
            }
            None => finish.pending = Pending::only(Untagged::Status(condition, text)),
        }
        self.activity = Activity::Finish(Box::new(finish));
    }

    /// A command is to be done.
    fn begin(&mut self, command: Command, out: &mut Vec<u8>) {
        let row = row(&command.body);
        if !self.is_legal(row.legal) {
            if matches!(command.body, CommandBody::Append { .. }) {
                self.flow.refuse_upload();
            }
            return self.end(command.tag, row, Err(NOT_NOW));
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
    fn execute(&mut self, command: Command, out: &mut Vec<u8>) {
        let Command { tag, body } = command;
        let row = row(&body);
        match body {
            CommandBody::Logout => {
                let bye = Untagged::Bye(plain("Logging out"));
                self.responses(out).push(&bye);
                let end = tagged(tag, row.name, Ok(Completed::PLAIN));
                encode::tagged(&end, out);
                self.close();
            }
            CommandBody::StartTls => self.start_tls(tag, row, out),
            CommandBody::Login { user, password } => self.log_in(tag, row, &user, password),
            CommandBody::Authenticate {
                mechanism,
                initial_response,
            } => self.authenticate(tag, row, &mechanism, initial_response.as_deref(), out),
            CommandBody::Append { mailbox, message } => {
                self.offer_upload(Upload::new(tag, row, mailbox), message, out);
            }
            CommandBody::Idle => self.begin_idle(Idle::new(tag, row), out),
            CommandBody::List(list) => {
                let limit = self.settings.append_limit_octets;
                let cursor = ListCursor::new(list, self.names(), limit);
                self.read(tag, row, Ok(Cursor::List(cursor)));
            }
            CommandBody::Fetch { uid, set, items } => {
                let cursor = self.with_selected(|selected, dialect| {
                    FetchCursor::new(uid, &set, items, selected, &dialect).map(Cursor::Fetch)
                });
                self.read(tag, row, cursor);
            }
            CommandBody::Search { uid, search } => {
                let now = self.services.host.unix_time();
                let cursor = self.with_selected(|selected, dialect| {
                    SearchCursor::new(uid, &tag, search, now, selected, &dialect)
                        .map(Cursor::Search)
                });
                self.read(tag, row, cursor);
            }
            CommandBody::Store(command) => {
                match self.with_selected(|selected, dialect| store(&command, selected, dialect)) {
                    Ok(Some(cursor)) => self.read(tag, row, Ok(Cursor::Fetch(cursor))),
                    Ok(None) => self.end(tag, row, Ok(Completed::PLAIN)),
                    Err(error) => self.end(tag, row, Err(error)),
                }
            }
            body => {
                let result = self.perform(body, out);
                self.end(tag, row, result);
            }
        }
    }

    /// Begins an answer in pieces.
    fn read(&mut self, tag: Tag, row: &'static Row, cursor: Result<Cursor, CommandError>) {
        match cursor {
            Ok(cursor) => {
                self.activity = Activity::Reading(Box::new(Reading { tag, row, cursor }));
            }
            Err(error) => self.end(tag, row, Err(error)),
        }
    }

    /// The next piece of an answer.
    fn read_piece(&mut self, mut reading: Reading, out: &mut Vec<u8>) {
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
        match progress {
            Ok(super::Progress::More) => self.activity = Activity::Reading(Box::new(reading)),
            Ok(super::Progress::Done) => self.end(reading.tag, reading.row, Ok(Completed::PLAIN)),
            Err(error) => self.end(reading.tag, reading.row, Err(error)),
        }
    }

    /// A command ends: brings the view up to date, and has everything said.
    pub(super) fn end(&mut self, tag: Tag, row: &'static Row, result: CommandResult) {
        let is_gone = matches!(result, Err(CommandError::Store(Error::NonExistent)))
            && (row.legal == Legal::Selected || row.name == "NOOP");
        match result {
            Err(CommandError::Bad(_)) => self.count_bad(),
            Ok(_) | Err(_) => self.bad_commands = 0,
        }
        let mut finish = Finish {
            pending: Pending::default(),
            tagged: Some(tagged(tag, row.name, result)),
            bye: self.patience_with_mistakes(),
        };
        if is_gone {
            finish.bye = self.lose_mailbox(&mut finish.pending);
        } else if let State::Selected(_, selected) = &mut self.state {
            let uid_command = row.name.starts_with("UID ");
            finish.pending = Pending::take(selected, row.expunges, uid_command, self.dialect);
        }
        tracing::debug!(
            command = row.name,
            result = ?finish.tagged.as_ref().map(|tagged| tagged.condition),
            code = ?finish.tagged.as_ref().and_then(|tagged| tagged.text.code.as_ref()),
            "command_finished"
        );
        self.activity = Activity::Finish(Box::new(finish));
    }

    /// The selected mailbox is no more. Returns the BYE, if the client cannot be told otherwise.
    pub(super) fn lose_mailbox(&mut self, pending: &mut Pending) -> Option<Text> {
        let state = std::mem::replace(&mut self.state, State::Logout);
        self.state = match state {
            State::Selected(authenticated, _) => State::Authenticated(authenticated),
            other => other,
        };
        if self.dialect.rev2 {
            let closed = text(Code::Closed, "Mailbox was deleted");
            *pending = Pending::only(Untagged::Status(Condition::Ok, closed));
            return None;
        }
        Some(plain("Mailbox was deleted"))
    }

    fn finish(&mut self, mut finish: Finish, out: &mut Vec<u8>) {
        let selected = self.state.selected();
        if finish.pending.advance(selected, self.dialect, out) == super::Progress::More {
            self.activity = Activity::Finish(Box::new(finish));
            return;
        }
        if let Some(tagged) = finish.tagged {
            encode::tagged(&tagged, out);
        }
        if let Some(text) = finish.bye {
            self.say_bye(text, out);
        }
    }

    const fn count_bad(&mut self) {
        self.bad_commands = self.bad_commands.saturating_add(1);
    }

    /// The BYE for a client that has made too many mistakes.
    fn patience_with_mistakes(&self) -> Option<Text> {
        let limit = match self.state {
            State::NotAuthenticated => self.settings.max_bad_commands_before_login,
            State::Authenticated(_) | State::Selected(..) | State::Logout => {
                self.settings.max_bad_commands
            }
        };
        (self.bad_commands >= limit).then(|| {
            tracing::info!(
                protocol = "imap",
                remote = %self.peer.remote.ip(),
                limit,
                "too_many_bad_commands"
            );
            text(Code::ClientBug, "Too many bad commands")
        })
    }

    /// Says BYE and has the connection closed.
    pub(super) fn say_bye(&mut self, text: Text, out: &mut Vec<u8>) {
        self.responses(out).push(&Untagged::Bye(text));
        self.close();
    }

    fn close(&mut self) {
        self.state = State::Logout;
        self.activity = Activity::Closed;
    }

    /// See [`crate::protocol::Protocol::interrupt`].
    pub(super) fn part(&mut self, reason: Interrupt, out: &mut Vec<u8>) {
        let is_silent = match &self.activity {
            Activity::Closed | Activity::TlsAgreed => true,
            Activity::Reading(reading) => reading.cursor.is_within_literal(),
            Activity::Work(job) => job.is_within_literal(),
            _ => false,
        };
        if is_silent {
            return self.close();
        }
        let text = match reason {
            Interrupt::Full => text(Code::Unavailable, "Too many connections, try again later"),
            Interrupt::Shutdown => text(Code::Unavailable, "Server is shutting down"),
            Interrupt::Timeout => plain("Disconnected for inactivity"),
            Interrupt::Displaced => text(Code::Limit, "Too many connections of this account"),
            Interrupt::Revoked => plain("Account was changed; log in again"),
        };
        self.say_bye(text, out);
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

    /// The capabilities of this moment.
    pub(super) fn capabilities(&self) -> Vec<Capability> {
        let now = Circumstances {
            authenticated: !matches!(self.state, State::NotAuthenticated),
            tls: self.peer.tls.is_some(),
            may_start_tls: self.peer.may_start_tls,
        };
        capabilities(&self.settings, now)
    }

    /// Where untagged responses go.
    pub(super) const fn responses<'a>(&self, out: &'a mut Vec<u8>) -> Responses<'a> {
        Responses::new(self.dialect, out)
    }

    /// What a job needs of the shell; none if there is nobody whose volume it could be.
    fn announce(&self, job: &Job) -> Option<Work> {
        let (place, account) = match (job, &self.state) {
            (Job::Open(opening), _) => (opening.place(), opening.user()),
            (_, State::Authenticated(authenticated) | State::Selected(authenticated, _)) => (
                Arc::clone(&authenticated.place),
                Arc::clone(&authenticated.user),
            ),
            (_, State::NotAuthenticated | State::Logout) => return None,
        };
        Some(Work {
            place,
            account,
            if_stuck: self.words_if_stuck(job),
        })
    }

    /// What the client hears if the job hangs.
    fn words_if_stuck(&self, job: &Job) -> Vec<u8> {
        let mut out = Vec::new();
        if job.is_within_literal() {
            return out;
        }
        if let Some(tag) = job.tag() {
            let result = Err(CommandError::UNAVAILABLE);
            encode::tagged(&tagged(tag.clone(), "", result), &mut out);
        }
        let bye = text(Code::Unavailable, "Mail storage does not answer");
        self.responses(&mut out).push(&Untagged::Bye(bye));
        out
    }

    /// See [`crate::protocol::Protocol::work`].
    pub(super) fn do_work(&mut self, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.activity, Activity::Ready) {
            Activity::Work(job) => match *job {
                Job::Command(command) => self.execute(command, out),
                Job::Open(opening) => self.open_account(opening),
                Job::Reading(reading) => self.read_piece(reading, out),
                Job::Upload(upload) => self.write_upload(upload, out),
                Job::Idle(idle) => self.look(idle),
            },
            other => self.activity = other,
        }
    }

    /// See [`crate::protocol::Protocol::work_refused`].
    pub(super) fn give_up_work(&mut self) {
        let error = CommandError::UNAVAILABLE;
        match std::mem::replace(&mut self.activity, Activity::Ready) {
            Activity::Work(job) if job.is_within_literal() => self.close(),
            Activity::Work(job) => match *job {
                Job::Command(command) => {
                    let row = row(&command.body);
                    self.end(command.tag, row, Err(error));
                }
                Job::Open(opening) => self.refuse_opening(opening, error),
                Job::Reading(reading) => self.end(reading.tag, reading.row, Err(error)),
                Job::Upload(upload) => self.abandon_upload(upload, error),
                Job::Idle(idle) => self.look_later(idle),
            },
            other => self.activity = other,
        }
    }
}
