//! Notes: what was found out about messages by reading them, kept so that it need not be found out again.
//!
//! The octets of a message never change, so a note is true as long as its UID is given to that message. Notes may be lost at any time. Their
//! octets mean what the layer that makes them says; here they are only kept, by kind, in pages of [`PAGE_UIDS`] UIDs each, so that many
//! are found at once.

use super::id::Uid;
use std::sync::Arc;

/// How many UIDs share a page: as many as there are bits in its table.
pub const PAGE_UIDS: u32 = u64::BITS;

/// Longest note, in octets; what is longer is found out anew each time.
pub const MAX_NOTE_OCTETS: usize = 16 * 1024;

/// What a note tells. The numbers are what the index knows kinds by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// INTERNALDATE
    InternalDate = 1,
    /// RFC822.SIZE
    Size = 2,
    /// The day of the Date field.
    SentDay = 3,
    /// Header fields that clients often ask for, in wire form.
    Fields = 4,
    /// ENVELOPE
    Envelope = 5,
    /// ENVELOPE, for a client that takes UTF-8 in quoted strings.
    EnvelopeUtf8 = 6,
    /// BODY
    Body = 7,
    /// BODY, for a client that takes UTF-8 in quoted strings.
    BodyUtf8 = 8,
    /// BODYSTRUCTURE
    BodyStructure = 9,
    /// BODYSTRUCTURE, for a client that takes UTF-8 in quoted strings.
    BodyStructureUtf8 = 10,
}

/// All kinds.
const KINDS: [Kind; 10] = [
    Kind::InternalDate,
    Kind::Size,
    Kind::SentDay,
    Kind::Fields,
    Kind::Envelope,
    Kind::EnvelopeUtf8,
    Kind::Body,
    Kind::BodyUtf8,
    Kind::BodyStructure,
    Kind::BodyStructureUtf8,
];

impl Kind {
    /// The number by which the index knows it.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a number.
    pub fn of_code(code: u8) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.code() == code)
    }
}

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageNumber(u32);

impl PageNumber {
    /// The page on which the notes of a message stand.
    pub const fn of(uid: Uid) -> Self {
        Self(uid.value() / PAGE_UIDS)
    }

    /// The page of a number.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// As a number.
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// Which page, of notes of which kind.
pub type PageId = (Kind, PageNumber);

/// Notes of one kind of messages whose UIDs lie side by side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Which of the messages have one, the first by the lowest bit.
    present: u64,
    /// Where each note ends.
    ends: Vec<u32>,
    octets: Vec<u8>,
}

impl Page {
    /// From the set of messages that have a note, and the notes in order; none if the numbers do not agree.
    pub fn from_parts<'a>(present: u64, notes: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut page = Self {
            present,
            ends: Vec::with_capacity(present.count_ones() as usize),
            octets: Vec::new(),
        };
        for note in notes {
            page.octets.extend_from_slice(note);
            page.ends.push(u32::try_from(page.octets.len()).ok()?);
        }
        (page.ends.len() == present.count_ones() as usize).then_some(page)
    }

    /// The set of messages that have a note, the first by the lowest bit.
    pub const fn present(&self) -> u64 {
        self.present
    }

    /// The notes, in the order of their UIDs.
    pub fn notes(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).filter_map(|rank| self.at(rank))
    }

    /// The notes with the messages they are about, if this is the page of that number.
    pub fn entries(&self, number: PageNumber) -> impl Iterator<Item = (Uid, &[u8])> {
        let first = number.value().saturating_mul(PAGE_UIDS);
        let uids = slots(self.present).map(move |slot| Uid::new(first.saturating_add(slot)));
        let entries = uids.zip(self.notes());
        entries.filter_map(|(uid, note)| Some((uid?, note)))
    }

    /// The note about a message, which must be one of this page.
    pub fn get(&self, uid: Uid) -> Option<&[u8]> {
        let bit = bit(uid);
        if self.present & bit == 0 {
            return None;
        }
        self.at((self.present & (bit - 1)).count_ones() as usize)
    }

    /// How much memory it takes, about, in octets.
    pub const fn weight(&self) -> usize {
        size_of::<Self>() + self.ends.len() * size_of::<u32>() + self.octets.len()
    }

    /// With other notes beside those there are; where both have one, the new one counts.
    #[must_use]
    pub fn with<'a>(&self, new: impl IntoIterator<Item = (Uid, &'a [u8])>) -> Self {
        let mut notes: [Option<&[u8]>; PAGE_UIDS as usize] = [None; PAGE_UIDS as usize];
        let mut present = self.present;
        for (slot, note) in slots(self.present).zip(self.notes()) {
            if let Some(place) = notes.get_mut(slot as usize) {
                *place = Some(note);
            }
        }
        for (uid, note) in new {
            if let Some(place) = notes.get_mut((uid.value() % PAGE_UIDS) as usize) {
                *place = Some(note);
                present |= bit(uid);
            }
        }
        Self::from_parts(present, notes.into_iter().flatten()).unwrap_or_default()
    }

    fn at(&self, rank: usize) -> Option<&[u8]> {
        let start = match rank.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.octets.get(start..*self.ends.get(rank)? as usize)
    }
}

