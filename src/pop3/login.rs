//! The AUTHORIZATION state (RFC 1939 §4): USER and PASS, AUTH (RFC 5034), STLS (RFC 2595 §4), and the way from credentials to an
//! open maildrop.
//!
//! The authenticator decides on threads of its own; meanwhile nothing is read from the client. A refusal is answered after the
//! delay that came with it. Trouble of ours is never told as a wrong password. A maildrop that another session has is waited for.

use super::capabilities::{mechanisms, takes_passwords};
use super::commands::Transaction;
use super::encode;
use super::flow::{Line, MAX_RESPONSE_OCTETS};
use super::maildrop::Maildrop;
use super::parse;
use super::retrieval::store_refusal;
use super::session::{Advance, Connection, Input, State};
use super::texts::Text;
use super::types::{Code, Command, Reply};
use crate::auth::sasl::{self, Mechanism};
use crate::auth::secret::Secret;
use crate::auth::{
    Accepted, Attempt, Credentials, Denial, LoginFacts, LoginResult, Outcome, PRIVACY_REQUIRED,
    log_login,
};
use crate::mailbox::backend::{Account, Error, Intake, Mailbox, MaildropLock, Owner};
use crate::mailbox::name::MailboxName;
use crate::protocol::{Patience, Step, Wait};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two looks whether another session has given the maildrop back.
const LOCK_INTERVAL: Duration = Duration::from_millis(500);

/// What is known of a client that has not logged in.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    /// From USER, for PASS.
    user: Option<String>,
    failed_logins: u32,
}

impl Authorization {
    /// What is left after TLS was started: what the client said is forgotten, what it did is not.
    pub(super) fn after_tls(self) -> Self {
        Self { user: None, ..self }
    }
}

/// A login on its way.
#[derive(Debug)]
pub(super) enum Login {
    /// AUTH waits for a response.
    Exchange(Box<dyn Mechanism>),
    /// The authenticator is at work.
    Decision(Decision),
    /// A refusal waits for its time.
    Refusal(Refusal),
    /// The maildrop is being opened.
    Opening(Box<Opening>),
}

/// A login that is being decided.
#[derive(Debug)]
pub(super) struct Decision {
    user: String,
    mechanism: &'static str,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

/// A refusal and when it may be said.
#[derive(Debug)]
pub(super) struct Refusal {
    reply: Reply,
    until: Option<Instant>,
    /// It counts as a failed login.
    counts: bool,
}

/// An accepted login whose maildrop is not open yet.
#[derive(Debug)]
pub(super) struct Opening {
    accepted: Accepted,
    owner: Owner,
    mechanism: &'static str,
    /// Another session's maildrop is waited for until then.
    patience: Option<Instant>,
    /// When to try next.
    next: Option<Instant>,
    /// What came of the last try.
    result: Option<Result<Opened, NotOpened>>,
}

/// A maildrop with all that keeps it open.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) account: Arc<dyn Account>,
    pub(super) mailbox: Arc<dyn Mailbox>,
    #[expect(dead_code, reason = "held for what its end does")]
    lock: Option<Box<dyn MaildropLock>>,
    pub(super) maildrop: Maildrop,
}

/// Why a maildrop could not be opened.
#[derive(Debug)]
enum NotOpened {
    /// Another session has it.
    InUse,
    /// The store could not.
    Store(Error),
}

