//! A message that is being fetched or searched: its file, what was read of it, and what was found out.
//!
//! Small messages are read once and held; of large ones the header is held, the rest is read where it is needed, so that memory does not
//! depend on their size. Only the structure of a large message needs all of it at once, for the moment of parsing.

use crate::mailbox::backend::{self, Mailbox};
use crate::mailbox::id::Uid;
use crate::message::header;
use crate::message::lines::CrlfState;
use crate::message::structure::Message;
use std::borrow::Cow;
use std::num::NonZeroU32;
use std::ops::Range;

/// Largest message that is held in memory as a whole.
const MAX_HELD_OCTETS: u64 = 256 * 1024;

/// How much is read first; most headers are smaller.
const FIRST_READ_OCTETS: u64 = 16 * 1024;

/// How much is read and converted at once.
pub(super) const BLOCK_OCTETS: u64 = 64 * 1024;

/// Step in which a place in the wire form is looked for; so much is counted again for each window of a sequence.
const SEEK_BLOCK_OCTETS: u64 = 16 * 1024;

/// A message, opened.
#[derive(Debug)]
pub(crate) struct OpenMessage {
    uid: Uid,
    /// None if all octets are held.
    file: Option<Box<dyn backend::Message>>,
    /// How many octets are stored.
    stored: u64,
    /// The first octets; of a small message all.
    head: Vec<u8>,
    structure: Option<Message>,
    /// Where the last window was found.
    mark: Option<Mark>,
    /// A part without its transfer encoding, the last that was asked for.
    decoded: Option<(Vec<NonZeroU32>, Vec<u8>)>,
}

/// A place in a range of stored octets, and how many octets of wire form lie before it.
#[derive(Debug, Clone, Copy)]
struct Mark {
    start: u64,
    position: u64,
    passed: CrlfState,
    previous: u8,
}

/// Where octets of wire form come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Stored octets from here …
    pub(super) position: u64,
    /// … to here
    pub(super) end: u64,
    /// The octet before the first one.
    pub(super) previous: u8,
    /// So many octets of the wire form are passed over first.
    pub(super) skip: u64,
    /// So many are wanted.
    pub(super) octets: u64,
}

impl OpenMessage {
    /// Opens a message.
    ///
    /// # Errors
    /// [`backend::Error::Expunged`] and what else the store gives.
    pub(super) fn open(mailbox: &dyn Mailbox, uid: Uid) -> backend::Result<Self> {
        Ok(Self::of_file(mailbox.message(uid)?, uid))
    }

    /// A message whose file is open.
    pub(super) fn of_file(file: Box<dyn backend::Message>, uid: Uid) -> Self {
        let stored = file.stored_octets();
        Self::new(uid, stored, Some(file), Vec::new())
    }

    /// A message that was read as far as it is needed.
    pub(super) fn of_octets(octets: Vec<u8>, uid: Uid) -> Self {
        Self::new(uid, octets.len() as u64, None, octets)
    }

    const fn new(
        uid: Uid,
        stored: u64,
        file: Option<Box<dyn backend::Message>>,
        head: Vec<u8>,
    ) -> Self {
        Self {
            uid,
            file,
            stored,
            head,
            structure: None,
            mark: None,
            decoded: None,
        }
    }

    /// Which message it is.
    pub(super) const fn uid(&self) -> Uid {
        self.uid
    }

    /// How many octets are stored.
    pub(super) const fn stored(&self) -> u64 {
        self.stored
    }

    /// Gives back what takes much memory, to be kept until the next command.
    pub(super) fn shrink(&mut self, most: usize) {
        let decoded = self.decoded.as_ref().map_or(0, |(_, octets)| octets.len());
        if self.head.len() + decoded > most {
            self.head = Vec::new();
            self.decoded = None;
        }
    }

    /// The header, with the empty line that ends it.
    ///
    /// # Errors
    /// What the store gives.
    pub(super) fn header(&mut self) -> backend::Result<&[u8]> {
        let mut wanted = FIRST_READ_OCTETS;
        loop {
            self.load(wanted)?;
            let end = header::octets(&self.head);
            if end < self.head.len() || self.head.len() as u64 >= self.stored {
                return Ok(self.head.get(..end).unwrap_or_default());
            }
            wanted = wanted.saturating_mul(4);
        }
    }

    /// The structure.
    ///
    /// # Errors
    /// What the store gives.
    pub(super) fn structure(&mut self) -> backend::Result<&Message> {
        if self.structure.is_none() {
            let parsed = Message::parse(&self.all()?);
            self.structure = Some(parsed);
        }
        self.structure.as_ref().ok_or(backend::Error::Unavailable)
    }

    /// The structure, if it was needed before.
    pub(super) const fn parsed(&self) -> Option<&Message> {
        self.structure.as_ref()
    }

    /// A part without its transfer encoding; none within if the encoding is unknown, none at all if there is no such part.
    ///
    /// # Errors
    /// What the store gives.
    pub(super) fn decoded(
        &mut self,
        path: &[NonZeroU32],
    ) -> backend::Result<Option<Option<&[u8]>>> {
        let is_there = |(part, _): &(Vec<NonZeroU32>, _)| part == path;
        if !self.decoded.as_ref().is_some_and(is_there) {
            self.structure()?;
            let all = self.all()?.into_owned();
            let Some(part) = self.structure()?.part(path) else {
                return Ok(None);
            };
            let Some(octets) = part.decoded(&all) else {
                return Ok(Some(None));
            };
            self.decoded = Some((path.to_vec(), octets));
        }
        Ok(Some(
            self.decoded.as_ref().map(|(_, octets)| octets.as_slice()),
        ))
    }

