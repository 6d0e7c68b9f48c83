//! What may come next from a client: a command, a line of AUTHENTICATE or IDLE, the octets of an APPEND; and when it must be asked to
//! go on.
//!
//! Octets go in by [`Flow::feed`] in pieces of any size; the same octets give the same events however they were cut. The session asks for
//! what it can use: [`Flow::next_command`] between commands, [`Flow::next_line`] within AUTHENTICATE and IDLE, [`Flow::next_upload`]
//! within APPEND.

use super::types::command::{AppendNext, Command};
use super::types::core::Tag;
use super::types::response::Code;
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
    /// One APPEND message; what is announced larger gets `NO [TOOBIG]`.
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
}

/// What came.
#[derive(Debug)]
pub(crate) enum Event {
    /// Not enough yet: feed more.
    More,
    /// A literal of a command was announced: send a continuation request, then call again.
    Continue,
    /// A command. If it is APPEND, answer by [`Flow::accept_upload`] or [`Flow::refuse_upload`].
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
    /// A raw line without its end ([`Flow::next_line`]).
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

/// Largest piece of an APPEND message that is handed over at once.
pub(crate) const MAX_UPLOAD_PIECE_OCTETS: usize = 64 * 1024;

/// The incoming half of a connection.
#[derive(Debug)]
pub(crate) struct Flow {
    limits: Limits,
    input: Vec<u8>,
}

impl Flow {
    /// A connection of which nothing was heard yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            input: Vec::new(),
        }
    }

    /// Other limits, from the next command on.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes octets that came in.
    pub(crate) fn feed(&mut self, input: &[u8]) {
        self.input.extend_from_slice(input);
    }

    /// Forgets all that came in and was not used (STARTTLS).
    pub(crate) fn reset(&mut self) {
        self.input = Vec::new();
    }

    /// True if something has come in that was not used yet.
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// The next command: [`Event::More`], [`Event::Continue`], [`Event::Command`], [`Event::Bad`], [`Event::No`] or [`Event::Fatal`].
    pub(crate) fn next_command(&mut self) -> Event {
        Event::More
    }

    /// The next raw line: [`Event::More`], [`Event::Line`], [`Event::Bad`] without a tag for an overlong one, or [`Event::Fatal`].
    pub(crate) fn next_line(&mut self) -> Event {
        Event::More
    }

    /// Takes the message that was announced; then comes [`Flow::next_upload`]. True if the client waits for a continuation request.
    pub(crate) fn accept_upload(&mut self) -> bool {
        false
    }

    /// Does not take the message announced, or not the rest of the one that is coming. The session answers the command with NO or BAD at
    /// once and goes on with [`Flow::next_command`]; what the client sends of this command is passed over.
    pub(crate) fn refuse_upload(&mut self) {}

    /// The next piece of an accepted message: [`Event::More`], [`Event::UploadOctets`], [`Event::UploadEnd`], then
    /// [`Event::UploadNext`]; [`Event::Bad`], [`Event::No`] and [`Event::Fatal`] end the APPEND.
    pub(crate) fn next_upload(&mut self) -> Event {
        Event::More
    }
}
