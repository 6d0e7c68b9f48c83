//! Numbers, strings and sets.

use crate::encoding::decimal::push_number;
use crate::mailbox::uid_set::UidSet;
use std::ops::RangeInclusive;

/// Longest quoted string sent; what is longer goes as a literal.
const MAX_QUOTED_OCTETS: usize = 1000;

/// `string = quoted / literal`: quoted where that is possible. NUL, which neither can hold, becomes `?`.
pub(super) fn push_string(text: &[u8], utf8: bool, out: &mut Vec<u8>) {
    let plain = |b: &u8| !matches!(b, 0 | b'\r' | b'\n' | 0x80..);
    let quotable = text.len() <= MAX_QUOTED_OCTETS
        && (text.iter().all(plain)
            || utf8
                && !text.iter().any(|b| matches!(b, 0 | b'\r' | b'\n'))
                && std::str::from_utf8(text).is_ok());
    if quotable {
        out.push(b'"');
        for octet in text {
            if matches!(octet, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*octet);
        }
        out.push(b'"');
    } else {
        push_literal_header(text.len() as u64, out);
        out.extend(text.iter().map(|b| if *b == 0 { b'?' } else { *b }));
    }
}

/// `nstring = string / nil`
pub(super) fn push_nstring(text: Option<&[u8]>, utf8: bool, out: &mut Vec<u8>) {
    match text {
        Some(text) => push_string(text, utf8, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// `astring = 1*ASTRING-CHAR / string`: an atom where no client can be in doubt, so neither with `]` nor like NIL.
pub(super) fn push_astring(text: &[u8], utf8: bool, out: &mut Vec<u8>) {
    let atom = |b: &u8| (0x21..0x7f).contains(b) && !b"(){%*\"\\]".contains(b);
    if text.is_empty() || text.eq_ignore_ascii_case(b"NIL") || !text.iter().all(atom) {
        push_string(text, utf8, out);
    } else {
        out.extend_from_slice(text);
    }
}

/// `"{" number64 "}" CRLF`
pub(super) fn push_literal_header(octets: u64, out: &mut Vec<u8>) {
    out.push(b'{');
    push_number(octets, out);
    out.extend_from_slice(b"}\r\n");
}

/// `uid-set`, `sequence-set`: ranges with commas between
pub(super) fn push_ranges(ranges: impl Iterator<Item = RangeInclusive<u32>>, out: &mut Vec<u8>) {
    for (index, range) in ranges.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_number(u64::from(*range.start()), out);
        if range.start() != range.end() {
            out.push(b':');
            push_number(u64::from(*range.end()), out);
        }
    }
}

/// `uid-set`
pub(super) fn push_uid_set(uids: &UidSet, out: &mut Vec<u8>) {
    push_ranges(uids.ranges(), out);
}

/// Items with a separator between.
pub(super) fn push_joined<T>(
    items: impl IntoIterator<Item = T>,
    separator: &[u8],
    out: &mut Vec<u8>,
    mut push: impl FnMut(T, &mut Vec<u8>),
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(separator);
        }
        push(item, out);
    }
}

/// `(`, items with blanks between, `)`
pub(super) fn push_list<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    push: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'(');
    push_joined(items, b" ", out, push);
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made(make: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        make(&mut out);
        out
    }

    #[test]
    fn strings() {
        for (text, plain, utf8) in [
            (&b""[..], &b"\"\""[..], &b"\"\""[..]),
            (b"a b", b"\"a b\"", b"\"a b\""),
            (b"a\"\\", b"\"a\\\"\\\\\"", b"\"a\\\"\\\\\""),
            ("ä".as_bytes(), "{2}\r\nä".as_bytes(), "\"ä\"".as_bytes()),
            (b"\xe4", b"{1}\r\n\xe4", b"{1}\r\n\xe4"),
            (b"a\r\nb", b"{4}\r\na\r\nb", b"{4}\r\na\r\nb"),
            (b"a\0", b"{2}\r\na?", b"{2}\r\na?"),
        ] {
            assert_eq!(made(|out| push_string(text, false, out)), plain);
            assert_eq!(made(|out| push_string(text, true, out)), utf8);
        }
        assert!(made(|out| push_string(&[b'a'; 1001], true, out)).starts_with(b"{1001}\r\n"));
    }

    #[test]
    fn astrings() {
        for (text, expected) in [
            ("INBOX", "INBOX"),
            ("a/b.c&AOQ-", "a/b.c&AOQ-"),
            ("", "\"\""),
            ("nil", "\"nil\""),
            ("a b", "\"a b\""),
            ("a]", "\"a]\""),
            ("a%", "\"a%\""),
        ] {
            let text = made(|out| push_astring(text.as_bytes(), false, out));
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn strings_are_read_back_by_the_parser(text: Vec<u8>, utf8: bool) {
            let text: Vec<u8> = text.into_iter().map(|b| b.max(1)).collect();
            let line = made(|out| {
                out.extend_from_slice(b"a SELECT ");
                push_astring(&text, utf8, out);
                out.extend_from_slice(b"\r\n");
            });
            let command = crate::imap::parse::command(&line).unwrap();
            let crate::imap::types::command::CommandBody::Select(select) = command.body else {
                panic!()
            };
            prop_assert_eq!(select.mailbox.0, text);
        }
    }
}
