//! Settings of the IMAP side, with their defaults.

use super::flow::Limits;
use std::collections::BTreeSet;
use std::time::Duration;

/// Commands answered with BAD, one after the other, before the connection is closed; as many as Dovecot bears.
pub const MAX_BAD_COMMANDS: u32 = 20;

/// The same before login, where nothing but mistakes of a port scanner are to be expected.
pub const MAX_BAD_COMMANDS_BEFORE_LOGIN: u32 = 5;

/// Logins refused on one connection before it is closed.
pub const MAX_FAILED_LOGINS: u32 = 5;

/// Most messages in one APPEND (RFC 3502): each may hold an open file until the command ends.
pub const MAX_APPEND_MESSAGES: usize = 256;

/// Silence in IDLE after which the server says something. RFC 2177 has clients come back after 29 minutes, so that one which
/// does hears nothing, and one which does not is kept from its own time-out and that of the address translator between.
pub const IDLE_KEEP_ALIVE: Duration = Duration::from_secs(29 * 60);

/// Largest message that APPEND takes, in octets: 256 MiB.
pub const APPEND_LIMIT_OCTETS: u64 = 256 << 20;

/// What an administrator can choose for IMAP.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct Settings {
    /// Stands between the levels of a mailbox name that a client sees. Default `/`, so that names may hold dots.
    pub delimiter: char,
    /// `INBOX.x` and `INBOX/x` (with the delimiter) also name the mailbox `x`, for clients that were set up for Courier or an old
    /// Dovecot. Default true.
    pub inbox_alias: bool,
    /// Offer IMAP4rev2 (RFC 9051) beside IMAP4rev1. Default true.
    pub offer_rev2: bool,
    /// Announce `LITERAL-` (at most 4096 octets without asking) instead of `LITERAL+` (RFC 7888). Default false.
    pub literal_minus: bool,
    /// Take passwords on connections without TLS. Default false.
    pub allow_plaintext: bool,
    /// Capabilities not announced, in capitals as they are announced, such as `AUTH=LOGIN`. Default none.
    pub disabled_capabilities: BTreeSet<String>,
    /// What ID tells (RFC 2971): fields and values. Default the name alone, as a version helps only attackers.
    pub id: Vec<(&'static str, String)>,
    /// See [`MAX_BAD_COMMANDS`].
    pub max_bad_commands: u32,
    /// See [`MAX_BAD_COMMANDS_BEFORE_LOGIN`].
    pub max_bad_commands_before_login: u32,
    /// See [`MAX_FAILED_LOGINS`].
    pub max_failed_logins: u32,
    /// See [`MAX_APPEND_MESSAGES`].
    pub max_append_messages: usize,
    /// See [`APPEND_LIMIT_OCTETS`]; announced as APPENDLIMIT (RFC 7889).
    pub append_limit_octets: u64,
    /// Most messages that one command may process, announced as MESSAGELIMIT (RFC 9738). Default none: clients that do not know it lose
    /// track of what was done.
    pub message_limit: Option<u32>,
    /// Most messages that one COPY or APPEND may take, announced as SAVELIMIT (RFC 9738). Default none.
    pub save_limit: Option<u32>,
    /// See [`IDLE_KEEP_ALIVE`]; none: never.
    pub idle_keep_alive: Option<Duration>,
    /// Budgets of one command before login.
    pub budgets_before_login: Budgets,
    /// Budgets of one command after login.
    pub budgets: Budgets,
}

/// How much one command may take, message octets of APPEND apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// One line, in octets without literals.
    pub line_octets: usize,
    /// One literal, in octets.
    pub literal_octets: usize,
    /// The whole command, in octets.
    pub command_octets: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delimiter: '/',
            inbox_alias: true,
            offer_rev2: true,
            literal_minus: false,
            allow_plaintext: false,
            disabled_capabilities: BTreeSet::new(),
            id: vec![("name", env!("CARGO_PKG_NAME").to_owned())],
            max_bad_commands: MAX_BAD_COMMANDS,
            max_bad_commands_before_login: MAX_BAD_COMMANDS_BEFORE_LOGIN,
            max_failed_logins: MAX_FAILED_LOGINS,
            max_append_messages: MAX_APPEND_MESSAGES,
            append_limit_octets: APPEND_LIMIT_OCTETS,
            message_limit: None,
            save_limit: None,
            idle_keep_alive: Some(IDLE_KEEP_ALIVE),
            budgets_before_login: Budgets::of(&Limits::BEFORE_LOGIN),
            budgets: Budgets::of(&Limits::AFTER_LOGIN),
        }
    }
}

impl Budgets {
    const fn of(limits: &Limits) -> Self {
        Self {
            line_octets: limits.max_line_octets,
            literal_octets: limits.max_literal_octets,
            command_octets: limits.max_command_octets,
        }
    }
}

impl Settings {
    /// How much a client may send that has logged in or not.
    pub(crate) const fn limits(&self, authenticated: bool) -> Limits {
        let (budgets, append_octets) = if authenticated {
            (self.budgets, self.append_limit_octets)
        } else {
            (self.budgets_before_login, 0)
        };
        Limits {
            max_line_octets: budgets.line_octets,
            max_literal_octets: budgets.literal_octets,
            max_command_octets: budgets.command_octets,
            literal_minus: self.literal_minus,
            max_append_octets: append_octets,
        }
    }
}
