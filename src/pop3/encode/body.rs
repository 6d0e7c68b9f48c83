//! A message's octets on their way out: CRLF, dots doubled, for TOP cut after some lines, and the final dot.
//!
//! Works on pieces of any size: what it sends does not depend on where they are cut.

use crate::message::lines;

/// Where in a message the encoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Before the empty line that ends the header.
    Header,
    /// In the body.
    Body,
}

/// What has been sent of the current line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CurrentLine {
    /// Nothing: the last octet was a line end, or there was none.
    Empty,
    /// CR alone; with LF it will have been an empty line.
    Cr,
    /// Something.
    Begun,
}

/// Turns a message as it is stored into the lines of RETR and TOP (RFC 1939 §3, §5, §7).
#[derive(Debug)]
pub(crate) struct BodyEncoder {
    /// Stored octet before the next piece, for [`lines::push_crlf`].
    previous: u8,
    line: CurrentLine,
    position: Position,
    /// Lines of the body still to be sent; none: all of them.
    lines_left: Option<u64>,
    /// How many dots were doubled.
    doubled_dots: u64,
    /// The wire form of a piece, kept for its memory.
    scratch: Vec<u8>,
}

impl BodyEncoder {
    /// For a message of which, after its header, at most so many lines are wanted.
    pub(crate) const fn new(body_lines: Option<u64>) -> Self {
        Self {
            previous: 0,
            line: CurrentLine::Empty,
            position: Position::Header,
            lines_left: body_lines,
            doubled_dots: 0,
            scratch: Vec::new(),
        }
    }

    /// How many dots were doubled so far.
    pub(crate) const fn doubled_dots(&self) -> u64 {
        self.doubled_dots
    }

