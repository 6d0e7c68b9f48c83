//! Text search in messages (RFC 9051 §6.4.4): decoded, without regard to case.
//!
//! Case is folded by Unicode's simple mappings, character by character; accents count. Text is decoded and searched in pieces, so memory stays
//! small; time is linear, since the search itself is memchr's two-way search. ASCII text is looked for without decoding where the
//! charset allows it, and where it lies if nothing must be removed from around it.

use super::header;
use super::structure::{Content, Message, Part, TransferEncoding};
use crate::encoding::base64::MimeDecoder;
use crate::encoding::charset::{self, Decoder};
use crate::encoding::{encoded_word, quoted_printable};
use memchr::memmem::Finder;

/// How much of a body is decoded at once.
const PIECE_OCTETS: usize = 32_768;

/// Octets of mail, the most frequent ones first; others are rarer.
const FREQUENT: &[u8] = b" etaoinsrlhdcu=mpfg.wb/y->v<\":0123456789k_,;@x()jqz\n\r&%#!?'+";

/// Octets that may be spent on places that only look like the text before the search goes another way.
const SPENT_AT_FIRST: usize = 4096;

/// What is looked for, folded.
#[derive(Debug, Clone)]
pub(crate) struct Needle {
    /// The search, prepared.
    finder: Finder<'static>,
    /// Only ASCII.
    is_ascii: bool,
    /// Only ASCII that stands in a header as it is when lines are unfolded and put together again: no blanks, no colon.
    is_word: bool,
    /// Place of the octet in it that is likely to be the rarest one.
    rarest: usize,
}

impl Needle {
    /// Prepares a search; an empty text is in everything.
    pub(crate) fn new(text: &str) -> Self {
        let mut folded = Vec::with_capacity(text.len());
        push_folded(text, &mut folded);
        let rank = |octet: &u8| FREQUENT.iter().position(|known| known == octet);
        let rarest = (folded.iter().enumerate())
            .max_by_key(|(_, octet)| rank(octet).unwrap_or(FREQUENT.len()));
        Self {
            rarest: rarest.map_or(0, |(at, _)| at),
            finder: Finder::new(&folded).into_owned(),
            is_ascii: text.is_ascii(),
            is_word: text.bytes().all(|b| b.is_ascii_graphic() && b != b':'),
        }
    }

    /// True if octets contain it, which must be ASCII, in any case. Places with its rarest octet are looked at; where too many of them are
    /// something else, the rest is folded and searched, so that time is linear.
    fn is_in_octets(&self, octets: &[u8]) -> bool {
        let needle = self.finder.needle();
        let (Some(rarest), Some(last)) = (
            needle.get(self.rarest).copied(),
            octets.len().checked_sub(needle.len()),
        ) else {
            return needle.is_empty();
        };
        let places = octets.get(self.rarest..=last + self.rarest);
        let other_case = rarest.to_ascii_uppercase();
        let mut spent = 0;
        for at in memchr::memchr2_iter(rarest, other_case, places.unwrap_or_default()) {
            let rest = octets.get(at..).unwrap_or_default();
            let here = rest.get(..needle.len());
            if here.is_some_and(|here| here.eq_ignore_ascii_case(needle)) {
                return true;
            }
            spent += needle.len();
            if spent > at + SPENT_AT_FIRST {
                let mut search = Search::new(self);
                search.push_ascii_pieces(rest);
                return search.is_found();
            }
        }
        false
    }

    /// True for the empty text.
    pub(crate) fn is_empty(&self) -> bool {
        self.finder.needle().is_empty()
    }

    /// True if decoded text contains it.
    #[cfg(test)]
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let mut search = Search::new(self);
        search.push_text(text);
        search.is_found()
    }
}

/// True if a field with that name contains the text; for the empty text, if there is such a field.
pub(crate) fn header_contains(header: &[u8], field: &[u8], needle: &Needle) -> bool {
    header::fields(header)
        .filter(|found| found.is(field))
        .any(|found| {
            let mut search = Search::new(needle);
            search.push_field(found.value);
            search.is_found()
        })
}

