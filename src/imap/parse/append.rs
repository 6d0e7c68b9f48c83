//! APPEND up to a message literal, and what may come between two of them.

use super::core::{ParseResult, after_sp, astring, blanks, end, fail, literal_header, named, word};
use super::date::date_time;
use super::store::settable_flags;
use crate::imap::types::command::{AppendMessage, AppendNext, CommandBody};
use crate::imap::types::core::MailboxArg;
use crate::mailbox::flag::NamedFlags;
use nom::Parser;
use nom::character::complete::char as octet;
use nom::combinator::opt;
use nom::sequence::preceded;

/// `append = "APPEND" SP mailbox append-message …` (RFC 3502 §6.3.11); what follows the name, up to the first message literal
pub(super) fn append(input: &[u8]) -> ParseResult<'_, CommandBody> {
    let (rest, mailbox) = after_sp(named("a mailbox name", astring)).parse(input)?;
    let (rest, message) = append_message(rest)?;
    let mailbox = MailboxArg(mailbox);
    Ok((rest, CommandBody::Append { mailbox, message }))
}

/// `append-message = [SP flag-list] [SP date-time] SP append-data`
///
/// `append-data = literal / literal8 / "UTF8" SP "(" literal8 ")"` (RFC 3516 §7, RFC 6855 §4), here up to the literal's octets.
/// A list that begins is the flags' and nothing else, so that a bad flag is told as such.
fn append_message(input: &[u8]) -> ParseResult<'_, AppendMessage> {
    let (rest, flags) = match after_sp(octet('(')).parse(input) {
        Ok(_) => after_sp(settable_flags).parse(input)?,
        Err(_) => (input, NamedFlags::default()),
    };
    let (rest, internal_date) = match after_sp(octet('"')).parse(rest) {
        Ok(_) => {
            let (rest, date) = after_sp(date_time).parse(rest)?;
            (rest, Some(date))
        }
        Err(_) => (rest, None),
    };
    let utf8_word = (word("UTF8"), blanks, octet('('));
    let (rest, utf8) = after_sp(opt(utf8_word)).parse(rest)?;
    let (rest, literal) = named("the message as a literal", literal_header).parse(rest)?;
    if utf8.is_some() && !literal.binary {
        return fail(rest, "~ before the literal");
    }
    if !rest.is_empty() {
        return fail(rest, "the octets of the message");
    }
    Ok((
        rest,
        AppendMessage {
            flags,
            internal_date,
            literal,
            utf8: utf8.is_some(),
        },
    ))
}

/// What follows a message's octets: the end of the command, or another message (RFC 3502). `utf8`: first the `)` of `UTF8 (~{n}…)`.
pub(super) fn append_next(utf8: bool) -> impl FnMut(&[u8]) -> ParseResult<'_, AppendNext> {
    move |input| {
        let rest = if utf8 {
            preceded(blanks, named(")", octet(')'))).parse(input)?.0
        } else {
            input
        };
        if let Ok((rest, ())) = end(super::without_line_end(rest)) {
            return Ok((rest, AppendNext::End));
        }
        let (rest, message) = append_message(rest)?;
        Ok((rest, AppendNext::Message(message)))
    }
}
