//! The one pass over a message that finds its structure.
//!
//! The parts that are open are kept in a list instead of on the stack: first the message, last the part whose body is being read. Only
//! lines that start with `--` are looked at, and compared with the boundaries of the open multiparts; the innermost one that the line is
//! equal to counts, else the longest that it starts with (RFC 2046 §5.1.1 compares the start only, and boundaries may be prefixes of each
//! other). An outer boundary ends everything within.
//!
//! What is broken is read so: a multipart in which no part is found has one text/plain part, which is its whole body, so that no client
//! misses it; a boundary ends a header that no empty line ends; a part of unreadable type is text/plain; below the deepest level allowed,
//! and beyond the most parts allowed, there is only application/octet-stream.

use super::envelope::Envelope;
use super::header::{self, Field};
use super::limits::{Budget, MAX_DEPTH, MAX_PARTS};
use super::lines::CrlfState;
use super::mime::{self, Disposition, MediaType};
use super::structure::{Content, Part};
use memchr::memmem;
use std::ops::Range;

/// Finds the structure of a message; octets and lines are counted only if they are wanted.
pub(super) fn scan(message: &[u8], is_counted: bool) -> Part {
    let mut scanner = Scanner::new(message, is_counted);
    scanner.open(Undeclared::TextPlain);
    while let Some(delimiter) = scanner.next_delimiter() {
        scanner.pass(&delimiter);
    }
    let root = scanner.close_above(0, message.len());
    root.unwrap_or_else(|| Part::empty(0, MediaType::text_plain()))
}

/// What a part without Content-Type is (RFC 2046 §5.1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undeclared {
    /// Everywhere else.
    TextPlain,
    /// In a multipart/digest.
    Message,
}

/// A part whose end has not been found.
#[derive(Debug)]
struct Open {
    /// What is known of it.
    part: Part,
    /// What has been found in it.
    inside: Inside,
    /// Counts up to the start of the header.
    before_header: CrlfState,
    /// Counts up to the start of the body.
    before_body: CrlfState,
}

/// What has been found in an open part.
#[derive(Debug)]
enum Inside {
    /// Nothing to be found.
    Leaf,
    /// A multipart.
    Multipart {
        /// Its boundary; none after its last part.
        boundary: Option<Vec<u8>>,
        /// What its parts are if they do not say.
        default: Undeclared,
        /// Its parts.
        parts: Vec<Part>,
    },
    /// A message.
    Message(Option<Box<Part>>),
}

/// A boundary's line.
#[derive(Debug)]
struct Delimiter {
    /// The line, with its end.
    line: Range<usize>,
    /// Place of its multipart in the list of open parts.
    owner: usize,
    /// True for the last one of the multipart.
    is_last: bool,
}

/// The pass.
#[derive(Debug)]
struct Scanner<'a> {
    /// The message.
    message: &'a [u8],
    /// How far it has been read; always the start of a line, or the end.
    at: usize,
    /// The open parts.
    open: Vec<Open>,
    /// Parts found.
    parts: usize,
    /// How much of the headers may still be interpreted.
    budget: Budget,
    /// Counts up to `counted`, if they are wanted.
    counts: Option<CrlfState>,
    /// Up to where octets and lines are counted; only ever grows.
    counted: usize,
}

impl<'a> Scanner<'a> {
    /// At the start of a message.
    fn new(message: &'a [u8], is_counted: bool) -> Self {
        Self {
            message,
            at: 0,
            open: Vec::new(),
            parts: 0,
            budget: Budget::default(),
            counts: is_counted.then(CrlfState::default),
            counted: 0,
        }
    }

