//! LOGIN and AUTHENTICATE (RFC 9051 §6.2.2, §6.2.3, RFC 4959): from credentials to an open account.
//!
//! The authenticator decides on threads of its own; meanwhile nothing is read from the client. A refused login is answered after the delay
//! that came with the refusal. Trouble of ours is never told as a wrong password.

use super::activity::{Activity, Job};
use super::capabilities::{announces_mechanism, may_log_in};
use super::reply::{CommandError, Completed, plain};
use super::run::{NOT_NOW, NextLine};
use super::table::Row;
use super::{Authenticated, Session, State};
use crate::auth::sasl::{self, Mechanism};
use crate::auth::secret::Secret;
use crate::auth::{
    Accepted, Attempt, Credentials, Denial, LoginFacts, LoginResult, Outcome, log_login,
};
use crate::encoding::base64;
use crate::imap::encode;
use crate::imap::types::core::Tag;
use crate::imap::types::response::Code;
use crate::mailbox::backend::Owner;
use crate::protocol::{Patience, Step, Wait};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// AUTHENTICATE in progress.
#[derive(Debug)]
pub(super) struct Exchange {
    tag: Tag,
    row: &'static Row,
    name: &'static str,
    mechanism: Box<dyn Mechanism>,
}

/// A login that is being decided.
#[derive(Debug)]
pub(super) struct Decision {
    tag: Tag,
    row: &'static Row,
    mechanism: &'static str,
    user: String,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

/// A login that was accepted, before the account is open.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) tag: Tag,
    row: &'static Row,
    mechanism: &'static str,
    accepted: Accepted,
    owner: Owner,
}

impl Opening {
    /// Where the account lies.
    pub(super) fn place(&self) -> Arc<Path> {
        self.owner.spool.as_path().into()
    }

    /// Whose it is.
    pub(super) fn user(&self) -> Arc<str> {
        Arc::clone(&self.accepted.user)
    }
}

/// What a password without TLS gets.
const PRIVACY_REQUIRED: CommandError = CommandError::no(
    Code::PrivacyRequired,
    "password not taken without encryption: switch on SSL/TLS or STARTTLS in your mail program",
);

impl Session {
    /// LOGIN
    pub(super) fn log_in(&mut self, tag: Tag, row: &'static Row, user: &[u8], password: Secret) {
        if !self.may_log_in() {
            let user = String::from_utf8_lossy(user);
            return self.refuse_in_clear(tag, row, &user, "login");
        }
        let credentials = Credentials {
            authcid: String::from_utf8_lossy(user).into_owned(),
            authzid: String::new(),
            password,
        };
        self.decide(tag, row, "login", credentials);
    }

    /// AUTHENTICATE
    pub(super) fn authenticate(
        &mut self,
        tag: Tag,
        row: &'static Row,
        mechanism: &str,
        initial_response: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) {
        let known = sasl::NAMES
            .iter()
            .copied()
            .filter(|name| announces_mechanism(&self.settings, name))
            .find(|name| *name == mechanism);
        if !self.may_log_in() {
            // whose password it would have been lies in the response, which is not looked at
            return self.refuse_in_clear(tag, row, "", known.unwrap_or("unknown"));
        }
        let Some((name, mechanism)) = known.and_then(|name| Some((name, sasl::mechanism(name)?)))
        else {
            let error = CommandError::no(Code::Cannot, "unsupported authentication mechanism");
            return self.end(tag, row, Err(error));
        };
        let exchange = Exchange {
            tag,
            row,
            name,
            mechanism,
        };
        match initial_response {
            None => {
                let challenge = exchange.mechanism.first_challenge();
                encode::continuation(&base64::encode(&challenge), out);
                self.activity = Activity::Exchange(exchange);
            }
            Some(b"=") => self.take_response(exchange, &[], out),
            Some(response) => self.take_base64(exchange, response, out),
        }
    }

