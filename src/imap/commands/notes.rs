//! What is noted about messages: how notes are made, and what can be told from them without reading.
//!
//! ENVELOPE, BODY and BODYSTRUCTURE are noted as they are sent. Of the header those fields are noted that clients ask for and people
//! search for; what the mail's way left in it, which is most of it, is read when it is wanted.

use crate::encoding::date::parse_message_date;
use crate::imap::encode::structure::{Form, push_body, push_envelope};
use crate::imap::types::search::Day;
use crate::mailbox::backend::{self, Extent, Mailbox, Reading};
use crate::mailbox::id::Uid;
use crate::mailbox::notes::{Kind, PageNumber, Row, Sheet, of_size};
use crate::message::envelope::Envelope;
use crate::message::header;
use crate::message::lines::{CrlfState, push_crlf};
use crate::message::structure::Message;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Fields that the mail's way left.
const TRACES: [&[u8]; 6] = [
    b"Authentication-Results",
    b"DKIM-Signature",
    b"DomainKey-Signature",
    b"Received",
    b"Received-SPF",
    b"Return-Path",
];

/// Beginning of more such fields, of authenticated received chains.
const TRACE_BEGINNING: &[u8] = b"ARC-";

/// Beginning of fields that only some programs know.
const PRIVATE_BEGINNING: &[u8] = b"X-";

/// Those of them that clients ask for.
const ASKED_FOR: [&[u8]; 4] = [b"X-Label", b"X-Mailer", b"X-Original-To", b"X-Priority"];

/// True for fields that are noted; if there is no note of one, the message does not have it.
pub(super) fn is_noted_field(name: &[u8]) -> bool {
    let begins = |beginning: &[u8]| {
        name.get(..beginning.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    };
    let is_among = |names: &[&[u8]]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    if begins(PRIVATE_BEGINNING) {
        is_among(&ASKED_FOR)
    } else {
        !begins(TRACE_BEGINNING) && !is_among(&TRACES)
    }
}

/// How much of a message must be read to make notes of a kind.
pub(super) const fn extent(kind: Kind) -> Extent {
    match kind {
        Kind::InternalDate => Extent::Date,
        Kind::SentDay | Kind::Fields | Kind::Envelope | Kind::EnvelopeUtf8 => Extent::Header,
        Kind::Size
        | Kind::Body
        | Kind::BodyUtf8
        | Kind::BodyStructure
        | Kind::BodyStructureUtf8 => Extent::Whole,
    }
}

/// A message that was read, and what was found in it so far.
#[derive(Debug)]
pub(super) struct Read<'a> {
    reading: Reading<'a>,
    extent: Extent,
    /// Length of the header.
    header: OnceCell<usize>,
    message: OnceCell<Message>,
    /// The same without counts.
    outline: OnceCell<Message>,
}

impl<'a> Read<'a> {
    /// A message of which so much was read.
    pub(super) const fn new(reading: Reading<'a>, extent: Extent) -> Self {
        Self {
            reading,
            extent,
            header: OnceCell::new(),
            message: OnceCell::new(),
            outline: OnceCell::new(),
        }
    }

    /// INTERNALDATE, in seconds since 1970.
    pub(super) const fn date(&self) -> i64 {
        self.reading.date
    }

    /// How much was read.
    pub(super) const fn extent(&self) -> Extent {
        self.extent
    }

