//! FETCH (RFC 9051 §6.4.5).

use super::core::{
    Expected, ParseResult, after_sp, astring, fail, list1, mod_sequence, name, named, number64,
    nz_number, word,
};
use super::sequence::{partial_range, sequence_set};
use crate::imap::types::command::CommandBody;
use crate::imap::types::fetch::{FetchItem, FetchModifiers, Section, SectionText};
use crate::imap::types::sequence::{OctetWindow, PartialRange};
use crate::mailbox::id::ModSeq;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take_while1};
use nom::character::complete::char as octet;
use nom::combinator::{cut, map, map_opt, opt, peek, value};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded};
use std::num::{NonZeroU32, NonZeroU64};

/// Most different items of one FETCH: each may be a whole message again.
const MAX_ITEMS: usize = 128;

/// Most header names of one section.
const MAX_HEADER_NAMES: usize = 256;

/// Longest part number, in levels.
const MAX_PART_LEVELS: usize = 256;

/// `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")
/// [fetch-modifiers]`; what follows the name
pub(super) fn fetch(uid: bool) -> impl FnMut(&[u8]) -> ParseResult<'_, CommandBody> {
    move |input| {
        let (rest, set) = after_sp(sequence_set).parse(input)?;
        let one = map(fetch_att, |item| vec![item]);
        let items = alt((fetch_macro, list1(fetch_att), one));
        let (rest, given) = after_sp(items).parse(rest)?;
        let items = each_once(rest, given)?;
        let modifiers = preceded(peek(octet('(')), cut(fetch_modifiers(uid)));
        let (rest, modifiers) = opt(after_sp(modifiers)).parse(rest)?;
        let body = CommandBody::Fetch {
            uid,
            set,
            items,
            modifiers: modifiers.unwrap_or_default(),
        };
        Ok((rest, body))
    }
}

/// `"(" fetch-att *(SP fetch-att) ")"`
pub(super) fn fetch_atts(input: &[u8]) -> ParseResult<'_, Vec<FetchItem>> {
    let (rest, given) = list1(fetch_att).parse(input)?;
    Ok((rest, each_once(rest, given)?))
}

/// Items without their repetitions, if they are not too many.
fn each_once(rest: &[u8], given: Vec<FetchItem>) -> Result<Vec<FetchItem>, nom::Err<Expected>> {
    let mut items = Vec::new();
    for item in given {
        if !items.contains(&item) {
            items.push(item);
        }
        if items.len() > MAX_ITEMS {
            return fail(rest, "fewer data items").map(|(_, items)| items);
        }
    }
    Ok(items)
}

/// A modifier with its value.
#[derive(Debug)]
enum Modifier {
    /// CHANGEDSINCE
    ChangedSince(ModSeq),
    /// VANISHED
    Vanished,
    /// PARTIAL
    Partial(PartialRange),
}

/// `fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"` (RFC 4466 §2.4), each once
fn fetch_modifiers(uid: bool) -> impl FnMut(&[u8]) -> ParseResult<'_, FetchModifiers> {
    move |input| {
        let (rest, given) = list1(fetch_modifier).parse(input)?;
        let mut modifiers = FetchModifiers::default();
        for modifier in given {
            let is_repeated = match modifier {
                Modifier::ChangedSince(mod_seq) => {
                    modifiers.changed_since.replace(mod_seq).is_some()
                }
                Modifier::Vanished => std::mem::replace(&mut modifiers.vanished, true),
                Modifier::Partial(window) => modifiers.partial.replace(window).is_some(),
            };
            if is_repeated {
                return fail(input, "each modifier once");
            }
        }
        if modifiers.vanished && (!uid || modifiers.changed_since.is_none()) {
            return fail(input, "VANISHED in UID FETCH and beside CHANGEDSINCE only");
        }
        Ok((rest, modifiers))
    }
}

/// `"CHANGEDSINCE" SP mod-sequence-value / "VANISHED"` (RFC 7162 §7); 0 is taken too;
/// `"PARTIAL" SP partial-range` (RFC 9394 §4)
fn fetch_modifier(input: &[u8]) -> ParseResult<'_, Modifier> {
    let (rest, word) = named("a modifier of FETCH", name).parse(input)?;
    match word.as_str() {
        "CHANGEDSINCE" => map(after_sp(mod_sequence), Modifier::ChangedSince).parse(rest),
        "VANISHED" => Ok((rest, Modifier::Vanished)),
        "PARTIAL" => map(after_sp(partial_range), Modifier::Partial).parse(rest),
        _ => fail(input, "modifiers of FETCH that are offered"),
    }
}

/// `"ALL" / "FULL" / "FAST"`
fn fetch_macro(input: &[u8]) -> ParseResult<'_, Vec<FetchItem>> {
    let fast = [
        FetchItem::Flags,
        FetchItem::InternalDate,
        FetchItem::Rfc822Size,
    ];
    let more = match () {
        () if word("FAST").parse(input).is_ok() => vec![],
        () if word("ALL").parse(input).is_ok() => vec![FetchItem::Envelope],
        () if word("FULL").parse(input).is_ok() => vec![FetchItem::Envelope, FetchItem::Body],
        () => return fail(input, "ALL, FULL or FAST"),
    };
    let (rest, _) = take_while1(|b: u8| b.is_ascii_alphabetic()).parse(input)?;
    Ok((rest, fast.into_iter().chain(more).collect()))
}

