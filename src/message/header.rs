//! Header fields (RFC 5322 §2.2).
//!
//! A line that is no field, in the midst of a header, belongs to the header and is a field without a name. Only an empty line ends a
//! header.

use super::lines;
use memchr::memchr;
use std::cmp::Ordering;
use std::ops::Range;

/// One header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    /// Name without colon; empty if the line is no field.
    pub(crate) name: &'a [u8],
    /// What follows the colon, folded as stored, without the last line end.
    pub(crate) value: &'a [u8],
    /// The whole field with its line ends, as offsets into the header.
    pub(crate) raw: Range<usize>,
}

impl Field<'_> {
    /// True if the field has that name, in any case.
    pub(crate) fn is(&self, name: &[u8]) -> bool {
        !self.name.is_empty() && self.name.eq_ignore_ascii_case(name)
    }
}

/// Length of the header at the start of `message`, with the empty line that ends it.
pub(crate) fn octets(message: &[u8]) -> usize {
    octets_until(message, |_| false)
}

/// [`octets`], where a line may also end the header without being part of it.
pub(super) fn octets_until(message: &[u8], ends: impl Fn(&[u8]) -> bool) -> usize {
    let mut at = 0;
    while let Some(line) = line(message, at) {
        if ends(line) {
            break;
        }
        at += line.len();
        if is_empty_line(line) {
            break;
        }
    }
    at
}

/// The fields of a header, up to the empty line.
pub(crate) fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let field = field(header, at)?;
        at = field.raw.end;
        Some(field)
    })
}

/// The field that starts at an offset.
fn field(header: &[u8], at: usize) -> Option<Field<'_>> {
    let first = line(header, at).filter(|line| !is_empty_line(line))?;
    let mut end = at + first.len();
    while let Some(next) = line(header, end).filter(|next| starts_blank(next)) {
        end += next.len();
    }
    let text = without_line_end(header.get(at..end)?);
    let (name, value) = split_name(text).unwrap_or((b"", text));
    Some(Field {
        name,
        value,
        raw: at..end,
    })
}

/// The line that starts at an offset, with its end; none at the end of the input.
pub(super) fn line(input: &[u8], at: usize) -> Option<&[u8]> {
    let rest = input.get(at..).filter(|rest| !rest.is_empty())?;
    let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
    rest.get(..length)
}

/// True for the line that ends a header.
fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// True for a line that continues the field before it.
fn starts_blank(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..])
}

/// A line without its LF or CRLF.
pub(super) fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Name and value; blanks before the colon are obsolete but allowed (RFC 5322 §4.5.8).
fn split_name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = text.split_at(memchr(b':', text)?);
    let name = name.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then_some((name, value.get(1..)?))
}

/// Names of header fields, prepared to be looked for.
#[derive(Debug, Clone)]
pub(crate) struct FieldNames(Vec<Vec<u8>>);

impl FieldNames {
    /// These names, in any case.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let lower = names.into_iter().map(<[u8]>::to_ascii_lowercase);
        let mut names: Vec<_> = lower.filter(|name| !name.is_empty()).collect();
        names.sort_unstable_by(|one, other| by_length(one, other.iter().copied()));
        Self(names)
    }

    /// True if a name is among them.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        let lower = name.iter().map(u8::to_ascii_lowercase);
        self.0
            .binary_search_by(|known| by_length(known, lower.clone()))
            .is_ok()
    }
}

/// Compares names, the shorter one first: mostly that is all that has to be looked at.
fn by_length(one: &[u8], other: impl ExactSizeIterator<Item = u8>) -> Ordering {
    let lengths = one.len().cmp(&other.len());
    lengths.then_with(|| one.iter().copied().cmp(other))
}

/// The fields with the given names, or with `negate` all others, raw and in order, and the empty line that ends the header, if it has one
/// (RFC 9051 §6.4.5). Line ends as stored.
pub(crate) fn select(header: &[u8], names: &FieldNames, negate: bool) -> Vec<u8> {
    select_where(header, negate, |name| names.has(name) != negate)
}