/// The bit of a message in the table of its page.
const fn bit(uid: Uid) -> u64 {
    1 << (uid.value() % PAGE_UIDS)
}

/// The places of the bits that are set, rising.
fn slots(present: u64) -> impl Iterator<Item = u32> {
    (0..PAGE_UIDS).filter(move |slot| present >> slot & 1 == 1)
}

/// Pages of several kinds about the same messages, in the order in which the kinds were asked for.
#[derive(Debug, Clone, Default)]
pub struct Sheet(Vec<Arc<Page>>);

impl Sheet {
    /// Of pages.
    pub const fn new(pages: Vec<Arc<Page>>) -> Self {
        Self(pages)
    }

    /// The pages.
    pub fn pages(&self) -> &[Arc<Page>] {
        &self.0
    }

    /// The note of the kind that was asked for in this place.
    pub fn get(&self, kind: usize, uid: Uid) -> Option<&[u8]> {
        self.0.get(kind)?.get(uid)
    }
}

/// A size as a note.
pub fn of_size(octets: u64) -> Vec<u8> {
    octets.to_le_bytes().to_vec()
}

/// The size that a note tells; none if it is no note of a size.
pub fn size(note: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(note.try_into().ok()?))
}

/// Notes about one message, of the kinds that were asked for, in their order; none where it is too long, or was not found out.
pub type Row = (Uid, Vec<Option<Vec<u8>>>);

/// Adds rows to a sheet. Rows of messages that stand on other pages must not be among them.
#[must_use]
pub fn with_rows(sheet: &Sheet, rows: &[Row]) -> Sheet {
    let pages = sheet.0.iter().enumerate().map(|(kind, page)| {
        let new = rows.iter().filter_map(|(uid, notes)| {
            let note = notes.get(kind)?.as_deref()?;
            (note.len() <= MAX_NOTE_OCTETS).then_some((*uid, note))
        });
        let mut new = new.peekable();
        if new.peek().is_some() {
            Arc::new(page.with(new))
        } else {
            Arc::clone(page)
        }
    });
    Sheet(pages.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(value: u32) -> Uid {
        Uid::new(value).unwrap()
    }

    #[test]
    fn notes_stand_where_they_were_put() {
        let page = Page::default().with([(uid(64), b"a".as_slice()), (uid(127), b"z")]);
        let page = page.with([(uid(70), b"".as_slice()), (uid(64), b"aa")]);
        let found: Vec<Option<&[u8]>> = [64, 65, 70, 126, 127]
            .iter()
            .map(|value| page.get(uid(*value)))
            .collect();
        let expected: [Option<&[u8]>; 5] = [Some(b"aa"), None, Some(b""), None, Some(b"z")];
        assert_eq!(found, expected);
        let entries: Vec<(Uid, &[u8])> = page.entries(PageNumber::of(uid(64))).collect();
        let expected: [(Uid, &[u8]); 3] = [(uid(64), b"aa"), (uid(70), b""), (uid(127), b"z")];
        assert_eq!(entries, expected);
        let again = Page::from_parts(page.present(), page.notes());
        assert_eq!(again.as_ref(), Some(&page));
        assert_eq!(Page::from_parts(3, [b"one".as_slice()]), None);
    }

    #[test]
    fn every_kind_has_its_number() {
        for code in 0..=u8::MAX {
            let kind = Kind::of_code(code);
            assert_eq!(kind.is_some(), (1..=10).contains(&code), "{code}");
            assert!(kind.is_none_or(|kind| kind.code() == code));
        }
    }

    #[test]
    fn what_is_too_long_is_left_out() {
        let sheet = Sheet::new(vec![Arc::default(), Arc::default()]);
        let long = vec![0; MAX_NOTE_OCTETS + 1];
        let rows = vec![
            (uid(1), vec![Some(b"x".to_vec()), Some(long)]),
            (uid(2), vec![Some(b"y".to_vec()), Some(Vec::new())]),
            (uid(3), vec![None, None]),
        ];
        let sheet = with_rows(&sheet, &rows);
        let has_both = |value| (0..2).all(|kind| sheet.get(kind, uid(value)).is_some());
        assert_eq!([1, 2, 3].map(has_both), [false, true, false]);
        assert_eq!(sheet.get(0, uid(1)), Some(b"x".as_slice()));
        assert_eq!(sheet.get(2, uid(1)), None);
    }
}