    /// Stored octets from a position on: at least one and at most `most`, none at the end of the file. For none, nothing is read.
    ///
    /// # Errors
    /// What the store gives.
    pub(super) fn block<'a>(
        &'a mut self,
        position: u64,
        most: u64,
        scratch: &'a mut Vec<u8>,
    ) -> backend::Result<&'a [u8]> {
        if most == 0 {
            return Ok(&[]);
        }
        let most = usize::try_from(most.min(BLOCK_OCTETS)).unwrap_or(0);
        let held = usize::try_from(position)
            .ok()
            .and_then(|from| self.head.get(from..))
            .filter(|held| !held.is_empty());
        if let Some(held) = held {
            return Ok(held.get(..most).unwrap_or(held));
        }
        let Some(file) = &mut self.file else {
            return Ok(&[]);
        };
        scratch.resize(most, 0);
        let read = file.read_at(position, scratch)?;
        Ok(scratch.get(..read).unwrap_or_default())
    }

    /// Octets of a range, all at once.
    ///
    /// # Errors
    /// What the store gives.
    pub(super) fn octets(&mut self, range: &Range<u64>) -> backend::Result<Vec<u8>> {
        let mut scratch = Vec::new();
        let mut octets = Vec::new();
        let mut position = range.start;
        while position < range.end {
            let block = self.block(position, range.end - position, &mut scratch)?;
            if block.is_empty() {
                break;
            }
            octets.extend_from_slice(block);
            position += block.len() as u64;
        }
        Ok(octets)
    }

    /// Finds a window in the wire form of a range of stored octets: at most `octets` from `origin` on, fewer if the range ends before. What
    /// the file holds is counted, unless the octets of the whole range are `known` from having parsed it.
    ///
    /// # Errors
    /// What the store gives.
    pub(super) fn place(
        &mut self,
        range: &Range<u64>,
        known: Option<u64>,
        origin: u64,
        octets: u64,
    ) -> backend::Result<Place> {
        if self.stored <= MAX_HELD_OCTETS {
            self.load(self.stored)?;
        }
        let mark = self.seek(range, origin)?;
        self.mark = Some(mark);
        let skip = origin - mark.passed.octets();
        let stored = range.end - mark.position;
        let octets = match known {
            Some(known) => octets.min(known.saturating_sub(origin)),
            // every stored octet is at least one octet of wire form
            None if stored.saturating_sub(skip) >= octets => octets,
            None => octets.min(self.count(range, mark)?.saturating_sub(origin)),
        };
        Ok(Place {
            position: mark.position,
            end: range.end,
            previous: mark.previous,
            skip,
            octets,
        })
    }

    /// The last place at which a block begins with not more than `origin` octets before it.
    fn seek(&mut self, range: &Range<u64>, origin: u64) -> backend::Result<Mark> {
        let known = self
            .mark
            .filter(|mark| mark.start == range.start && mark.passed.octets() <= origin);
        let mut mark = known.unwrap_or_else(|| Mark::new(range.start));
        let mut scratch = Vec::new();
        while origin > mark.passed.octets() {
            let most = range
                .end
                .saturating_sub(mark.position)
                .min(SEEK_BLOCK_OCTETS);
            let block = self.block(mark.position, most, &mut scratch)?;
            let next = mark.after(block);
            if block.is_empty() || next.passed.octets() > origin {
                break;
            }
            mark = next;
        }
        Ok(mark)
    }

    /// Octets of the wire form of a range, counted from a mark on.
    fn count(&mut self, range: &Range<u64>, mut mark: Mark) -> backend::Result<u64> {
        let mut scratch = Vec::new();
        loop {
            let most = range.end.saturating_sub(mark.position);
            let block = self.block(mark.position, most, &mut scratch)?;
            if block.is_empty() {
                return Ok(mark.passed.octets());
            }
            mark = mark.after(block);
        }
    }

    /// All octets, held or read for the moment.
    fn all(&mut self) -> backend::Result<Cow<'_, [u8]>> {
        if self.stored <= MAX_HELD_OCTETS {
            self.load(self.stored)?;
            return Ok(Cow::Borrowed(&self.head));
        }
        let range = 0..self.stored;
        self.octets(&range).map(Cow::Owned)
    }

    /// Holds at least so many of the first octets, if there are so many; of a small message all.
    fn load(&mut self, wanted: u64) -> backend::Result<()> {
        let wanted = if self.stored <= MAX_HELD_OCTETS {
            self.stored
        } else {
            wanted.min(self.stored)
        };
        let target = usize::try_from(wanted).unwrap_or(usize::MAX);
        while self.head.len() < target
            && let Some(file) = &mut self.file
        {
            let from = self.head.len();
            self.head.resize(target, 0);
            let rest = self.head.get_mut(from..).unwrap_or_default();
            let read = file.read_at(from as u64, rest);
            self.head.truncate(from + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                // shorter than it was when it was opened: that much is there
                self.stored = self.head.len() as u64;
                break;
            }
        }
        Ok(())
    }
}

impl Mark {
    /// The beginning of a range.
    fn new(start: u64) -> Self {
        Self {
            start,
            position: start,
            passed: CrlfState::default(),
            previous: 0,
        }
    }

    /// The place behind a block.
    fn after(mut self, block: &[u8]) -> Self {
        self.position += block.len() as u64;
        self.passed.feed(block);
        self.previous = block.last().copied().unwrap_or(self.previous);
        self
    }
}
