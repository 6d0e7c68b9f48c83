//! What comes out of a [`super::Flow`], and the limits it keeps.

use crate::imap::types::command::{AppendNext, Command};
use crate::imap::types::core::Tag;
use crate::imap::types::response::Code;
use std::borrow::Cow;

/// How much a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// One line, with its line end, without literals.
    pub(crate) max_line_octets: usize,
    /// One literal other than an APPEND message.
    pub(crate) max_literal_octets: usize,
    /// One command: lines, literals, everything but APPEND messages.
    pub(crate) max_command_octets: usize,
    /// LITERAL- is announced instead of LITERAL+ (RFC 7888 §5): non-synchronizing literals above 4096 octets are refused.
    pub(crate) literal_minus: bool,
    /// One APPEND message; what is announced larger gets `NO [TOOBIG]`. 0: not checked here, since APPEND is refused anyway.
    pub(crate) max_append_octets: u64,
}

impl Limits {
    /// For clients that have not logged in.
    pub(crate) const BEFORE_LOGIN: Self = Self {
        max_line_octets: 8 * 1024,
        max_literal_octets: 4 * 1024,
        max_command_octets: 16 * 1024,
        literal_minus: false,
        max_append_octets: 0,
    };

    /// For clients that have logged in; RFC 7162 §4 wants at least 8192 octets a line, clients with long UID sets send more.
    pub(crate) const AFTER_LOGIN: Self = Self {
        max_line_octets: 64 * 1024,
        max_literal_octets: 64 * 1024,
        max_command_octets: 256 * 1024,
        literal_minus: false,
        max_append_octets: 50 * 1024 * 1024,
    };

    /// Most octets of one command that are read away; beyond, the connection is closed.
    pub(super) const fn max_skipped_octets(&self) -> u64 {
        (self.max_command_octets as u64)
            .saturating_add(self.max_append_octets)
            .saturating_mul(4)
    }
}

/// Largest piece of an APPEND message that is handed over at once.
pub(crate) const MAX_UPLOAD_PIECE_OCTETS: u64 = 64 * 1024;

/// Largest non-synchronizing literal with LITERAL- (RFC 7888 §5).
pub(super) const MAX_LITERAL_MINUS_OCTETS: u64 = 4096;

/// What came.
#[derive(Debug)]
pub(crate) enum Event {
    /// Not enough yet: feed more.
    More,
    /// A literal of a command was announced: send a continuation request, then call again.
    Continue,
    /// A command. If it is APPEND, answer by [`Flow::accept_upload`](super::Flow::accept_upload) or [`Flow::refuse_upload`](super::Flow::refuse_upload).
    Command(Command),
    /// A command that cannot be understood, consumed with its literals: BAD.
    Bad {
        /// The tag, if it could be read.
        tag: Option<Tag>,
        /// A response code, if one fits.
        code: Option<Code>,
        /// What is wrong.
        text: Cow<'static, str>,
    },
    /// A command over a limit, consumed with its literals: NO.
    No {
        /// The tag.
        tag: Tag,
        /// Which kind of limit.
        code: Code,
        /// What is wrong.
        text: Cow<'static, str>,
    },
    /// A raw line without its end ([`Flow::next_line`](super::Flow::next_line)).
    Line(Vec<u8>),
    /// Octets of an APPEND message, at most [`MAX_UPLOAD_PIECE_OCTETS`].
    UploadOctets(Vec<u8>),
    /// The message's octets are complete (at once for `{0}`).
    UploadEnd,
    /// What comes after the message: another one, to be accepted or refused, or the end of the command.
    UploadNext(AppendNext),
    /// This client cannot be talked to: BYE and close.
    Fatal {
        /// A response code, if one fits.
        code: Option<Code>,
        /// Why.
        text: Cow<'static, str>,
    },
}

/// Why something is read away.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The tag, if it could be read.
    pub(super) tag: Option<Tag>,
    /// A response code, if one fits.
    pub(super) code: Option<Code>,
    /// What is wrong.
    pub(super) text: Cow<'static, str>,
    /// NO instead of BAD; only with tag and code.
    pub(super) no: bool,
}

/// What a client is told that does not come to an end.
pub(super) const TOO_MUCH_TEXT: &str = "command much too long";

/// What a client is told whose literal breaks LITERAL-.
pub(super) const LITERAL_MINUS_TEXT: &str = "non-synchronizing literal above 4096 octets";

impl Refusal {
    /// BAD
    pub(super) fn bad(
        tag: Option<Tag>,
        code: Option<Code>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            tag,
            code,
            text: text.into(),
            no: false,
        }
    }

    /// What the session is told.
    pub(super) fn into_event(self) -> Event {
        match self {
            Self {
                tag: Some(tag),
                code: Some(code),
                text,
                no: true,
            } => Event::No { tag, code, text },
            Self {
                tag, code, text, ..
            } => Event::Bad { tag, code, text },
        }
    }
}
