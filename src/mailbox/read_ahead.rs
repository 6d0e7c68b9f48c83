//! Reading the messages that a client wants next, side by side, before their turn comes.

use super::backend::{Error, Extent, Mailbox, Reading};
use super::id::Uid;
use std::sync::{Mutex, PoisonError};

/// Most messages that are read at once.
pub(crate) const MAX_MESSAGES: usize = 64;

/// What a message is taken to have, in octets, before any was read.
const EXPECTED_OCTETS: u64 = 16 * 1024;

/// How many messages the expectation counts for.
const EXPECTATION_WEIGHT: u64 = 8;

/// Reads messages ahead. Knows from those it has read how many to read at once.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    messages: u64,
    octets: u64,
}

/// What came of reading a message ahead.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    /// What was made of it.
    Made(T),
    /// It was left to be read in pieces: it is larger than [`super::backend::MAX_SMALL_OCTETS`].
    Left,
    /// It could not be read.
    Failed(Error),
}

/// What was read so far of some messages.
struct Found<T> {
    octets: u64,
    messages: Vec<Option<Outcome<T>>>,
}

impl Default for ReadAhead {
    fn default() -> Self {
        Self {
            messages: EXPECTATION_WEIGHT,
            octets: EXPECTATION_WEIGHT * EXPECTED_OCTETS,
        }
    }
}

impl ReadAhead {
    /// Reads so much of some of the first of these messages, at least one if there is one, and has something made of each by any thread; returns that in
    /// their order. They have about as many octets as are `wanted`, never more than twice that and what each thread had in hand.
    pub(crate) fn read<T: Send>(
        &mut self,
        mailbox: &dyn Mailbox,
        uids: &[Uid],
        extent: Extent,
        wanted: u64,
        make: &(dyn Fn(usize, Reading<'_>) -> T + Sync),
    ) -> Vec<Outcome<T>> {
        let mean = (self.octets / self.messages).max(1);
        let count = usize::try_from(wanted / mean).unwrap_or(MAX_MESSAGES);
        let count = count.clamp(1, MAX_MESSAGES).min(uids.len());
        let uids = uids.get(..count).unwrap_or_default();
        let found = Mutex::new(Found {
            octets: 0,
            messages: uids.iter().map(|_| None).collect(),
        });
        let lock = || found.lock().unwrap_or_else(PoisonError::into_inner);
        mailbox.read_each(uids, extent, &|at, reading| {
            let mut octets = 0;
            if at > 0 && lock().octets > 2 * wanted {
                return;
            }
            let made = match reading {
                Err(error) => Outcome::Failed(error),
                Ok(reading) if extent == Extent::Small && !reading.is_whole() => Outcome::Left,
                Ok(reading) => {
                    octets = reading.octets.len() as u64;
                    Outcome::Made(make(at, reading))
                }
            };
            let mut found = lock();
            found.octets += octets;
            if let Some(place) = found.messages.get_mut(at) {
                *place = Some(made);
            }
        });
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.octets = self.octets.saturating_add(found.octets);
        let messages: Vec<Outcome<T>> = found.messages.into_iter().map_while(|made| made).collect();
        self.messages = self.messages.saturating_add(messages.len() as u64);
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::backend::MAX_SMALL_OCTETS;
    use crate::mailbox::memory::{Mail, Memory};

    /// A mailbox with messages of these sizes, and what is read ahead of it, as sizes; none for those that are large or gone.
    fn read(sizes: &[usize], gone: Option<usize>, wanted: u64) -> Vec<Option<u64>> {
        let memory = Memory::new();
        let mailbox = memory.inbox("anna");
        let add = |size: &usize| mailbox.add(Mail::new(vec![b'a'; *size])).unwrap();
        let uids: Vec<Uid> = sizes.iter().map(add).collect();
        if let Some(gone) = gone {
            mailbox.vanish(uids[gone]);
        }
        let made =
            ReadAhead::default().read(&*mailbox, &uids, Extent::Small, wanted, &|at, reading| {
                assert_eq!(reading.octets.len(), sizes[at]);
                reading.stored
            });
        made.into_iter()
            .map(|made| match made {
                Outcome::Made(stored) => Some(stored),
                Outcome::Left | Outcome::Failed(_) => None,
            })
            .collect()
    }

    #[test]
    fn reads_about_as_much_as_is_wanted() {
        let large = usize::try_from(MAX_SMALL_OCTETS).unwrap();
        for (sizes, gone, wanted, expected) in [
            (&[][..], None, 1, &[][..]),
            (&[5, 6], None, 0, &[Some(5)][..]),
            (
                &[0, 6, 7],
                None,
                3 * EXPECTED_OCTETS,
                &[Some(0), Some(6), Some(7)],
            ),
            (
                &[5, 6, 7],
                Some(1),
                3 * EXPECTED_OCTETS,
                &[Some(5), None, Some(7)],
            ),
            (
                &[large + 1, large],
                None,
                2 * EXPECTED_OCTETS,
                &[None, Some(MAX_SMALL_OCTETS)],
            ),
            // twice as much as wanted: the rest must wait
            (
                &[large, 1, 2],
                None,
                3 * EXPECTED_OCTETS,
                &[Some(MAX_SMALL_OCTETS)],
            ),
        ] {
            assert_eq!(read(sizes, gone, wanted), expected, "{sizes:?} {wanted}");
        }
    }

    #[test]
    fn learns_how_large_messages_are() {
        let memory = Memory::new();
        let mailbox = memory.inbox("anna");
        let add = |_| mailbox.add(Mail::new("a")).unwrap();
        let uids: Vec<Uid> = (0..MAX_MESSAGES).map(add).collect();
        let mut ahead = ReadAhead::default();
        let mut read = || {
            ahead
                .read(&*mailbox, &uids, Extent::Small, EXPECTED_OCTETS, &|_, _| ())
                .len()
        };
        assert_eq!(read(), 1);
        let more: Vec<usize> = std::iter::repeat_with(read).take(100).collect();
        assert!(more.is_sorted());
        assert_eq!(more.last(), Some(&MAX_MESSAGES));
    }
}
