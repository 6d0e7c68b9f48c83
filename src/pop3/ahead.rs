//! Messages that are read before the client asks for them: most clients fetch one after the other.
//!
//! Nothing is read ahead before a client has taken two in a row, and then at first little.

use super::encode::body::BodyEncoder;
use super::maildrop::Maildrop;
use super::types::MessageNumber;
use crate::mailbox::backend::{Error, Extent, Mailbox, Reading};
use crate::mailbox::id::Uid;
use crate::mailbox::read_ahead::{Outcome, ReadAhead};
use crate::message::header;
use crate::protocol::HIGH_WATER_OCTETS;
use std::collections::VecDeque;
use std::sync::Arc;

/// How much is read ahead the first time, in octets.
const FIRST_OCTETS: u64 = 16 * 1024;

/// Most messages that are looked up at once.
const MAX_MESSAGES: usize = 1024;

/// Messages as RETR sends them.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    line: Option<Line>,
    /// The message asked for last.
    last: Option<MessageNumber>,
    /// How much is read ahead.
    octets: u64,
}

/// Messages that are asked for one after the other, or so we hope.
#[derive(Debug)]
struct Line {
    numbers: VecDeque<MessageNumber>,
    reads: ReadAhead<Ready>,
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

impl Line {
    /// The message and perhaps those that follow.
    fn new(
        number: MessageNumber,
        most: usize,
        maildrop: &Maildrop,
        mailbox: &Arc<dyn Mailbox>,
    ) -> Self {
        let listed = maildrop.listed(number.index().unwrap_or(usize::MAX));
        let (numbers, uids): (VecDeque<MessageNumber>, Vec<Uid>) = listed
            .map(|(number, entry)| (number, entry.uid))
            .take(most)
            .unzip();
        let make = |_, reading: Reading<'_>| {
            let ready = Ready::of(reading);
            let weight = ready.text.len() as u64;
            (ready, weight)
        };
        Self {
            numbers,
            reads: ReadAhead::new(Arc::clone(mailbox), uids, Extent::Small, make),
        }
    }

    /// The message if it is ready. Others are forgotten that come before it.
    fn take_ready(&mut self, number: MessageNumber, octets: u64) -> Option<Outcome<Ready>> {
        while self.numbers.front().is_some_and(|next| *next <= number) {
            let outcome = self.reads.take_ready(octets)?;
            if self.numbers.pop_front() == Some(number) {
                return Some(outcome);
            }
        }
        None
    }
}

impl Ahead {
    /// The message, if it is ready. *Quick.*
    pub(super) fn take(&mut self, number: MessageNumber) -> Option<Ready> {
        let outcome = self.line.as_mut()?.take_ready(number, self.octets)?;
        let Outcome::Made(ready) = outcome else {
            // it is tried once more, and refused then
            self.line = None;
            return None;
        };
        self.note(number, true);
        Some(ready)
    }

    /// Reads the message, and perhaps those that follow; none if it must be read in pieces.
    ///
    /// # Errors
    /// Why the message cannot be read.
    pub(super) fn read(
        &mut self,
        number: MessageNumber,
        maildrop: &Maildrop,
        mailbox: &Arc<dyn Mailbox>,
    ) -> Result<Option<Ready>, Error> {
        let is_next = self.last.is_some_and(|last| {
            let mut following = maildrop.listed(last.index().map_or(0, |index| index + 1));
            following.next().is_some_and(|(next, _)| next == number)
        });
        self.note(number, is_next);
        let is_in_line = |line: &Line| line.numbers.front() == Some(&number);
        let most = if is_next { MAX_MESSAGES } else { 1 };
        let mut line = self
            .line
            .take()
            .filter(is_in_line)
            .unwrap_or_else(|| Line::new(number, most, maildrop, mailbox));
        let outcome = line.reads.take(self.octets);
        line.numbers.pop_front();
        self.line = Some(line).filter(|_| is_next);
        match outcome {
            Some(Outcome::Made(ready)) => Ok(Some(ready)),
            Some(Outcome::Failed(error)) => Err(error),
            Some(Outcome::Left) | None => Ok(None),
        }
    }

