//! The grammar of commands: RFC 2449 §3, with the arguments of each command from its own RFC.
//!
//! A client may be somewhat careless: keywords in any case, spaces at the end of a line and several between arguments are taken.

use super::types::{Command, MessageNumber, ParseError};
use crate::auth::secret::Secret;
use crate::encoding::base64;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{digit1, space0, space1};
use nom::combinator::{all_consuming, map, opt, recognize};
use nom::multi::many0_count;
use nom::sequence::{delimited, pair, preceded, separated_pair};
use nom::{IResult, Parser};

type Parsed<'a, T> = IResult<&'a [u8], T>;

/// Beginnings of HTTP requests (RFC 9110 §9.3); as POP3 commands they are unknown.
const HTTP_METHODS: [&[u8]; 7] = [
    b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"PATCH",
];

/// `command = keyword *(SP param)` (RFC 2449 §3), without its CRLF.
///
/// # Errors
/// [`ParseError`]
pub(crate) fn command(line: &[u8]) -> Result<Command, ParseError> {
    let (arguments, keyword) = keyword(line).map_err(|_syntax| ParseError::UnknownCommand)?;
    let keyword = keyword.to_ascii_uppercase();
    match keyword.as_slice() {
        b"CAPA" => nothing(arguments, Command::Capa),
        b"NOOP" => nothing(arguments, Command::Noop),
        b"QUIT" => nothing(arguments, Command::Quit),
        b"RSET" => nothing(arguments, Command::Rset),
        b"STAT" => nothing(arguments, Command::Stat),
        b"STLS" => nothing(arguments, Command::Stls),
        b"UTF8" => nothing(arguments, Command::Utf8),
        b"APOP" => Ok(Command::Apop),
        b"LIST" => whole(arguments, opt(number)).map(Command::List),
        b"UIDL" => whole(arguments, opt(number)).map(Command::Uidl),
        b"DELE" => whole(arguments, number).map(Command::Dele),
        b"RETR" => whole(arguments, number).map(Command::Retr),
        b"TOP" => whole(arguments, top).map(|(message, lines)| Command::Top(message, lines)),
        b"LANG" => whole(arguments, opt(language_range)).map(Command::Lang),
        b"USER" => user(arguments),
        b"PASS" => pass(arguments),
        b"AUTH" => auth(arguments),
        method if HTTP_METHODS.contains(&method) => Err(ParseError::Http),
        _ => Err(ParseError::UnknownCommand),
    }
}

/// `keyword = 3*4VCHAR`, up to a space or the end; what follows is left.
fn keyword(line: &[u8]) -> Parsed<'_, &[u8]> {
    take_while1(|octet: u8| octet.is_ascii_graphic()).parse(line)
}

/// A command without arguments.
fn nothing(arguments: &[u8], command: Command) -> Result<Command, ParseError> {
    whole(arguments, |input| Ok((input, ()))).map(|()| command)
}

/// Arguments after the keyword, each with a space before it, up to the end of the line.
fn whole<'a, T>(
    arguments: &'a [u8],
    parser: impl Parser<&'a [u8], Output = T, Error = nom::error::Error<&'a [u8]>>,
) -> Result<T, ParseError> {
    all_consuming(delimited(space0, parser, space0))
        .parse(arguments)
        .map(|(_, value)| value)
        .map_err(|_syntax| ParseError::Arguments)
}

/// `1*DIGIT`; what is too large for us is the largest we know, so that the answer is that there is no such message.
fn digits(input: &[u8]) -> Parsed<'_, u64> {
    map(digit1, |digits: &[u8]| {
        digits.iter().fold(0_u64, |value, digit| {
            value
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        })
    })
    .parse(input)
}

/// `msg` (RFC 1939 §5)
fn number(input: &[u8]) -> Parsed<'_, MessageNumber> {
    map(digits, |value| {
        MessageNumber(u32::try_from(value).unwrap_or(u32::MAX))
    })
    .parse(input)
}

/// `msg n` (RFC 1939 §7)
fn top(input: &[u8]) -> Parsed<'_, (MessageNumber, u64)> {
    separated_pair(number, space1, digits).parse(input)
}

/// `language-range = (1*8ALPHA *("-" 1*8alphanum)) / "*"` (RFC 4647 §2.1)
fn language_range(input: &[u8]) -> Parsed<'_, String> {
    let subtag = || take_while1(|octet: u8| octet.is_ascii_alphanumeric());
    map(
        recognize(alt((
            tag(&b"*"[..]),
            recognize(pair(
                subtag(),
                many0_count(preceded(tag(&b"-"[..]), subtag())),
            )),
        ))),
        |range: &[u8]| String::from_utf8_lossy(range).into_owned(),
    )
    .parse(input)
}

/// The rest of the line after one space, spaces and all.
fn rest(arguments: &[u8]) -> Result<&[u8], ParseError> {
    arguments.strip_prefix(b" ").ok_or(ParseError::Arguments)
}

/// `USER name`: the name may hold spaces.
fn user(arguments: &[u8]) -> Result<Command, ParseError> {
    let name = std::str::from_utf8(rest(arguments)?).map_err(|_octets| ParseError::NotUtf8)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(ParseError::Arguments);
    }
    Ok(Command::User(name.to_owned()))
}

/// `PASS string`: one argument, whose spaces belong to the password (RFC 1939 §7).
fn pass(arguments: &[u8]) -> Result<Command, ParseError> {
    let password = rest(arguments)?;
    match std::str::from_utf8(password) {
        Ok(_text) => Ok(Command::Pass(Secret::new(password))),
        Err(_octets) => Err(ParseError::NotUtf8),
    }
}

/// `auth-command = "AUTH" SP sasl-mech [SP initial-response]` (RFC 5034 §5), or `AUTH` alone.
fn auth(arguments: &[u8]) -> Result<Command, ParseError> {
    let mechanism = take_while1(|octet: u8| octet.is_ascii_graphic());
    let initial = take_while(|octet: u8| octet.is_ascii_graphic());
    let (mechanism, initial): (&[u8], Option<&[u8]>) = match whole(
        arguments,
        opt(pair(mechanism, opt(preceded(space1, initial)))),
    )? {
        None => return Ok(Command::Mechanisms),
        Some(given) => given,
    };
    Ok(Command::Auth {
        mechanism: String::from_utf8_lossy(mechanism).into_owned(),
        initial_response: initial
            .filter(|initial| !initial.is_empty())
            .map(initial_response)
            .transpose()?,
    })
}

/// `initial-response = base64 / "="` (RFC 5034 §5)
fn initial_response(text: &[u8]) -> Result<Secret, ParseError> {
    if text == b"=" {
        return Ok(Secret::default());
    }
    response(text)
}

/// `base64` (RFC 5034 §5): what a client sends in the exchange of AUTH.
///
/// # Errors
/// [`ParseError::NotBase64`]
pub(crate) fn response(text: &[u8]) -> Result<Secret, ParseError> {
    base64::decode(text)
        .map(Secret::new)
        .ok_or(ParseError::NotBase64)
}

#[cfg(test)]
mod tests;