    /// Octets of the message, as far as there are.
    fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.message.get(range).unwrap_or_default()
    }

    /// Counts octets and lines up to an offset; nothing if that is not wanted.
    fn counts_at(&mut self, offset: usize) -> CrlfState {
        let ahead = self.slice(self.counted..offset);
        let Some(counts) = &mut self.counts else {
            return CrlfState::default();
        };
        counts.feed(ahead);
        self.counted = self.counted.max(offset);
        *counts
    }

    /// [`Self::counts_at`], where the end may be that of a line that was counted already.
    fn counts_at_end(&mut self, end: usize) -> CrlfState {
        match &self.counts {
            Some(counts) if end < self.counted => counts.before_line_end(),
            Some(_) | None => self.counts_at(end),
        }
    }

    /// Opens the part that starts here, and the messages that start within it.
    fn open(&mut self, mut default: Undeclared) {
        while self.open_one(default) {
            default = Undeclared::TextPlain;
        }
    }

    /// Opens the part that starts here; true if a message starts in it.
    fn open_one(&mut self, default: Undeclared) -> bool {
        let start = self.at;
        let before_header = self.counts_at(start);
        let rest = self.slice(start..self.message.len());
        self.at += header::octets_until(rest, |line| self.owner(line).is_some());
        let before_body = self.counts_at(self.at);
        self.parts += 1;

        let header = self.slice(start..self.at);
        let mut part = self.read_header(header, default);
        part.header = start..self.at;
        let inside = self.inside(&mut part);
        let is_message = matches!(inside, Inside::Message(_));
        self.open.push(Open {
            part,
            inside,
            before_header,
            before_body,
        });
        is_message
    }

    /// Reads the MIME fields of a header; the first of each name counts.
    fn read_header(&mut self, header: &[u8], default: Undeclared) -> Part {
        let mut fields = MimeFields::default();
        for field in header::fields(header) {
            fields.take(&field, &mut self.budget);
        }
        let media_type = match fields.media_type {
            Some(value) => MediaType::parse(&value).unwrap_or_else(MediaType::text_plain),
            None if default == Undeclared::Message => MediaType::plain(b"message", b"rfc822"),
            None => MediaType::text_plain(),
        };
        Part {
            id: fields.id,
            description: fields.description,
            encoding: fields.encoding.and_then(|value| mime::first_token(&value)),
            disposition: fields
                .disposition
                .and_then(|value| Disposition::parse(&value)),
            language: mime::languages(&fields.language.unwrap_or_default()),
            location: fields.location,
            md5: fields.md5,
            ..Part::empty(self.at, media_type)
        }
    }

    /// What is to be found in a part of that type.
    fn inside(&self, part: &mut Part) -> Inside {
        let media_type = MediaType {
            kind: std::mem::take(&mut part.media_type),
            subtype: std::mem::take(&mut part.media_subtype),
            parameters: std::mem::take(&mut part.parameters),
        };
        let is_message = media_type.is(b"message", &[b"rfc822", b"global"]);
        let is_multipart = media_type.kind.eq_ignore_ascii_case(b"multipart");
        let is_allowed = self.open.len() < MAX_DEPTH && self.parts < MAX_PARTS;
        let media_type = if (is_message || is_multipart) && !is_allowed {
            MediaType::plain(b"application", b"octet-stream")
        } else {
            media_type
        };
        let is_digest = media_type.subtype.eq_ignore_ascii_case(b"digest");
        part.media_type = media_type.kind;
        part.media_subtype = media_type.subtype;
        part.parameters = media_type.parameters;
        match (is_allowed, is_message, is_multipart) {
            (true, true, _) => Inside::Message(None),
            (true, _, true) => Inside::Multipart {
                boundary: part.parameter(b"boundary").and_then(boundary),
                default: if is_digest {
                    Undeclared::Message
                } else {
                    Undeclared::TextPlain
                },
                parts: Vec::new(),
            },
            _ => Inside::Leaf,
        }
    }

    /// Finds the next boundary's line, from here on.
    fn next_delimiter(&self) -> Option<Delimiter> {
        if self.parts >= MAX_PARTS || self.open.iter().all(|open| open.boundary().is_none()) {
            return None;
        }
        let rest = self.slice(self.at..self.message.len());
        let first = rest.starts_with(b"--").then_some(0);
        let others = memmem::find_iter(rest, b"\n--").map(|line_end| line_end + 1);
        first.into_iter().chain(others).find_map(|start| {
            let line = header::line(rest, start)?;
            let (owner, is_last) = self.owner(line)?;
            Some(Delimiter {
                line: self.at + start..self.at + start + line.len(),
                owner,
                is_last,
            })
        })
    }

    /// The multipart whose boundary a line is, and whether it is its last one.
    fn owner(&self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        let mut best: Option<(usize, &[u8])> = None;
        for (place, open) in self.open.iter().enumerate().rev() {
            let Some((boundary, after)) = open
                .boundary()
                .and_then(|boundary| Some((boundary, text.strip_prefix(boundary)?)))
            else {
                continue;
            };
            if matches!(after, b"" | b"--") {
                return Some((place, !after.is_empty()));
            }
            if best.is_none_or(|(_, after)| text.len() - after.len() < boundary.len()) {
                best = Some((place, after));
            }
        }
        best.map(|(place, after)| (place, after.starts_with(b"--")))
    }

    /// Ends the parts that a boundary ends, and opens the one that it starts.
    fn pass(&mut self, delimiter: &Delimiter) {
        let above = delimiter.owner + 1;
        let end = self.end_before(delimiter.line.start, above);
        if let Some(part) = self.close_above(above, end) {
            self.attach(part);
        }
        self.at = delimiter.line.end;
        let Some(Inside::Multipart {
            boundary, default, ..
        }) = self.open.last_mut().map(|open| &mut open.inside)
        else {
            return;
        };
        if delimiter.is_last {
            *boundary = None;
        } else {
            let default = *default;
            self.open(default);
        }
    }

    /// Where the open parts from a place in the list on end, if a boundary's line follows: the line end before is the boundary's, even if
    /// it was to end the header (RFC 2046 §5.1.1), unless it ends the boundary's line before.
    fn end_before(&self, line: usize, place: usize) -> usize {
        let end = header::without_line_end(self.slice(0..line)).len();
        let start = self.open.get(place).map(|open| open.part.header.start);
        end.max(start.unwrap_or_default())
    }

    /// Closes the open parts from a place in the list on, and gives the outermost of them.
    fn close_above(&mut self, place: usize, end: usize) -> Option<Part> {
        let counts = self.counts_at_end(end);
        while self.open.len() > place {
            let part = self.open.pop()?.close(end, counts, self);
            if self.open.len() == place {
                return Some(part);
            }
            self.attach(part);
        }
        None
    }

    /// Puts a part into the one that is open around it.
    fn attach(&mut self, part: Part) {
        match self.open.last_mut().map(|open| &mut open.inside) {
            Some(Inside::Multipart { parts, .. }) => parts.push(part),
            Some(Inside::Message(message)) => *message = Some(Box::new(part)),
            Some(Inside::Leaf) | None => {}
        }
    }
}

