//! The smallest productions: blanks, atoms, strings, numbers; and what a parser says when it fails.

use crate::imap::types::command::LiteralHeader;
use crate::imap::types::core::{Octets, Tag};
use crate::mailbox::id::ModSeq;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take, take_while, take_while1};
use nom::character::complete::char as octet;
use nom::combinator::{map, opt, value, verify};
use nom::error::ErrorKind;
use nom::sequence::delimited;

/// What every parser gives.
pub(super) type ParseResult<'a, T> = nom::IResult<&'a [u8], T, Expected>;

/// What was expected where a parser failed. Of several alternatives, that which came furthest speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    /// Octets that were left.
    left: usize,
    /// For the client: `expected …`
    pub(super) what: &'static str,
}

impl nom::error::ParseError<&[u8]> for Expected {
    fn from_error_kind(input: &[u8], _: ErrorKind) -> Self {
        Self {
            left: input.len(),
            what: "something else",
        }
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }

    fn or(self, other: Self) -> Self {
        if self.left < other.left { self } else { other }
    }
}

/// Fails here, saying what was expected.
pub(super) fn fail<'a, T>(input: &'a [u8], what: &'static str) -> ParseResult<'a, T> {
    Err(nom::Err::Error(Expected {
        left: input.len(),
        what,
    }))
}

/// Names what a parser looks for, where it failed at its first octet.
pub(super) fn named<'a, O>(
    what: &'static str,
    mut parser: impl Parser<&'a [u8], Output = O, Error = Expected>,
) -> impl FnMut(&'a [u8]) -> ParseResult<'a, O> {
    move |input| {
        parser.parse(input).map_err(|error| {
            error.map(|expected| {
                if expected.left == input.len() {
                    Expected { what, ..expected }
                } else {
                    expected
                }
            })
        })
    }
}

/// `SP`; several are taken for one, as some clients send.
pub(super) fn sp(input: &[u8]) -> ParseResult<'_, ()> {
    named("a blank", value((), take_while1(|b| b == b' '))).parse(input)
}

/// Blanks where none should be: at the end of a line, inside of parentheses.
pub(super) fn blanks(input: &[u8]) -> ParseResult<'_, ()> {
    value((), take_while(|b| b == b' ')).parse(input)
}

/// The end of the command.
pub(super) fn end(input: &[u8]) -> ParseResult<'_, ()> {
    let (rest, ()) = blanks(input)?;
    if rest.is_empty() {
        Ok((rest, ()))
    } else {
        fail(rest, "the end of the command")
    }
}

/// A word of the grammar, in any case, not followed by further characters of an atom.
pub(super) fn word<'a>(word: &'static str) -> impl Parser<&'a [u8], Output = (), Error = Expected> {
    move |input: &'a [u8]| {
        let (rest, _) = tag_no_case(word).parse(input)?;
        match rest.first() {
            Some(&next) if is_atom_char(next) && next != b'.' => fail(input, word),
            _ => Ok((rest, ())),
        }
    }
}

/// `SP` and a parser.
pub(super) fn after_sp<'a, O>(
    parser: impl Parser<&'a [u8], Output = O, Error = Expected>,
) -> impl Parser<&'a [u8], Output = O, Error = Expected> {
    nom::sequence::preceded(sp, parser)
}

/// `"(" item *(SP item) ")"`; blanks inside of the parentheses are passed over.
pub(super) fn list1<'a, O>(
    mut item: impl Parser<&'a [u8], Output = O, Error = Expected>,
) -> impl Parser<&'a [u8], Output = Vec<O>, Error = Expected> {
    move |input: &'a [u8]| {
        let (mut rest, _) = named("(", (octet('('), blanks)).parse(input)?;
        let mut items = Vec::new();
        loop {
            let (after, parsed) = item.parse(rest)?;
            items.push(parsed);
            if let Ok((after, ())) = closing(after) {
                return Ok((after, items));
            }
            (rest, ()) = named(")", sp).parse(after)?;
        }
    }
}

/// `"(" [item *(SP item)] ")"`
pub(super) fn list0<'a, O>(
    item: impl Parser<&'a [u8], Output = O, Error = Expected>,
) -> impl Parser<&'a [u8], Output = Vec<O>, Error = Expected> {
    let empty = map((octet('('), closing), |_| Vec::new());
    alt((empty, list1(item)))
}

/// `)`, after blanks
pub(super) fn closing(input: &[u8]) -> ParseResult<'_, ()> {
    value((), (blanks, octet(')'))).parse(input)
}