/// `fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822.SIZE" / "BODY" ["STRUCTURE"] / "UID" / "BODY" section [partial] /
/// "BODY.PEEK" section [partial] / "BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary`
///
/// and `"RFC822" [".HEADER" / ".TEXT"]` of RFC 3501 §9.
///
/// SAVEDATE of RFC 8514 §5, EMAILID and THREADID of RFC 8474 §7.
fn fetch_att(input: &[u8]) -> ParseResult<'_, FetchItem> {
    let is_name_char = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
    let (rest, name) = named("a data item of FETCH", take_while1(is_name_char)).parse(input)?;
    let has_section = rest.first() == Some(&b'[');
    let item = match (name.to_ascii_uppercase().as_slice(), has_section) {
        (b"UID", false) => FetchItem::Uid,
        (b"FLAGS", false) => FetchItem::Flags,
        (b"MODSEQ", false) => FetchItem::ModSeq,
        (b"INTERNALDATE", false) => FetchItem::InternalDate,
        (b"SAVEDATE", false) => FetchItem::SaveDate,
        (b"EMAILID", false) => FetchItem::EmailId,
        (b"THREADID", false) => FetchItem::ThreadId,
        (b"RFC822.SIZE", false) => FetchItem::Rfc822Size,
        (b"ENVELOPE", false) => FetchItem::Envelope,
        (b"BODYSTRUCTURE", false) => FetchItem::BodyStructure,
        (b"BODY", false) => FetchItem::Body,
        (b"RFC822", false) => FetchItem::Rfc822,
        (b"RFC822.HEADER", false) => FetchItem::Rfc822Header,
        (b"RFC822.TEXT", false) => FetchItem::Rfc822Text,
        (b"BODY", true) => return body_section(false).parse(rest),
        (b"BODY.PEEK", true) => return body_section(true).parse(rest),
        (b"BINARY", true) => return binary(false).parse(rest),
        (b"BINARY.PEEK", true) => return binary(true).parse(rest),
        (b"BINARY.SIZE", true) => {
            return map(section_binary, |part| FetchItem::BinarySize { part }).parse(rest);
        }
        _ => return fail(input, "a data item of FETCH that is offered"),
    };
    Ok((rest, item))
}

/// `section [partial]` of BODY
fn body_section(peek: bool) -> impl FnMut(&[u8]) -> ParseResult<'_, FetchItem> {
    move |input| {
        map((section, opt(partial)), |(section, window)| {
            FetchItem::BodySection {
                peek,
                section,
                window,
            }
        })
        .parse(input)
    }
}

/// `section-binary [partial]` of BINARY
fn binary(peek: bool) -> impl FnMut(&[u8]) -> ParseResult<'_, FetchItem> {
    move |input| {
        map((section_binary, opt(partial)), |(part, window)| {
            FetchItem::Binary { peek, part, window }
        })
        .parse(input)
    }
}

/// `section-binary = "[" [section-part] "]"`
fn section_binary(input: &[u8]) -> ParseResult<'_, Vec<NonZeroU32>> {
    let part = map(opt(section_part), Option::unwrap_or_default);
    delimited(octet('['), part, named("]", octet(']'))).parse(input)
}

/// `section = "[" [section-spec] "]"`
///
/// `section-spec = section-msgtext / (section-part ["." section-text])`, `section-text = section-msgtext / "MIME"`
fn section(input: &[u8]) -> ParseResult<'_, Section> {
    let mime = value(SectionText::Mime, tag_no_case("MIME"));
    let of_part = (
        section_part,
        map(
            opt(preceded(octet('.'), alt((mime, section_msgtext)))),
            Option::unwrap_or_default,
        ),
    );
    let of_message = map(opt(section_msgtext), |text| {
        (Vec::new(), text.unwrap_or_default())
    });
    let spec = map(alt((of_part, of_message)), |(part, text)| Section {
        part,
        text,
    });
    delimited(octet('['), spec, named("a section or ]", octet(']'))).parse(input)
}

/// `section-part = nz-number *("." nz-number)`
fn section_part(input: &[u8]) -> ParseResult<'_, Vec<NonZeroU32>> {
    let (rest, part) = separated_list1(octet('.'), nz_number).parse(input)?;
    if part.len() > MAX_PART_LEVELS {
        return fail(input, "a shorter part number");
    }
    Ok((rest, part))
}

/// `section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"`
fn section_msgtext(input: &[u8]) -> ParseResult<'_, SectionText> {
    alt((
        preceded(
            tag_no_case("HEADER.FIELDS.NOT"),
            cut(map(after_sp(header_list), SectionText::HeaderFieldsNot)),
        ),
        preceded(
            tag_no_case("HEADER.FIELDS"),
            cut(map(after_sp(header_list), SectionText::HeaderFields)),
        ),
        value(SectionText::Header, word_before_bracket("HEADER")),
        value(SectionText::Text, word_before_bracket("TEXT")),
    ))
    .parse(input)
}

/// A word that ends the section.
fn word_before_bracket<'a>(
    word: &'static str,
) -> impl Parser<&'a [u8], Output = (), Error = Expected> {
    value((), (tag_no_case(word), peek(octet(']'))))
}

/// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`
fn header_list(input: &[u8]) -> ParseResult<'_, Vec<Vec<u8>>> {
    let (rest, names) = list1(named("a header field name", astring)).parse(input)?;
    if names.len() > MAX_HEADER_NAMES {
        return fail(input, "fewer header field names");
    }
    Ok((rest, names))
}

/// `partial = "<" number64 "." nz-number64 ">"`
fn partial(input: &[u8]) -> ParseResult<'_, OctetWindow> {
    let octets = map_opt(number64, NonZeroU64::new);
    let window = (
        number64,
        preceded(
            named(".", octet('.')),
            named("a number of octets above 0", octets),
        ),
        named(">", octet('>')),
    );
    map(preceded(octet('<'), cut(window)), |(origin, octets, _)| {
        OctetWindow { origin, octets }
    })
    .parse(input)
}
