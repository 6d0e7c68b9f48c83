//! Threads that help others to read.
//!
//! One for each further processor, over all mailboxes. Work is given to one only while fewer are at work than there are processors, those counted who
//! give the work.

use super::crew::Crew;
use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Largest buffer that is kept for others.
pub(super) const MAX_BUFFER_OCTETS: usize = 1024 * 1024;

/// How often there must be something to do for each thread beside the first.
const TURNS_WORTH_A_THREAD: usize = 4;

/// How many pieces may be read ahead.
const MAX_AHEAD: usize = 16;

/// How many pieces of a second half may be read while the first is.
const MAX_BESIDE: usize = 256;

/// Threads that help others to read; they are started when they are first needed.
#[derive(Debug)]
pub(super) struct Helpers {
    processors: usize,
    /// Those who give the work count: as many are at work as there are processors.
    crew: Crew,
    /// Buffers for the next ones who read, at most one for each processor.
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Default for Helpers {
    fn default() -> Self {
        // asked once: the system reads several files to tell
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            processors,
            crew: Crew::new("reader", processors.saturating_sub(1).max(1), processors),
            buffers: Mutex::default(),
        }
    }
}

impl Helpers {
    /// Starts the threads, so that the first who needs one finds it waiting.
    pub(super) fn start(&self) {
        self.crew.pool();
    }

    /// A buffer; who takes one has it to himself.
    pub(super) fn take_buffer(&self) -> Vec<u8> {
        self.buffers().pop().unwrap_or_default()
    }

    /// Keeps a buffer for others.
    pub(super) fn give_buffer(&self, buffer: Vec<u8>) {
        let mut buffers = self.buffers();
        if buffers.len() < self.processors && buffer.len() <= MAX_BUFFER_OCTETS {
            buffers.push(buffer);
        }
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has work done by this thread and at most `most` others at once; it divides itself among those who do it.
    pub(super) fn side_by_side(&self, most: usize, work: &(dyn Fn() + Sync)) {
        let _at_work = self.crew.begin();
        self.crew.side_by_side(most, work);
    }

    /// Does one thing, and has a helper do another meanwhile if one is free; else that is done afterwards.
    pub(super) fn beside<T>(&self, own: impl FnOnce() -> T, other: impl FnOnce() + Send) -> T {
        let _at_work = self.crew.begin();
        let hired = self.crew.hire();
        let Some(pool) = hired.as_ref().and_then(|_| self.crew.pool()) else {
            let value = own();
            other();
            return value;
        };
        pool.in_place_scope(|scope| {
            scope.spawn(move |_| {
                let _hired = hired;
                other();
            });
            own()
        })
    }

    /// Has a helper do something if one is free; false if not. What is done must not panic.
    pub(super) fn take_on(&self, work: Box<dyn FnOnce() + Send>) -> bool {
        let _at_work = self.crew.begin();
        let hired = self.crew.hire();
        let Some((hired, pool)) = hired.and_then(|hired| Some((hired, self.crew.pool()?))) else {
            return false;
        };
        let span = tracing::Span::current();
        pool.spawn(move || {
            let _hired = hired;
            span.in_scope(work);
        });
        true
    }

    /// Fills a column with what `value` says of each position, side by side where it is long. A thread fills `at_once` of it at a time: so
    /// much that it takes some 0.1 ms.
    pub(super) fn fill<T: Send>(
        &self,
        column: &mut [T],
        at_once: usize,
        value: &(dyn Fn(usize) -> T + Sync),
    ) {
        let at_once = at_once.max(1);
        let most = column.len() / at_once / TURNS_WORTH_A_THREAD;
        let pieces = Mutex::new(column.chunks_mut(at_once).enumerate());
        let next = || {
            let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
            pieces.next()
        };
        self.side_by_side(most, &|| {
            while let Some((number, piece)) = next() {
                for (at, place) in (number * at_once..).zip(piece) {
                    *place = value(at);
                }
            }
        });
    }

    /// Reads pieces, by a helper if one is free, and has this thread take them up, until it says that this was the last one.
    ///
    /// # Errors
    /// What `take_up` says.
    pub(super) fn read_ahead<Piece: Send, Error>(
        &self,
        read: impl FnMut() -> Piece + Send,
        take_up: impl FnMut(Piece) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        self.read_parts(None::<fn() -> Piece>, (read, MAX_AHEAD), take_up)
    }

    /// Reads the pieces of two halves, the second by a helper if one is free, and has this thread take them up, those of the first half first. Each
    /// half ends with the piece of which `take_up` says that it was the last one.
    ///
    /// # Errors
    /// What `take_up` says.
    pub(super) fn read_beside<Piece: Send, Error>(
        &self,
        first: impl FnMut() -> Piece,
        second: impl FnMut() -> Piece + Send,
        take_up: impl FnMut(Piece) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        self.read_parts(Some(first), (second, MAX_BESIDE), take_up)
    }

    /// Reads what this thread is to read, if anything, and what a helper reads ahead, at most so many pieces.
    fn read_parts<Piece: Send, Error>(
        &self,
        mut own: Option<impl FnMut() -> Piece>,
        (mut read, most_ahead): (impl FnMut() -> Piece + Send, usize),
        mut take_up: impl FnMut(Piece) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut read_own = |take_up: &mut dyn FnMut(Piece) -> Result<bool, Error>| {
            if let Some(own) = &mut own {
                while take_up(own())? {}
            }
            Ok(())
        };
        let _at_work = self.crew.begin();
        let hired = self.crew.hire();
        let Some(pool) = hired.as_ref().and_then(|_| self.crew.pool()) else {
            read_own(&mut take_up)?;
            while take_up(read())? {}
            return Ok(());
        };
        pool.in_place_scope(|scope| {
            let (send, pieces) = mpsc::sync_channel(most_ahead);
            scope.spawn(move |_| {
                let _hired = hired;
                while send.send(read()).is_ok() {}
            });
            read_own(&mut take_up)?;
            for piece in pieces {
                if !take_up(piece)? {
                    break;
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the halves 1, 2, 3 and 4, 5, 6, each of which ends with 0, until a piece is `bad`.
    fn read(helpers: &Helpers, bad: u32) -> (Result<(), u32>, Vec<u32>) {
        let mut halves = [1..4, 4..7];
        let [first, second] = &mut halves;
        let mut taken = Vec::new();
        let outcome = helpers.read_beside(
            || first.next().unwrap_or(0),
            || second.next().unwrap_or(0),
            |piece| {
                if piece == bad {
                    return Err(piece);
                }
                taken.extend((piece > 0).then_some(piece));
                Ok(piece > 0)
            },
        );
        (outcome, taken)
    }

    #[test]
    fn two_halves_are_read_in_order_with_and_without_a_helper() {
        let helpers = Helpers::default();
        let busy = || -> Vec<_> {
            let everybody = 0..helpers.processors;
            everybody.map(|_| helpers.crew.begin()).collect()
        };
        for at_work in [Vec::new(), busy()] {
            assert_eq!(read(&helpers, 9), (Ok(()), vec![1, 2, 3, 4, 5, 6]));
            assert_eq!(read(&helpers, 2), (Err(2), vec![1]));
            assert_eq!(read(&helpers, 5), (Err(5), vec![1, 2, 3, 4]));
            drop(at_work);
        }
    }
}
