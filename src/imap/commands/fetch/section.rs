//! What is sent for BODY[…], BINARY[…] and the like: sections of a message as octets on their way.

use crate::imap::commands::open_message::{OpenMessage, Place};
use crate::imap::types::fetch::{FetchItem, Section, SectionText};
use crate::imap::types::sequence::OctetWindow;
use crate::mailbox::backend;
use crate::message::header::{self, FieldNames};
use crate::message::lines::{push_crlf, push_crlf_keeping_nul};
use crate::message::section::SectionKind;
use crate::protocol::Output;
use std::num::NonZeroU32;
use std::ops::Range;

/// Octets of a line, rather too few: the wire form is longer than what is stored by an octet for each line.
const EXPECTED_LINE_OCTETS: usize = 32;

/// What stands behind the name of an item.
#[derive(Debug)]
pub(super) enum Answer {
    /// No such section.
    Nil,
    /// BINARY.SIZE
    Number(u64),
    /// Octets: `left` of them must be sent.
    Octets(Transfer),
    /// The part has a transfer encoding that we do not know: the command ends with NO (RFC 9051 §7.5.2).
    UnknownEncoding,
}

/// Octets on their way to the client.
#[derive(Debug)]
pub(super) struct Transfer {
    /// Octets announced that have not been sent.
    left: u64,
    /// They may hold NUL, which the wire form of a message does not.
    has_nul: bool,
    source: Source,
}

/// Where octets come from.
#[derive(Debug)]
enum Source {
    /// From the message's file, lines ending in CRLF, NUL replaced.
    Stored(Place),
    /// As they are.
    Made(Vec<u8>),
}

/// Finds what an item is answered with; reads what must be known of the message before the first octet goes out.
///
/// # Errors
/// What the store gives.
pub(super) fn answer(item: &FetchItem, message: &mut OpenMessage) -> backend::Result<Answer> {
    match item {
        FetchItem::Rfc822 => whole(message, None),
        FetchItem::Rfc822Header => fields(&Section::default(), &[], true, None, message),
        FetchItem::Rfc822Text => text(message, None),
        FetchItem::BodySection {
            section, window, ..
        } => body_section(section, *window, message),
        FetchItem::Binary { part, window, .. } => binary(part, *window, message),
        FetchItem::BinarySize { part } => Ok(match binary(part, None, message)? {
            Answer::Octets(transfer) => Answer::Number(transfer.left),
            Answer::Nil | Answer::Number(_) => Answer::Number(0),
            Answer::UnknownEncoding => Answer::UnknownEncoding,
        }),
        FetchItem::Uid
        | FetchItem::Flags
        | FetchItem::ModSeq
        | FetchItem::InternalDate
        | FetchItem::SaveDate
        | FetchItem::EmailId
        | FetchItem::ThreadId
        | FetchItem::Rfc822Size
        | FetchItem::Envelope
        | FetchItem::Body
        | FetchItem::BodyStructure => Ok(Answer::Nil),
    }
}

/// `BODY[section]<window>`
fn body_section(
    section: &Section,
    window: Option<OctetWindow>,
    message: &mut OpenMessage,
) -> backend::Result<Answer> {
    let of_message = section.part.is_empty();
    let kind = match &section.text {
        SectionText::Whole if of_message => return whole(message, window),
        SectionText::Text if of_message => return text(message, window),
        SectionText::Header if of_message => return fields(section, &[], true, window, message),
        SectionText::HeaderFields(names) => return fields(section, names, false, window, message),
        SectionText::HeaderFieldsNot(names) => {
            return fields(section, names, true, window, message);
        }
        SectionText::Whole => SectionKind::Whole,
        SectionText::Header => SectionKind::Header,
        SectionText::Text => SectionKind::Text,
        SectionText::Mime => SectionKind::Mime,
    };
    match message.structure()?.section(&section.part, kind) {
        Some(found) => stored(message, &wide(&found.range), Some(found.octets), window),
        None => Ok(Answer::Nil),
    }
}

/// The whole message, which needs no parsing.
fn whole(message: &mut OpenMessage, window: Option<OctetWindow>) -> backend::Result<Answer> {
    let range = 0..message.stored();
    stored(message, &range, None, window)
}

/// The message without its header.
fn text(message: &mut OpenMessage, window: Option<OctetWindow>) -> backend::Result<Answer> {
    let from = message.header()?.len() as u64;
    let range = from..message.stored();
    stored(message, &range, None, window)
}

/// Fields of the header of the message or of a message/rfc822 part: those with the names, or with `negate` all others.
fn fields(
    section: &Section,
    names: &[Vec<u8>],
    negate: bool,
    window: Option<OctetWindow>,
    message: &mut OpenMessage,
) -> backend::Result<Answer> {
    let header = if section.part.is_empty() {
        message.header()?.to_vec()
    } else {
        let found = message
            .structure()?
            .section(&section.part, SectionKind::Header);
        match found {
            Some(found) => message.octets(&wide(&found.range))?,
            None => return Ok(Answer::Nil),
        }
    };
    let selected = if negate && names.is_empty() {
        header
    } else {
        let names = FieldNames::new(names.iter().map(Vec::as_slice));
        header::select(&header, &names, negate)
    };
    let mut octets = Vec::new();
    push_crlf(&selected, &mut 0, &mut octets);
    Ok(made(octets, window))
}

