//! `dovecot-uidlist`: which file has which UID. The format, version 3 (and 1 to read). Pure; the file is in `uidlist_file`.
//!
//! ```text
//! 3 V1721823000 N31 Ge5b1c9a47f0d2c66b0a1000091d7a2f3
//! 1 :1721823666.M512901P7788.mx1,S=4310
//! 7 P0000000766a0f1b2 O2 :1721824000.M9P7790.mx1
//! ```
//!
//! A damaged line costs that line, never the list. Where UIDs do not rise, the longest rising sequence of lines is believed. No
//! UID that stands in the list, or that a damaged line near its end seems to hold, is ever given out again.

use crate::encoding::decimal::push_number;
use crate::mailbox::id::{Uid, UidValidity};
use std::num::NonZeroU32;

/// How far above the believed UIDs a damaged line's UID is still taken for one that was given out.
const PLAUSIBLE_GAP: u32 = 65_536;

/// Octets at the beginning and at the end by which a file is known again that has grown.
const SAMPLE_OCTETS: usize = 256;

/// Octets of most lines, or more.
const USUAL_LINE_OCTETS: usize = 64;

/// How many records are made lines of together.
const ADDED_AT_ONCE: usize = 64;

/// The list in memory. Holds the octets of the file once, and twelve octets a record, until [`UidList::forget_plain`].
#[derive(Debug, Clone)]
pub(super) struct UidList {
    /// The octets that `entries` point into.
    text: Vec<u8>,
    /// Records, UIDs rising.
    entries: Vec<Entry>,
    /// What was forgotten.
    forgotten: Forgotten,
    /// The first and the last octets read.
    samples: (Vec<u8>, Vec<u8>),
    /// UIDVALIDITY.
    uid_validity: UidValidity,
    /// Above every UID that was given out; `u32::MAX` when there is none left.
    next: u32,
    /// The mailbox's GUID.
    guid: Option<[u8; 16]>,
    /// Header fields that we do not know, as they stand, parted by blanks.
    other: Vec<u8>,
    /// 3, or 1 for a list that must be written anew before anything is added.
    version: u8,
}

/// What is no longer in memory.
#[derive(Debug, Clone, Copy, Default)]
struct Forgotten {
    /// Octets.
    octets: usize,
    /// Lines.
    lines: usize,
    /// Records; all those before them in the list are the ones with fields.
    records: usize,
    /// How many records were known then.
    of: usize,
    /// The highest UID then.
    last: u32,
}

/// Where a record lies in the text.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The UID; neither 0 nor 2^32-1.
    uid: Uid,
    /// Where the extension fields begin.
    start: u32,
    /// Octets of the extension fields with their blanks and the colon.
    fields: u16,
    /// Octets of the base name.
    base: u16,
}

/// One record: a file had or has this UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// The UID.
    pub(super) uid: Uid,
    /// Base name of the file, up to its first `:`.
    pub(super) base: &'a [u8],
    /// Extension fields as they stand, parted by blanks, without the last blank.
    fields: &'a [u8],
}

impl<'a> Record<'a> {
    /// Value of an extension field: `S`, `W` sizes, `P` POP3 unique-id, `O` POP3 order, `G` GUID.
    pub(super) fn field(&self, key: u8) -> Option<&'a [u8]> {
        self.fields
            .split(|octet| *octet == b' ')
            .find_map(|field| field.strip_prefix(&[key]))
    }

    /// All extension fields as they stand, to be given to [`NewRecord`] or [`Edit::Fields`].
    pub(super) const fn fields(&self) -> &'a [u8] {
        self.fields
    }
}

/// A record to be added.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRecord<'a> {
    /// Base name of the file.
    pub(super) base: &'a [u8],
    /// Extension fields as in the file, mostly none.
    pub(super) fields: &'a [u8],
}

/// What was added to a list, and what the list was before.
#[derive(Debug)]
pub(super) struct Added {
    /// The UIDs given, rising.
    pub(super) uids: Vec<Uid>,
    /// Octets in memory before.
    octets: usize,
    /// Records in memory before.
    entries: usize,
    /// The next UID before.
    next: u32,
    /// The last octets before.
    last_octets: Vec<u8>,
}