impl From<Error> for NotOpened {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// Reads and does a command of the AUTHORIZATION state.
pub(super) fn authorize(
    connection: &mut Connection,
    mut authorization: Authorization,
    out: &mut Vec<u8>,
) -> Advance {
    let command = match connection.next_command(false, out) {
        Input::Command(command) => command,
        Input::Wait(step) => return (State::Authorization(authorization), Some(step)),
        Input::Answered => return (State::Authorization(authorization), None),
        Input::HangUp => return (State::Closed, None),
    };
    let reply = match command {
        Command::Quit => {
            connection.reply(&Reply::ok(Text::Bye), out);
            connection.part(Text::Bye);
            return (State::Closed, None);
        }
        Command::Stls => match stls(connection) {
            Ok(()) => {
                connection.reply(&Reply::ok(Text::BeginTls), out);
                return (State::StartingTls(authorization), None);
            }
            Err(text) => Reply::err(text),
        },
        Command::User(_) | Command::Pass(_) | Command::Auth { .. } if !may_log_in(connection) => {
            log_privacy_required(connection, &command);
            Reply::err(Text::TlsFirst)
        }
        Command::User(name) => {
            authorization.user = Some(name);
            Reply::ok(Text::SendPassword)
        }
        Command::Pass(password) => match authorization.user.take() {
            Some(user) => return pass(connection, authorization, user, password),
            None => Reply::err(Text::UserFirst),
        },
        Command::Apop => Reply::err(Text::NoApop),
        Command::Mechanisms => {
            list_mechanisms(connection, out);
            return (State::Authorization(authorization), None);
        }
        Command::Auth {
            mechanism,
            initial_response,
        } => {
            let initial = initial_response.as_ref();
            return auth(connection, authorization, &mechanism, initial, out);
        }
        Command::Capa
        | Command::Noop
        | Command::Utf8
        | Command::Lang(_)
        | Command::Stat
        | Command::List(_)
        | Command::Uidl(_)
        | Command::Retr(_)
        | Command::Top(..)
        | Command::Dele(_)
        | Command::Rset => Reply::err(Text::NotLoggedIn),
    };
    connection.reply(&reply, out);
    (State::Authorization(authorization), None)
}

/// True if a password may come.
fn may_log_in(connection: &Connection) -> bool {
    takes_passwords(&connection.settings, connection.peer.tls.is_some())
}

/// Logs that a password would have come in the clear; PASS says nothing that USER has not said.
fn log_privacy_required(connection: &Connection, command: &Command) {
    let (user, mechanism) = match command {
        Command::User(user) => (&**user, "user"),
        Command::Auth { .. } => ("", "auth"),
        _ => return,
    };
    let result = LoginResult::Failed(PRIVACY_REQUIRED);
    log(connection, user, mechanism, result);
}

/// Whether TLS can be started.
fn stls(connection: &Connection) -> Result<(), Text> {
    match (&connection.peer.tls, connection.peer.may_start_tls) {
        (Some(_), _) => Err(Text::TlsIsUp),
        (None, false) => Err(Text::NoTls),
        (None, true) => Ok(()),
    }
}

/// `AUTH` without arguments, as old Outlook sends it.
fn list_mechanisms(connection: &Connection, out: &mut Vec<u8>) {
    connection.reply(&Reply::ok(Text::Mechanisms), out);
    for name in mechanisms(&connection.settings, connection.peer.tls.is_some()) {
        encode::item(name, out);
    }
    encode::end(out);
}

/// PASS
fn pass(
    connection: &Connection,
    authorization: Authorization,
    user: String,
    password: Secret,
) -> Advance {
    let credentials = Credentials {
        authcid: user,
        authzid: String::new(),
        password,
    };
    let login = Login::decide(connection, "user", credentials);
    (State::LoggingIn(authorization, login), None)
}

/// AUTH
fn auth(
    connection: &Connection,
    authorization: Authorization,
    name: &str,
    initial_response: Option<&Secret>,
    out: &mut Vec<u8>,
) -> Advance {
    let offered = mechanisms(&connection.settings, connection.peer.tls.is_some())
        .iter()
        .any(|offered| offered.eq_ignore_ascii_case(name));
    let Some(mechanism) = sasl::mechanism(name).filter(|_| offered) else {
        connection.reply(&Reply::err(Text::UnknownMechanism), out);
        return (State::Authorization(authorization), None);
    };
    match initial_response {
        None => {
            encode::challenge(&mechanism.first_challenge(), out);
            let login = Login::Exchange(mechanism);
            (State::LoggingIn(authorization, login), None)
        }
        Some(response) => respond(connection, authorization, mechanism, response, out),
    }
}

/// Hands a response to the mechanism.
fn respond(
    connection: &Connection,
    authorization: Authorization,
    mut mechanism: Box<dyn Mechanism>,
    response: &Secret,
    out: &mut Vec<u8>,
) -> Advance {
    let login = match mechanism.step(response.expose()) {
        sasl::Step::Challenge(challenge) => {
            encode::challenge(&challenge, out);
            Login::Exchange(mechanism)
        }
        sasl::Step::Verify(credentials) => Login::decide(connection, mechanism.name(), credentials),
        sasl::Step::Failure(reason) => {
            tracing::debug!(mechanism = mechanism.name(), reason, "exchange_failed");
            connection.reply(&Reply::err(Text::BadExchange), out);
            return (State::Authorization(authorization), None);
        }
    };
    (State::LoggingIn(authorization, login), None)
}

impl Login {
    /// Has the authenticator begin.
    fn decide(connection: &Connection, mechanism: &'static str, credentials: Credentials) -> Self {
        let user = credentials.authcid.clone();
        let outcome = Arc::new(Mutex::new(None));
        let decided = Arc::clone(&outcome);
        let waker = connection.services.host.waker();
        let peer = &connection.peer;
        let attempt = Attempt {
            credentials,
            mechanism,
            protocol: "pop3",
            connection: peer.id,
            remote: peer.remote,
            tls: peer.tls.as_ref().map(|tls| tls.version.clone()),
        };
        connection.services.authenticator.begin(
            attempt,
            Box::new(move |result| {
                *decided.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                waker();
            }),
        );
        Self::Decision(Decision {
            user,
            mechanism,
            outcome,
        })
    }