    /// Appends what is sent for a piece. False if no further octets are wanted.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> bool {
        if self.lines_left.is_none() {
            self.push_stored(piece, out);
            return true;
        }
        self.scratch.clear();
        let mut wire = std::mem::take(&mut self.scratch);
        lines::push_crlf(piece, &mut self.previous, &mut wire);
        let wanted = self.push_lines(&wire, out);
        self.scratch = wire;
        wanted
    }

    /// Appends what is sent for stored octets, all of them.
    fn push_stored(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some((first, last)) = piece.first().zip(piece.last()) else {
            return;
        };
        let start = out.len();
        out.reserve(piece.len());
        if self.line == CurrentLine::Empty && *first == b'.' {
            self.double_dot(out);
        }
        let mut sent = 0;
        for at in memchr::memchr_iter(b'\n', piece) {
            let before = at.checked_sub(1).and_then(|before| piece.get(before));
            let is_bare = before.copied().unwrap_or(self.previous) != b'\r';
            let is_before_dot = piece.get(at + 1) == Some(&b'.');
            if is_bare {
                out.extend_from_slice(piece.get(sent..at).unwrap_or_default());
                out.extend_from_slice(b"\r\n");
                sent = at + 1;
            }
            if is_before_dot {
                out.extend_from_slice(piece.get(sent..=at).unwrap_or_default());
                self.double_dot(out);
                sent = at + 1;
            }
        }
        out.extend_from_slice(piece.get(sent..).unwrap_or_default());
        lines::replace_nul(out.get_mut(start..).unwrap_or_default());
        self.previous = *last;
        self.line = if *last == b'\n' {
            CurrentLine::Empty
        } else {
            CurrentLine::Begun
        };
    }

    /// Appends the dot that comes before another at the beginning of a line.
    fn double_dot(&mut self, out: &mut Vec<u8>) {
        out.push(b'.');
        self.doubled_dots += 1;
    }

    /// Appends the end: a line end if the message lacks it, and the dot.
    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        if self.line != CurrentLine::Empty {
            out.extend_from_slice(b"\r\n");
        }
        super::end(out);
    }

    /// Appends a line of the wire form or the beginning or end of one, a dot at its beginning doubled.
    fn push_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        if self.line == CurrentLine::Empty && line.first() == Some(&b'.') {
            self.double_dot(out);
        }
        out.extend_from_slice(line);
        self.line = match (self.line, line) {
            (_, [.., b'\n']) => CurrentLine::Empty,
            (CurrentLine::Empty, b"\r") => CurrentLine::Cr,
            _ => CurrentLine::Begun,
        };
    }

    /// Appends octets of the wire form up to the last line wanted; false when that has been reached.
    fn push_lines(&mut self, wire: &[u8], out: &mut Vec<u8>) -> bool {
        let mut rest = wire;
        while !rest.is_empty() {
            if self.position == Position::Body && self.lines_left == Some(0) {
                return false;
            }
            let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(length);
            self.note_line(line);
            self.push_line(line, out);
            rest = after;
        }
        self.position == Position::Header || self.lines_left != Some(0)
    }

    /// Counts a line that is about to be sent, if this is the end of one.
    fn note_line(&mut self, line: &[u8]) {
        if !line.ends_with(b"\n") {
            return;
        }
        match self.position {
            Position::Header => {
                if matches!(
                    (self.line, line),
                    (CurrentLine::Empty, b"\r\n") | (CurrentLine::Cr, b"\n")
                ) {
                    self.position = Position::Body;
                }
            }
            Position::Body => {
                self.lines_left = self.lines_left.map(|lines| lines.saturating_sub(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is sent for a message in pieces.
    fn sent(pieces: &[&[u8]], body_lines: Option<u64>) -> Vec<u8> {
        let mut encoder = BodyEncoder::new(body_lines);
        let mut out = Vec::new();
        for piece in pieces {
            if !encoder.push(piece, &mut out) {
                break;
            }
        }
        encoder.finish(&mut out);
        out
    }

    /// The same, said line by line.
    fn expected(stored: &[u8], body_lines: Option<u64>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut left = None;
        for line in stored.split_inclusive(|octet| *octet == b'\n') {
            if left == Some(0) {
                break;
            }
            let whole = line.ends_with(b"\n");
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let text = if whole {
                text.strip_suffix(b"\r").unwrap_or(text)
            } else {
                text
            };
            if text.first() == Some(&b'.') {
                out.push(b'.');
            }
            out.extend(
                text.iter()
                    .map(|octet| if *octet == 0 { 0x80 } else { *octet }),
            );
            out.extend_from_slice(b"\r\n");
            left = match left {
                None if text.is_empty() && whole => body_lines,
                left => left.map(|left: u64| left - 1),
            };
        }
        out.extend_from_slice(b".\r\n");
        out
    }

    fn check(stored: &[u8], body_lines: Option<u64>) {
        let expected = expected(stored, body_lines);
        assert_eq!(
            sent(&[stored], body_lines),
            expected,
            "{stored:?} {body_lines:?}"
        );
        let bytes: Vec<&[u8]> = stored.chunks(1).collect();
        assert_eq!(
            sent(&bytes, body_lines),
            expected,
            "{stored:?} {body_lines:?} by byte"
        );
        for cut in 0..stored.len() {
            let (first, second) = stored.split_at(cut);
            let sent = sent(&[first, second], body_lines);
            assert_eq!(sent, expected, "{stored:?} {body_lines:?} cut at {cut}");
        }
    }

    #[test]
    fn messages_are_sent_line_by_line() {
        for (stored, lines, expected) in [
            ("", None, ".\r\n"),
            ("a", None, "a\r\n.\r\n"),
            ("a\n", None, "a\r\n.\r\n"),
            ("a\r\n", None, "a\r\n.\r\n"),
            (".\n..\n.a\n", None, "..\r\n...\r\n..a\r\n.\r\n"),
            ("a.\n.", None, "a.\r\n..\r\n.\r\n"),
            ("a\r.\n", None, "a\r.\r\n.\r\n"),
            (
                "s: x\n\n1\n.2\n3\n",
                Some(2),
                "s: x\r\n\r\n1\r\n..2\r\n.\r\n",
            ),
            ("s: x\n\n1\n2\n3", Some(0), "s: x\r\n\r\n.\r\n"),
            (
                "s: x\n\n1\n2\n3",
                Some(9),
                "s: x\r\n\r\n1\r\n2\r\n3\r\n.\r\n",
            ),
            (
                "s: x\r\n\r\n1\r\n\r\n3",
                Some(2),
                "s: x\r\n\r\n1\r\n\r\n.\r\n",
            ),
            ("no header end", Some(0), "no header end\r\n.\r\n"),
        ] {
            let out = sent(&[stored.as_bytes()], lines);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
            check(stored.as_bytes(), lines);
        }
        check(b"a\0b\n\0", None);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            stored in prop::collection::vec(prop::sample::select(b"..\r\n\n\0a".to_vec()), 0..24),
            lines in prop::option::of(0..4_u64),
        ) {
            check(&stored, lines);
        }
    }
}
