//! Encoded words in header fields (RFC 2047, RFC 2231 §5).

use super::{base64, charset, quoted_printable};

/// Longest name of a charset, with its language.
const MAX_CHARSET_OCTETS: usize = 128;

/// Decodes unfolded header text; octets above 127 outside encoded words are read as UTF-8 if they are, else as Latin-1. White space
/// between two encoded words goes, a character split between them is joined, and a word whose charset is unknown stays as it stands.
pub(crate) fn decode(text: &[u8]) -> String {
    let mut decoded = Decoded::default();
    let mut rest = text;
    let mut plain = 0;
    while let Some(at) = next_start(rest, plain) {
        let (before, start) = rest.split_at(at);
        match word(start) {
            Some((word, after)) => {
                decoded.push_plain(before);
                decoded.push_word(&word);
                (rest, plain) = (after, 0);
            }
            None => plain = at + 2,
        }
    }
    decoded.push_plain(rest);
    decoded.finish()
}

/// Where the next `=?` is, from an offset on.
fn next_start(text: &[u8], from: usize) -> Option<usize> {
    Some(from + memchr::memmem::find(text.get(from..)?, b"=?")?)
}

/// `encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?="`
struct Word<'a> {
    /// Name of the charset, which is known.
    charset: &'a [u8],
    /// What the encoded text holds, in that charset.
    octets: Vec<u8>,
}

/// Reads one encoded word and gives what follows it. Blanks in the text are accepted, since senders leave them.
fn word(input: &[u8]) -> Option<(Word<'_>, &[u8])> {
    let input = input.strip_prefix(b"=?")?;
    let label_end = memchr::memchr(b'?', input.get(..MAX_CHARSET_OCTETS).unwrap_or(input))?;
    let (label, input) = input.split_at(label_end);
    let charset = label.split(|octet| *octet == b'*').next()?;
    let [b'?', encoding, b'?', input @ ..] = input else {
        return None;
    };
    let (text, input) = input.split_at(memchr::memchr(b'?', input)?);
    let after = input.strip_prefix(b"?=")?;
    if !charset::is_known(charset) {
        return None;
    }
    let octets = match encoding {
        b'B' | b'b' => base64::decode_mime(text),
        b'Q' | b'q' => decode_q(text),
        _ => return None,
    };
    Some((Word { charset, octets }, after))
}

/// Decodes the "Q" encoding: quoted-printable with `_` for a blank.
fn decode_q(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, rest) {
            (b'_', _) => out.push(b' '),
            (b'=', [high, low, after @ ..])
                if let Some(octet) = quoted_printable::hex_octet(*high, *low) =>
            {
                out.push(octet);
                rest = after;
            }
            _ => out.push(*first),
        }
    }
    out
}

/// What is decoded so far.
#[derive(Default)]
struct Decoded {
    /// The text.
    text: String,
    /// Charset of the encoded words that have come last, lower case.
    charset: Vec<u8>,
    /// Their octets, not yet in `text`: the next word may go on with them. None after plain text.
    octets: Option<Vec<u8>>,
}

impl Decoded {
    /// Adds what stands between encoded words, before the first or after the last.
    fn push_plain(&mut self, plain: &[u8]) {
        let is_gap = self.octets.is_some() && plain.trim_ascii().is_empty();
        if !is_gap {
            self.end_words();
            self.text.push_str(&charset::decode_unlabelled(plain));
        }
    }

    /// Adds an encoded word.
    fn push_word(&mut self, word: &Word<'_>) {
        if !self.charset.eq_ignore_ascii_case(word.charset) {
            self.end_words();
            self.charset = word.charset.to_vec();
        }
        self.octets
            .get_or_insert_default()
            .extend_from_slice(&word.octets);
    }

    /// Decodes the words collected.
    fn end_words(&mut self) {
        if let Some(octets) = self.octets.take() {
            let text = charset::decode(&self.charset, &octets);
            self.text.push_str(&text.unwrap_or_default());
        }
    }

    /// The whole text.
    fn finish(mut self) -> String {
        self.end_words();
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decodes() {
        let cases: [(&[u8], &str); 24] = [
            (b"", ""),
            (b"plain text", "plain text"),
            (b"=?ISO-8859-1?Q?a?=", "a"),
            (b"=?ISO-8859-1?Q?a?= b", "a b"),
            (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            (b"=?ISO-8859-1?Q?a?=  \t =?utf-8?B?Yg==?=", "ab"),
            (b"=?ISO-8859-1?Q?a_b?=", "a b"),
            (b"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
            (b"x =?iso-8859-1?q?caf=e9?= y", "x caf\u{E9} y"),
            (
                b"=?US-ASCII*EN?Q?Keith_Moore?= <moore@cs>",
                "Keith Moore <moore@cs>",
            ),
            (b"=?utf-8?B?ww==?= =?UTF-8?B?qQ?=", "\u{E9}"),
            (b"=?utf-8?Q?=C3?= =?utf-8?Q?=A9?=", "\u{E9}"),
            (b"=?utf-8?Q?=C3?= =?iso-8859-1?Q?=A9?=", "\u{FFFD}\u{A9}"),
            (b"=?x-unknown?Q?a?= b", "=?x-unknown?Q?a?= b"),
            (b"=?utf-8?X?a?=", "=?utf-8?X?a?="),
            (b"=?utf-8?Q?a?", "=?utf-8?Q?a?"),
            (b"=?utf-8?Q?a?b?=", "=?utf-8?Q?a?b?="),
            (b"=?=?utf-8?Q?a?=", "=?a"),
            (b"=?utf-8?Q?a b?=", "a b"),
            (b"=?utf-8?Q??=", ""),
            (b"(=?utf-8?Q?a?=)", "(a)"),
            (b"caf\xC3\xA9", "caf\u{E9}"),
            (b"caf\xE9", "caf\u{E9}"),
            (b"=?utf-8?q?=C3=A9?= \xE9", "\u{E9} \u{E9}"),
        ];
        for (text, expected) in cases {
            assert_eq!(decode(text), expected, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read(text: Vec<u8>) {
            decode(&text);
        }

        #[test]
        fn text_without_words_stays(text in "[^=]*") {
            prop_assert_eq!(decode(text.as_bytes()), text);
        }
    }
}