    /// Takes the client's next line.
    pub(super) fn continue_exchange(
        &mut self,
        exchange: Exchange,
        out: &mut Vec<u8>,
    ) -> Option<Step> {
        let error = match self.next_line(out) {
            NextLine::None => {
                self.activity = Activity::Exchange(exchange);
                return Some(Step::Wait(Wait::for_input(Patience::Greeted)));
            }
            NextLine::Whole(line) if line == b"*" => CommandError::bad("authentication cancelled"),
            NextLine::Whole(line) => {
                self.take_base64(exchange, &line, out);
                return None;
            }
            NextLine::Bad(error) => error,
            NextLine::Fatal => return None,
        };
        self.end(exchange.tag, exchange.row, Err(error));
        None
    }

    fn may_log_in(&self) -> bool {
        may_log_in(&self.settings, self.peer.tls.is_some())
    }

    /// Refuses a password that came, or would have come, without encryption.
    fn refuse_in_clear(
        &mut self,
        tag: Tag,
        row: &'static Row,
        user: &str,
        mechanism: &'static str,
    ) {
        let reason = LoginResult::Failed(crate::auth::PRIVACY_REQUIRED);
        self.log(user, mechanism, reason);
        self.end(tag, row, Err(PRIVACY_REQUIRED));
    }

    fn take_base64(&mut self, exchange: Exchange, response: &[u8], out: &mut Vec<u8>) {
        match base64::decode(response) {
            Some(response) => self.take_response(exchange, &response, out),
            None => {
                let error = CommandError::bad("response is not base64");
                self.end(exchange.tag, exchange.row, Err(error));
            }
        }
    }

    /// Hands a response to the mechanism.
    fn take_response(&mut self, mut exchange: Exchange, response: &[u8], out: &mut Vec<u8>) {
        match exchange.mechanism.step(response) {
            sasl::Step::Challenge(challenge) => {
                encode::continuation(&base64::encode(&challenge), out);
                self.activity = Activity::Exchange(exchange);
            }
            sasl::Step::Verify(credentials) => {
                let Exchange { tag, row, name, .. } = exchange;
                self.decide(tag, row, name, credentials);
            }
            sasl::Step::Failure(reason) => {
                let error = CommandError::Bad(None, reason.into());
                self.end(exchange.tag, exchange.row, Err(error));
            }
        }
    }

    /// Has the authenticator begin.
    fn decide(
        &mut self,
        tag: Tag,
        row: &'static Row,
        mechanism: &'static str,
        credentials: Credentials,
    ) {
        let outcome = Arc::new(Mutex::new(None));
        let decided = Arc::clone(&outcome);
        let waker = self.services.host.waker();
        let user = credentials.authcid.clone();
        let attempt = Attempt {
            credentials,
            mechanism,
            protocol: "imap",
            connection: self.peer.id,
            remote: self.peer.remote,
            tls: self.peer.tls.as_ref().map(|tls| tls.version.clone()),
        };
        self.services.authenticator.begin(
            attempt,
            Box::new(move |result| {
                *decided.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                waker();
            }),
        );
        self.activity = Activity::Decision(Decision {
            tag,
            row,
            mechanism,
            user,
            outcome,
        });
    }

    /// Goes on when the authenticator has decided.
    pub(super) fn await_decision(&mut self, decision: Decision, now: Instant) -> Option<Step> {
        let outcome = decision
            .outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match outcome {
            None => {
                self.activity = Activity::Decision(decision);
                return Some(Step::Wait(Wait {
                    input: false,
                    at: None,
                    patience: Patience::Ours,
                }));
            }
            Some(Ok(accepted)) => self.admit(decision, accepted),
            Some(Err(denied)) => {
                let result = LoginResult::Denied(&denied);
                self.log(&decision.user, decision.mechanism, result);
                let error = match denied.reason {
                    Denial::WrongCredentials => {
                        self.failed_logins = self.failed_logins.saturating_add(1);
                        CommandError::no(Code::AuthenticationFailed, "authentication failed")
                    }
                    Denial::NotAuthorized => {
                        self.failed_logins = self.failed_logins.saturating_add(1);
                        CommandError::no(Code::AuthorizationFailed, "authorization failed")
                    }
                    Denial::Unavailable => CommandError::no(
                        Code::Unavailable,
                        "trouble on the server: the password was not checked, try again later",
                    ),
                };
                self.end(decision.tag, decision.row, Err(error));
                self.put_off(now.checked_add(denied.delay));
            }
        }
        None
    }

