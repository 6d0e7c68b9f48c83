//! A POP3 connection's states and the way of a command through them.
//!
//! AUTHORIZATION is [`super::login`], TRANSACTION is [`super::commands`], UPDATE is what QUIT does there. A state
//! is taken out, advances, and is put back or replaced; so nothing of an old state is left over in a new one.

use super::capabilities::{Circumstances, capabilities};
use super::commands::Transaction;
use super::encode;
use super::flow::{Flow, Line, MAX_COMMAND_OCTETS};
use super::login::{self, Authorization, Login};
use super::parse;
use super::recent_logins::RecentLogins;
use super::settings::Settings;
use super::table;
use super::texts::{Language, Text};
use super::types::{Code, Command, ParseError, Reply};
use crate::auth::Authenticator;
use crate::mailbox::backend::Backend;
use crate::protocol::{
    HIGH_WATER_OCTETS, Host, Interrupt, Output, Patience, Peer, Protocol, Step, TlsInfo, Wait, Work,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What a session uses of the rest of the server.
#[derive(Debug, Clone)]
pub struct Services {
    /// The mail.
    pub backend: Arc<dyn Backend>,
    /// Who may log in.
    pub authenticator: Arc<dyn Authenticator>,
    /// The I/O shell of this connection.
    pub host: Arc<dyn Host>,
    /// Last logins, the same for all sessions of the process.
    pub recent_logins: Arc<RecentLogins>,
}

/// One POP3 connection.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    state: State,
}

/// What is true of a connection in every state.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) settings: Arc<Settings>,
    pub(super) services: Services,
    pub(super) peer: Peer,
    pub(super) flow: Flow,
    /// Chosen by LANG.
    pub(super) language: Language,
    /// UTF8 was said.
    pub(super) utf8: bool,
    /// Bad commands since the last good one.
    bad_commands: u32,
}

/// The states (RFC 1939 §3), and what lies between them.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing has been said yet.
    Greeting,
    /// The client is to log in.
    Authorization(Authorization),
    /// It has begun to.
    LoggingIn(Authorization, Login),
    /// STLS was answered; the shell negotiates.
    StartingTls(Authorization),
    /// The client has its maildrop.
    Transaction(Box<Transaction>),
    /// All is said.
    Closed,
}

/// The state after a step forward, and what the shell shall do, unless the session can go on at once.
pub(super) type Advance = (State, Option<Step>);

/// What there is to do for a state that reads commands.
pub(super) enum Input {
    /// Nothing yet.
    Wait(Step),
    /// A command that is legal now.
    Command(Command),
    /// A line that has been answered.
    Answered,
    /// A line that was answered and was the last one.
    HangUp,
}

impl Session {
    /// A session that has said nothing yet.
    pub fn new(settings: Arc<Settings>, services: Services, peer: Peer) -> Self {
        Self {
            connection: Connection {
                settings,
                services,
                peer,
                flow: Flow::default(),
                language: Language::Default,
                utf8: false,
                bad_commands: 0,
            },
            state: State::Greeting,
        }
    }

    /// Takes the state one step forward.
    fn advance(&mut self, state: State, now: Instant, out: &mut Output) -> Advance {
        let connection = &mut self.connection;
        match state {
            State::Greeting => {
                connection.reply(&Reply::ok(Text::Ready), out);
                (State::Authorization(Authorization::default()), None)
            }
            State::Authorization(authorization) => login::authorize(connection, authorization, out),
            State::LoggingIn(authorization, login) => {
                login.advance(connection, authorization, now, out)
            }
            State::StartingTls(_) => (state, Some(Step::StartTls)),
            State::Transaction(transaction) => transaction.advance(connection, out),
            State::Closed => (State::Closed, Some(Step::Close)),
        }
    }

    /// True if the answer to a command was begun and not ended: nothing else may be said.
    fn is_answering(&self) -> bool {
        match &self.state {
            State::Transaction(transaction) => transaction.is_answering(),
            State::Greeting
            | State::Authorization(_)
            | State::LoggingIn(..)
            | State::StartingTls(_)
            | State::Closed => false,
        }
    }
}