    /// Notes what was asked for, and how much is to be read ahead from now on.
    fn note(&mut self, number: MessageNumber, is_next: bool) {
        self.last = Some(number);
        self.octets = match (is_next, self.octets) {
            (false, _) => 0,
            (true, 0) => FIRST_OCTETS,
            (true, octets) => (2 * octets).min(HIGH_WATER_OCTETS as u64),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::memory::{Mail, Memory};
    use crate::pop3::maildrop::Mark;

    /// Two stores, one of which has other threads to read.
    fn memories() -> [Memory; 2] {
        let helped = Memory::new();
        helped.have_helpers();
        [Memory::new(), helped]
    }

    /// A maildrop with so many messages, each with its number in it, and one of them large.
    fn opened(memory: &Memory, messages: usize, large: usize) -> (Arc<dyn Mailbox>, Maildrop) {
        let mailbox = memory.inbox("anna");
        for number in 1..=messages {
            let mut text = format!("Subject: {number}\n\nHello\n").into_bytes();
            text.resize(text.len() + usize::from(number == large) * 1_100_000, b'a');
            mailbox.add(Mail::new(text)).unwrap();
        }
        let maildrop = Maildrop::take_down(&*mailbox);
        (mailbox, maildrop)
    }

    /// Takes a message as a session does; returns which one came and whether it was ready. None for one to be read in pieces.
    fn take(
        ahead: &mut Ahead,
        number: usize,
        maildrop: &Maildrop,
        mailbox: &Arc<dyn Mailbox>,
    ) -> Result<Option<(usize, bool)>, Error> {
        let wanted = MessageNumber::at(number - 1);
        let (ready, was_ready) = match ahead.take(wanted) {
            Some(ready) => (Some(ready), true),
            None => (ahead.read(wanted, maildrop, mailbox)?, false),
        };
        Ok(ready.map(|ready| {
            let text = String::from_utf8(ready.text).unwrap();
            let subject = text.strip_prefix("Subject: ").unwrap();
            let (number, _) = subject.split_once('\r').unwrap();
            (number.parse().unwrap(), was_ready)
        }))
    }

    #[test]
    fn every_order_gives_the_messages_that_are_asked_for() {
        for memory in memories() {
            let (mailbox, mut maildrop) = opened(&memory, 40, 9);
            let mut ahead = Ahead::default();
            for number in [
                1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 14, 13, 12, 13, 14, 15, 40, 39, 1, 2,
            ] {
                let taken = take(&mut ahead, number, &maildrop, &mailbox).unwrap();
                let expected = Some(number).filter(|number| *number != 9);
                assert_eq!(taken.map(|(number, _)| number), expected);
            }
            // a client that deletes what it has, and one that deletes what follows
            for number in 20..30 {
                let taken = take(&mut ahead, 2 * number - 21, &maildrop, &mailbox).unwrap();
                assert_eq!(taken.unwrap().0, 2 * number - 21);
                for deleted in [2 * number - 21, 2 * number - 20] {
                    let entry = maildrop.entry_mut(MessageNumber::at(deleted - 1));
                    entry.unwrap().mark = Mark::Deleted;
                }
            }
        }
    }

    #[test]
    fn nothing_is_read_ahead_before_two_were_taken_in_a_row() {
        let (mailbox, maildrop) = opened(&Memory::new(), 20, 0);
        let mut ahead = Ahead::default();
        for (number, is_ready) in [(1, false), (3, false), (4, false), (5, true), (6, true)] {
            let taken = take(&mut ahead, number, &maildrop, &mailbox);
            assert_eq!(taken, Ok(Some((number, is_ready))));
        }
    }

    #[test]
    fn a_message_that_is_gone_fails_alone() {
        for memory in memories() {
            let (mailbox, maildrop) = opened(&memory, 20, 0);
            let gone = maildrop.entries()[5].uid;
            memory.inbox("anna").vanish(gone);
            let mut ahead = Ahead::default();
            for number in 1..=20 {
                let taken = take(&mut ahead, number, &maildrop, &mailbox);
                let taken = taken.map(|taken| taken.map(|(number, _)| number));
                let expected = if number == 6 {
                    Err(Error::Expunged)
                } else {
                    Ok(Some(number))
                };
                assert_eq!(taken, expected);
            }
        }
    }
}