/// `ATOM-CHAR = <any CHAR except atom-specials>`
pub(super) fn is_atom_char(b: u8) -> bool {
    b > 0x20 && b < 0x7f && !b"(){%*\"\\]".contains(&b)
}

/// `ASTRING-CHAR = ATOM-CHAR / resp-specials`, and octets above 127, which clients send that forget the quotes.
pub(super) fn is_astring_char(b: u8) -> bool {
    is_atom_char(b) || b == b']' || b >= 0x80
}

/// `list-char = ATOM-CHAR / list-wildcards / resp-specials`, and octets above 127.
pub(super) fn is_list_char(b: u8) -> bool {
    is_astring_char(b) || matches!(b, b'%' | b'*')
}

/// `atom = 1*ATOM-CHAR`
pub(super) fn atom(input: &[u8]) -> ParseResult<'_, &str> {
    let (rest, octets) = named("an atom", take_while1(is_atom_char)).parse(input)?;
    match std::str::from_utf8(octets) {
        Ok(text) => Ok((rest, text)),
        Err(_) => fail(input, "an atom"),
    }
}

/// `tag = 1*<any ASTRING-CHAR except "+">`
pub(super) fn tag(input: &[u8]) -> ParseResult<'_, Tag> {
    let is_tag_char = |b| (is_atom_char(b) || b == b']') && b != b'+';
    let (rest, octets) = named("a tag", take_while1(is_tag_char)).parse(input)?;
    match std::str::from_utf8(octets).ok().and_then(Tag::new) {
        Some(tag) if matches!(rest.first(), None | Some(b' ' | b'\r' | b'\n')) => Ok((rest, tag)),
        _ => fail(input, "a tag"),
    }
}

/// `astring = 1*ASTRING-CHAR / string`
pub(super) fn astring(input: &[u8]) -> ParseResult<'_, Octets> {
    named(
        "a string",
        alt((map(take_while1(is_astring_char), <[u8]>::to_vec), string)),
    )
    .parse(input)
}

/// `string = quoted / literal`
pub(super) fn string(input: &[u8]) -> ParseResult<'_, Octets> {
    match input.first() {
        Some(b'"') => quoted(input),
        Some(b'{') => literal(input),
        _ => fail(input, "a string"),
    }
}

/// `nstring = string / nil`
pub(super) fn nstring(input: &[u8]) -> ParseResult<'_, Option<Octets>> {
    alt((value(None, word("NIL")), map(string, Some))).parse(input)
}

/// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`; octets above 127 are taken whatever they are, since clients send them before it is agreed.
///
/// A backslash before any other character than `"` and `\` is refused: two readings would be possible.
pub(super) fn quoted(input: &[u8]) -> ParseResult<'_, Octets> {
    let (mut rest, _) = named("\"", octet('"')).parse(input)?;
    let mut text = Vec::new();
    loop {
        let mut plain = take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0));
        let (after, octets) = plain.parse(rest)?;
        text.extend_from_slice(octets);
        match after {
            [b'"', after @ ..] => return Ok((after, text)),
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                text.push(*escaped);
                rest = after;
            }
            [b'\\', ..] => return fail(after, "\" or \\ after a backslash"),
            _ => return fail(after, "a closing \""),
        }
    }
}

/// `literal = "{" number64 ["+"] "}" CRLF *CHAR8`
pub(super) fn literal(input: &[u8]) -> ParseResult<'_, Octets> {
    let (rest, header) = literal_header(input)?;
    let Ok(octets) = usize::try_from(header.octets) else {
        return fail(input, "a shorter literal");
    };
    let (rest, octets) = named("the octets of the literal", take(octets)).parse(rest)?;
    if header.binary || octets.contains(&0) {
        return fail(input, "a literal without NUL");
    }
    Ok((rest, octets.to_vec()))
}

/// `["~"] "{" number64 ["+"] "}" CRLF`: what announces a literal (RFC 3516 §7 for `~`); a bare LF is taken as line end.
pub(super) fn literal_header(input: &[u8]) -> ParseResult<'_, LiteralHeader> {
    let (rest, tilde) = opt(octet('~')).parse(input)?;
    let (rest, (octets, plus)) =
        delimited(octet('{'), (number64, opt(octet('+'))), octet('}')).parse(rest)?;
    let (rest, _) = named("a line end", (opt(octet('\r')), octet('\n'))).parse(rest)?;
    Ok((
        rest,
        LiteralHeader {
            octets,
            non_synchronizing: plus.is_some(),
            binary: tilde.is_some(),
        },
    ))
}

