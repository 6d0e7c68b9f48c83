//! Who may log in: credentials, mechanisms, policy. Shared by both protocols.
//!
//! A session builds an [`Attempt`] and hands it to an [`Authenticator`], which decides on threads of its own and calls back. The
//! session obeys [`Denied::delay`] before it answers, and treats trouble of ours ([`Denial::Unavailable`]) never as a wrong password.

pub mod credential;
pub mod database;
pub mod password;
mod policy;
pub mod sasl;
pub mod secret;
mod service;
pub mod user_name;

pub use policy::PolicySettings;
pub use service::{Service, Settings};

use secret::Secret;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a client gave to log in.
#[derive(Debug)]
pub struct Credentials {
    /// Authentication identity: whose password this is.
    pub authcid: String,
    /// Authorization identity: whose mail is wanted; empty if the same (RFC 4616 §2).
    pub authzid: String,
    /// The password.
    pub password: Secret,
}

/// One try to log in.
#[derive(Debug)]
pub struct Attempt {
    /// What the client gave.
    pub credentials: Credentials,
    /// `PLAIN`, `LOGIN`, or the command that carried user and password: `login`, `user`.
    pub mechanism: &'static str,
    /// `imap` or `pop3`.
    pub protocol: &'static str,
    /// Number of the connection, for the log.
    pub connection: u64,
    /// The client's address.
    pub remote: SocketAddr,
    /// TLS version, if TLS is up.
    pub tls: Option<String>,
}

/// Who logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The account's name as it is stored.
    pub user: Arc<str>,
    /// Where its mail lies, if not where the template says.
    pub spool: Option<PathBuf>,
}

/// A login refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub reason: Denial,
    /// How long the session waits before it answers.
    pub delay: Duration,
}

/// Why a login is refused; says no more than the client may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Unknown user, wrong password or disabled account: `[AUTHENTICATIONFAILED]`, `[AUTH]`.
    WrongCredentials,
    /// The password was right, but this identity may not act for the other: `[AUTHORIZATIONFAILED]`.
    NotAuthorized,
    /// Trouble of ours: store unreadable or locked, queue full: `[UNAVAILABLE]`, `[SYS/TEMP]`.
    Unavailable,
}

/// What comes of an attempt.
pub type Outcome = Result<Accepted, Denied>;

/// Decides attempts.
pub trait Authenticator: Send + Sync + fmt::Debug {
    /// Begins to decide; `done` is called exactly once, at once or later from another thread.
    fn begin(&self, attempt: Attempt, done: Box<dyn FnOnce(Outcome) + Send>);
}

/// What became of a login, as it is logged: one line for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginResult<'a> {
    /// Logged in.
    Ok,
    /// Refused by the authenticator.
    Denied(Denial),
    /// Refused afterwards: a limit, or the mail could not be opened.
    Failed(&'a str),
}

/// Who tried to log in, for the log.
#[derive(Debug, Clone, Copy)]
pub struct LoginFacts<'a> {
    /// `imap` or `pop3`
    pub protocol: &'static str,
    /// The name as the client gave it.
    pub user: &'a str,
    /// Mechanism or command.
    pub mechanism: &'static str,
    /// TLS version, if TLS is up.
    pub tls: Option<&'a str>,
    /// The client.
    pub remote: SocketAddr,
    /// Number of the connection.
    pub connection: u64,
}

/// Logs a login: `login_finished` or `login_failed`, in a form that fail2ban reads (`conf/fail2ban`).
pub fn log_login(facts: &LoginFacts<'_>, result: LoginResult<'_>) {
    let LoginFacts {
        protocol,
        user,
        mechanism,
        tls,
        remote,
        connection,
    } = *facts;
    let user = crate::encoding::escape::Escaped(user.as_bytes());
    let (remote, tls) = (remote.ip(), tls.unwrap_or("none"));
    let reason = match result {
        LoginResult::Ok => {
            tracing::info!(connection, protocol, user = %user, mechanism, tls, remote = %remote, "login_finished");
            return;
        }
        LoginResult::Denied(Denial::WrongCredentials) => "wrong_credentials",
        LoginResult::Denied(Denial::NotAuthorized) => "not_authorized",
        LoginResult::Denied(Denial::Unavailable) => "unavailable",
        LoginResult::Failed(reason) => reason,
    };
    tracing::info!(connection, protocol, user = %user, mechanism, tls, remote = %remote, reason, "login_failed");
}