    /// Has the answer wait, and hangs up after it if there were too many like it.
    fn put_off(&mut self, until: Option<Instant>) {
        let too_many = self.failed_logins >= self.settings.max_failed_logins;
        let activity = std::mem::replace(&mut self.activity, Activity::Ready);
        self.activity = match activity {
            Activity::Finish(mut finish) => {
                if too_many {
                    finish.bye = Some(plain("Too many failed logins"));
                }
                Activity::Delay(until, finish)
            }
            other => other,
        };
    }

    /// Goes on when the moment has come.
    pub(super) fn delay(
        &mut self,
        until: Option<Instant>,
        finish: Box<super::activity::Finish>,
        now: Instant,
    ) -> Option<Step> {
        if until.is_none_or(|until| until <= now) {
            self.activity = Activity::Finish(finish);
            return None;
        }
        self.activity = Activity::Delay(until, finish);
        Some(Step::Wait(Wait {
            input: false,
            at: until,
            patience: Patience::Ours,
        }))
    }

    /// The credentials are right: counts the connection and has the account opened.
    fn admit(&mut self, decision: Decision, accepted: Accepted) {
        if let Err(reason) = self.services.host.admit(&accepted.user) {
            let result = LoginResult::Failed("connection_limit");
            self.log(&accepted.user, decision.mechanism, result);
            let error = CommandError::No(Some(Code::Limit), reason.into());
            return self.end(decision.tag, decision.row, Err(error));
        }
        let owner = self
            .services
            .backend
            .locate(&accepted.user, accepted.spool.as_deref());
        self.activity = Activity::Work(Box::new(Job::Open(Opening {
            tag: decision.tag,
            row: decision.row,
            mechanism: decision.mechanism,
            accepted,
            owner,
        })));
    }

    /// Opens the account, on a thread of its volume.
    pub(super) fn open_account(&mut self, opening: Opening) {
        if !matches!(self.state, State::NotAuthenticated) {
            return self.end(opening.tag, opening.row, Err(NOT_NOW));
        }
        match self.services.backend.open_account(&opening.owner) {
            Ok(account) => {
                let place = account.place();
                let user = opening.accepted.user;
                self.services.host.tally().set_user(&user);
                self.log(&user, opening.mechanism, LoginResult::Ok);
                self.state = State::Authenticated(Authenticated {
                    account,
                    user,
                    place,
                    disabled_capabilities: opening.accepted.disabled_capabilities,
                });
                self.flow.set_limits(self.settings.limits(true));
                let completed = Completed {
                    code: Some(Code::Capability(self.capabilities())),
                    text: Some("Logged in"),
                };
                self.end(opening.tag, opening.row, Ok(completed));
            }
            Err(error) => self.refuse_opening(opening, CommandError::Store(error)),
        }
    }

    /// The account could not be opened. The client hears only that it may pass: the log has the cause.
    pub(super) fn refuse_opening(&mut self, opening: Opening, error: CommandError) {
        let result = LoginResult::Failed("storage_unavailable");
        self.log(&opening.accepted.user, opening.mechanism, result);
        self.end(opening.tag, opening.row, Err(error));
    }

    fn log(&self, user: &str, mechanism: &'static str, result: LoginResult<'_>) {
        let facts = LoginFacts {
            protocol: "imap",
            user,
            mechanism,
            tls: self.peer.tls.as_ref().map(|tls| tls.version.as_str()),
            remote: self.peer.remote,
            connection: self.peer.id,
        };
        log_login(&facts, result);
    }
}
