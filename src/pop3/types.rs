//! Commands and replies as values.

use super::texts::Text;
use crate::auth::secret::Secret;

/// A message's number in this session, as a client names it (RFC 1939 §3): from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MessageNumber(pub(crate) u32);

impl MessageNumber {
    /// The number of the message at a position counted from zero.
    pub(crate) fn at(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// The position counted from zero; none for 0, which a client may well send.
    pub(crate) const fn index(self) -> Option<usize> {
        match self.0.checked_sub(1) {
            Some(index) => Some(index as usize),
            None => None,
        }
    }
}

/// What a client asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// `CAPA` (RFC 2449 §5)
    Capa,
    /// `NOOP`
    Noop,
    /// `QUIT`
    Quit,
    /// `UTF8` (RFC 6856 §2.1)
    Utf8,
    /// `LANG` with a language range, or without to hear which there are (RFC 6856 §3)
    Lang(Option<String>),
    /// `STLS` (RFC 2595 §4)
    Stls,
    /// `USER`
    User(String),
    /// `PASS`
    Pass(Secret),
    /// `APOP`
    Apop,
    /// `AUTH` without mechanism: which ones are there?
    Mechanisms,
    /// `AUTH` (RFC 5034 §4)
    Auth {
        /// The mechanism, as it was written.
        mechanism: String,
        /// The initial response, decoded; none if there is none.
        initial_response: Option<Secret>,
    },
    /// `STAT`
    Stat,
    /// `LIST` of one or of all
    List(Option<MessageNumber>),
    /// `UIDL` of one or of all
    Uidl(Option<MessageNumber>),
    /// `RETR`
    Retr(MessageNumber),
    /// `TOP`: message and how many lines of its body
    Top(MessageNumber, u64),
    /// `DELE`
    Dele(MessageNumber),
    /// `RSET`
    Rset,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// No command begins like this.
    UnknownCommand,
    /// Arguments are missing, too many or not of the form wanted.
    Arguments,
    /// A name, a password or a mechanism's data is not UTF-8 (RFC 6856 §2.2).
    NotUtf8,
    /// An initial response is not base64 (RFC 5034 §4).
    NotBase64,
    /// The beginning of an HTTP request: somebody is at the wrong port, or has a browser sent there.
    Http,
}

/// Response codes (RFC 2449 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The credentials are wrong (RFC 3206 §5).
    Auth,
    /// The credentials are right, but the maildrop is taken (RFC 2449 §8.1.2).
    InUse,
    /// The last login was too short a time ago (RFC 2449 §8.1.1).
    LoginDelay,
    /// Trouble of ours that will pass (RFC 3206 §4).
    SysTemp,
    /// Trouble of ours that somebody must look at (RFC 3206 §4).
    SysPerm,
    /// The message cannot be had without UTF8 (RFC 6856 §5).
    Utf8,
}

impl Code {
    /// The code as it is written on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "AUTH",
            Self::InUse => "IN-USE",
            Self::LoginDelay => "LOGIN-DELAY",
            Self::SysTemp => "SYS/TEMP",
            Self::SysPerm => "SYS/PERM",
            Self::Utf8 => "UTF8",
        }
    }
}

/// The status line that answers a command, or begins a longer answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    /// `+OK` or `-ERR`
    pub(crate) ok: bool,
    /// The response code.
    pub(crate) code: Option<Code>,
    /// What is said to a human.
    pub(crate) text: Text,
    /// The numbers in the text, in order.
    pub(crate) numbers: [u64; 2],
}

impl Reply {
    /// `+OK`
    pub(crate) const fn ok(text: Text) -> Self {
        Self {
            ok: true,
            code: None,
            text,
            numbers: [0; 2],
        }
    }

    /// `-ERR`
    pub(crate) const fn err(text: Text) -> Self {
        Self {
            ok: false,
            ..Self::ok(text)
        }
    }

    /// `-ERR` with a response code.
    pub(crate) const fn coded(code: Code, text: Text) -> Self {
        Self {
            code: Some(code),
            ..Self::err(text)
        }
    }

    /// With the numbers of the text.
    #[must_use]
    pub(crate) const fn with(self, numbers: [u64; 2]) -> Self {
        Self { numbers, ..self }
    }

    /// With the number of a message in the text.
    #[must_use]
    pub(crate) fn about(self, number: MessageNumber) -> Self {
        self.with([u64::from(number.0), 0])
    }
}
