//! FETCH of what is noted about messages: dates, sizes, envelopes, structures, the header fields that clients ask for.
//!
//! Messages about which something is not noted yet are read side by side, many at once, and noted. One whose notes would be too long is
//! answered as any other.

use super::section::windowed;
use super::{FetchCursor, Plan, flag_list};
use crate::imap::commands::notes::{self, Notebook, is_noted_field};
use crate::imap::encode::fetch::FetchWriter;
use crate::imap::session::reply::CommandError;
use crate::imap::session::{Dialect, Selected};
use crate::imap::types::fetch::{FetchItem, Section, SectionText};
use crate::mailbox::backend::{self, Extent, Mailbox};
use crate::mailbox::flag::SystemFlag;
use crate::mailbox::id::{ModSeq, SeqNum, Uid};
use crate::mailbox::messages::Messages;
use crate::mailbox::notes::{Kind, Sheet, size};
use crate::message::header::{self, FieldNames};
use crate::protocol::HIGH_WATER_OCTETS;
use std::collections::VecDeque;

/// How many messages are looked up, and read if need be, before any of them is answered.
const BATCH: usize = 256;

/// How items are answered from notes.
#[derive(Debug)]
pub(super) struct Noted {
    book: Notebook,
    /// What each item is answered with, in their order.
    answers: Vec<NotedAnswer>,
    /// Messages whose notes are there.
    ready: VecDeque<Ready>,
}

/// What an item is answered with.
#[derive(Debug)]
enum NotedAnswer {
    /// What is known of all messages.
    Known,
    /// INTERNALDATE, from the note in this place.
    Date(usize),
    /// RFC822.SIZE, from the note in this place if it is not known.
    Size(usize),
    /// A note as it stands.
    Note(usize),
    /// Some of the header fields in the note.
    Fields(usize, FieldNames),
}

/// A message that can be answered.
#[derive(Debug)]
struct Ready {
    seq_num: SeqNum,
    uid: Uid,
    sheet: Sheet,
}

impl Noted {
    /// Finds how items are answered; none if one of them needs more than what is noted.
    pub(super) fn new(items: &[FetchItem], utf8: bool) -> Option<Self> {
        let kinds = items.iter().filter_map(|item| kind_of(item, utf8));
        let book = Notebook::new(kinds.collect());
        let answers = items.iter().map(|item| {
            let place = kind_of(item, utf8).and_then(|kind| book.place(kind));
            Some(match (item, place) {
                (FetchItem::Uid | FetchItem::Flags | FetchItem::ModSeq, _) => NotedAnswer::Known,
                (FetchItem::InternalDate, Some(place)) => NotedAnswer::Date(place),
                (FetchItem::Rfc822Size, Some(place)) => NotedAnswer::Size(place),
                (FetchItem::BodySection { section, .. }, Some(place)) => {
                    NotedAnswer::Fields(place, noted_fields(section)?)
                }
                (_, place) => NotedAnswer::Note(place?),
            })
        });
        let answers = answers.collect::<Option<Vec<_>>>()?;
        (!book.is_empty()).then_some(Self {
            book,
            answers,
            ready: VecDeque::new(),
        })
    }

    /// True if there are messages that can be answered.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Looks up messages and reads those about which something is missing. Returns how many were read, and why some cannot be answered.
    fn prepare(
        &mut self,
        messages: &[(SeqNum, Uid)],
        selected: &Selected,
    ) -> (usize, Vec<backend::Error>) {
        let mailbox = &*selected.mailbox;
        let mut troubles = Vec::new();
        let mut there = Vec::with_capacity(messages.len());
        {
            let known = mailbox.read();
            for (seq_num, uid) in messages {
                if known.position(*uid).is_some() {
                    there.push((*seq_num, *uid));
                } else {
                    troubles.push(backend::Error::Expunged);
                }
            }
        }
        self.book
            .turn_to(there.iter().map(|(_, uid)| *uid), mailbox);
        let (mut missing, mut extent) = (Vec::new(), Extent::Date);
        for (_, uid) in &there {
            if let Some(lacking) = self.book.lacking(*uid) {
                missing.push(*uid);
                extent = extent.max(lacking);
            }
        }
        let mut failed = self.read(&missing, extent, mailbox);
        failed.extend(self.measure(&there, mailbox));
        there.retain(|(_, uid)| !failed.iter().any(|(gone, _)| gone == uid));
        troubles.extend(failed.into_iter().map(|(_, error)| error));
        for (seq_num, uid) in there {
            let sheet = self.book.sheet(uid).cloned().unwrap_or_default();
            self.ready.push_back(Ready {
                seq_num,
                uid,
                sheet,
            });
        }
        (missing.len(), troubles)
    }