/// The fields whose names are `wanted`, as of [`select`]; with `nameless` also lines that are no field.
pub(crate) fn select_where(
    header: &[u8],
    nameless: bool,
    wanted: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut end = 0;
    for field in fields(header) {
        let is_wanted = if field.name.is_empty() {
            nameless
        } else {
            wanted(field.name)
        };
        if is_wanted {
            out.extend_from_slice(header.get(field.raw.clone()).unwrap_or_default());
        }
        end = field.raw.end;
    }
    out.extend_from_slice(header.get(end..).unwrap_or_default());
    out
}

/// The unfolded value of the first field with that name, without white space around it.
pub(crate) fn value(header: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    fields(header)
        .find(|field| field.is(name))
        .map(|field| unfold(field.value))
}

/// A value without line ends, NUL replaced, without white space around it.
pub(crate) fn unfold(value: &[u8]) -> Vec<u8> {
    let value = value.trim_ascii();
    let mut unfolded = Vec::with_capacity(value.len());
    for line in value.split_inclusive(|octet| *octet == b'\n') {
        unfolded.extend_from_slice(if line.ends_with(b"\n") {
            without_line_end(line)
        } else {
            line
        });
    }
    lines::replace_nul(&mut unfolded);
    unfolded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &[u8] =
        b"From: a\r\nTO : b,\r\n\tc\r\n \r\nno field\nX-Bad Name: d\n: e\nto:f\nEmpty:\n\n";

    #[test]
    fn length() {
        let cases: [(&[u8], usize); 10] = [
            (b"", 0),
            (b"\n", 1),
            (b"\r\n", 2),
            (b"a: b", 4),
            (b"a: b\n", 5),
            (b"a: b\n\nbody\n\n", 6),
            (b"a: b\r\n\r\nbody", 8),
            (b"a: b\r\n\nbody", 7),
            (b"a: b\n\r\r\nbody", 12),
            (b"a: b\n \n\nbody", 8),
        ];
        for (message, expected) in cases {
            assert_eq!(octets(message), expected, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn names_and_values() {
        let found: Vec<_> = fields(HEADER)
            .map(|field| (field.name, field.value))
            .collect();
        let expected: [(&[u8], &[u8]); 7] = [
            (b"From", b" a"),
            (b"TO", b" b,\r\n\tc\r\n "),
            (b"", b"no field"),
            (b"", b"X-Bad Name: d"),
            (b"", b": e"),
            (b"to", b"f"),
            (b"Empty", b""),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn unfolded_values() {
        assert_eq!(value(HEADER, b"to").as_deref(), Some(b"b,\tc".as_slice()));
        assert_eq!(value(HEADER, b"EMPTY").as_deref(), Some(b"".as_slice()));
        assert_eq!(value(HEADER, b"cc"), None);
        assert_eq!(value(HEADER, b""), None);
        assert_eq!(unfold(b" a\0\r\n b\rc\n\td \r\n"), b"a\x80 b\rc\td");
    }

    #[test]
    fn selection() {
        let of = |names: &[&'static [u8]]| FieldNames::new(names.iter().copied());
        let names = &of(&[b"cc", b"To", b"", b"Tofu"]);
        assert_eq!(
            select(HEADER, names, false),
            b"TO : b,\r\n\tc\r\n \r\nto:f\n\n"
        );
        assert_eq!(
            select(HEADER, names, true),
            b"From: a\r\nno field\nX-Bad Name: d\n: e\nEmpty:\n\n"
        );
        assert_eq!(select(HEADER, &of(&[]), true), HEADER);
        assert_eq!(select(HEADER, &of(&[]), false), b"\n");
        assert_eq!(select(b"a: b", &of(&[b"a"]), false), b"a: b");
        assert_eq!(select(b"", &of(&[b""]), true), b"");
    }

    proptest! {
        #[test]
        fn fields_and_the_empty_line_are_the_header(message in "[aB: \t\r\n\0]{0,60}") {
            let header = &message.as_bytes()[..octets(message.as_bytes())];
            let mut end = 0;
            for field in fields(header) {
                prop_assert_eq!(field.raw.start, end);
                prop_assert!(field.raw.end > end);
                end = field.raw.end;
            }
            prop_assert!(matches!(&header[end..], b"" | b"\n" | b"\r\n"));
            let none = FieldNames::new(std::iter::empty());
            prop_assert_eq!(select(header, &none, true), header);
        }
    }
}