impl Protocol for Session {
    fn feed(&mut self, input: &[u8]) {
        self.connection.flow.feed(input);
    }

    fn step(&mut self, now: Instant, output: &mut Output) -> Step {
        loop {
            if output.len() >= HIGH_WATER_OCTETS {
                return Step::Write;
            }
            let state = std::mem::replace(&mut self.state, State::Closed);
            let (state, step) = self.advance(state, now, output);
            self.state = state;
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn work(&mut self, output: &mut Output) {
        match &mut self.state {
            State::LoggingIn(_, login) => login.work(&self.connection),
            State::Transaction(transaction) => transaction.work(&mut self.connection, output),
            State::Greeting | State::Authorization(_) | State::StartingTls(_) | State::Closed => {}
        }
    }

    fn work_refused(&mut self, output: &mut Output) {
        match &mut self.state {
            State::LoggingIn(_, login) => login.work_refused(),
            State::Transaction(transaction) => transaction.work_refused(&self.connection, output),
            State::Greeting | State::Authorization(_) | State::StartingTls(_) | State::Closed => {}
        }
    }

    fn tls_started(&mut self, tls: TlsInfo) {
        let connection = &mut self.connection;
        connection.flow.reset();
        connection.peer.tls = Some(tls);
        connection.language = Language::Default;
        connection.utf8 = false;
        let state = std::mem::replace(&mut self.state, State::Closed);
        self.state = match state {
            State::StartingTls(authorization) => State::Authorization(authorization.after_tls()),
            other => other,
        };
    }

    fn interrupt(&mut self, reason: Interrupt, output: &mut Output) {
        let reply = match reason {
            Interrupt::Full => Some(Reply::coded(Code::SysTemp, Text::Full)),
            Interrupt::Shutdown => Some(Reply::coded(Code::SysTemp, Text::ShuttingDown)),
            Interrupt::Displaced => Some(Reply::coded(Code::SysTemp, Text::Displaced)),
            Interrupt::Revoked => Some(Reply::err(Text::Revoked)),
            // RFC 1939 §3: closed "without removing any messages or sending any response"
            Interrupt::Timeout => None,
        };
        if let Some(reply) = reply
            && !self.is_answering()
        {
            self.connection.reply(&reply, output);
        }
        self.state = State::Closed;
    }

    fn is_authenticated(&self) -> bool {
        matches!(self.state, State::Transaction(_))
    }
}

impl Connection {
    /// Says something.
    pub(super) fn reply(&self, reply: &Reply, out: &mut Vec<u8>) {
        encode::reply(reply, self.language, out);
    }

    /// Reads the next command that is legal now. What is the same in every state is answered here.
    pub(super) fn next_command(&mut self, authenticated: bool, out: &mut Vec<u8>) -> Input {
        let line = match self.flow.next_line(MAX_COMMAND_OCTETS) {
            Line::None => return Input::Wait(self.wait(authenticated)),
            Line::Endless => return self.hang_up(&Reply::err(Text::LineTooLong), out),
            Line::Foreign => return self.hang_up(&Reply::err(Text::NoPop3), out),
            Line::TooLong => {
                return self.refuse(&Reply::err(Text::LineTooLong), authenticated, out);
            }
            Line::Whole(line) => line,
        };
        self.services.host.tally().count_command();
        let command = match parse::command(line.expose()) {
            Ok(command) => command,
            Err(ParseError::Http) if !authenticated => {
                return self.hang_up(&Reply::err(Text::Http), out);
            }
            Err(error) => return self.refuse(&Reply::err(objection(error)), authenticated, out),
        };
        let (name, legal) = table::row(&command);
        tracing::debug!(command = name, "command_read");
        if let Some(objection) = table::objection(legal, authenticated) {
            return self.refuse(&Reply::err(objection), authenticated, out);
        }
        self.bad_commands = 0;
        match command {
            Command::Capa => self.capa(authenticated, out),
            Command::Lang(range) => self.lang(range.as_deref(), out),
            Command::Utf8 => {
                self.utf8 = true;
                self.reply(&Reply::ok(Text::Utf8Mode), out);
            }
            command => return Input::Command(command),
        }
        Input::Answered
    }

    /// What to wait for when there is no whole line.
    fn wait(&self, authenticated: bool) -> Step {
        Step::Wait(Wait::for_input(
            match (authenticated, self.flow.has_input()) {
                (false, _) => Patience::Greeted,
                (true, false) => Patience::Idle,
                (true, true) => Patience::Command,
            },
        ))
    }

    /// Refuses a line that was no command, or not the right one; hangs up after too many.
    fn refuse(&mut self, reply: &Reply, authenticated: bool, out: &mut Vec<u8>) -> Input {
        self.bad_commands = self.bad_commands.saturating_add(1);
        let most = if authenticated {
            self.settings.max_bad_commands
        } else {
            self.settings.max_bad_commands_before_login
        };
        if self.bad_commands < most {
            self.reply(reply, out);
            return Input::Answered;
        }
        tracing::info!(commands = self.bad_commands, "too_many_bad_commands");
        self.hang_up(&Reply::err(Text::TooManyBadCommands), out)
    }

    /// Says why the session ends.
    fn hang_up(&self, reply: &Reply, out: &mut Vec<u8>) -> Input {
        self.reply(reply, out);
        self.part(reply.text);
        Input::HangUp
    }

    /// Notes for the log why the session ends.
    pub(super) fn part(&self, text: Text) {
        let why = match text {
            Text::Bye | Text::Removed => "logged_out".to_owned(),
            text => format!("hung_up: {}", text.in_language(Language::English)),
        };
        self.services.host.tally().set_parting(why);
    }

    /// CAPA
    fn capa(&self, authenticated: bool, out: &mut Vec<u8>) {
        let tls = self.peer.tls.is_some();
        let now = Circumstances {
            tls,
            stls: !tls && !authenticated && self.peer.may_start_tls,
        };
        self.reply(&Reply::ok(Text::Capabilities), out);
        for line in capabilities(&self.settings, now) {
            encode::item(&line, out);
        }
        encode::end(out);
    }

    /// LANG (RFC 6856 §3.2)
    fn lang(&mut self, range: Option<&str>, out: &mut Vec<u8>) {
        let chosen = match range {
            None => {
                self.reply(&Reply::ok(Text::Languages), out);
                for language in Language::ALL {
                    encode::language_listing(language, out);
                }
                return encode::end(out);
            }
            Some("*") => Some(self.settings.language),
            Some(range) => Language::find(range),
        };
        match chosen {
            Some(language) => {
                self.language = language;
                encode::reply_with_tag(&Reply::ok(Text::LanguageChosen), language, out);
            }
            None => self.reply(&Reply::err(Text::UnknownLanguage), out),
        }
    }

    /// Work for a thread of the volume that holds an account's spool.
    pub(super) fn work(&self, place: Arc<Path>, account: Arc<str>, is_answering: bool) -> Step {
        let mut if_stuck = Vec::new();
        if !is_answering {
            let reply = Reply::coded(Code::SysTemp, Text::StorageUnavailable);
            self.reply(&reply, &mut if_stuck);
        }
        Step::Work(Work {
            place,
            account,
            if_stuck,
            while_working: Vec::new(),
        })
    }
}

/// What a client hears whose line is no command.
const fn objection(error: ParseError) -> Text {
    match error {
        ParseError::UnknownCommand | ParseError::Http => Text::UnknownCommand,
        ParseError::Arguments => Text::BadArguments,
        ParseError::NotUtf8 => Text::NotUtf8,
        ParseError::NotBase64 => Text::NotBase64,
    }
}