    /// Takes the login one step forward.
    pub(super) fn advance(
        self,
        connection: &mut Connection,
        authorization: Authorization,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Advance {
        match self {
            Self::Exchange(mechanism) => read_response(connection, authorization, mechanism, out),
            Self::Decision(decision) => {
                let outcome = decision
                    .outcome
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                match outcome {
                    Some(outcome) => {
                        let login = decision.decided(connection, outcome, now);
                        (State::LoggingIn(authorization, login), None)
                    }
                    None => wait(authorization, Self::Decision(decision), None),
                }
            }
            Self::Refusal(refusal) if refusal.until.is_some_and(|until| until > now) => {
                let until = refusal.until;
                wait(authorization, Self::Refusal(refusal), until)
            }
            Self::Refusal(refusal) => refusal.say(connection, authorization, out),
            Self::Opening(opening) => opening.advance(connection, authorization, now, out),
        }
    }

    /// Opens the maildrop, on a thread of its volume.
    pub(super) fn work(&mut self, connection: &Connection) {
        if let Self::Opening(opening) = self {
            opening.result = Some(opening.open(connection));
        }
    }

    /// The volume did not take the work.
    pub(super) fn work_refused(&mut self) {
        if let Self::Opening(opening) = self {
            opening.result = Some(Err(NotOpened::Store(Error::Unavailable)));
        }
    }
}

/// Reads the client's next response.
fn read_response(
    connection: &mut Connection,
    authorization: Authorization,
    mechanism: Box<dyn Mechanism>,
    out: &mut Vec<u8>,
) -> Advance {
    let text = match connection.flow.next_line(MAX_RESPONSE_OCTETS) {
        Line::None => {
            let wait = Wait::for_input(Patience::Greeted);
            let login = Login::Exchange(mechanism);
            return (
                State::LoggingIn(authorization, login),
                Some(Step::Wait(wait)),
            );
        }
        Line::Endless | Line::Foreign => {
            connection.reply(&Reply::err(Text::LineTooLong), out);
            connection.part(Text::LineTooLong);
            return (State::Closed, None);
        }
        Line::TooLong => Text::LineTooLong,
        Line::Whole(line) if line.expose() == b"*" => Text::Cancelled,
        Line::Whole(line) => match parse::response(line.expose()) {
            Ok(response) => return respond(connection, authorization, mechanism, &response, out),
            Err(_error) => Text::NotBase64,
        },
    };
    connection.reply(&Reply::err(text), out);
    (State::Authorization(authorization), None)
}

/// Waits for something of ours, until a moment at most.
const fn wait(authorization: Authorization, login: Login, at: Option<Instant>) -> Advance {
    let wait = Wait {
        input: false,
        at,
        patience: Patience::Ours,
    };
    (
        State::LoggingIn(authorization, login),
        Some(Step::Wait(wait)),
    )
}

impl Decision {
    /// What follows from the authenticator's decision.
    fn decided(self, connection: &Connection, outcome: Outcome, now: Instant) -> Login {
        let accepted = match outcome {
            Ok(accepted) => accepted,
            Err(denied) => {
                self.log(connection, LoginResult::Denied(&denied));
                let (reply, counts) = match denied.reason {
                    Denial::WrongCredentials => {
                        (Reply::coded(Code::Auth, Text::WrongCredentials), true)
                    }
                    Denial::NotAuthorized => (Reply::coded(Code::Auth, Text::NotAuthorized), true),
                    Denial::Unavailable => {
                        (Reply::coded(Code::SysTemp, Text::LoginUnavailable), false)
                    }
                };
                return Login::Refusal(Refusal {
                    reply,
                    until: now.checked_add(denied.delay),
                    counts,
                });
            }
        };
        let services = &connection.services;
        let delay = connection.settings.login_delay;
        if let Some(wait) = services.recent_logins.wait(&accepted.user, now, delay) {
            self.log(connection, LoginResult::Failed("login_delay"));
            let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let reply = Reply::coded(Code::LoginDelay, Text::LoginTooSoon).with([secs, 0]);
            return Login::Refusal(Refusal::at_once(reply));
        }
        if let Err(limit) = services.host.admit(&accepted.user) {
            tracing::debug!(%limit, "not_admitted");
            self.log(connection, LoginResult::Failed("connection_limit"));
            let reply = Reply::coded(Code::InUse, Text::TooManyConnections);
            return Login::Refusal(Refusal::at_once(reply));
        }
        let spool = accepted.spool.as_deref();
        Login::Opening(Box::new(Opening {
            owner: services.backend.locate(&accepted.user, spool),
            accepted,
            mechanism: self.mechanism,
            patience: now.checked_add(connection.settings.lock_patience),
            next: None,
            result: None,
        }))
    }