/// True if the body contains the text: text parts, and headers of messages inside.
pub(crate) fn body_contains(octets: &[u8], message: &Message, needle: &Needle) -> bool {
    needle.is_empty()
        || message.parts().any(|part| {
            is_body_text(part) && part_contains(octets, part, needle)
                || inner_header(part)
                    .is_some_and(|header| fields_contain(octets.get(header), needle))
        })
}

/// True if header or body contains the text, headers of parts included.
pub(crate) fn any_contains(octets: &[u8], message: &Message, needle: &Needle) -> bool {
    needle.is_empty()
        || message.parts().any(|part| {
            fields_contain(octets.get(part.header.clone()), needle)
                || is_body_text(part) && part_contains(octets, part, needle)
        })
}

/// True for parts whose body is searched: text, and reports and the like among messages.
fn is_body_text(part: &Part) -> bool {
    matches!(part.content, Content::Leaf)
        && (part.is_text() || part.media_type.eq_ignore_ascii_case(b"message"))
}

/// Where the header of the message in a part is.
fn inner_header(part: &Part) -> Option<std::ops::Range<usize>> {
    match &part.content {
        Content::Message { part, .. } => Some(part.header.clone()),
        Content::Leaf | Content::Multipart(_) => None,
    }
}

/// True if a header contains the text in some field, name or value.
fn fields_contain(header: Option<&[u8]>, needle: &Needle) -> bool {
    let header = header.unwrap_or_default();
    if needle.is_word && !has_encoded_words(header) {
        return needle.is_in_octets(header);
    }
    let mut search = Search::new(needle);
    for field in header::fields(header) {
        if !field.name.is_empty() {
            search.push_ascii(field.name);
            search.push_ascii(b": ");
        }
        search.push_field(field.value);
        search.push_ascii(b"\n");
    }
    search.is_found()
}

/// True if there may be encoded words (RFC 2047).
fn has_encoded_words(octets: &[u8]) -> bool {
    memchr::memmem::find(octets, b"=?").is_some()
}

/// True if the body of a part contains the text.
fn part_contains(octets: &[u8], part: &Part, needle: &Needle) -> bool {
    let body = octets.get(part.body.clone()).unwrap_or_default();
    let mut text = TextSearch::new(part, needle);
    let mut transfer = Transfer::new(part.transfer_encoding());
    if text.decoder.is_none() && matches!(transfer, Transfer::Identity) {
        return needle.is_in_octets(body);
    }
    let mut decoded = Vec::new();
    for piece in body.chunks(PIECE_OCTETS) {
        decoded.clear();
        transfer.push(piece, &mut decoded);
        text.push(&decoded);
        if text.search.is_found() {
            return true;
        }
    }
    decoded.clear();
    transfer.finish(&mut decoded);
    text.push(&decoded);
    text.finish()
}

/// Removes a transfer encoding from text that comes in pieces.
enum Transfer {
    /// None to remove, or one that we do not know.
    Identity,
    /// quoted-printable
    QuotedPrintable(quoted_printable::Decoder),
    /// base64
    Base64(MimeDecoder),
}

impl Transfer {
    /// At the start of a body.
    fn new(encoding: Option<TransferEncoding>) -> Self {
        match encoding {
            Some(TransferEncoding::QuotedPrintable) => {
                Self::QuotedPrintable(quoted_printable::Decoder::default())
            }
            Some(TransferEncoding::Base64) => Self::Base64(MimeDecoder::default()),
            Some(TransferEncoding::Identity) | None => Self::Identity,
        }
    }

    /// Decodes a piece.
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Identity => out.extend_from_slice(piece),
            Self::QuotedPrintable(decoder) => decoder.push(piece, out),
            Self::Base64(decoder) => decoder.push(piece, out),
        }
    }

    /// Gives what is left.
    fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Identity => {}
            Self::QuotedPrintable(decoder) => decoder.finish(out),
            Self::Base64(decoder) => decoder.finish(out),
        }
    }
}

/// Searches the text of a part, whose charset is still to be decoded.
struct TextSearch<'a> {
    /// The search in decoded text.
    search: Search<'a>,
    /// How to decode; none if the octets can be searched as they are.
    decoder: Option<Charset<'a>>,
    /// Decoded text, kept to reuse its memory.
    text: String,
}

