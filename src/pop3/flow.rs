//! From octets to lines, of whatever pieces the octets come in.
//!
//! A line ends with LF, before which one CR does not count. What has been read is wiped, since it may hold passwords. At most the
//! longest line allowed and one piece of input are kept.

use crate::auth::sasl;
use crate::auth::secret::Secret;
use std::fmt;

/// Longest command taken, in octets with its line end. RFC 2449 §4 wants 255; some clients send long initial responses of AUTH
/// in spite of RFC 5034 §4.
pub(crate) const MAX_COMMAND_OCTETS: usize = 2048;

/// Longest line taken within AUTH, in octets with its line end: the longest response that a mechanism takes, in base64.
pub(crate) const MAX_RESPONSE_OCTETS: usize = sasl::MAX_RESPONSE_OCTETS.div_ceil(3) * 4 + 2;

/// Octets of one line above which nothing more of it is read: this is no mail program.
pub(crate) const MAX_SKIPPED_OCTETS: usize = 64 * 1024;

/// What there is to read.
#[derive(Debug)]
pub(crate) enum Line {
    /// Nothing whole.
    None,
    /// A line without its end.
    Whole(Secret),
    /// The end of a line that was too long; nothing of it was kept.
    TooLong,
    /// A line so long that its end is not waited for.
    Endless,
    /// What came first is no text: TLS, or something else that is not POP3.
    Foreign,
}

/// Input that has not been used yet.
#[derive(Default)]
pub(crate) struct Flow {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to here no line end was found.
    searched: usize,
    /// Octets of a line too long that were thrown away; what is left of it follows them. 0: no such line.
    skipped: usize,
    /// A line has been read.
    tried: bool,
}

impl Flow {
    /// Takes octets that came in.
    pub(crate) fn feed(&mut self, input: &[u8]) {
        self.buffer.drain(..self.start);
        self.buffer.extend_from_slice(input);
        self.searched -= self.start;
        self.start = 0;
    }

    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// True if there is the beginning of a line.
    pub(crate) fn has_input(&self) -> bool {
        self.start < self.buffer.len()
    }

    /// The next line, of at most so many octets with its end.
    pub(crate) fn next_line(&mut self, max_octets: usize) -> Line {
        if !self.tried && self.buffer.first().is_some_and(|first| !is_text(*first)) {
            return Line::Foreign;
        }
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(length) = memchr::memchr(b'\n', unsearched) else {
            self.searched = self.buffer.len();
            let octets = self.skipped + self.buffer.len() - self.start;
            if octets > MAX_SKIPPED_OCTETS {
                return Line::Endless;
            }
            if octets >= max_octets {
                self.skipped = octets;
                self.buffer.clear();
                (self.start, self.searched) = (0, 0);
            }
            return Line::None;
        };
        self.tried = true;
        let end = self.searched + length;
        let line = self.buffer.get_mut(self.start..end).unwrap_or_default();
        let octets = self.skipped + line.len();
        if octets > MAX_SKIPPED_OCTETS {
            return Line::Endless;
        }
        let too_long = octets >= max_octets;
        let kept = if too_long {
            Secret::default()
        } else {
            Secret::new(line.strip_suffix(b"\r").unwrap_or(line))
        };
        line.fill(0);
        (self.start, self.searched, self.skipped) = (end + 1, end + 1, 0);
        if too_long {
            Line::TooLong
        } else {
            Line::Whole(kept)
        }
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flow({} octets)", self.buffer.len() - self.start)
    }
}

/// True for what a line of a mail program may begin with; UTF-8 within it is looked at later.
const fn is_text(octet: u8) -> bool {
    matches!(octet, b'\t' | b'\r' | b'\n' | 0x20..0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out, with `!` for a line that was too long.
    fn lines(pieces: &[&[u8]], max_octets: usize) -> Vec<String> {
        let mut flow = Flow::default();
        let mut lines = Vec::new();
        for piece in pieces {
            flow.feed(piece);
            loop {
                match flow.next_line(max_octets) {
                    Line::None => break,
                    Line::TooLong => lines.push("!".to_owned()),
                    Line::Endless | Line::Foreign => {
                        lines.push("hang up".to_owned());
                        return lines;
                    }
                    Line::Whole(line) => {
                        lines.push(String::from_utf8(line.expose().to_vec()).unwrap());
                    }
                }
            }
            assert!(flow.buffer.len() - flow.start <= max_octets);
        }
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        for (input, expected) in [
            ("", vec![]),
            ("NOOP\r\nQUIT\r\n", vec!["NOOP", "QUIT"]),
            ("NOOP\nQUIT\n\n\r\nrest", vec!["NOOP", "QUIT", "", ""]),
            ("a\rb\r\r\n", vec!["a\rb\r"]),
            // ten octets with the line end are too many for nine
            (
                "1234567\r\n12345678\r\n12345678\nx\n",
                vec!["1234567", "!", "12345678", "x"],
            ),
            (
                "a\n1234567890123456789012345678901234567890\nb\n",
                vec!["a", "!", "b"],
            ),
        ] {
            let octets = input.as_bytes();
            assert_eq!(lines(&[octets], 9), expected, "{input:?} whole");
            let bytes: Vec<&[u8]> = octets.chunks(1).collect();
            assert_eq!(lines(&bytes, 9), expected, "{input:?} byte by byte");
            for cut in 0..octets.len() {
                let (first, second) = octets.split_at(cut);
                assert_eq!(
                    lines(&[first, second], 9),
                    expected,
                    "{input:?} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn some_lines_are_not_read_to_their_end() {
        let endless = "x".repeat(MAX_SKIPPED_OCTETS + 1);
        let longest = "x".repeat(MAX_SKIPPED_OCTETS);
        for (input, expected) in [
            (format!("a\n{endless}"), vec!["a", "hang up"]),
            (format!("a\n{endless}\nb\n"), vec!["a", "hang up"]),
            (format!("{longest}\nb\n"), vec!["!", "b"]),
            ("\u{16}\u{3}".to_owned(), vec!["hang up"]),
            ("\0\r\n".to_owned(), vec!["hang up"]),
            ("a\n\u{16}\n".to_owned(), vec!["a", "\u{16}"]),
        ] {
            let octets = input.as_bytes();
            for cut in [1, 2, 1000, usize::MAX] {
                let pieces: Vec<&[u8]> = octets.chunks(cut).collect();
                assert_eq!(lines(&pieces, 9), expected, "cut at {cut}");
            }
        }
    }

    #[test]
    fn nothing_read_is_left_and_nothing_shown() {
        let mut flow = Flow::default();
        flow.feed(b"PASS secret\r\nmore");
        assert!(matches!(flow.next_line(99), Line::Whole(_)));
        assert!(!flow.buffer.windows(6).any(|octets| octets == b"secret"));
        assert_eq!(format!("{flow:?}"), "Flow(4 octets)");
        assert!(flow.has_input());
        flow.reset();
        assert!(!flow.has_input());
    }
}