    /// Finds out sizes that are wanted and neither known nor noted. Returns the messages of which that cannot be.
    fn measure(
        &self,
        messages: &[(SeqNum, Uid)],
        mailbox: &dyn Mailbox,
    ) -> Vec<(Uid, backend::Error)> {
        let Some(place) = self.book.place(Kind::Size) else {
            return Vec::new();
        };
        let unknown: Vec<Uid> = {
            let known = mailbox.read();
            let has_size = |uid: Uid| {
                let at = known.position(uid);
                let note = || self.book.sheet(uid)?.get(place, uid);
                at.is_some_and(|at| known.size_at(at).is_some()) || note().is_some()
            };
            let uids = messages.iter().map(|(_, uid)| *uid);
            uids.filter(|uid| !has_size(*uid)).collect()
        };
        let sizes = mailbox.sizes(&unknown);
        let failed = |(uid, size): (Uid, backend::Result<u64>)| Some((uid, size.err()?));
        unknown.into_iter().zip(sizes).filter_map(failed).collect()
    }

    /// Reads messages and notes what is found. Returns those that could not be read.
    fn read(
        &mut self,
        uids: &[Uid],
        extent: Extent,
        mailbox: &dyn Mailbox,
    ) -> Vec<(Uid, backend::Error)> {
        if uids.is_empty() {
            return Vec::new();
        }
        let results = self.book.read(uids, extent, mailbox, |_, read| {
            read.note(Kind::Size).as_deref().and_then(size)
        });
        let mut failed = Vec::new();
        let mut messages = mailbox.write();
        for (uid, result) in uids.iter().zip(results) {
            match result {
                Ok(Some(size)) if self.book.place(Kind::Size).is_some() => {
                    messages.set_size(*uid, size);
                }
                Ok(_) => {}
                Err(error) => failed.push((*uid, error)),
            }
        }
        failed
    }
}

impl FetchCursor {
    /// Answers messages from notes, as many as there is room for. Returns how many were read, and the message that must be answered
    /// another way next.
    ///
    /// # Errors
    /// As [`super::Troubles::note`].
    pub(super) fn advance_noted(
        &mut self,
        noted: &mut Noted,
        selected: &mut Selected,
        dialect: Dialect,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<(SeqNum, Uid)>), CommandError> {
        let mut read = 0;
        if !noted.is_ready() {
            let ahead = self.messages.as_slice();
            let batch = ahead.get(..BATCH).unwrap_or(ahead).to_vec();
            self.messages.nth(batch.len().saturating_sub(1));
            let (missing, troubles) = noted.prepare(&batch, selected);
            read = missing;
            for error in troubles {
                self.troubles.note(error)?;
            }
        }
        let mut highest = ModSeq::ZERO;
        let mut other = None;
        let mailbox = std::sync::Arc::clone(&selected.mailbox);
        let messages = mailbox.read();
        while out.len() < HIGH_WATER_OCTETS
            && let Some(ready) = noted.ready.pop_front()
        {
            let Some(at) = messages.position(ready.uid) else {
                self.troubles.gone = true;
                continue;
            };
            let answer = Answering {
                plan: &self.plan,
                answers: &noted.answers,
                ready: &ready,
                messages: &messages,
                at,
            };
            if !answer.push(selected, dialect, out) {
                other = Some((ready.seq_num, ready.uid));
                break;
            }
            if self.plan.sets_seen && !messages.flags_at(at).has(SystemFlag::Seen) {
                self.seen.insert(ready.uid);
            }
            highest = highest.max(messages.mod_seq_at(at));
        }
        drop(messages);
        if self.plan.mod_seq {
            selected.hears_of(highest);
        }
        Ok((read, other))
    }
}