    /// All that was read.
    pub(super) const fn octets(&self) -> &'a [u8] {
        self.reading.octets
    }

    /// The header, with the empty line that ends it.
    pub(super) fn header(&self) -> &'a [u8] {
        let octets = self.reading.octets;
        let end = *self.header.get_or_init(|| header::octets(octets));
        octets.get(..end).unwrap_or_default()
    }

    /// The structure of a message that was read as a whole.
    pub(super) fn message(&self) -> &Message {
        self.message
            .get_or_init(|| Message::parse(self.reading.octets))
    }

    /// The parts of a message that was read as a whole; their counts may be missing.
    pub(super) fn outline(&self) -> &Message {
        let make = || Message::outline(self.reading.octets);
        (self.message.get()).unwrap_or_else(|| self.outline.get_or_init(make))
    }

    /// Octets in wire form of a message that was read as a whole.
    fn size(&self) -> u64 {
        match self.message.get() {
            Some(Message { root }) => root.header_octets + root.body_octets,
            None => {
                let mut state = CrlfState::default();
                state.feed(self.octets());
                state.octets()
            }
        }
    }

    /// The day of the Date field.
    pub(super) fn sent_day(&self) -> Option<Day> {
        let value = header::value(self.header(), b"Date")?;
        let (year, month, day) = parse_message_date(&value)?.day;
        Some(Day { year, month, day })
    }

    /// A note; none if too little was read.
    pub(super) fn note(&self, kind: Kind) -> Option<Vec<u8>> {
        if self.extent < extent(kind) {
            return None;
        }
        let mut note = Vec::new();
        match kind {
            Kind::InternalDate => note.extend(self.date().to_le_bytes()),
            Kind::Size => note = of_size(self.size()),
            Kind::SentDay => {
                if let Some(Day { year, month, day }) = self.sent_day() {
                    note.extend(year.to_le_bytes());
                    note.extend([month, day].map(i8::cast_unsigned));
                }
            }
            Kind::Fields => {
                let fields = header::select_where(self.header(), false, is_noted_field);
                push_crlf(&fields, &mut 0, &mut note);
            }
            Kind::Envelope => push_envelope(&Envelope::parse(self.header()), false, &mut note),
            Kind::EnvelopeUtf8 => push_envelope(&Envelope::parse(self.header()), true, &mut note),
            Kind::Body => self.push_structure(false, false, &mut note),
            Kind::BodyUtf8 => self.push_structure(false, true, &mut note),
            Kind::BodyStructure => self.push_structure(true, false, &mut note),
            Kind::BodyStructureUtf8 => self.push_structure(true, true, &mut note),
        }
        Some(note)
    }

    fn push_structure(&self, extended: bool, utf8: bool, out: &mut Vec<u8>) {
        push_body(&self.message().root, Form { extended, utf8 }, out);
    }
}

/// A date from a note, in seconds since 1970.
pub(super) fn date(note: &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(note.try_into().ok()?))
}

/// The day of the Date field from a note; none within if there is none.
pub(super) fn sent_day(note: &[u8]) -> Option<Option<Day>> {
    match note {
        [] => Some(None),
        [low, high, month, day] => Some(Some(Day {
            year: i16::from_le_bytes([*low, *high]),
            month: month.cast_signed(),
            day: day.cast_signed(),
        })),
        _ => None,
    }
}

/// Notes that are wanted, about the messages that are looked at.
#[derive(Debug)]
pub(super) struct Notebook {
    kinds: Vec<Kind>,
    sheets: BTreeMap<PageNumber, Sheet>,
}

impl Notebook {
    /// For notes of these kinds, in this order: first those that tell what the others need not find out again.
    pub(super) fn new(mut kinds: Vec<Kind>) -> Self {
        kinds.sort_unstable_by(|one, other| other.cmp(one));
        kinds.dedup();
        Self {
            kinds,
            sheets: BTreeMap::new(),
        }
    }

    /// True if no notes are wanted.
    pub(super) const fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The place of a kind among those wanted.
    pub(super) fn place(&self, kind: Kind) -> Option<usize> {
        self.kinds.iter().position(|known| *known == kind)
    }

    /// Turns to other messages.
    pub(super) fn turn_to(&mut self, uids: impl IntoIterator<Item = Uid>, mailbox: &dyn Mailbox) {
        self.sheets.clear();
        if self.is_empty() {
            return;
        }
        let numbers: BTreeSet<PageNumber> = uids.into_iter().map(PageNumber::of).collect();
        let numbers: Vec<PageNumber> = numbers.into_iter().collect();
        let sheets = mailbox.notes(&self.kinds, &numbers);
        self.sheets.extend(numbers.into_iter().zip(sheets));
    }

    /// The notes of the page on which those about a message stand, which must be one that was turned to.
    pub(super) fn sheet(&self, uid: Uid) -> Option<&Sheet> {
        self.sheets.get(&PageNumber::of(uid))
    }

