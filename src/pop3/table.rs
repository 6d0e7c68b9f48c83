//! Which command is legal when: one row per command, nowhere else.

use super::texts::Text;
use super::types::Command;

/// In which states a command is legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Legal {
    /// In both.
    Always,
    /// In the AUTHORIZATION state (RFC 1939 §4).
    BeforeLogin,
    /// In the TRANSACTION state (RFC 1939 §5).
    AfterLogin,
}

/// Name and states of a command.
pub(crate) const fn row(command: &Command) -> (&'static str, Legal) {
    use Command as C;
    use Legal::{AfterLogin, Always, BeforeLogin};
    match command {
        C::Capa => ("CAPA", Always),    // RFC 2449 §5
        C::Quit => ("QUIT", Always),    // RFC 1939 §4, §6
        C::Lang(_) => ("LANG", Always), // RFC 6856 §3.1
        // RFC 6856 §2 has it before login; Outlook sends it after, and may
        C::Utf8 => ("UTF8", Always),
        C::Stls => ("STLS", BeforeLogin), // RFC 2595 §4
        C::User(_) => ("USER", BeforeLogin),
        C::Pass(_) => ("PASS", BeforeLogin),
        C::Apop => ("APOP", BeforeLogin),
        C::Mechanisms | C::Auth { .. } => ("AUTH", BeforeLogin), // RFC 5034 §4
        C::Noop => ("NOOP", AfterLogin),
        C::Stat => ("STAT", AfterLogin),
        C::List(_) => ("LIST", AfterLogin),
        C::Uidl(_) => ("UIDL", AfterLogin),
        C::Retr(_) => ("RETR", AfterLogin),
        C::Top(..) => ("TOP", AfterLogin),
        C::Dele(_) => ("DELE", AfterLogin),
        C::Rset => ("RSET", AfterLogin),
    }
}

/// What a client hears who sends a command in the wrong state; none if it is the right one.
pub(crate) const fn objection(legal: Legal, authenticated: bool) -> Option<Text> {
    match (legal, authenticated) {
        (Legal::BeforeLogin, true) => Some(Text::IsLoggedIn),
        (Legal::AfterLogin, false) => Some(Text::NotLoggedIn),
        (Legal::Always | Legal::AfterLogin, true) | (Legal::Always | Legal::BeforeLogin, false) => {
            None
        }
    }
}