/// How a part's text is to be decoded.
enum Charset<'a> {
    /// By the charset with that name, if it is known; the first octets are still to come.
    Named(&'a [u8]),
    /// By this decoder.
    Decoding(Decoder),
}

impl<'a> TextSearch<'a> {
    /// At the start of a part.
    fn new(part: &'a Part, needle: &'a Needle) -> Self {
        let name = part.parameter(b"charset").unwrap_or_default();
        let is_plain = charset::contains_plain_ascii(name) || !charset::is_known(name);
        Self {
            search: Search::new(needle),
            decoder: (!(needle.is_ascii && is_plain)).then_some(Charset::Named(name)),
            text: String::new(),
        }
    }

    /// Searches a piece.
    fn push(&mut self, octets: &[u8]) {
        let Some(charset) = &mut self.decoder else {
            self.search.push_ascii(octets);
            return;
        };
        if let Charset::Named(name) = charset
            && !octets.is_empty()
            && let Some(decoder) = decoder_for(name, octets)
        {
            *charset = Charset::Decoding(decoder);
        }
        if let Charset::Decoding(decoder) = charset {
            self.text.clear();
            decoder.push(octets, &mut self.text);
            self.search.push_text(&self.text);
        }
    }

    /// Searches what is left.
    fn finish(mut self) -> bool {
        if let Some(Charset::Decoding(decoder)) = self.decoder.take() {
            self.text.clear();
            decoder.finish(&mut self.text);
            self.search.push_text(&self.text);
        }
        self.search.is_found()
    }
}

/// A decoder for a charset. Where none is named, or an unknown one, or US-ASCII in spite of other octets, the first octets show whether it is
/// UTF-8; if not, it is read as Latin-1.
fn decoder_for(name: &[u8], first: &[u8]) -> Option<Decoder> {
    let is_ascii = name.eq_ignore_ascii_case(b"us-ascii");
    let known = (!is_ascii).then(|| Decoder::new(name)).flatten();
    known.or_else(|| {
        let is_utf8 = match str::from_utf8(first) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        };
        Decoder::new(if is_utf8 { b"utf-8" } else { b"iso-8859-1" })
    })
}

/// Looks for a needle in text that comes in pieces.
struct Search<'a> {
    /// What is looked for.
    needle: &'a Needle,
    /// Folded text that has not been searched, with as much before it as the needle may reach back.
    window: Vec<u8>,
    /// It has been found.
    found: bool,
}

impl<'a> Search<'a> {
    /// At the start of a text.
    fn new(needle: &'a Needle) -> Self {
        Self {
            needle,
            window: Vec::new(),
            found: needle.is_empty(),
        }
    }

    /// Adds text.
    fn push_text(&mut self, text: &str) {
        if !self.found {
            push_folded(text, &mut self.window);
            self.search_if_full();
        }
    }

    /// Adds octets of which only ASCII matters.
    fn push_ascii(&mut self, octets: &[u8]) {
        if !self.found {
            let start = self.window.len();
            self.window.extend_from_slice(octets);
            if let Some(added) = self.window.get_mut(start..) {
                added.make_ascii_lowercase();
            }
            self.search_if_full();
        }
    }

    /// [`Self::push_ascii`] of what is large.
    fn push_ascii_pieces(&mut self, octets: &[u8]) {
        for piece in octets.chunks(PIECE_OCTETS) {
            self.push_ascii(piece);
        }
    }

    /// Adds the value of a field, folded as stored.
    fn push_field(&mut self, value: &[u8]) {
        let value = header::unfold(value);
        if self.needle.is_ascii && !has_encoded_words(&value) {
            self.push_ascii(&value);
        } else {
            self.push_text(&encoded_word::decode(&value));
        }
    }

    /// Searches once enough has come.
    fn search_if_full(&mut self) {
        let reach = self.needle.finder.needle().len().saturating_sub(1);
        if self.window.len() >= PIECE_OCTETS + reach {
            self.search();
            self.window.drain(..self.window.len() - reach);
        }
    }

