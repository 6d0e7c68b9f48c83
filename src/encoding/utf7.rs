//! UTF-7: the modified form of mailbox names (RFC 3501 §5.1.3), and the charset of old mail (RFC 2152).

use super::base64;

/// The alphabet of modified base64: `,` in place of `/`.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// The modified UTF-7 form of a name.
pub(crate) fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut shifted = String::new();
    for character in name.chars() {
        if !matches!(character, ' '..='~') {
            shifted.push(character);
            continue;
        }
        push_shifted(&mut shifted, &mut out);
        out.push(character);
        if character == '&' {
            out.push('-');
        }
    }
    push_shifted(&mut shifted, &mut out);
    out
}

/// Appends `&…-` for the characters collected, and forgets them.
fn push_shifted(shifted: &mut String, out: &mut String) {
    if shifted.is_empty() {
        return;
    }
    out.push('&');
    let (mut bits, mut count) = (0_u32, 0_u32);
    for unit in shifted.encode_utf16() {
        bits = (bits & 0x3F) << 16 | u32::from(unit);
        count += 16;
        while count >= 6 {
            count -= 6;
            push_sextet(bits >> count, out);
        }
    }
    if count > 0 {
        push_sextet(bits << (6 - count), out);
    }
    out.push('-');
    shifted.clear();
}

/// Appends the character for the lowest six bits.
fn push_sextet(bits: u32, out: &mut String) {
    let character = usize::try_from(bits & 0x3F)
        .ok()
        .and_then(|value| ALPHABET.get(value));
    out.extend(character.map(|octet| char::from(*octet)));
}

/// The name that modified UTF-7 stands for; none if it is not valid. Printable characters in base64 and adjacent shifts, which RFC 3501 does
/// not allow, can be read in one way only and are accepted; octets that are not printable ASCII are not.
pub(crate) fn decode(text: &[u8]) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'&' => {
                let end = memchr::memchr(b'-', rest)?;
                let (shifted, after) = rest.split_at(end);
                rest = after.get(1..)?;
                if shifted.is_empty() {
                    name.push('&');
                } else {
                    name.push_str(&decode_shifted(shifted)?);
                }
            }
            b' '..=b'~' => name.push(char::from(*first)),
            _ => return None,
        }
    }
    Some(name)
}

/// Decodes what stands between `&` and `-`: whole UTF-16 units, at most five bits of zeros left.
fn decode_shifted(shifted: &[u8]) -> Option<String> {
    let mut units = Vec::with_capacity(shifted.len());
    let mut bits = Bits::default();
    for octet in shifted {
        let value = match octet {
            b'/' => return None,
            b',' => 63,
            other => base64::value(*other)?,
        };
        units.extend(bits.push(value));
    }
    (bits.are_padding() && !units.is_empty())
        .then(|| String::from_utf16(&units).ok())
        .flatten()
}

/// Sextets on their way to UTF-16 units.
#[derive(Debug, Clone, Copy, Default)]
struct Bits {
    /// The bits, the last `count` of them valid.
    bits: u32,
    /// Fewer than 16.
    count: u32,
}

impl Bits {
    /// Adds six bits; gives a unit when it is full.
    fn push(&mut self, sextet: u8) -> Option<u16> {
        self.bits = self.bits << 6 | u32::from(sextet);
        self.count += 6;
        self.count = self.count.checked_sub(16)?;
        u16::try_from(self.bits >> self.count & 0xFFFF).ok()
    }

    /// True if what is left is no more than padding.
    const fn are_padding(self) -> bool {
        self.count < 6 && self.bits & ((1 << self.count) - 1) == 0
    }
}

/// Decodes UTF-7 text (RFC 2152) that comes in pieces; never fails, what is malformed becomes U+FFFD.
#[derive(Debug, Clone, Default)]
pub(super) struct TextDecoder {
    /// Within `+…-`: the bits; outside: none.
    shifted: Option<Bits>,
    /// The last octet was the `+`.
    just_shifted: bool,
    /// A high surrogate that waits for its other half.
    high: Option<u16>,
}

