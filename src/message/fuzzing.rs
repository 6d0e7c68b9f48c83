//! Any octets are a message: what is said of its parts must agree with the octets, and everything else must be borne.

use super::envelope::Envelope;
use super::header;
use super::lines::{crlf_octets, push_crlf};
use super::section::SectionKind;
use super::structure::{Content, Message, Part};
use super::text::{Needle, any_contains, body_contains, header_contains};
use crate::encoding::date::parse_message_date;
use std::num::NonZeroU32;

/// Looks at a message in every way that IMAP has.
///
/// # Panics
/// If something is wrong.
pub(crate) fn message(octets: &[u8]) {
    structure(octets);
    lines(octets);
    fields(octets);
    sections(octets);
    search(octets);
}

/// Checks what holds for every part of every message.
///
/// # Panics
/// If something is wrong.
pub(crate) fn structure(message: &[u8]) {
    let structure = Message::parse(message);
    let root = &structure.root;
    assert_eq!(root.header.start..root.body.end, 0..message.len());
    let mut wire = Vec::new();
    push_crlf(message, &mut 0, &mut wire);
    let octets = usize::try_from(root.header_octets + root.body_octets);
    assert_eq!(octets, Ok(wire.len()));
    for part in structure.parts() {
        assert_eq!(part.header.end, part.body.start);
        let header = message.get(part.header.clone());
        assert_eq!(Some(part.header_octets), header.map(crlf_octets));
        let body = message.get(part.body.clone());
        assert_eq!(Some(part.body_octets), body.map(crlf_octets));
        let lines = body.map(|body| memchr::memchr_iter(b'\n', body).count());
        assert_eq!(usize::try_from(part.body_lines).ok(), lines);
        check_inside(part);
        drop(part.decoded(message));
    }
    outline(message, structure);
}

/// The parts are the same where nothing is counted.
fn outline(message: &[u8], mut structure: Message) {
    forget_counts(&mut structure.root);
    assert!(structure == Message::outline(message), "counts matter");
}

/// Sets the counts of a part, and of those in it, to 0.
fn forget_counts(part: &mut Part) {
    part.header_octets = 0;
    part.body_octets = 0;
    part.body_lines = 0;
    match &mut part.content {
        Content::Leaf => {}
        Content::Multipart(parts) => parts.iter_mut().for_each(forget_counts),
        Content::Message { part, .. } => forget_counts(part),
    }
}

/// Checks that parts lie in the body around them, in order, without overlap.
fn check_inside(part: &Part) {
    match &part.content {
        Content::Leaf => {}
        Content::Message { part: inner, .. } => {
            assert_eq!(inner.header.start..inner.body.end, part.body);
        }
        Content::Multipart(parts) => {
            let mut end = part.body.start;
            assert!(!parts.is_empty());
            for inner in parts {
                assert!(end <= inner.header.start);
                end = inner.body.end;
            }
            assert!(end <= part.body.end);
        }
    }
}

/// Line ends come out the same however the octets are cut, and no line ends in a bare LF.
fn lines(octets: &[u8]) {
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    push_crlf(octets, &mut 0, &mut whole);
    let mut previous = 0;
    for piece in octets.chunks(3) {
        push_crlf(piece, &mut previous, &mut pieces);
    }
    assert!(whole == pieces, "cuts matter");
    let bare = memchr::memchr_iter(b'\n', &whole)
        .any(|at| at.checked_sub(1).and_then(|at| whole.get(at)) != Some(&b'\r'));
    assert!(!bare, "LF without CR");
}

/// Fields lie in the header one after the other; what is selected of them and what is left out are the whole.
fn fields(octets: &[u8]) {
    let header = octets.get(..header::octets(octets)).unwrap_or_default();
    let mut end = 0;
    for field in header::fields(header) {
        assert!(end <= field.raw.start && field.raw.start < field.raw.end);
        end = field.raw.end;
        assert!(!header::unfold(field.value).contains(&b'\n'));
    }
    assert!(end <= header.len());
    let names = header::FieldNames::new([b"Subject".as_slice(), b"content-type"]);
    let selected = header::select(header, &names, false);
    let others = header::select(header, &names, true);
    // the empty line is in both
    assert_eq!(selected.len() + others.len(), 2 * header.len() - end);
    if let Some(date) = header::value(header, b"Date") {
        let parsed = parse_message_date(&date);
        assert!(parsed.is_none_or(|date| (1..=12).contains(&date.day.1) && (1..=31).contains(&date.day.2)));
    }
    drop(Envelope::parse(header));
}

/// Sections lie in the message, and are as long as they say.
fn sections(octets: &[u8]) {
    let message = Message::parse(octets);
    let kinds = [
        SectionKind::Whole,
        SectionKind::Header,
        SectionKind::Text,
        SectionKind::Mime,
    ];
    let numbers = [1, 2, 3].map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN));
    let mut paths: Vec<Vec<NonZeroU32>> = vec![Vec::new()];
    for first in numbers {
        paths.push(vec![first]);
        for second in numbers {
            paths.push(vec![first, second]);
            paths.push(vec![first, second, first]);
        }
    }
    for path in paths {
        for kind in kinds {
            if let Some(section) = message.section(&path, kind) {
                let wire = octets.get(section.range).map(crlf_octets);
                assert_eq!(wire, Some(section.octets));
            }
        }
    }
}

/// What is in the body or in a field is in the whole.
fn search(octets: &[u8]) {
    let message = Message::parse(octets);
    let nothing = Needle::new("");
    assert!(body_contains(octets, &message, &nothing) && any_contains(octets, &message, &nothing));
    for text in ["e", "\u{e4}", "STRA\u{df}E"] {
        let needle = Needle::new(text);
        let anywhere = any_contains(octets, &message, &needle);
        assert!(anywhere || !body_contains(octets, &message, &needle));
        let header = octets.get(message.root.header.clone()).unwrap_or_default();
        assert!(anywhere || !header_contains(header, b"Subject", &needle));
    }
}
