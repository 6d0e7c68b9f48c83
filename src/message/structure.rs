//! MIME structure (RFC 2045, RFC 2046) as BODYSTRUCTURE tells it, with the place of every part.
//!
//! Invariants, for every part: `header.end == body.start`; both ranges lie in the message, and in the body of the part around it; a
//! multipart has at least one part; nesting is at most [`MAX_DEPTH`](super::limits::MAX_DEPTH) deep, so that walking and dropping the tree
//! by recursion is safe.

use super::envelope::Envelope;
use super::lines::push_crlf_keeping_nul;
use super::mime::MediaType;
pub(crate) use super::mime::{Disposition, Parameter};
use super::scanner;
use crate::encoding::{base64, quoted_printable};
use std::ops::Range;

/// One part of a message, or the message itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Header, with the empty line.
    pub(crate) header: Range<usize>,
    /// Body, without the line end that belongs to the next boundary.
    pub(crate) body: Range<usize>,
    /// Octets of the header in wire form.
    pub(crate) header_octets: u64,
    /// Octets of the body in wire form.
    pub(crate) body_octets: u64,
    /// Line ends in the body.
    pub(crate) body_lines: u64,
    /// Media type as written, or the default.
    pub(crate) media_type: Vec<u8>,
    /// Media subtype as written, or the default.
    pub(crate) media_subtype: Vec<u8>,
    /// Parameters of Content-Type.
    pub(crate) parameters: Vec<Parameter>,
    /// Content-ID
    pub(crate) id: Option<Vec<u8>>,
    /// Content-Description
    pub(crate) description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding as written; none if not given, which means 7bit.
    pub(crate) encoding: Option<Vec<u8>>,
    /// Content-Disposition
    pub(crate) disposition: Option<Disposition>,
    /// Content-Language; empty means NIL
    pub(crate) language: Vec<Vec<u8>>,
    /// Content-Location
    pub(crate) location: Option<Vec<u8>>,
    /// Content-MD5
    pub(crate) md5: Option<Vec<u8>>,
    /// What the body holds.
    pub(crate) content: Content,
}

/// What the body of a part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// No parts.
    Leaf,
    /// The parts of a multipart; never empty.
    Multipart(Vec<Part>),
    /// A message/rfc822 or message/global.
    Message {
        /// Envelope of the message inside.
        envelope: Box<Envelope>,
        /// The message inside.
        part: Box<Part>,
    },
}

/// The structure of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The message as a part.
    pub(crate) root: Part,
}

/// A transfer encoding (RFC 2045 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransferEncoding {
    /// 7bit, 8bit, binary
    Identity,
    /// quoted-printable
    QuotedPrintable,
    /// base64
    Base64,
}

impl Message {
    /// Finds the structure of a message.
    pub(crate) fn parse(message: &[u8]) -> Self {
        Self {
            root: scanner::scan(message, true),
        }
    }

    /// As [`Self::parse`], without counts, which are 0 then: all that is needed to look at the parts.
    pub(crate) fn outline(message: &[u8]) -> Self {
        Self {
            root: scanner::scan(message, false),
        }
    }

    /// All parts, each before those inside it.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> {
        let mut ahead = vec![&self.root];
        std::iter::from_fn(move || {
            let part = ahead.pop()?;
            match &part.content {
                Content::Leaf => {}
                Content::Multipart(parts) => ahead.extend(parts.iter().rev()),
                Content::Message { part, .. } => ahead.push(part),
            }
            Some(part)
        })
    }
}

impl Part {
    /// A part of that type with nothing in it, at an offset.
    pub(super) fn empty(at: usize, media_type: MediaType) -> Self {
        Self {
            header: at..at,
            body: at..at,
            header_octets: 0,
            body_octets: 0,
            body_lines: 0,
            media_type: media_type.kind,
            media_subtype: media_type.subtype,
            parameters: media_type.parameters,
            id: None,
            description: None,
            encoding: None,
            disposition: None,
            language: Vec::new(),
            location: None,
            md5: None,
            content: Content::Leaf,
        }
    }

    /// True for `text/…`.
    pub(crate) fn is_text(&self) -> bool {
        self.media_type.eq_ignore_ascii_case(b"text")
    }

    /// The value of a Content-Type parameter.
    pub(crate) fn parameter(&self, name: &[u8]) -> Option<&[u8]> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name.eq_ignore_ascii_case(name))
            .map(|parameter| parameter.value.as_slice())
    }

    /// The transfer encoding; none if it is not one of RFC 2045.
    pub(crate) fn transfer_encoding(&self) -> Option<TransferEncoding> {
        const NAMES: [(&[u8], TransferEncoding); 5] = [
            (b"7bit", TransferEncoding::Identity),
            (b"8bit", TransferEncoding::Identity),
            (b"binary", TransferEncoding::Identity),
            (b"quoted-printable", TransferEncoding::QuotedPrintable),
            (b"base64", TransferEncoding::Base64),
        ];
        let name = self.encoding.as_deref().unwrap_or(b"7bit");
        NAMES
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known))
            .map(|(_, encoding)| *encoding)
    }

    /// The body without its transfer encoding (BINARY, RFC 3516), lines ending in CRLF, NUL kept; none if the encoding is unknown.
    pub(crate) fn decoded(&self, message: &[u8]) -> Option<Vec<u8>> {
        let encoding = self.transfer_encoding()?;
        let body = message.get(self.body.clone()).unwrap_or_default();
        if encoding == TransferEncoding::Base64 {
            return Some(base64::decode_mime(body));
        }
        let mut wire = Vec::new();
        push_crlf_keeping_nul(body, &mut 0, &mut wire);
        Some(match encoding {
            TransferEncoding::QuotedPrintable => quoted_printable::decode(&wire),
            TransferEncoding::Identity | TransferEncoding::Base64 => wire,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encoding, body, what it holds.
    type Case<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);

    #[test]
    fn bodies_without_their_transfer_encoding() {
        let cases: [Case<'_>; 9] = [
            ("", b"a\nb=20\n\0", Some(b"a\r\nb=20\r\n\0")),
            ("7BIT", b"a\r\nb", Some(b"a\r\nb")),
            ("8bit", b"\xE9\n", Some(b"\xE9\r\n")),
            ("binary", b"\0\r\n", Some(b"\0\r\n")),
            (
                "quoted-printable (x)",
                b"a=\nb =\n =E9=0A\nc  \n",
                Some(b"ab  \xE9\n\r\nc\r\n"),
            ),
            ("Quoted-Printable", b"=3D", Some(b"=")),
            ("base64", b"aGVs\nbG8K\n", Some(b"hello\n")),
            ("BASE64", b"", Some(b"")),
            ("x-uuencode", b"begin", None),
        ];
        for (encoding, body, decoded) in cases {
            let header = format!("Content-Transfer-Encoding: {encoding}\n\n");
            let message = [header.as_bytes(), body].concat();
            let root = Message::parse(&message).root;
            assert_eq!(root.decoded(&message).as_deref(), decoded, "{encoding}");
        }
    }

    #[test]
    fn parts_come_before_those_inside() {
        let message = b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n\nin\n--b\nContent-Type: a/b\n";
        let structure = Message::parse(message);
        let subtypes: Vec<_> = structure
            .parts()
            .map(|part| part.media_subtype.as_slice())
            .collect();
        assert_eq!(subtypes, [b"mixed".as_slice(), b"rfc822", b"plain", b"b"]);
    }
}