/// `number64 = 1*DIGIT`, below 2^63
pub(super) fn number64(input: &[u8]) -> ParseResult<'_, u64> {
    let (rest, digits) = named("a number", take_while1(|b: u8| b.is_ascii_digit())).parse(input)?;
    let parsed = digits.iter().try_fold(0_u64, |number, digit| {
        number
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))
            .filter(|number| i64::try_from(*number).is_ok())
    });
    match parsed {
        Some(number) => Ok((rest, number)),
        None => fail(input, "a smaller number"),
    }
}

/// `number = 1*DIGIT`, below 2^32
pub(super) fn number(input: &[u8]) -> ParseResult<'_, u32> {
    let (rest, number) = number64(input)?;
    match u32::try_from(number) {
        Ok(number) => Ok((rest, number)),
        Err(_) => fail(input, "a smaller number"),
    }
}

/// `nz-number = digit-nz *DIGIT`; leading zeros are passed over
pub(super) fn nz_number(input: &[u8]) -> ParseResult<'_, std::num::NonZeroU32> {
    let (rest, number) = number(input)?;
    match std::num::NonZeroU32::new(number) {
        Some(number) => Ok((rest, number)),
        None => fail(input, "a number above 0"),
    }
}

/// `mod-sequence-valzer = "0" / mod-sequence-value`, below 2^63 (RFC 7162 §7)
pub(super) fn mod_sequence(input: &[u8]) -> ParseResult<'_, ModSeq> {
    map(named("a mod-sequence", number64), ModSeq).parse(input)
}

/// The name of a command, option or item: letters, digits, `.`, `-`, `=`, `+` … in capitals.
pub(super) fn name(input: &[u8]) -> ParseResult<'_, String> {
    map(atom, str::to_ascii_uppercase).parse(input)
}

/// Exactly that many decimal digits.
pub(super) fn digits(count: usize) -> impl FnMut(&[u8]) -> ParseResult<'_, u32> {
    move |input| {
        let digits = verify(take(count), |digits: &[u8]| {
            digits.iter().all(u8::is_ascii_digit)
        });
        let (rest, digits) = named("digits", digits).parse(input)?;
        let value = digits.iter().fold(0_u32, |value, digit| {
            value.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'))
        });
        Ok((rest, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        let good: &[(&[u8], &[u8], &[u8])] = &[
            (b"INBOX rest", b"INBOX", b" rest"),
            (b"a]b", b"a]b", b""),
            (b"\"\"", b"", b""),
            (b"\"a \\\"b\\\\\" x", b"a \"b\\", b" x"),
            (b"{3}\r\na\"b rest", b"a\"b", b" rest"),
            (b"{3+}\r\nabc", b"abc", b""),
            (b"{3}\nabc", b"abc", b""),
            (b"{0}\r\n", b"", b""),
            (b"\"\xc3\xa4\"", b"\xc3\xa4", b""),
            (b"\xc3\xa4", b"\xc3\xa4", b""),
            (b"NIL", b"NIL", b""),
        ];
        for (input, text, rest) in good {
            assert_eq!(astring(input), Ok((*rest, text.to_vec())), "{input:?}");
        }
        let bad: &[&[u8]] = &[
            b"",
            b"(",
            b" a",
            b"%",
            b"\"a",
            b"\"a\\b\"",
            b"\"a\r\n\"",
            b"\"a\0\"",
            b"{4}\r\nabc",
            b"{3}abc",
            b"{3}\r\na\0b",
            b"{+3}\r\nabc",
            b"{-1}\r\n",
            b"{9999999999999999999}\r\n",
            b"{}\r\n",
        ];
        for input in bad {
            assert!(astring(input).is_err(), "{input:?}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(
            number64(b"9223372036854775807"),
            Ok((&b""[..], i64::MAX as u64))
        );
        assert!(number64(b"9223372036854775808").is_err());
        assert_eq!(number(b"4294967295"), Ok((&b""[..], u32::MAX)));
        assert!(number(b"4294967296").is_err());
        assert!(nz_number(b"0").is_err());
        assert!(number(b"-1").is_err());
        assert!(number(b"99999999999999999999999999999999").is_err());
    }

    #[test]
    fn the_furthest_alternative_speaks() {
        let both = alt((map(quoted, |_| ()), word("NIL"))).parse(b"\"abc");
        assert!(
            matches!(
                both,
                Err(nom::Err::Error(Expected {
                    what: "a closing \"",
                    ..
                }))
            ),
            "{both:?}"
        );
    }
}