impl TextDecoder {
    /// Decodes a piece.
    pub(super) fn push(&mut self, octets: &[u8], out: &mut String) {
        for octet in octets {
            let just_shifted = std::mem::take(&mut self.just_shifted);
            if let Some(bits) = &mut self.shifted {
                if let Some(value) = base64::value(*octet) {
                    let unit = bits.push(value);
                    self.push_unit(unit, out);
                    continue;
                }
                self.finish(out);
                if *octet == b'-' {
                    out.extend(just_shifted.then_some('+'));
                    continue;
                }
            }
            match octet {
                b'+' => {
                    self.shifted = Some(Bits::default());
                    self.just_shifted = true;
                }
                0..=0x7F => out.push(char::from(*octet)),
                _ => out.push(char::REPLACEMENT_CHARACTER),
            }
        }
    }

    /// Ends the text, or a shifted run in it.
    pub(super) fn finish(&mut self, out: &mut String) {
        self.shifted = None;
        if self.high.take().is_some() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }

    /// Appends a UTF-16 unit, or keeps it until its other half comes.
    fn push_unit(&mut self, unit: Option<u16>, out: &mut String) {
        let Some(unit) = unit else {
            return;
        };
        let high = self.high.take();
        if high.is_none() && matches!(unit, 0xD800..=0xDBFF) {
            self.high = Some(unit);
            return;
        }
        out.extend(
            char::decode_utf16(high.into_iter().chain([unit]))
                .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        for (name, text) in [
            ("", ""),
            ("INBOX", "INBOX"),
            ("a & b", "a &- b"),
            ("&&", "&-&-"),
            ("Entw\u{FC}rfe", "Entw&APw-rfe"),
            ("\u{53F0}\u{5317}", "&U,BTFw-"),
            (
                "~peter/mail/\u{53F0}\u{5317}/\u{65E5}\u{672C}\u{8A9E}",
                "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
            ),
            ("\u{1F4E8}", "&2D3c6A-"),
            ("tab\there", "tab&AAk-here"),
            ("\u{E9}&\u{E9}", "&AOk-&-&AOk-"),
        ] {
            assert_eq!(encode(name), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(name));
        }
    }

    #[test]
    fn other_forms_that_can_be_read_in_one_way_only() {
        for (text, name) in [
            ("&AGE-", "a"),
            ("&AOk-&AOk-", "\u{E9}\u{E9}"),
            ("&ACY-", "&"),
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_is_not_modified_utf_7() {
        let cases: [&[u8]; 12] = [
            b"&",
            b"a&",
            b"&AOk",
            b"&AO-",
            b"&A-",
            b"&AOl-",
            b"&2D0-",
            b"&3Kg-",
            b"&U/BTFw-",
            b"&AO k-",
            b"caf\xC3\xA9",
            b"a\rb",
        ];
        for text in cases {
            assert_eq!(decode(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn text() {
        for (octets, expected) in [
            (b"Hi Mom -+Jjo--!".as_slice(), "Hi Mom -\u{263A}-!"),
            (b"A+ImIDkQ.", "A\u{2262}\u{391}."),
            (b"1 +- 1", "1 + 1"),
            (b"+2D3c6A-", "\u{1F4E8}"),
            (b"+2D0- x", "\u{FFFD} x"),
            (b"+3Kg- x", "\u{FFFD} x"),
            (b"+2D0", "\u{FFFD}"),
            (b"\xE9", "\u{FFFD}"),
        ] {
            for cut in 0..=octets.len() {
                let (first, second) = octets.split_at(cut);
                let mut decoder = TextDecoder::default();
                let mut out = String::new();
                decoder.push(first, &mut out);
                decoder.push(second, &mut out);
                decoder.finish(&mut out);
                assert_eq!(out, expected, "cut at {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_name_survives(name: String) {
            let text = encode(&name);
            prop_assert!(text.bytes().all(|octet| matches!(octet, b' '..=b'~')));
            prop_assert_eq!(decode(text.as_bytes()), Some(name));
        }

        #[test]
        fn any_octets_are_answered(octets: Vec<u8>) {
            if let Some(name) = decode(&octets) {
                prop_assert_eq!(decode(encode(&name).as_bytes()), Some(name));
            }
        }
    }
}
