//! Quoted-printable (RFC 2045 §6.7). Line ends stay as they are stored.

/// Longest line that is looked at in one piece while decoding in pieces; a longer one (RFC 2045 allows 76 octets) is cut, and blanks at the
/// cut stay.
const MAX_LINE_OCTETS: usize = 65_536;

/// Decodes the body of a quoted-printable MIME part; what is malformed stays as it stands.
pub(crate) fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        decode_line(line, &mut out);
    }
    out
}

/// [`decode`] for text that comes in pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decoder {
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
}

impl Decoder {
    /// Decodes a piece, up to its last line end.
    pub(crate) fn push(&mut self, text: &[u8], out: &mut Vec<u8>) {
        for line in text.split_inclusive(|octet| *octet == b'\n') {
            if self.line.is_empty() && line.ends_with(b"\n") {
                decode_line(line, out);
                continue;
            }
            self.line.extend_from_slice(line);
            if self.line.ends_with(b"\n") {
                self.finish(out);
            } else if self.line.len() >= MAX_LINE_OCTETS {
                self.cut(out);
            }
        }
    }

    /// Decodes the last line, if it has no line end.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        decode_line(&self.line, out);
        self.line.clear();
    }

    /// Decodes the start of an overlong line, without cutting an escape.
    fn cut(&mut self, out: &mut Vec<u8>) {
        let tail = self.line.len().saturating_sub(2);
        let cut = self
            .line
            .get(tail..)
            .and_then(|tail| tail.iter().position(|octet| *octet == b'='))
            .map_or(self.line.len(), |at| tail + at);
        let rest = self.line.split_off(cut);
        decode_escapes(&self.line, out);
        self.line = rest;
    }
}

/// Decodes one line: blanks at its end go, `=` there is a soft line break.
fn decode_line(line: &[u8], out: &mut Vec<u8>) {
    let (text, end) = match line {
        [text @ .., b'\r', b'\n'] => (text, b"\r\n".as_slice()),
        [text @ .., b'\n'] => (text, b"\n".as_slice()),
        text => (text, b"".as_slice()),
    };
    let blanks = text
        .iter()
        .rev()
        .take_while(|octet| matches!(octet, b' ' | b'\t'))
        .count();
    let text = text.get(..text.len() - blanks).unwrap_or(text);
    match text.strip_suffix(b"=") {
        Some(text) => decode_escapes(text, out),
        None => {
            decode_escapes(text, out);
            out.extend_from_slice(end);
        }
    }
}

/// Decodes the escapes `=XX`; anything else stays.
fn decode_escapes(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'=', text) {
        let (plain, escape) = text.split_at(at);
        out.extend_from_slice(plain);
        text = match escape {
            [_, high, low, rest @ ..] if let Some(octet) = hex_octet(*high, *low) => {
                out.push(octet);
                rest
            }
            [first, rest @ ..] => {
                out.push(*first);
                rest
            }
            [] => escape,
        };
    }
    out.extend_from_slice(text);
}

/// The octet that two hexadecimal digits stand for, in either case.
pub(super) fn hex_octet(high: u8, low: u8) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decodes() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"", b""),
            (b"plain", b"plain"),
            (b"caf=C3=A9", b"caf\xC3\xA9"),
            (b"caf=c3=a9", b"caf\xC3\xA9"),
            (b"soft=\r\nbreak", b"softbreak"),
            (b"soft=\nbreak", b"softbreak"),
            (b"soft= \t\r\nbreak", b"softbreak"),
            (b"blanks  \t\r\nend \n", b"blanks\r\nend\n"),
            (b"kept=20\r\n", b"kept \r\n"),
            (b"a=3Db==3D", b"a=b=="),
            (b"bad =XY =4 =", b"bad =XY =4 "),
            (b"=", b""),
            (b"=\n", b""),
            (b"\xE9=E9\0", b"\xE9\xE9\0"),
        ];
        for (text, octets) in cases {
            assert_eq!(decode(text), *octets, "{}", text.escape_ascii());
            for cut in 0..=text.len() {
                let (first, second) = text.split_at(cut);
                let mut out = Vec::new();
                let mut decoder = Decoder::default();
                decoder.push(first, &mut out);
                decoder.push(second, &mut out);
                decoder.finish(&mut out);
                assert_eq!(out, *octets, "{} cut at {cut}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn an_overlong_line_is_held_in_bounded_memory() {
        let text = b"ab=3D".repeat(100_000);
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for piece in text.chunks(4099) {
            decoder.push(piece, &mut out);
            assert!(decoder.line.len() < MAX_LINE_OCTETS + 4099);
        }
        decoder.finish(&mut out);
        assert_eq!(out, b"ab=".repeat(100_000));
    }

    proptest! {
        #[test]
        fn never_grows(text: Vec<u8>) {
            prop_assert!(decode(&text).len() <= text.len());
        }
    }
}