/// What becomes of a record when the list is written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// It stays.
    Keep,
    /// It is left out: the file is gone.
    Drop,
    /// It stays with these extension fields.
    Fields(Vec<u8>),
}

/// What was damaged in a list that was read, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Damage {
    /// Lines that were dropped.
    pub(super) lines: usize,
    /// Number of the first of them, from 1.
    pub(super) first_line: Option<usize>,
    /// The header could not be read; UIDVALIDITY was taken from the previous generation or found among what is left of it.
    pub(super) header: bool,
}

impl Damage {
    /// True if anything was damaged.
    pub(super) const fn any(&self) -> bool {
        self.header || self.lines > 0
    }
}

impl UidList {
    /// An empty list.
    pub(super) fn new(uid_validity: UidValidity, guid: [u8; 16]) -> Self {
        Self {
            text: Vec::new(),
            entries: Vec::new(),
            forgotten: Forgotten::default(),
            samples: (Vec::new(), Vec::new()),
            uid_validity,
            next: 1,
            guid: Some(guid),
            other: Vec::new(),
            version: 3,
        }
    }

    /// Reads a whole list, version 3 or 1. None if not even UIDVALIDITY can be found and no `fallback` is given. A last line without
    /// its line end counts as a line.
    pub(super) fn parse(text: Vec<u8>, fallback: Option<UidValidity>) -> Option<(Self, Damage)> {
        let end = memchr::memchr(b'\n', &text).unwrap_or(text.len());
        let header = text.get(..end).and_then(parse_header);
        let mut damage = Damage {
            header: header.is_none(),
            ..Damage::default()
        };
        let header = match header {
            Some(header) => header,
            None => Header::salvage(text.get(..end).unwrap_or_default(), fallback)?,
        };
        let mut list = Self {
            samples: samples(&text),
            text,
            entries: Vec::new(),
            forgotten: Forgotten::default(),
            uid_validity: header.uid_validity,
            next: header.next,
            guid: header.guid,
            other: header.other,
            version: header.version,
        };
        list.read_lines(end + 1, &mut damage);
        Some((list, damage))
    }

    /// True if the first line of a text is a header in order.
    pub(super) fn has_header(text: &[u8]) -> bool {
        let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
        text.get(..end).and_then(parse_header).is_some()
    }

    /// Puts back a GUID that a damaged header lost.
    pub(super) const fn restore_guid(&mut self, guid: Option<[u8; 16]>) {
        if self.guid.is_none() {
            self.guid = guid;
        }
    }

    /// Adds lines read after the ones known. Returns what was damaged in them.
    pub(super) fn extend(&mut self, lines: &[u8]) -> Damage {
        let mut damage = Damage::default();
        let from = self.text.len();
        self.text.extend_from_slice(lines);
        self.sample(from);
        self.read_lines(from, &mut damage);
        damage
    }

    /// Keeps the last of what was added to the text from an offset on.
    fn sample(&mut self, from: usize) {
        let from = from.max(self.text.len().saturating_sub(SAMPLE_OCTETS));
        let last = self.text.get(from..).unwrap_or_default();
        self.samples.1.extend_from_slice(last);
        let excess = self.samples.1.len().saturating_sub(SAMPLE_OCTETS);
        self.samples.1.drain(..excess);
    }

    /// Forgets the records that are names only, once they have been compared with the files: the table of files has the names too.
    /// [`UidList::records_after`] tells of those read later.
    pub(super) fn forget_plain(&mut self) {
        let of = self.len();
        if of == self.forgotten.of || self.version != 3 {
            return;
        }
        let lines = self.forgotten.lines + memchr::memchr_iter(b'\n', &self.text).count();
        let octets = self.octets();
        let mut kept = Self {
            text: Vec::new(),
            entries: Vec::new(),
            ..self.clone_header()
        };
        for record in self.records().filter(|record| !record.fields.is_empty()) {
            let start = kept.text.len();
            push_record(&record, record.fields, &mut kept.text);
            let line = kept.text.get(start..).unwrap_or_default();
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            kept.entries.extend(parse_line(line, start, self.version));
        }
        kept.forgotten = Forgotten {
            octets: octets - kept.text.len().min(octets),
            lines: lines - memchr::memchr_iter(b'\n', &kept.text).count().min(lines),
            records: of - kept.entries.len(),
            of,
            last: self.last(),
        };
        *self = kept;
    }

