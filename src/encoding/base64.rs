//! Base64 (RFC 4648 §4): strict for SASL, lenient for MIME.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;

/// Value of a character that is not of the alphabet.
const NONE: u8 = 0xFF;

/// Values of the characters of the alphabet.
const VALUES: [u8; 256] =
    values(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

/// Base64 of octets, padded.
pub(crate) fn encode(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

/// Decodes canonical, padded base64 without white space; none if it is anything else.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Decodes the body of a base64 MIME part (RFC 2045 §6.8): other characters are passed over, a missing end is tolerated.
pub(crate) fn decode_mime(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut decoder = MimeDecoder::default();
    decoder.push(text, &mut out);
    decoder.finish(&mut out);
    out
}

/// [`decode_mime`] for text that comes in pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct MimeDecoder {
    /// Bits read and not yet given out, at most 18 of them.
    bits: u32,
    /// How many characters `bits` holds, 0 to 3.
    characters: u8,
}

impl MimeDecoder {
    /// Decodes a piece; octets that its end cuts follow with the next one.
    pub(crate) fn push(&mut self, text: &[u8], out: &mut Vec<u8>) {
        for line in text.split_inclusive(|octet| *octet == b'\n') {
            if !self.push_whole_line(line, out) {
                self.push_characters(line, out);
            }
        }
    }

    /// Gives out what is left at the end of a text without padding, and is ready for another.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let [_, first, second, _] =
            (self.bits << (6 * (4 - u32::from(self.characters)))).to_be_bytes();
        match self.characters {
            2 => out.push(first),
            3 => out.extend([first, second]),
            _ => {}
        }
        *self = Self::default();
    }

    /// The usual case, a line of whole groups, on the fast path; false if the line is not of that kind.
    fn push_whole_line(&self, line: &[u8], out: &mut Vec<u8>) -> bool {
        let line = line.trim_ascii_end();
        if self.characters != 0 || !line.len().is_multiple_of(4) {
            return false;
        }
        let before = out.len();
        let decoded = STANDARD.decode_vec(line, out).is_ok();
        if !decoded {
            out.truncate(before);
        }
        decoded
    }

    /// Character by character.
    fn push_characters(&mut self, text: &[u8], out: &mut Vec<u8>) {
        for character in text {
            if *character == b'=' {
                self.finish(out);
                continue;
            }
            let Some(value) = value(*character) else {
                continue;
            };
            self.bits = self.bits << 6 | u32::from(value);
            self.characters += 1;
            if self.characters == 4 {
                let [_, octets @ ..] = self.bits.to_be_bytes();
                out.extend(octets);
                *self = Self::default();
            }
        }
    }
}

/// The six bits that a character stands for.
pub(super) fn value(character: u8) -> Option<u8> {
    VALUES
        .get(usize::from(character))
        .copied()
        .filter(|value| *value != NONE)
}

/// Turns the alphabet into a table of values.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "computed by the compiler, where a mistake would not compile"
)]
const fn values(alphabet: &[u8; 64]) -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut at = 0;
    while at < alphabet.len() {
        table[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strict_form_refuses_what_is_not_canonical() {
        let cases: &[(&[u8], Option<&[u8]>)] = &[
            (b"", Some(b"")),
            (b"AA==", Some(b"\0")),
            (b"AHVzZXIAcGFzcw==", Some(b"\0user\0pass")),
            (b"AHVzZXIAcGFzcw", None),
            (b"AA=", None),
            (b"AB==", None),
            (b"AA==\r\n", None),
            (b" AA==", None),
            (b"AA==AA==", None),
            (b"A", None),
            (b"A-_=", None),
        ];
        for (text, octets) in cases {
            assert_eq!(decode(text).as_deref(), *octets, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn mime_form_takes_what_it_can() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"", b""),
            (b"aGVsbG8=", b"hello"),
            (b"aGVs\r\nbG8=\r\n", b"hello"),
            (b"aGVs\nbG8", b"hello"),
            (b"aGV\nsbG8=", b"hello"),
            (b" a G!V*s b-G_8 = ", b"hello"),
            (b"aGVsbA", b"hell"),
            (b"aGVsbG8=aGVsbG8=", b"hellohello"),
            (b"aGVsbG8=\naGVsbG8=\n", b"hellohello"),
            (b"aGVsbG8h=", b"hello!"),
            (b"a", b""),
            (b"====", b""),
        ];
        for (text, octets) in cases {
            assert_eq!(decode_mime(text), *octets, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn pieces_decode_as_the_whole(text in "[A-Za-z0-9+/=\r\n ]{0,80}", cut in 0_usize..80) {
            let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
            let mut out = Vec::new();
            let mut decoder = MimeDecoder::default();
            decoder.push(first, &mut out);
            decoder.push(second, &mut out);
            decoder.finish(&mut out);
            prop_assert_eq!(out, decode_mime(text.as_bytes()));
        }

        #[test]
        fn what_is_encoded_decodes(octets: Vec<u8>) {
            let text = encode(&octets);
            prop_assert_eq!(&decode_mime(text.as_bytes()), &octets);
            prop_assert_eq!(decode(text.as_bytes()), Some(octets));
        }
    }
}
