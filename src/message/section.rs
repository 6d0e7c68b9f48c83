//! Sections of a message: part numbers, HEADER, TEXT, MIME (RFC 9051 §6.4.5.1).

use super::structure::{Content, Message, Part};
use std::num::NonZeroU32;
use std::ops::Range;

/// Which octets of a part are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SectionKind {
    /// `BODY[1.2]`: the body; without part numbers header and body.
    Whole,
    /// `HEADER` of the message or of a message/rfc822 part.
    Header,
    /// `TEXT` of the message or of a message/rfc822 part.
    Text,
    /// `MIME`: the header of the part itself.
    Mime,
}

/// The octets of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SectionRange {
    /// Where they lie in the stored message.
    pub(crate) range: Range<usize>,
    /// How many octets they have in wire form.
    pub(crate) octets: u64,
}

impl Message {
    /// The part with that number; none if there is no such part, or no number.
    ///
    /// A message that is no multipart has one part, 1, which is its body. The parts of a message/rfc822 are numbered as if they were
    /// parts of that part.
    pub(crate) fn part(&self, path: &[NonZeroU32]) -> Option<&Part> {
        let mut container = Some(&self.root);
        let mut found = None;
        for number in path {
            let part = numbered(container?, *number)?;
            container = match &part.content {
                Content::Leaf => None,
                Content::Multipart(_) => Some(part),
                Content::Message { part, .. } => Some(part),
            };
            found = Some(part);
        }
        found
    }

    /// The octets of a section; none if the message has no such section, which FETCH tells as an empty string or NIL.
    pub(crate) fn section(&self, path: &[NonZeroU32], kind: SectionKind) -> Option<SectionRange> {
        let part = if path.is_empty() {
            None
        } else {
            Some(self.part(path)?)
        };
        match (kind, part) {
            (SectionKind::Whole, None) => Some(whole(&self.root)),
            (SectionKind::Whole, Some(part)) => Some(body(part)),
            (SectionKind::Header, part) => Some(header(self.message_of(part)?)),
            (SectionKind::Text, part) => Some(body(self.message_of(part)?)),
            (SectionKind::Mime, part) => Some(header(part?)),
        }
    }

    /// The message that HEADER and TEXT are about: this one, or the one in a part.
    fn message_of<'a>(&'a self, part: Option<&'a Part>) -> Option<&'a Part> {
        match part {
            None => Some(&self.root),
            Some(part) => match &part.content {
                Content::Message { part, .. } => Some(part),
                Content::Leaf | Content::Multipart(_) => None,
            },
        }
    }
}

/// The part of a message or multipart with that number.
fn numbered(container: &Part, number: NonZeroU32) -> Option<&Part> {
    let index = usize::try_from(number.get() - 1).ok()?;
    match &container.content {
        Content::Multipart(parts) => parts.get(index),
        Content::Leaf | Content::Message { .. } => (index == 0).then_some(container),
    }
}

/// Header and body.
const fn whole(part: &Part) -> SectionRange {
    SectionRange {
        range: part.header.start..part.body.end,
        octets: part.header_octets + part.body_octets,
    }
}

/// The header.
fn header(part: &Part) -> SectionRange {
    SectionRange {
        range: part.header.clone(),
        octets: part.header_octets,
    }
}