    /// True if records were forgotten that a look from this position on would need.
    pub(super) const fn lacks(&self, position: usize) -> bool {
        self.forgotten.records > 0 && position < self.forgotten.of
    }

    /// The list without records.
    fn clone_header(&self) -> Self {
        Self {
            text: Vec::new(),
            entries: Vec::new(),
            forgotten: self.forgotten,
            samples: self.samples.clone(),
            uid_validity: self.uid_validity,
            next: self.next,
            guid: self.guid,
            other: self.other.clone(),
            version: self.version,
        }
    }

    /// Reads the lines from an offset on.
    fn read_lines(&mut self, from: usize, damage: &mut Damage) {
        let text = std::mem::take(&mut self.text);
        let known = self.entries.len();
        let mut doubtful = Vec::new();
        let mut dropped_at = Vec::new();
        let mut before = self.last();
        let first_before = before;
        let mut rising = true;
        let mut start = from;
        for line in lines_of(text.get(from..).unwrap_or_default()) {
            match parse_line(line, start, self.version) {
                Ok(entry) => {
                    rising &= before < entry.uid.value();
                    before = entry.uid.value();
                    self.entries.push(entry);
                }
                Err(uid) => {
                    dropped_at.push(start);
                    doubtful.extend(uid);
                }
            }
            start += line.len() + 1;
        }
        if !rising {
            let read = self.entries.split_off(known);
            let (kept, dropped) = longest_rising(read, first_before);
            self.entries.extend(kept);
            for entry in dropped {
                dropped_at.push(entry.start as usize);
                doubtful.push(entry.uid.value());
            }
        }
        damage.lines += dropped_at.len();
        damage.first_line = dropped_at.iter().min().map(|first| {
            let up_to = text.get(..*first).unwrap_or_default();
            self.forgotten.lines + memchr::memchr_iter(b'\n', up_to).count() + 1
        });
        self.text = text;
        self.raise_above_known(&doubtful);
    }

    /// Brings the next UID above all records, and above damaged ones that lie near.
    fn raise_above_known(&mut self, doubtful: &[u32]) {
        let last = self.last();
        let limit = last.max(self.next).saturating_add(PLAUSIBLE_GAP);
        let doubtful = doubtful
            .iter()
            .copied()
            .filter(|uid| *uid <= limit)
            .max()
            .unwrap_or(0);
        self.next = self.next.max(last.max(doubtful).saturating_add(1));
    }

    /// The highest UID of a record; 0 if there is none.
    fn last(&self) -> u32 {
        let last = self.entries.last().map_or(0, |entry| entry.uid.value());
        last.max(self.forgotten.last)
    }

    /// UIDVALIDITY of the mailbox.
    pub(super) const fn uid_validity(&self) -> UidValidity {
        self.uid_validity
    }

    /// The UID for the next message; above any that was ever in the list. None when there is none left.
    pub(super) fn uid_next(&self) -> Option<Uid> {
        Uid::new(self.next).filter(|uid| *uid <= Uid::MAX)
    }

    /// Raises the next UID.
    pub(super) fn raise_uid_next(&mut self, uid_next: Uid) {
        self.next = self.next.max(uid_next.value());
    }

    /// GUID of the mailbox.
    pub(super) const fn guid(&self) -> Option<[u8; 16]> {
        self.guid
    }

    /// The version it was read in.
    pub(super) const fn version(&self) -> u8 {
        self.version
    }

    /// How many records there are.
    pub(super) const fn len(&self) -> usize {
        self.forgotten.records + self.entries.len()
    }

    /// How many octets have been read.
    pub(super) const fn octets(&self) -> usize {
        self.forgotten.octets + self.text.len()
    }

    /// The first of them, at most [`SAMPLE_OCTETS`].
    pub(super) fn first_octets(&self) -> &[u8] {
        &self.samples.0
    }

    /// The last of them, as many.
    pub(super) fn last_octets(&self) -> &[u8] {
        &self.samples.1
    }