    /// How much of a message must be read to make the notes that are missing; none if nothing. Its size does not count.
    pub(super) fn lacking(&self, uid: Uid) -> Option<Extent> {
        let sheet = self.sheet(uid);
        let has = |place| sheet.is_some_and(|sheet| sheet.get(place, uid).is_some());
        let kinds = self.kinds.iter().enumerate();
        kinds
            .filter(|(place, kind)| **kind != Kind::Size && !has(*place))
            .map(|(_, kind)| extent(*kind))
            .max()
    }

    /// Reads messages, makes notes about them and has them kept. What `also` finds out of each is returned in the order of the messages.
    pub(super) fn read<T: Send>(
        &mut self,
        uids: &[Uid],
        extent: Extent,
        mailbox: &dyn Mailbox,
        also: impl Fn(usize, &Read<'_>) -> T + Sync,
    ) -> Vec<backend::Result<T>> {
        let found = Mutex::new(Vec::with_capacity(uids.len()));
        let kinds = &self.kinds;
        mailbox.read_each(uids, extent, &|at, reading| {
            let outcome = reading.map(|reading| {
                let read = Read::new(reading, extent);
                let notes: Vec<_> = kinds.iter().map(|kind| read.note(*kind)).collect();
                (notes, also(at, &read))
            });
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.push((at, outcome));
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_unstable_by_key(|(at, _)| *at);
        let mut rows: BTreeMap<PageNumber, Vec<Row>> = BTreeMap::new();
        let mut results = Vec::with_capacity(found.len());
        for ((_, outcome), uid) in found.into_iter().zip(uids) {
            results.push(outcome.map(|(notes, also)| {
                let page = rows.entry(PageNumber::of(*uid)).or_default();
                page.push((*uid, notes));
                also
            }));
        }
        if !self.is_empty() {
            let rows: Vec<(PageNumber, Vec<Row>)> = rows.into_iter().collect();
            let sheets = mailbox.keep_notes(&self.kinds, &rows);
            let numbers = rows.into_iter().map(|(number, _)| number);
            self.sheets.extend(numbers.zip(sheets));
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::notes::size;

    #[test]
    fn traces_of_the_way_are_not_noted() {
        for (name, is_noted) in [
            ("Subject", true),
            ("list-ID", true),
            ("Chat-Version", true),
            ("received", false),
            ("Received-SPF", false),
            ("ARC-Seal", false),
            ("Archived-At", true),
            ("X-priority", true),
            ("X-Spam-Status", false),
            ("X", true),
        ] {
            assert_eq!(is_noted_field(name.as_bytes()), is_noted, "{name}");
        }
    }

    #[test]
    fn notes_tell_what_was_read() {
        let message = b"Received: x\nDate: Wed, 01 Nov 2023 10:00:00 +0100\nno field\nSubject: a\n b\n\nbody\n";
        let reading = Reading {
            date: -5,
            stored: message.len() as u64,
            octets: message,
        };
        let read = Read::new(reading, Extent::Whole);
        let note = |kind| read.note(kind).unwrap();
        assert_eq!(date(&note(Kind::InternalDate)), Some(-5));
        assert_eq!(size(&note(Kind::Size)), Some(message.len() as u64 + 7));
        let day = Day {
            year: 2023,
            month: 11,
            day: 1,
        };
        assert_eq!(sent_day(&note(Kind::SentDay)), Some(Some(day)));
        assert_eq!(
            note(Kind::Fields),
            b"Date: Wed, 01 Nov 2023 10:00:00 +0100\r\nSubject: a\r\n b\r\n\r\n"
        );
        // the structure tells it as well
        read.message();
        assert_eq!(size(&note(Kind::Size)), Some(message.len() as u64 + 7));
        let of_header = Read::new(reading, Extent::Header);
        assert_eq!(of_header.note(Kind::Size), None);
        assert!(of_header.note(Kind::Envelope).is_some());
        let undated = Read::new(
            Reading {
                date: 0,
                stored: 9,
                octets: b"Date: x\n\n",
            },
            Extent::Header,
        );
        assert_eq!(
            undated.note(Kind::SentDay).as_deref().map(sent_day),
            Some(Some(None))
        );
        assert_eq!((sent_day(b"abc"), date(b"abc")), (None, None));
    }
}
