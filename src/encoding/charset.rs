//! Charsets by their MIME names: those of the WHATWG Encoding Standard, and UTF-7 of old mail.

use super::utf7;
use encoding_rs::{CoderResult, Encoding, UTF_8};

/// Names to tell a client that asked for a charset we do not know (BADCHARSET); [`decode`] knows many more.
pub(crate) const NAMES: &[&str] = &[
    "US-ASCII",
    "UTF-8",
    "ISO-8859-1",
    "ISO-8859-2",
    "ISO-8859-15",
    "WINDOWS-1251",
    "WINDOWS-1252",
    "KOI8-R",
    "SHIFT_JIS",
    "EUC-JP",
    "ISO-2022-JP",
    "EUC-KR",
    "GB18030",
    "BIG5",
];

/// Other names of UTF-7.
const UTF_7_LABELS: [&[u8]; 3] = [b"utf-7", b"utf7", b"unicode-1-1-utf-7"];

/// A charset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    /// One of the Encoding Standard.
    Standard(&'static Encoding),
    /// UTF-7
    Utf7,
}

/// Decodes octets; none if the charset is unknown. Malformed octets become U+FFFD.
pub(crate) fn decode(label: &[u8], octets: &[u8]) -> Option<String> {
    let mut decoder = Decoder::new(label)?;
    let mut out = String::new();
    decoder.push(octets, &mut out);
    decoder.finish(&mut out);
    Some(out)
}

/// True if [`decode`] knows the charset.
pub(crate) fn is_known(label: &[u8]) -> bool {
    find(label).is_some()
}

/// True if every octet below 128 stands for that ASCII character in any place, so that ASCII text can be looked for without decoding.
pub(crate) fn contains_plain_ascii(label: &[u8]) -> bool {
    matches!(find(label), Some(Charset::Standard(encoding)) if encoding == UTF_8 || encoding.is_single_byte())
}

/// Decodes raw octets of a text that names no charset, or an unknown one: UTF-8 if they are that, else Latin-1.
pub(crate) fn decode_unlabelled(octets: &[u8]) -> String {
    match str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::mem::decode_latin1(octets).into_owned(),
    }
}

/// Looks a charset up.
fn find(label: &[u8]) -> Option<Charset> {
    let label = label.trim_ascii();
    if UTF_7_LABELS
        .iter()
        .any(|known| label.eq_ignore_ascii_case(known))
    {
        return Some(Charset::Utf7);
    }
    Encoding::for_label_no_replacement(label).map(Charset::Standard)
}

/// Decodes text that comes in pieces.
pub(crate) struct Decoder(Inner);

/// The state of a [`Decoder`].
enum Inner {
    /// A charset of the Encoding Standard.
    Standard(Box<encoding_rs::Decoder>),
    /// UTF-7
    Utf7(utf7::TextDecoder),
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match &self.0 {
            Inner::Standard(decoder) => decoder.encoding().name(),
            Inner::Utf7(_) => "UTF-7",
        })
    }
}

impl Decoder {
    /// A decoder at the start of a text; none if the charset is unknown.
    pub(crate) fn new(label: &[u8]) -> Option<Self> {
        Some(Self(match find(label)? {
            Charset::Standard(encoding) => Inner::Standard(Box::new(encoding.new_decoder())),
            Charset::Utf7 => Inner::Utf7(utf7::TextDecoder::default()),
        }))
    }

    /// Appends what a piece stands for; characters that its end cuts follow with the next one.
    pub(crate) fn push(&mut self, octets: &[u8], out: &mut String) {
        match &mut self.0 {
            Inner::Standard(decoder) => decode_standard(decoder, octets, false, out),
            Inner::Utf7(decoder) => decoder.push(octets, out),
        }
    }

    /// Ends the text; the decoder is used up.
    pub(crate) fn finish(mut self, out: &mut String) {
        match &mut self.0 {
            Inner::Standard(decoder) => decode_standard(decoder, b"", true, out),
            Inner::Utf7(decoder) => decoder.finish(out),
        }
    }
}

/// Feeds a decoder, making room as it needs.
fn decode_standard(
    decoder: &mut encoding_rs::Decoder,
    octets: &[u8],
    last: bool,
    out: &mut String,
) {
    let mut rest = octets;
    loop {
        let room = decoder.max_utf8_buffer_length(rest.len());
        out.reserve(room.unwrap_or(rest.len()));
        let (result, read, _) = decoder.decode_to_string(rest, out, last);
        rest = rest.get(read..).unwrap_or_default();
        if result == CoderResult::InputEmpty {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_in_one_piece_and_in_two() {
        let cases: [(&[u8], &[u8], &str); 11] = [
            (b"us-ascii", b"plain", "plain"),
            (b"UTF-8", b"caf\xC3\xA9", "caf\u{E9}"),
            (b"utf8", b"\xC3(", "\u{FFFD}("),
            (b"ISO-8859-1", b"caf\xE9", "caf\u{E9}"),
            (b"iso-8859-15", b"\xA4", "\u{20AC}"),
            (b"koi8-r", b"\xC1", "\u{430}"),
            (b"iso-2022-jp", b"\x1B$B$\"\x1B(B!", "\u{3042}!"),
            (b"Shift_JIS", b"\x82\xA0", "\u{3042}"),
            (b"gb2312", b"\xC4\xE3", "\u{4F60}"),
            (b"utf-7", b"+AOk-", "\u{E9}"),
            (b" utf-16le ", b"a\0", "a"),
        ];
        for (label, octets, text) in cases {
            assert_eq!(decode(label, octets).as_deref(), Some(text));
            assert!(is_known(label));
            for cut in 0..=octets.len() {
                let (first, second) = octets.split_at(cut);
                let mut decoder = Decoder::new(label).unwrap();
                let mut out = String::new();
                decoder.push(first, &mut out);
                decoder.push(second, &mut out);
                decoder.finish(&mut out);
                assert_eq!(out, text, "{label:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn unknown_charsets() {
        for label in [
            b"".as_slice(),
            b"x-unknown",
            b"replacement",
            b"utf-8x",
            b"\xFF",
        ] {
            assert_eq!(decode(label, b"a"), None);
            assert!(!is_known(label));
        }
    }

    #[test]
    fn every_name_that_we_tell_is_known() {
        assert!(NAMES.iter().all(|name| is_known(name.as_bytes())));
    }

    #[test]
    fn charsets_where_ascii_stands_for_itself() {
        assert!(contains_plain_ascii(b"utf-8"));
        assert!(contains_plain_ascii(b"iso-8859-5"));
        for label in [
            b"iso-2022-jp".as_slice(),
            b"shift_jis",
            b"utf-7",
            b"utf-16",
            b"big5",
        ] {
            assert!(!contains_plain_ascii(label));
        }
    }

    #[test]
    fn text_without_charset() {
        assert_eq!(decode_unlabelled(b"caf\xC3\xA9"), "caf\u{E9}");
        assert_eq!(decode_unlabelled(b"caf\xE9"), "caf\u{E9}");
    }
}