/// A part without its transfer encoding. Without a part number: the message as it is, which has no transfer encoding as a whole.
fn binary(
    part: &[NonZeroU32],
    window: Option<OctetWindow>,
    message: &mut OpenMessage,
) -> backend::Result<Answer> {
    if part.is_empty() {
        let range = 0..message.stored();
        let stored = message.octets(&range)?;
        let mut octets = Vec::new();
        push_crlf_keeping_nul(&stored, &mut 0, &mut octets);
        return Ok(made(octets, window));
    }
    Ok(match message.decoded(part)? {
        Some(Some(octets)) => made(windowed(octets, window).to_vec(), None),
        Some(None) => Answer::UnknownEncoding,
        None => Answer::Nil,
    })
}

/// A window of stored octets in wire form.
fn stored(
    message: &mut OpenMessage,
    range: &Range<u64>,
    known: Option<u64>,
    window: Option<OctetWindow>,
) -> backend::Result<Answer> {
    let (origin, octets) = window.map_or((0, u64::MAX), |w| (w.origin, w.octets.get()));
    let place = message.place(range, known, origin, octets)?;
    Ok(Answer::Octets(Transfer::of_place(place)))
}

/// A window of octets that are in memory.
fn made(mut octets: Vec<u8>, window: Option<OctetWindow>) -> Answer {
    if window.is_some() {
        octets = windowed(&octets, window).to_vec();
    }
    Answer::Octets(Transfer {
        has_nul: memchr::memchr(0, &octets).is_some(),
        ..Transfer::of_octets(octets)
    })
}

/// Those octets that lie in a window.
pub(super) fn windowed(octets: &[u8], window: Option<OctetWindow>) -> &[u8] {
    let Some(window) = window else {
        return octets;
    };
    let most = usize::try_from(window.octets.get()).unwrap_or(usize::MAX);
    let rest = usize::try_from(window.origin)
        .ok()
        .and_then(|origin| octets.get(origin..))
        .unwrap_or_default();
    rest.get(..most).unwrap_or(rest)
}

/// Offsets as the file knows them.
const fn wide(range: &Range<usize>) -> Range<u64> {
    range.start as u64..range.end as u64
}

impl Transfer {
    /// Octets of the message's file.
    pub(super) const fn of_place(place: Place) -> Self {
        Self {
            left: place.octets,
            has_nul: false,
            source: Source::Stored(place),
        }
    }

    /// A whole message that was read, in wire form.
    pub(super) fn of_message(octets: &[u8]) -> Self {
        let mut wire = Vec::with_capacity(octets.len() + octets.len() / EXPECTED_LINE_OCTETS);
        push_crlf(octets, &mut 0, &mut wire);
        Self::of_octets(wire)
    }

    /// Octets without NUL.
    const fn of_octets(octets: Vec<u8>) -> Self {
        Self {
            left: octets.len() as u64,
            has_nul: false,
            source: Source::Made(octets),
        }
    }

    /// Octets that have not been sent.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }

    /// True if a literal8 is needed.
    pub(super) const fn has_nul(&self) -> bool {
        self.has_nul
    }

    /// Appends some of what is left, from the message that it was found in.
    ///
    /// # Errors
    /// If it cannot be had: the file was cut short, or cannot be read any more.
    pub(super) fn advance(
        &mut self,
        message: Option<&mut OpenMessage>,
        scratch: &mut Vec<u8>,
        out: &mut Output,
    ) -> backend::Result<()> {
        let start = out.len();
        match (&mut self.source, message) {
            (Source::Stored(place), Some(message)) => {
                place.push(self.left, message, scratch, out)?;
            }
            (Source::Stored(_), None) => return Err(backend::Error::Unavailable),
            (Source::Made(octets), _) => out.push(std::mem::take(octets)),
        }
        self.left = self.left.saturating_sub((out.len() - start) as u64);
        Ok(())
    }
}

impl Place {
    /// Appends the next octets, at most `left`.
    fn push(
        &mut self,
        left: u64,
        message: &mut OpenMessage,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> backend::Result<()> {
        let start = out.len();
        // no stored octet is less than one octet of wire form
        let most = (self.end - self.position).min(self.skip.saturating_add(left));
        let block = message.block(self.position, most, scratch)?;
        if block.is_empty() {
            return Err(backend::Error::Unavailable);
        }
        self.position += block.len() as u64;
        push_crlf(block, &mut self.previous, out);
        let skipped = self.skip.min((out.len() - start) as u64);
        self.skip -= skipped;
        out.drain(start..start + usize::try_from(skipped).unwrap_or(0));
        out.truncate(start.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
        Ok(())
    }
}