    /// The octets in memory.
    #[cfg(any(test, fuzzing))]
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Records from a position in the whole list on, UIDs rising. What [`UidList::lacks`] is not among them.
    pub(super) fn records_after(
        &self,
        position: usize,
    ) -> impl DoubleEndedIterator<Item = Record<'_>> + ExactSizeIterator {
        let position = if self.forgotten.records > 0 {
            position.saturating_sub(self.forgotten.records)
        } else {
            position
        };
        self.records().skip(position)
    }

    /// Records in memory, UIDs rising. Some may be of files that are gone; of two with one name the later one counts.
    pub(super) fn records(
        &self,
    ) -> impl DoubleEndedIterator<Item = Record<'_>> + ExactSizeIterator {
        self.entries.iter().map(|entry| self.at(*entry))
    }

    /// True if records of these UIDs stand one after the other.
    pub(super) fn has_row(&self, uids: &[Uid]) -> bool {
        let Some(first) = uids.first() else {
            return true;
        };
        let from = self.entries.partition_point(|entry| entry.uid < *first);
        let row = self.entries.get(from..from + uids.len());
        row.is_some_and(|row| row.iter().map(|entry| &entry.uid).eq(uids))
    }

    /// The record of a UID, if it is in memory: those with fields are.
    pub(super) fn record(&self, uid: Uid) -> Option<Record<'_>> {
        let at = self
            .entries
            .binary_search_by_key(&uid, |entry| entry.uid)
            .ok()?;
        self.entries.get(at).map(|entry| self.at(*entry))
    }

    /// What an entry points to.
    fn at(&self, entry: Entry) -> Record<'_> {
        let start = entry.start as usize;
        let middle = start + usize::from(entry.fields);
        let fields = self
            .text
            .get(start..middle.saturating_sub(1))
            .unwrap_or_default();
        let base = self
            .text
            .get(middle..middle + usize::from(entry.base))
            .unwrap_or_default();
        Record {
            uid: entry.uid,
            base,
            fields: fields.strip_suffix(b" ").unwrap_or(fields),
        }
    }

    /// Adds records under the next UIDs, to a list of version 3; what comes back tells the UIDs, and how to take that back. None, and nothing is
    /// added, if there are not enough UIDs left.
    pub(super) fn add<'a>(
        &mut self,
        records: impl IntoIterator<Item = NewRecord<'a>, IntoIter: ExactSizeIterator>,
    ) -> Option<Added> {
        let mut records = records.into_iter();
        let mut added = Added {
            uids: Vec::with_capacity(records.len()),
            octets: self.text.len(),
            entries: self.entries.len(),
            next: self.next,
            last_octets: self.samples.1.clone(),
        };
        self.text.reserve(records.len() * USUAL_LINE_OCTETS);
        self.entries.reserve(records.len());
        let mut next_ones = Vec::with_capacity(ADDED_AT_ONCE.min(records.len()));
        loop {
            next_ones.extend(records.by_ref().take(ADDED_AT_ONCE));
            if next_ones.is_empty() {
                break;
            }
            fetch(&next_ones);
            for record in next_ones.drain(..) {
                let Some((uid, entry)) = self.uid_next().and_then(|uid| self.push(uid, &record))
                else {
                    self.take_back(&added);
                    return None;
                };
                self.entries.push(entry);
                self.next = uid.value() + 1;
                added.uids.push(uid);
            }
        }
        self.sample(added.octets);
        Some(added)
    }

    /// Adds one line, and tells where its record lies.
    fn push(&mut self, uid: Uid, new: &NewRecord<'_>) -> Option<(Uid, Entry)> {
        let NewRecord { base, fields } = *new;
        push_record(&Record { uid, base, fields }, fields, &mut self.text);
        let base_start = self.text.len() - 1 - base.len();
        let fields = if fields.is_empty() {
            1
        } else {
            fields.len() + 2
        };
        let entry = Entry {
            uid,
            start: u32::try_from(base_start - fields).ok()?,
            fields: u16::try_from(fields).ok()?,
            base: u16::try_from(base.len()).ok()?,
        };
        Some((uid, entry))
    }

    /// The lines of records that were added last.
    pub(super) fn lines_of(&self, added: &Added) -> &[u8] {
        self.text.get(added.octets..).unwrap_or_default()
    }

    /// The list is what it was before records were added.
    pub(super) fn take_back(&mut self, added: &Added) {
        self.text.truncate(added.octets);
        self.entries.truncate(added.entries);
        self.next = added.next;
        self.samples.1.clone_from(&added.last_octets);
    }

    /// The list as version 3 text, with records edited.
    pub(super) fn print(&self, mut edit: impl FnMut(&Record<'_>) -> Edit) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len() + 64);
        out.extend_from_slice(format!("3 V{} N{}", self.uid_validity, self.next).as_bytes());
        if let Some(guid) = self.guid {
            out.extend_from_slice(b" G");
            out.extend(
                guid.iter()
                    .flat_map(|octet| format!("{octet:02x}").into_bytes()),
            );
        }
        if !self.other.is_empty() {
            out.push(b' ');
            out.extend_from_slice(&self.other);
        }
        out.push(b'\n');
        for record in self.records() {
            match edit(&record) {
                Edit::Keep => push_record(&record, record.fields, &mut out),
                Edit::Fields(fields) => push_record(&record, &fields, &mut out),
                Edit::Drop => {}
            }
        }
        out
    }
}

