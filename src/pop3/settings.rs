//! Settings of the POP3 side, with their defaults.

use super::texts::Language;
use super::unique_id::UniqueIdFormat;
use std::collections::BTreeSet;
use std::time::Duration;

/// Commands answered with an error of form or state, one after the other, before the connection is closed; as many as for IMAP.
pub const MAX_BAD_COMMANDS: u32 = 20;

/// The same before login, where nothing but mistakes of a port scanner are to be expected.
pub const MAX_BAD_COMMANDS_BEFORE_LOGIN: u32 = 5;

/// Logins refused on one connection before it is closed.
pub const MAX_FAILED_LOGINS: u32 = 5;

/// How long a login waits for another session to give the maildrop back. Two programs that poll in the same moment then both
/// get their answer; one that finds a long download going on hears of it before its own time-out.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// What an administrator can choose for POP3.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct Settings {
    /// Take passwords on connections without TLS. Default false.
    pub allow_plaintext: bool,
    /// A maildrop is for one POP3 session at a time (RFC 1939 §4); IMAP is not kept out. If false, several may have it, each with
    /// what it saw at login. Default true.
    pub exclusive: bool,
    /// See [`LOCK_PATIENCE`].
    pub lock_patience: Duration,
    /// RETR sets `\Seen`. Default false: what one program has downloaded is still unread for the others.
    pub mark_seen: bool,
    /// How unique-ids are made (UIDL) for messages without a stored one. Default `dovecot`.
    pub unique_id_format: UniqueIdFormat,
    /// Time that must pass between two logins of one account, announced as LOGIN-DELAY and enforced (RFC 2449 §6.5). Default 0.
    pub login_delay: Duration,
    /// Days after which something outside of this server removes mail, announced as EXPIRE (RFC 2449 §6.7). Default none: `NEVER`.
    pub expire_days: Option<u32>,
    /// What `LANG *` chooses (RFC 6856 §3.2). Texts are in English until a client asks. Default `en`.
    pub language: Language,
    /// RETR and TOP refuse a message with octets outside ASCII in its header while the client has not said UTF8
    /// (`[UTF8]`, RFC 6856 §2.1). Default false: hardly a client says it, and one such message in the maildrop would stop it.
    pub refuse_utf8_headers: bool,
    /// Words that CAPA does not tell, in capitals, such as `IMPLEMENTATION`. Default none.
    pub disabled_capabilities: BTreeSet<String>,
    /// See [`MAX_BAD_COMMANDS`].
    pub max_bad_commands: u32,
    /// See [`MAX_BAD_COMMANDS_BEFORE_LOGIN`].
    pub max_bad_commands_before_login: u32,
    /// See [`MAX_FAILED_LOGINS`].
    pub max_failed_logins: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_plaintext: false,
            exclusive: true,
            lock_patience: LOCK_PATIENCE,
            mark_seen: false,
            unique_id_format: UniqueIdFormat::default(),
            login_delay: Duration::ZERO,
            expire_days: None,
            language: Language::English,
            refuse_utf8_headers: false,
            disabled_capabilities: BTreeSet::new(),
            max_bad_commands: MAX_BAD_COMMANDS,
            max_bad_commands_before_login: MAX_BAD_COMMANDS_BEFORE_LOGIN,
            max_failed_logins: MAX_FAILED_LOGINS,
        }
    }
}