    /// Logs what became of it.
    fn log(&self, connection: &Connection, result: LoginResult<'_>) {
        log(connection, &self.user, self.mechanism, result);
    }
}

/// Logs what became of a login.
fn log(connection: &Connection, user: &str, mechanism: &'static str, result: LoginResult<'_>) {
    let peer = &connection.peer;
    let facts = LoginFacts {
        protocol: "pop3",
        user,
        mechanism,
        tls: peer.tls.as_ref().map(|tls| &*tls.version),
        remote: peer.remote,
        connection: peer.id,
    };
    log_login(&facts, result);
}

impl Refusal {
    /// A refusal that waits for nothing and is not held against the client.
    const fn at_once(reply: Reply) -> Self {
        Self {
            reply,
            until: None,
            counts: false,
        }
    }

    /// Says it; hangs up after too many.
    fn say(
        self,
        connection: &Connection,
        mut authorization: Authorization,
        out: &mut Vec<u8>,
    ) -> Advance {
        connection.reply(&self.reply, out);
        if self.counts {
            authorization.failed_logins = authorization.failed_logins.saturating_add(1);
        }
        if authorization.failed_logins >= connection.settings.max_failed_logins {
            tracing::info!(
                logins = authorization.failed_logins,
                "too_many_failed_logins"
            );
            connection.part(self.reply.text);
            return (State::Closed, None);
        }
        (State::Authorization(authorization), None)
    }
}

impl Opening {
    /// Goes on with what came of the last try.
    fn advance(
        mut self: Box<Self>,
        connection: &Connection,
        authorization: Authorization,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Advance {
        let reply = match self.result.take() {
            None => return self.try_when_due(connection, authorization, now),
            Some(Ok(opened)) => return (self.begin(connection, opened, now, out), None),
            Some(Err(NotOpened::InUse)) => {
                let next = now.checked_add(LOCK_INTERVAL);
                if next <= self.patience && next.is_some() {
                    self.next = next;
                    return (State::LoggingIn(authorization, Login::Opening(self)), None);
                }
                self.log(connection, LoginResult::Failed("maildrop_in_use"));
                Reply::coded(Code::InUse, Text::InUse)
            }
            Some(Err(NotOpened::Store(error))) => {
                self.log(connection, LoginResult::Failed("storage_unavailable"));
                store_refusal(&error)
            }
        };
        let refusal = Login::Refusal(Refusal::at_once(reply));
        (State::LoggingIn(authorization, refusal), None)
    }

    /// Asks for a thread, when it is time.
    fn try_when_due(
        self: Box<Self>,
        connection: &Connection,
        authorization: Authorization,
        now: Instant,
    ) -> Advance {
        if let Some(next) = self.next.filter(|next| *next > now) {
            return wait(authorization, Login::Opening(self), Some(next));
        }
        let place = self.owner.spool.as_path().into();
        let step = connection.work(place, Arc::clone(&self.accepted.user), false);
        (
            State::LoggingIn(authorization, Login::Opening(self)),
            Some(step),
        )
    }

    /// Opens account and INBOX and takes the maildrop, if it is for one session alone.
    fn open(&self, connection: &Connection) -> Result<Opened, NotOpened> {
        let account = connection.services.backend.open_maildrop(&self.owner)?;
        // what lies in new/ stays there: for mail programs on the spool it is still new
        let mailbox = account.open(&MailboxName::inbox(), Intake::Look)?;
        let lock = if connection.settings.exclusive {
            Some(mailbox.lock_maildrop()?.ok_or(NotOpened::InUse)?)
        } else {
            None
        };
        let maildrop = Maildrop::take_down(&*mailbox);
        Ok(Opened {
            account,
            mailbox,
            lock,
            maildrop,
        })
    }

    /// The client is in.
    fn begin(
        self: Box<Self>,
        connection: &Connection,
        opened: Opened,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> State {
        let user = &self.accepted.user;
        let services = &connection.services;
        services.host.tally().set_user(user);
        let delay = connection.settings.login_delay;
        services.recent_logins.note(user, now, delay);
        self.log(connection, LoginResult::Ok);
        let reply = Reply::ok(Text::LoggedIn).with(opened.maildrop.totals());
        connection.reply(&reply, out);
        State::Transaction(Box::new(Transaction::new(Arc::clone(user), opened)))
    }

    /// Logs what became of the login.
    fn log(&self, connection: &Connection, result: LoginResult<'_>) {
        log(connection, &self.accepted.user, self.mechanism, result);
    }
}
