//! The one line per login and per failure, the same for both protocols.
//!
//! `conf/fail2ban` matches it, so names, order and fields are kept: event, `remote`, `reason`, then what a stranger may have chosen.
//! The user's name is recorded as a string, which both log forms quote and escape, and never before the address: no name can
//! forge a line, a field or an address.

use super::{Denied, Outcome};
use std::net::SocketAddr;

/// Longest name that goes into a line, in characters; the rest is cut.
const MAX_USER_CHARS: usize = 128;

/// What became of a login, as it is logged: one line for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginResult<'a> {
    /// Logged in.
    Ok,
    /// Refused by the authenticator.
    Denied(&'a Denied),
    /// Refused by the session, before (no TLS, [`PRIVACY_REQUIRED`]) or after: a limit, or the mail could not be opened.
    Failed(&'a str),
}

/// Reason of a login refused since the password would have come in the clear.
pub const PRIVACY_REQUIRED: &str = "privacy_required";

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

/// Logs a login when it is decided, before any delay: `login_finished` or `login_failed`.
pub fn log_login(facts: &LoginFacts<'_>, result: LoginResult<'_>) {
    let LoginFacts {
        protocol,
        user,
        mechanism,
        tls,
        remote,
        connection,
    } = *facts;
    let user = user
        .char_indices()
        .nth(MAX_USER_CHARS)
        .and_then(|(end, _)| user.get(..end))
        .unwrap_or(user);
    let (remote, tls) = (remote.ip().to_canonical(), tls.unwrap_or("none"));
    let reason = match result {
        LoginResult::Ok => {
            tracing::info!(%remote, protocol, mechanism, tls, user, connection, "login_finished");
            return;
        }
        LoginResult::Denied(denied) => denied.detail,
        LoginResult::Failed(reason) => reason,
    };
    tracing::info!(%remote, reason, protocol, mechanism, tls, user, connection, "login_failed");
}

impl<'a> From<&'a Outcome> for LoginResult<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        match outcome {
            Ok(_) => Self::Ok,
            Err(denied) => Self::Denied(denied),
        }
    }
}