impl Open {
    /// The boundary that may come.
    fn boundary(&self) -> Option<&[u8]> {
        match &self.inside {
            Inside::Multipart { boundary, .. } => boundary.as_deref(),
            Inside::Leaf | Inside::Message(_) => None,
        }
    }

    /// The finished part.
    fn close(self, end: usize, counts: CrlfState, scanner: &mut Scanner<'_>) -> Part {
        let mut part = self.part;
        let header = part.header.start.min(end)..part.header.end.min(end);
        let header_octets = self.before_body.octets().min(counts.octets());
        part.header_octets = header_octets.saturating_sub(self.before_header.octets());
        part.body = header.end..end;
        part.body_octets = counts.octets().saturating_sub(self.before_body.octets());
        part.body_lines = counts.lines().saturating_sub(self.before_body.lines());
        part.header = header;
        part.content = match self.inside {
            Inside::Leaf => Content::Leaf,
            Inside::Multipart { parts, .. } if parts.is_empty() => {
                Content::Multipart(vec![body_as_part(&part)])
            }
            Inside::Multipart { parts, .. } => Content::Multipart(parts),
            Inside::Message(message) => {
                let message = message.unwrap_or_else(|| {
                    Box::new(Part::empty(part.body.start, MediaType::text_plain()))
                });
                let header = scanner.slice(message.header.clone());
                Content::Message {
                    envelope: Box::new(Envelope::parse_within(header, &mut scanner.budget)),
                    part: message,
                }
            }
        };
        part
    }
}

/// The part that stands for the body of a multipart without parts.
fn body_as_part(multipart: &Part) -> Part {
    Part {
        body: multipart.body.clone(),
        body_octets: multipart.body_octets,
        body_lines: multipart.body_lines,
        ..Part::empty(multipart.body.start, MediaType::text_plain())
    }
}

/// The boundary that a parameter names. Blanks at its end are none of it (RFC 2046 §5.1.1).
fn boundary(value: &[u8]) -> Option<Vec<u8>> {
    let value = value.trim_ascii_end();
    (!value.is_empty()).then(|| value.to_vec())
}

/// Values of the MIME fields of a header, unfolded.
#[derive(Debug, Default)]
struct MimeFields {
    /// Content-Type
    media_type: Option<Vec<u8>>,
    /// Content-Transfer-Encoding
    encoding: Option<Vec<u8>>,
    /// Content-ID
    id: Option<Vec<u8>>,
    /// Content-Description
    description: Option<Vec<u8>>,
    /// Content-Disposition
    disposition: Option<Vec<u8>>,
    /// Content-Language
    language: Option<Vec<u8>>,
    /// Content-Location
    location: Option<Vec<u8>>,
    /// Content-MD5
    md5: Option<Vec<u8>>,
}

