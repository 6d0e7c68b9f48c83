//! Who may log in: credentials, mechanisms, policy. Shared by both protocols.
//!
//! A session builds an [`Attempt`] and hands it to an [`Authenticator`], which decides on threads of its own and calls back. The
//! session obeys [`Denied::delay`] before it answers, and treats trouble of ours ([`Denial::Unavailable`]) never as a wrong password.

mod cache;
mod clock;
pub mod credential;
pub mod database;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod keyed;
mod log;
pub mod password;
mod policy;
mod pool;
pub mod sasl;
pub mod secret;
mod service;
pub mod user_name;
mod watcher;

pub use log::{LoginFacts, LoginResult, PRIVACY_REQUIRED, log_login};
pub use policy::PolicySettings;
pub use service::{CACHE_TTL, DEADLINE, QUEUE, Service, Settings, StartError, THREADS};

use secret::Secret;
use std::collections::BTreeSet;
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// The account's name as it is stored.
    pub user: Arc<str>,
    /// Where its mail lies, if not where the template says.
    pub spool: Option<PathBuf>,
    /// Capabilities that are switched off for the account, in capitals.
    pub disabled_capabilities: Arc<BTreeSet<String>>,
}

/// A login refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Why, as far as the client may know.
    pub reason: Denial,
    /// Why, for the log alone: one of [`detail`].
    pub detail: &'static str,
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

/// The answer when the trouble is ours.
const fn unavailable(detail: &'static str) -> Denied {
    Denied {
        reason: Denial::Unavailable,
        detail,
        delay: Duration::ZERO,
    }
}

/// Values of [`Denied::detail`]; the first three are what `conf/fail2ban` counts.
pub mod detail {
    /// No account has this name.
    pub const UNKNOWN_USER: &str = "unknown_user";
    /// The password is not the account's.
    pub const WRONG_PASSWORD: &str = "wrong_password";
    /// The account is disabled; whether the password was right is not told.
    pub const DISABLED: &str = "disabled";
    /// The password was right, but the mail of another account was asked for.
    pub const NOT_AUTHORIZED: &str = "not_authorized";
    /// Too many logins wait to be checked.
    pub const QUEUE_FULL: &str = "queue_full";
    /// The check took longer than its deadline, or its threads hang.
    pub const OVERDUE: &str = "overdue";
    /// Too many wrong passwords came before; this one was not looked at.
    pub const THROTTLED: &str = "throttled";
    /// The credential database does not answer.
    pub const STORE_UNAVAILABLE: &str = "store_unavailable";
    /// What is stored as the account's hash cannot be checked.
    pub const HASH_UNUSABLE: &str = "hash_unusable";
    /// A mistake of ours.
    pub const INTERNAL: &str = "internal_error";
}

/// What comes of an attempt.
pub type Outcome = Result<Accepted, Denied>;

/// Decides attempts.
pub trait Authenticator: Send + Sync + fmt::Debug {
    /// Begins to decide; `done` is called exactly once, at once or later from another thread.
    fn begin(&self, attempt: Attempt, done: Box<dyn FnOnce(Outcome) + Send>);
}
