//! MIME structure (RFC 2045, RFC 2046) as BODYSTRUCTURE tells it, with the place of every part.

use super::envelope::Envelope;
use std::num::NonZeroU32;
use std::ops::Range;

/// `name=value` of a structured field; RFC 2231 names (`name*0*`) as they stand, values without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// Name as written.
    pub(crate) name: Vec<u8>,
    /// Value, quotes and their backslashes removed.
    pub(crate) value: Vec<u8>,
}

/// Content-Disposition (RFC 2183).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disposition {
    /// `inline`, `attachment` …
    pub(crate) kind: Vec<u8>,
    /// Its parameters.
    pub(crate) parameters: Vec<Parameter>,
}

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
    /// Finds the structure of a message.
    pub(crate) fn parse(message: &[u8]) -> Self {
        Self {
            root: Part::empty(message.len()),
        }
    }

    /// The part with that number (RFC 9051 §6.4.5); none if there is no such part, or no number.
    pub(crate) fn part(&self, _path: &[NonZeroU32]) -> Option<&Part> {
        None
    }

    /// The octets of a section; none if the message has no such section.
    pub(crate) fn section(&self, _path: &[NonZeroU32], _kind: SectionKind) -> Option<SectionRange> {
        None
    }
}

impl Part {
    /// An empty text/plain at an offset.
    fn empty(at: usize) -> Self {
        Self {
            header: at..at,
            body: at..at,
            header_octets: 0,
            body_octets: 0,
            body_lines: 0,
            media_type: b"text".to_vec(),
            media_subtype: b"plain".to_vec(),
            parameters: Vec::new(),
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

    /// The body without its transfer encoding (BINARY, RFC 3516); none if the encoding is unknown.
    pub(crate) fn decoded(&self, _message: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