/// Has the processor fetch names that lie all over the memory, many at a time; where each is only fetched when its line is made, the making waits.
fn fetch(records: &[NewRecord<'_>]) {
    let ends = |record: &NewRecord<'_>| (record.base.first().copied(), record.base.last().copied());
    for record in records {
        std::hint::black_box(ends(record));
    }
}

/// Appends a record's line.
fn push_record(record: &Record<'_>, fields: &[u8], out: &mut Vec<u8>) {
    push_number(record.uid.value().into(), out);
    out.push(b' ');
    if !fields.is_empty() {
        out.extend_from_slice(fields);
        out.push(b' ');
    }
    out.push(b':');
    out.extend_from_slice(record.base);
    out.push(b'\n');
}

/// The first and the last octets of a text.
fn samples(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let octets = text.len().min(SAMPLE_OCTETS);
    let first = text.get(..octets).unwrap_or_default();
    let last = text.get(text.len() - octets..).unwrap_or_default();
    (first.to_vec(), last.to_vec())
}

/// Lines without their ends; what follows the last line end counts if it is not empty.
fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut rest = (!text.is_empty()).then_some(text);
    std::iter::from_fn(move || {
        let here = rest?;
        let end = memchr::memchr(b'\n', here);
        rest = end.and_then(|end| here.get(end + 1..));
        here.get(..end.unwrap_or(here.len()))
    })
}

/// What the first line says.
struct Header {
    version: u8,
    uid_validity: UidValidity,
    next: u32,
    guid: Option<[u8; 16]>,
    other: Vec<u8>,
}

impl Header {
    /// What can be had of a damaged header: fields that are in order, and UIDVALIDITY from what was known before.
    fn salvage(line: &[u8], fallback: Option<UidValidity>) -> Option<Self> {
        let fields = || line.split(|octet| *octet == b' ');
        let found =
            || fields().find_map(|field| UidValidity::new(number(field.strip_prefix(b"V")?)?));
        Some(Self {
            version: 3,
            uid_validity: fallback.or_else(found)?,
            next: fields()
                .find_map(|field| number(field.strip_prefix(b"N")?))
                .unwrap_or(1)
                .max(1),
            guid: fields().find_map(|field| parse_guid(field.strip_prefix(b"G")?)),
            other: Vec::new(),
        })
    }
}

