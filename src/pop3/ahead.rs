//! Messages that are read before the client asks for them: most clients fetch one after the other.
//!
//! Nothing is read ahead before a client has taken two in a row, and then at first little.

use super::encode::body::BodyEncoder;
use super::maildrop::Maildrop;
use super::types::MessageNumber;
use crate::mailbox::backend::{Error, Extent, Mailbox, Reading};
use crate::mailbox::id::Uid;
use crate::mailbox::read_ahead::{self, ReadAhead};
use crate::message::header;
use crate::protocol::HIGH_WATER_OCTETS;
use std::collections::VecDeque;

/// How much is read ahead the first time, in octets.
const FIRST_OCTETS: u64 = 16 * 1024;

/// Messages as RETR sends them.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    reads: ReadAhead,
    ready: VecDeque<(MessageNumber, Ready)>,
    /// The message asked for last.
    last: Option<MessageNumber>,
    /// How much is read at once.
    octets: u64,
}

/// A message as RETR sends it.
#[derive(Debug)]
pub(super) struct Ready {
    /// All that follows the status line.
    pub(super) text: Vec<u8>,
    /// Its size. See [`super::maildrop::Entry::octets`].
    pub(super) octets: u64,
    /// What RFC 6856 §2.1 demands of it before UTF8.
    pub(super) has_ascii_header: bool,
}

impl Ready {
    /// Makes ready a message that was read.
    fn of(reading: Reading<'_>) -> Self {
        let mut text = Vec::with_capacity(reading.octets.len() + reading.octets.len() / 32);
        let mut encoder = BodyEncoder::new(None);
        encoder.push(reading.octets, &mut text);
        let octets = text.len() as u64 - encoder.doubled_dots();
        encoder.finish(&mut text);
        let header = header::octets(reading.octets);
        Self {
            text,
            octets,
            has_ascii_header: reading.octets.get(..header).is_some_and(<[u8]>::is_ascii),
        }
    }
}

impl Ahead {
    /// The message, if it is ready. Others are forgotten that come before it.
    pub(super) fn take(&mut self, number: MessageNumber) -> Option<Ready> {
        while let Some((ready, message)) = self.ready.pop_front() {
            if ready == number {
                self.last = Some(number);
                return Some(message);
            }
        }
        None
    }

    /// Reads the message and perhaps those that follow, as far as they can be read as a whole.
    ///
    /// # Errors
    /// Why the message itself cannot be read.
    pub(super) fn read(
        &mut self,
        number: MessageNumber,
        maildrop: &Maildrop,
        mailbox: &dyn Mailbox,
    ) -> Result<(), Error> {
        let is_next = self.last.is_some_and(|last| {
            let mut following = maildrop.listed(last.index().map_or(0, |index| index + 1));
            following.next().is_some_and(|(next, _)| next == number)
        });
        self.last = Some(number);
        self.octets = match (is_next, self.octets) {
            (false, _) => 0,
            (true, 0) => FIRST_OCTETS,
            (true, octets) => (2 * octets).min(HIGH_WATER_OCTETS as u64),
        };
        let numbered = maildrop.listed(number.index().unwrap_or(usize::MAX));
        let (numbers, uids): (Vec<MessageNumber>, Vec<Uid>) = numbered
            .map(|(number, entry)| (number, entry.uid))
            .take(read_ahead::MAX_MESSAGES)
            .unzip();
        let make = |_, reading: Reading<'_>| Ready::of(reading);
        let read = self
            .reads
            .read(mailbox, &uids, Extent::Small, self.octets, &make);
        self.ready.clear();
        for (next, read) in numbers.into_iter().zip(read) {
            match read {
                read_ahead::Outcome::Made(ready) => self.ready.push_back((next, ready)),
                read_ahead::Outcome::Failed(error) if next == number => return Err(error),
                // when its turn comes
                read_ahead::Outcome::Left | read_ahead::Outcome::Failed(_) => break,
            }
        }
        Ok(())
    }
}