    /// Searches what has come.
    fn search(&mut self) {
        self.found = self.found || self.needle.finder.find(&self.window).is_some();
    }

    /// Searches the rest, and tells whether it was found anywhere.
    fn is_found(&mut self) -> bool {
        self.search();
        self.found
    }
}

/// Appends text with its case folded.
fn push_folded(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() {
        let start = out.len();
        out.extend_from_slice(text.as_bytes());
        if let Some(added) = out.get_mut(start..) {
            added.make_ascii_lowercase();
        }
        return;
    }
    let mut buffer = [0; 4];
    for character in text.chars() {
        out.extend_from_slice(fold(character).encode_utf8(&mut buffer).as_bytes());
    }
}

/// The simple folding of a character: the small letter of its capital, where both are one character.
fn fold(character: char) -> char {
    match character {
        ..='\x7F' => return character.to_ascii_lowercase(),
        // Chinese, Japanese and Korean have no case; most of such a text need not be looked up.
        '\u{2E80}'..='\u{A63F}' | '\u{AC00}'..='\u{D7FF}' => return character,
        _ => {}
    }
    let capital = single(character.to_uppercase()).unwrap_or(character);
    single(capital.to_lowercase()).unwrap_or(character)
}

/// The only character, if there is but one.
fn single(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next();
    first.filter(|_| characters.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::base64::encode as base64;
    use proptest::prelude::*;

    /// Text in header, preamble, parts, inner message, attachment.
    const MESSAGE: &[u8] = b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n aus Norddeich\r\nX-Raw: Stra\xC3\x9Fe\r\nX-Latin: \xE4\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble-text\r\n\
        --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        Die F=E4hre f=\r\n=E4hrt\r\n\
        --b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <idOfPart>\r\n\r\n\
        PHA+zpHOuM6uzr3OsSDOns6tzr/Pgg==\r\n\
        --b\r\nContent-Type: application/pdf; name=plan.pdf\r\n\r\nhidden-in-pdf\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner-subject\r\n\
        Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1B$B$\"$$\x1B(B\r\n\
        --b--\r\n";

    /// In the body, and anywhere.
    fn found(text: &str) -> (bool, bool) {
        let message = Message::parse(MESSAGE);
        let needle = Needle::new(text);
        (
            body_contains(MESSAGE, &message, &needle),
            any_contains(MESSAGE, &message, &needle),
        )
    }

    #[test]
    fn where_text_is_found() {
        for (text, in_body, anywhere) in [
            ("", true, true),
            ("f\u{E4}hre F\u{C4}HRT", true, true),
            ("hre f", true, true),
            (
                "\u{3B1}\u{3B8}\u{3AE}\u{3BD}\u{3B1} \u{39E}\u{3AD}\u{39F}\u{3A3}",
                true,
                true,
            ),
            ("<p>", true, true),
            ("\u{3042}\u{3044}", true, true),
            ("$\"$$", false, false),
            ("INNER-SUBJECT", true, true),
            ("gr\u{FC}\u{DF}e aus nord", false, true),
            ("subject: gr", false, true),
            ("stra\u{DF}e", false, true),
            ("idofpart", false, true),
            ("plan.pdf", false, true),
            ("preamble-text", false, false),
            ("hidden-in-pdf", false, false),
            ("nowhere", false, false),
            ("f=", false, false),
        ] {
            assert_eq!(found(text), (in_body, anywhere), "{text}");
        }
    }

    #[test]
    fn fields() {
        for (field, text, expected) in [
            ("subject", "GR\u{DC}\u{DF}E AUS", true),
            ("Subject", "norddeich", true),
            ("subject", "utf-8", false),
            ("subject", "", true),
            ("x-latin", "\u{C4}", true),
            ("cc", "", false),
            ("cc", "x", false),
        ] {
            let found = header_contains(MESSAGE, field.as_bytes(), &Needle::new(text));
            assert_eq!(found, expected, "{field} {text}");
        }
    }

    #[test]
    fn folding() {
        for (text, needle, expected) in [
            ("\u{3A3}\u{3C3}\u{3C2}", "\u{3C2}\u{3C2}\u{3C2}", true),
            ("\u{1C4}", "\u{1C6}", true),
            ("STRASSE", "stra\u{DF}e", false),
            ("\u{130}", "\u{130}", true),
            ("\u{E9}", "e", false),
            ("\u{416}\u{436}", "\u{436}\u{416}", true),
        ] {
            assert_eq!(Needle::new(needle).is_in(text), expected, "{text} {needle}");
        }
    }

    #[test]
    fn what_is_not_looked_up_has_no_case() {
        for character in ('\u{2E80}'..='\u{A63F}').chain('\u{AC00}'..='\u{D7FF}') {
            assert_eq!(single(character.to_lowercase()), Some(character));
            assert_eq!(single(character.to_uppercase()), Some(character));
        }
    }

    /// A text/plain with that charset and body.
    fn plain(charset: &str, body: &[u8]) -> Vec<u8> {
        let header = format!("Content-Type: text/plain{charset}\n\n");
        [header.as_bytes(), body].concat()
    }

    #[test]
    fn charsets_missing_unknown_or_wrong() {
        for charset in ["", "; charset=x-unknown", "; charset=us-ascii"] {
            for body in [b"caf\xC3\xA9 noir".as_slice(), b"caf\xE9 noir"] {
                let octets = plain(charset, body);
                let message = Message::parse(&octets);
                for text in ["CAF\u{C9}", "noir"] {
                    assert!(
                        body_contains(&octets, &message, &Needle::new(text)),
                        "{charset}"
                    );
                }
            }
        }
    }

    #[test]
    fn across_pieces() {
        for text in ["needle in the hay", "n\u{E4}dle in the h\u{E4}y"] {
            for before in [PIECE_OCTETS - 20, PIECE_OCTETS - 5, 2 * PIECE_OCTETS - 9] {
                let body = [&b"x".repeat(before), text.to_uppercase().as_bytes(), b"\n"].concat();
                let octets = plain("; charset=utf-8", &body);
                let message = Message::parse(&octets);
                assert!(
                    body_contains(&octets, &message, &Needle::new(text)),
                    "{text} {before}"
                );
                assert!(!body_contains(&octets, &message, &Needle::new("needles")));
            }
        }
    }

    #[test]
    fn where_much_looks_like_the_text() {
        let needle = Needle::new(&format!("b{}", "a".repeat(500)));
        let mut octets = b"ba".repeat(50_000);
        assert!(!needle.is_in_octets(&octets));
        octets.extend(b"B".iter().chain(&[b'A'; 500]));
        assert!(needle.is_in_octets(&octets));
        octets.pop();
        assert!(!needle.is_in_octets(&octets));
    }

    proptest! {
        #[test]
        fn octets_are_searched_where_they_lie(octets in "[abAB z\n]{0,200}", text in "[abAz ]{1,4}") {
            let needle = Needle::new(&text);
            let is_here = |here: &[u8]| here.eq_ignore_ascii_case(text.as_bytes());
            let expected = octets.as_bytes().windows(text.len()).any(is_here);
            prop_assert_eq!(needle.is_in_octets(octets.as_bytes()), expected);
        }

        #[test]
        fn headers_are_searched_where_they_lie(
            header in "([aB]{0,2}[: \t]{0,2}[aB:=?_\0]{0,4}\r?\n?){0,10}",
            text in "[ab=?]{1,3}",
        ) {
            let mut needle = Needle::new(&text);
            prop_assert!(needle.is_word);
            let header = header.as_bytes().get(..header::octets(header.as_bytes()));
            let found = fields_contain(header, &needle);
            needle.is_word = false;
            prop_assert_eq!(fields_contain(header, &needle), found);
        }

        #[test]
        fn bodies_are_searched_as_decoded_ones(body in "[abAB =\n]{0,200}", text in "[abA =]{1,4}") {
            let octets = plain("", body.as_bytes());
            let encoded = format!("Content-Transfer-Encoding: base64\n\n{}", base64(body.as_bytes()));
            let needle = Needle::new(&text);
            let find = |octets: &[u8]| body_contains(octets, &Message::outline(octets), &needle);
            prop_assert_eq!(find(&octets), find(encoded.as_bytes()));
        }
    }
}