/// A message that is being answered.
struct Answering<'a> {
    plan: &'a Plan,
    answers: &'a [NotedAnswer],
    ready: &'a Ready,
    messages: &'a Messages,
    /// Its place among the messages.
    at: usize,
}

impl Answering<'_> {
    /// Writes the response; false, and nothing is written, if a note is missing.
    fn push(&self, selected: &Selected, dialect: Dialect, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let uid = self.ready.uid;
        let mut writer = FetchWriter::new(dialect.number(self.ready.seq_num, uid), out);
        for (item, answer) in self.plan.items.iter().zip(self.answers) {
            let is_answered = match answer {
                NotedAnswer::Known => {
                    self.push_known(item, selected, dialect, &mut writer);
                    true
                }
                NotedAnswer::Date(place) => self
                    .note(*place)
                    .and_then(notes::date)
                    .map(|date| writer.internal_date(date))
                    .is_some(),
                NotedAnswer::Size(place) => self
                    .size(*place)
                    .map(|size| writer.rfc822_size(size))
                    .is_some(),
                NotedAnswer::Note(place) => self
                    .note(*place)
                    .map(|note| writer.made(item, note))
                    .is_some(),
                NotedAnswer::Fields(place, names) => self
                    .note(*place)
                    .map(|note| push_fields(item, note, names, &mut writer))
                    .is_some(),
            };
            if !is_answered {
                out.truncate(start);
                return false;
            }
        }
        writer.finish();
        true
    }

    fn push_known(
        &self,
        item: &FetchItem,
        selected: &Selected,
        dialect: Dialect,
        writer: &mut FetchWriter<'_>,
    ) {
        match item {
            FetchItem::Flags => {
                let flags = self.messages.flags_at(self.at);
                writer.flags(flag_list(
                    flags,
                    self.ready.uid,
                    self.messages,
                    selected,
                    dialect,
                ));
            }
            FetchItem::ModSeq => writer.mod_seq(self.messages.mod_seq_at(self.at)),
            _ => writer.uid(self.ready.uid),
        }
    }

    fn note(&self, place: usize) -> Option<&[u8]> {
        self.ready.sheet.get(place, self.ready.uid)
    }

    fn size(&self, place: usize) -> Option<u64> {
        let known = self.messages.size_at(self.at);
        known.or_else(|| size(self.note(place)?))
    }
}

/// Writes header fields.
fn push_fields(item: &FetchItem, note: &[u8], names: &FieldNames, writer: &mut FetchWriter<'_>) {
    let selected = header::select(note, names, false);
    let window = match item {
        FetchItem::BodySection { window, .. } => *window,
        _ => None,
    };
    writer.octets(item, windowed(&selected, window));
}

/// The kind of note that an item is answered from; none if there is none, or none is needed.
fn kind_of(item: &FetchItem, utf8: bool) -> Option<Kind> {
    match (item, utf8) {
        (FetchItem::InternalDate, _) => Some(Kind::InternalDate),
        (FetchItem::Rfc822Size, _) => Some(Kind::Size),
        (FetchItem::Envelope, false) => Some(Kind::Envelope),
        (FetchItem::Envelope, true) => Some(Kind::EnvelopeUtf8),
        (FetchItem::Body, false) => Some(Kind::Body),
        (FetchItem::Body, true) => Some(Kind::BodyUtf8),
        (FetchItem::BodyStructure, false) => Some(Kind::BodyStructure),
        (FetchItem::BodyStructure, true) => Some(Kind::BodyStructureUtf8),
        (FetchItem::BodySection { section, .. }, _) => noted_fields(section).map(|_| Kind::Fields),
        _ => None,
    }
}

/// The names of header fields, if all of them are noted.
fn noted_fields(section: &Section) -> Option<FieldNames> {
    match &section.text {
        SectionText::HeaderFields(names)
            if section.part.is_empty() && names.iter().all(|name| is_noted_field(name)) =>
        {
            Some(FieldNames::new(names.iter().map(Vec::as_slice)))
        }
        _ => None,
    }
}
