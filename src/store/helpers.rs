//! Threads that help others to read.
//!
//! One for each further processor, over all mailboxes. Work is given to one only while it is free, and whoever gives it does the rest alone: so
//! while one waits for a disk that hangs, nobody else waits for it.

use rayon_core::{ThreadPool, ThreadPoolBuilder};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

/// Largest buffer that is kept for others.
pub(super) const MAX_BUFFER_OCTETS: usize = 1024 * 1024;

/// How often there must be something to do for each thread beside the first.
const TURNS_WORTH_A_THREAD: usize = 4;

/// How many pieces may be read ahead.
const MAX_AHEAD: usize = 16;

/// Threads that help others to read; they are started when they are first needed.
#[derive(Debug)]
pub(super) struct Helpers {
    /// How many threads beside the one that has the work make it quicker.
    most: usize,
    free: AtomicUsize,
    pool: OnceLock<Option<ThreadPool>>,
    /// Buffers for the next ones who read, at most one for each processor.
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Default for Helpers {
    fn default() -> Self {
        // asked once: the system reads several files to tell
        let most = thread::available_parallelism().map_or(0, |processors| processors.get() - 1);
        Self {
            most,
            free: AtomicUsize::new(most),
            pool: OnceLock::new(),
            buffers: Mutex::default(),
        }
    }
}

impl Helpers {
    /// Leave for one of the threads, until it is dropped; none if all are at work.
    fn hire(&self) -> Option<Helper<'_>> {
        self.free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
                free.checked_sub(1)
            })
            .ok()
            .map(|_| Helper(self))
    }

    fn pool(&self) -> Option<&ThreadPool> {
        let start = || {
            ThreadPoolBuilder::new()
                .num_threads(self.most)
                .thread_name(|number| format!("reader{number}"))
                .build()
                .inspect_err(|error| {
                    tracing::warn!(
                        %error,
                        advice = "messages are read one by one; raise the limit of threads and start anew",
                        "readers_refused"
                    );
                })
                .ok()
        };
        self.pool.get_or_init(start).as_ref()
    }

    /// A buffer; who takes one has it to himself.
    pub(super) fn take_buffer(&self) -> Vec<u8> {
        self.buffers().pop().unwrap_or_default()
    }

    /// Keeps a buffer for others.
    pub(super) fn give_buffer(&self, buffer: Vec<u8>) {
        let mut buffers = self.buffers();
        if buffers.len() <= self.most && buffer.len() <= MAX_BUFFER_OCTETS {
            buffers.push(buffer);
        }
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has work done by this thread and at most `most` others at once; it divides itself among those who do it.
    pub(super) fn side_by_side(&self, most: usize, work: &(dyn Fn() + Sync)) {
        let hired: Vec<Helper<'_>> = std::iter::from_fn(|| self.hire()).take(most).collect();
        let Some(pool) = self.pool().filter(|_| !hired.is_empty()) else {
            return work();
        };
        let span = tracing::Span::current();
        // each has a thread to go to at once
        pool.in_place_scope(|scope| {
            for helper in hired {
                let span = &span;
                scope.spawn(move |_| {
                    let _hired = helper;
                    span.in_scope(work);
                });
            }
            work();
        });
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
        mut read: impl FnMut() -> Piece + Send,
        mut take_up: impl FnMut(Piece) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let hired = self.hire();
        let Some(pool) = self.pool().filter(|_| hired.is_some()) else {
            while take_up(read())? {}
            return Ok(());
        };
        pool.in_place_scope(|scope| {
            let (send, pieces) = mpsc::sync_channel(MAX_AHEAD);
            scope.spawn(move |_| {
                let _hired = hired;
                while send.send(read()).is_ok() {}
            });
            for piece in pieces {
                if !take_up(piece)? {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// Leave for a thread.
struct Helper<'a>(&'a Helpers);

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Ordering::AcqRel);
    }
}
