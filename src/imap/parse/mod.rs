//! The grammar of commands (RFC 9051 §9, RFC 3501 §9 and the extensions in README's table), over whole commands.
//!
//! The octets of a command are all there when it is parsed, literals in their places; APPEND ends with the announcement of its first
//! message. Parsers are liberal in case, in the number of blanks and in octets above 127; where two readings would be possible they are
//! strict. Depth, ranges, items and names are bounded; time is linear.

mod append;
mod core;
mod date;
mod event_groups;
mod extension;
mod fetch;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod mailbox;
mod search;
mod select;
mod sequence;
mod store;

use self::core::{Expected, ParseResult, after_sp, end};
use super::types::command::{AppendNext, Command, CommandBody, LiteralHeader};
use super::types::core::{MailboxArg, Tag};
use super::types::response::Code;
use super::types::sequence::SequenceSet;
use nom::Parser;
use nom::combinator::map;
use std::borrow::Cow;

/// Why a command cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParseError {
    /// The tag, if it could be read.
    pub(crate) tag: Option<Tag>,
    /// A response code, if one fits.
    pub(crate) code: Option<Code>,
    /// For the client: ASCII, no line ends.
    pub(crate) text: Cow<'static, str>,
}

/// Parses a command with its line end: `command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF`
///
/// # Errors
/// [`ParseError`] says what was expected.
pub(crate) fn command(octets: &[u8]) -> Result<Command, ParseError> {
    let (tag, rest) = tag_of(octets)?;
    match tagged_command(rest) {
        Ok(body) => Ok(Command { tag, body }),
        Err(text) => Err(ParseError {
            tag: Some(tag),
            code: None,
            text,
        }),
    }
}

/// The tag of a command of which perhaps only the beginning is there.
pub(crate) fn tag(octets: &[u8]) -> Option<Tag> {
    let (tag, rest) = tag_of(octets).ok()?;
    rest.starts_with(b" ").then_some(tag)
}

/// True if a line, with its line end, begins an APPEND whose message literal it announces; false too if the literal is the mailbox name.
pub(crate) fn announces_message(octets: &[u8]) -> bool {
    let Ok((_, rest)) = tag_of(octets) else {
        return false;
    };
    let is_mailbox = |rest| matches!(after_sp(core::literal_header).parse(rest), Ok((&[], _)));
    after_sp(core::name)
        .parse(rest)
        .is_ok_and(|(rest, name)| name == "APPEND" && !is_mailbox(rest))
}

/// What follows a message's octets in APPEND, with its line end; `utf8` as it was announced.
///
/// # Errors
/// [`ParseError`] without a tag.
pub(crate) fn append_next(octets: &[u8], utf8: bool) -> Result<AppendNext, ParseError> {
    match append::append_next(utf8)(octets) {
        Ok((_, next)) => Ok(next),
        Err(error) => Err(ParseError {
            tag: None,
            code: None,
            text: expected("APPEND", &error),
        }),
    }
}

/// Longest announcement of a literal: `~{`, 19 digits, `+}`, CRLF; with some room for zeros.
pub(crate) const MAX_ANNOUNCEMENT_OCTETS: usize = 32;

/// The literal that a line announces at its end; the line comes with its line end, and perhaps without its beginning.
pub(crate) fn announced_literal(line: &[u8]) -> Option<LiteralHeader> {
    let from = line.len().saturating_sub(MAX_ANNOUNCEMENT_OCTETS);
    let tail = line.get(from..)?;
    let brace = tail.iter().rposition(|b| *b == b'{')?;
    let tilde = tail.get(..brace)?.ends_with(b"~");
    match core::literal_header(tail.get(brace - usize::from(tilde)..)?) {
        Ok((&[], header)) => Some(header),
        _ => None,
    }
}

/// A line without its line end.
pub(crate) fn without_line_end(octets: &[u8]) -> &[u8] {
    let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
    octets.strip_suffix(b"\r").unwrap_or(octets)
}

/// The tag and what follows.
fn tag_of(octets: &[u8]) -> Result<(Tag, &[u8]), ParseError> {
    if let Ok((rest, tag)) = core::tag(octets) {
        return Ok((tag, rest));
    }
    Err(ParseError {
        tag: None,
        code: None,
        text: if without_line_end(octets).is_empty() {
            "empty line".into()
        } else {
            "a command begins with a tag".into()
        },
    })
}