/// `3 V<uidvalidity> N<next> [G<guid>] …` or `1 <uidvalidity> <next>`
fn parse_header(line: &[u8]) -> Option<Header> {
    let mut fields = line
        .split(|octet| *octet == b' ')
        .filter(|field| !field.is_empty());
    let version = fields.next()?;
    if version == b"1" {
        let uid_validity = UidValidity::new(number(fields.next()?)?)?;
        return Some(Header {
            version: 1,
            uid_validity,
            next: number(fields.next()?)?,
            guid: None,
            other: Vec::new(),
        });
    }
    if version != b"3" {
        return None;
    }
    let (mut uid_validity, mut next, mut guid, mut other) = (None, None, None, Vec::new());
    for field in fields {
        match field.split_first()? {
            (b'V', value) => uid_validity = UidValidity::new(number(value)?),
            (b'N', value) => next = number(value).filter(|next| *next > 0),
            (b'G', value) => guid = parse_guid(value),
            _ => {
                if !other.is_empty() {
                    other.push(b' ');
                }
                other.extend_from_slice(field);
            }
        }
    }
    Some(Header {
        version: 3,
        uid_validity: uid_validity?,
        next: next?,
        guid,
        other,
    })
}

/// 32 hex digits.
fn parse_guid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let value = u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()?;
    Some(value.to_be_bytes())
}

/// A decimal number of 32 bits.
fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    let digit = |value: u32, octet: &u8| {
        octet
            .is_ascii_digit()
            .then(|| value.checked_mul(10)?.checked_add(u32::from(octet - b'0')))?
    };
    text.iter().try_fold(0_u32, digit)
}

/// Reads a record that begins at an offset of the text; for a damaged one its UID, if that could be read.
fn parse_line(line: &[u8], start: usize, version: u8) -> Result<Entry, Option<u32>> {
    let blank = memchr::memchr(b' ', line).ok_or(None)?;
    let value = number(line.get(..blank).unwrap_or_default())
        .and_then(NonZeroU32::new)
        .ok_or(None)?;
    let uid = Uid::from(value);
    let damaged = Some(value.get());
    let rest = line.get(blank + 1..).unwrap_or_default();
    let fields = if version == 1 {
        0
    } else {
        fields_octets(rest).ok_or(damaged)?
    };
    let base = rest.get(fields..).unwrap_or_default();
    let base = base
        .get(..memchr::memchr(b':', base).unwrap_or(base.len()))
        .unwrap_or_default();
    if uid > Uid::MAX || base.is_empty() || memchr::memchr2(b'/', 0, base).is_some() {
        return Err(damaged);
    }
    let (Ok(start), Ok(fields), Ok(base)) = (
        u32::try_from(start + blank + 1),
        u16::try_from(fields),
        u16::try_from(base.len()),
    ) else {
        return Err(damaged);
    };
    Ok(Entry {
        uid,
        start,
        fields,
        base,
    })
}

/// Octets up to and with the colon before the file name: extension fields, each ended by a blank.
fn fields_octets(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    while *rest.get(at)? != b':' {
        at += memchr::memchr(b' ', rest.get(at..)?)? + 1;
    }
    Some(at + 1)
}

/// The longest sequence of records whose UIDs rise, all above `before`, and the others.
fn longest_rising(entries: Vec<Entry>, before: u32) -> (Vec<Entry>, Vec<Entry>) {
    // `tails[n]`: the record with the smallest UID that ends a rising sequence of n + 1; `previous`: the one before each
    let mut tails: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(entries.len());
    let uid_at = |at: usize| entries.get(at).map_or(0, |entry| entry.uid.value());
    for (at, entry) in entries.iter().enumerate() {
        let value = entry.uid.value();
        if value <= before {
            previous.push(None);
            continue;
        }
        let length = tails.partition_point(|tail| uid_at(*tail) < value);
        previous.push(
            length
                .checked_sub(1)
                .and_then(|shorter| tails.get(shorter).copied()),
        );
        match tails.get_mut(length) {
            Some(tail) => *tail = at,
            None => tails.push(at),
        }
    }
    let mut keep = vec![false; entries.len()];
    let mut at = tails.last().copied();
    while let Some(here) = at {
        if let Some(mark) = keep.get_mut(here) {
            *mark = true;
        }
        at = previous.get(here).copied().flatten();
    }
    let (kept, dropped): (Vec<_>, Vec<_>) =
        entries.into_iter().zip(keep).partition(|(_, keep)| *keep);
    (
        kept.into_iter().map(|(entry, _)| entry).collect(),
        dropped.into_iter().map(|(entry, _)| entry).collect(),
    )
}

#[cfg(test)]
#[path = "uidlist_tests.rs"]
mod tests;