/// The body.
fn body(part: &Part) -> SectionRange {
    SectionRange {
        range: part.body.clone(),
        octets: part.body_octets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9051 §6.4.5.1's example in small: 1 text, 2 application, 3 a message (3.1, 3.2), 4 multipart (4.1 image, 4.2 a message
    /// (4.2.1 text, 4.2.2 multipart (4.2.2.1, 4.2.2.2))).
    const MESSAGE: &[u8] = b"S: root\nContent-Type: multipart/mixed; boundary=a\n\n\
        --a\nP: 1\n\none\n\
        --a\nContent-Type: application/x\n\ntwo\n\
        --a\nContent-Type: message/rfc822\n\n\
        S: three\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n31\n--b\n\n32\n--b--\n\
        --a\nContent-Type: multipart/mixed; boundary=c\n\n\
        --c\nContent-Type: image/x\n\n41\n\
        --c\nContent-Type: message/rfc822\nP: 42\n\n\
        S: fortytwo\nContent-Type: multipart/mixed; boundary=d\n\n--d\n\n421\n\
        --d\nContent-Type: multipart/alternative; boundary=e\n\n--e\n\n4221\n--e\nP: 4222\n\n4222\n--e--\n\
        --d--\n--c--\n--a--\n";

    /// The text of a section, in `BODY[…]` notation.
    fn section<'a>(message: &'a [u8], name: &str) -> Option<&'a str> {
        let numbers: Vec<_> = name
            .split('.')
            .filter_map(|word| word.parse().ok())
            .collect();
        let kind = match name.rsplit('.').next().unwrap() {
            "HEADER" => SectionKind::Header,
            "TEXT" => SectionKind::Text,
            "MIME" => SectionKind::Mime,
            _ => SectionKind::Whole,
        };
        let found = Message::parse(message).section(&numbers, kind)?;
        let text = &message[found.range];
        assert_eq!(found.octets, super::super::lines::crlf_octets(text));
        Some(str::from_utf8(text).unwrap())
    }

    #[test]
    fn numbers_of_the_rfc_example() {
        assert_eq!(section(MESSAGE, "").map(str::as_bytes), Some(MESSAGE));
        for (name, text) in [
            (
                "HEADER",
                "S: root\nContent-Type: multipart/mixed; boundary=a\n\n",
            ),
            ("1", "one"),
            ("1.MIME", "P: 1\n\n"),
            ("2", "two"),
            ("2.MIME", "Content-Type: application/x\n\n"),
            (
                "3.HEADER",
                "S: three\nContent-Type: multipart/mixed; boundary=b\n\n",
            ),
            ("3.TEXT", "--b\n\n31\n--b\n\n32\n--b--"),
            ("3.1", "31"),
            ("3.2", "32"),
            ("3.2.MIME", "\n"),
            ("4.MIME", "Content-Type: multipart/mixed; boundary=c\n\n"),
            ("4.1", "41"),
            ("4.2.MIME", "Content-Type: message/rfc822\nP: 42\n\n"),
            (
                "4.2.HEADER",
                "S: fortytwo\nContent-Type: multipart/mixed; boundary=d\n\n",
            ),
            ("4.2.1", "421"),
            ("4.2.2", "--e\n\n4221\n--e\nP: 4222\n\n4222\n--e--"),
            ("4.2.2.1", "4221"),
            ("4.2.2.2", "4222"),
            ("4.2.2.2.MIME", "P: 4222\n\n"),
        ] {
            assert_eq!(section(MESSAGE, name), Some(text), "{name}");
        }
        let inner = [
            section(MESSAGE, "3.HEADER").unwrap(),
            section(MESSAGE, "3.TEXT").unwrap(),
        ];
        assert_eq!(section(MESSAGE, "3"), Some(inner.concat().as_str()));
    }

    #[test]
    fn sections_that_are_not_there() {
        for name in [
            "MIME", "5", "1.1", "1.HEADER", "1.TEXT", "4.HEADER", "3.3", "3.1.1", "4.2.2.3",
            "4.2.3", "99999",
        ] {
            assert_eq!(section(MESSAGE, name), None, "{name}");
        }
    }

    #[test]
    fn a_message_that_is_no_multipart_has_part_1() {
        let message = b"A: b\n\nbody\n";
        assert_eq!(section(message, "1"), Some("body\n"));
        assert_eq!(section(message, "TEXT"), Some("body\n"));
        assert_eq!(section(message, "1.MIME"), Some("A: b\n\n"));
        assert_eq!(section(message, "2"), None);
        assert_eq!(section(message, "1.1"), None);
    }

    #[test]
    fn a_message_that_is_a_message() {
        let message = b"Content-Type: message/rfc822\n\nS: in\n\ntext\n";
        assert_eq!(section(message, "1"), Some("S: in\n\ntext\n"));
        assert_eq!(section(message, "1.HEADER"), Some("S: in\n\n"));
        assert_eq!(section(message, "1.TEXT"), Some("text\n"));
        assert_eq!(section(message, "1.1"), Some("text\n"));
        assert_eq!(section(message, "1.1.MIME"), Some("S: in\n\n"));
        assert_eq!(section(message, "1.1.1"), None);
    }
}