/// What follows the tag.
fn tagged_command(input: &[u8]) -> Result<CommandBody, Cow<'static, str>> {
    let Ok((rest, first)) = after_sp(core::name).parse(input) else {
        return Err("expected the name of a command after the tag".into());
    };
    let (rest, name, uid) = match first.as_str() {
        "UID" => match after_sp(core::name).parse(rest) {
            Ok((rest, name)) => (rest, name, true),
            Err(_) => return Err("UID: expected the name of a command".into()),
        },
        _ => (rest, first, false),
    };
    // the announcement of a message needs its line end
    let rest = if name == "APPEND" {
        rest
    } else {
        without_line_end(rest)
    };
    let Some(parsed) = arguments(&name, uid, rest) else {
        return Err("unknown command".into());
    };
    parsed
        .and_then(|(rest, body)| end(rest).map(|_| body))
        .map_err(|error| expected(&name, &error))
}

/// What follows a command's name; none if there is no such command.
fn arguments<'a>(name: &str, uid: bool, input: &'a [u8]) -> Option<ParseResult<'a, CommandBody>> {
    let alone = |body| Ok((input, body));
    Some(match (name, uid) {
        ("CAPABILITY", false) => alone(CommandBody::Capability),
        ("NOOP", false) => alone(CommandBody::Noop),
        ("LOGOUT", false) => alone(CommandBody::Logout),
        ("STARTTLS", false) => alone(CommandBody::StartTls),
        ("NAMESPACE", false) => alone(CommandBody::Namespace),
        ("IDLE", false) => alone(CommandBody::Idle),
        ("CHECK", false) => alone(CommandBody::Check),
        ("CLOSE", false) => alone(CommandBody::Close),
        ("UNSELECT", false) => alone(CommandBody::Unselect),
        ("EXPUNGE", false) => alone(CommandBody::Expunge),
        ("UNAUTHENTICATE", false) => alone(CommandBody::Unauthenticate),
        ("COMPRESS", false) => extension::compress(input),
        ("AUTHENTICATE", false) => extension::authenticate(input),
        ("LOGIN", false) => extension::login(input),
        ("ID", false) => extension::id(input),
        ("ENABLE", false) => extension::enable(input),
        ("SELECT", false) => map(select::select, CommandBody::Select).parse(input),
        ("EXAMINE", false) => map(select::select, CommandBody::Examine).parse(input),
        ("DELETE", false) => with_mailbox(input, CommandBody::Delete),
        ("SUBSCRIBE", false) => with_mailbox(input, CommandBody::Subscribe),
        ("UNSUBSCRIBE", false) => with_mailbox(input, CommandBody::Unsubscribe),
        ("CREATE", false) => mailbox::create(input),
        ("RENAME", false) => mailbox::rename(input),
        ("LIST", false) => map(mailbox::list, CommandBody::List).parse(input),
        ("LSUB", false) => mailbox::lsub(input),
        ("STATUS", false) => mailbox::status(input),
        ("APPEND", false) => append::append(input),
        ("EXPUNGE", true) => {
            map(after_sp(sequence::sequence_set), CommandBody::UidExpunge).parse(input)
        }
        ("SEARCH", uid) => search::search(uid)(input),
        ("FETCH", uid) => fetch::fetch(uid)(input),
        ("NOTIFY", false) => map(event_groups::notify, CommandBody::Notify).parse(input),
        ("CANCELUPDATE", false) => search::cancel_update(input),
        ("UIDBATCHES", false) => map(sequence::uid_batches, CommandBody::UidBatches).parse(input),
        ("STORE", uid) => map(store::store(uid), CommandBody::Store).parse(input),
        ("COPY", uid) => transfer(input, |set, mailbox| CommandBody::Copy {
            uid,
            set,
            mailbox,
        }),
        ("MOVE", uid) => transfer(input, |set, mailbox| CommandBody::Move {
            uid,
            set,
            mailbox,
        }),
        _ => return None,
    })
}

/// `SP mailbox`
fn with_mailbox(
    input: &[u8],
    body: impl FnMut(MailboxArg) -> CommandBody,
) -> ParseResult<'_, CommandBody> {
    map(after_sp(mailbox::mailbox), body).parse(input)
}

/// `copy = "COPY" SP sequence-set SP mailbox`, `move = "MOVE" SP sequence-set SP mailbox` (RFC 6851 §4.4); what follows the name
fn transfer(
    input: &[u8],
    body: impl Fn(SequenceSet, MailboxArg) -> CommandBody,
) -> ParseResult<'_, CommandBody> {
    let arguments = (after_sp(sequence::sequence_set), after_sp(mailbox::mailbox));
    map(arguments, |(set, mailbox)| body(set, mailbox)).parse(input)
}

/// Says what was expected, and where.
fn expected(name: &str, error: &nom::Err<Expected>) -> Cow<'static, str> {
    match error {
        nom::Err::Error(expected) | nom::Err::Failure(expected) => {
            format!("{name}: expected {}", expected.what).into()
        }
        nom::Err::Incomplete(_) => format!("{name}: incomplete").into(),
    }
}

#[cfg(test)]
mod tests;