impl MimeFields {
    /// Takes a field if it is one of these.
    fn take(&mut self, field: &Field<'_>, budget: &mut Budget) {
        if let Some(slot) = self.slot(field.name)
            && slot.is_none()
        {
            *slot = Some(header::unfold(budget.take(field.value)));
        }
    }

    /// Where a field of that name goes.
    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<Vec<u8>>> {
        const PREFIX: usize = b"Content-".len();
        let (prefix, rest) = name.split_at_checked(PREFIX)?;
        if !prefix.eq_ignore_ascii_case(b"Content-") {
            return None;
        }
        Some(match rest.to_ascii_lowercase().as_slice() {
            b"type" => &mut self.media_type,
            b"transfer-encoding" => &mut self.encoding,
            b"id" => &mut self.id,
            b"description" => &mut self.description,
            b"disposition" => &mut self.disposition,
            b"language" => &mut self.language,
            b"location" => &mut self.location,
            b"md5" => &mut self.md5,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzzing::structure as check;
    use super::super::limits::MAX_FIELDS_OCTETS;
    use super::super::structure::Message;
    use super::*;
    use proptest::prelude::*;

    /// Depth of the deepest part.
    fn depth(part: &Part) -> usize {
        1 + match &part.content {
            Content::Leaf => 0,
            Content::Message { part, .. } => depth(part),
            Content::Multipart(parts) => parts.iter().map(depth).max().unwrap_or(0),
        }
    }

    #[test]
    fn messages_in_messages_stop_at_the_deepest_level() {
        let message = b"Content-Type: message/rfc822\n\n".repeat(10_000);
        check(&message);
        let root = Message::parse(&message).root;
        assert_eq!(depth(&root), MAX_DEPTH + 1);
    }

    #[test]
    fn multiparts_in_multiparts_stop_at_the_deepest_level() {
        let message: String = (0..5_000)
            .map(|n| format!("Content-Type: multipart/mixed; boundary={n}\n\n--{n}\n"))
            .collect();
        check(message.as_bytes());
        let structure = Message::parse(message.as_bytes());
        assert_eq!(depth(&structure.root), MAX_DEPTH + 1);
        let deepest = structure.parts().last().unwrap();
        assert_eq!(deepest.media_type, b"application");
    }

    #[test]
    fn parts_are_limited() {
        let parts = b"--b\n\n".repeat(MAX_PARTS * 2);
        let message = [b"Content-Type: multipart/mixed; boundary=b\n\n", &parts[..]].concat();
        check(&message);
        assert_eq!(Message::parse(&message).parts().count(), MAX_PARTS);
    }

    #[test]
    fn interpreted_octets_are_limited() {
        let long = "x".repeat(300_000);
        let field = format!("--b\nContent-Description: {long}\nContent-ID: id\n\n");
        let message = format!(
            "Content-Type: multipart/mixed; boundary=b\n\n{}",
            field.repeat(6)
        );
        check(message.as_bytes());
        let structure = Message::parse(message.as_bytes());
        let told: usize = structure
            .parts()
            .map(|part| part.description.as_ref().map_or(0, Vec::len))
            .sum();
        assert!(told <= MAX_FIELDS_OCTETS);
        assert_eq!(structure.root.content_len(), 6);
    }

    impl Part {
        /// How many parts it has.
        fn content_len(&self) -> usize {
            match &self.content {
                Content::Multipart(parts) => parts.len(),
                Content::Leaf | Content::Message { .. } => 0,
            }
        }
    }

    /// Pieces that broken messages are made of.
    fn piece() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(vec![
            "\n",
            "\r\n",
            "\r",
            "\0",
            "\n\n",
            "text",
            "--",
            "--a",
            "--ab",
            "--a--",
            "--b\n",
            "\n--a\n",
            "\r\n--b--\r\n",
            "Content-Type: multipart/mixed; boundary=a\n",
            "Content-Type: multipart/digest; boundary=\"b \"\r\n",
            "Content-Type: multipart/mixed; boundary=ab\n\n--ab\n",
            "Content-Type: message/rfc822\n",
            "Content-Type: message/global\n\n",
            "Content-Type: text/plain; charset=utf-8\n",
            "Subject: x\n y\n",
            "To: a@b, c: d@e;\n",
            " ",
            "\t",
            ":",
        ])
    }

    proptest! {
        #[test]
        fn ranges_and_sizes_of_any_message(pieces in prop::collection::vec(piece(), 0..40)) {
            check(pieces.concat().as_bytes());
        }

        #[test]
        fn ranges_and_sizes_of_any_octets(message: Vec<u8>) {
            check(&message);
        }
    }
}
