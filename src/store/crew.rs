//! Threads that help others.
//!
//! Work is given to one only when it is free, and whoever gives it does the rest alone: so while one waits for a disk that hangs, nobody else waits
//! for it.

use rayon_core::{ThreadPool, ThreadPoolBuilder};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// The threads; they are started when they are first needed.
#[derive(Debug)]
pub(super) struct Crew {
    /// What they are called, each with a number behind it.
    name: &'static str,
    /// How many there are, at least as many as may be hired.
    threads: usize,
    /// How many threads may be at work at once, those that [`begin`](Self::begin) counted.
    most_at_work: usize,
    at_work: Arc<AtomicUsize>,
    pool: OnceLock<Option<ThreadPool>>,
}

impl Crew {
    /// None is started yet.
    pub(super) fn new(name: &'static str, threads: usize, most_at_work: usize) -> Self {
        Self {
            name,
            threads,
            most_at_work,
            at_work: Arc::default(),
            pool: OnceLock::new(),
        }
    }

    /// Counts this thread, which gives work, until that is dropped.
    pub(super) fn begin(&self) -> AtWork {
        self.at_work.fetch_add(1, Ordering::AcqRel);
        AtWork(Arc::clone(&self.at_work))
    }

    /// Leave for one of the threads, until it is dropped; none if as many are at work as may be.
    pub(super) fn hire(&self) -> Option<AtWork> {
        // a helper waits for no other: what it would do meanwhile may be of another volume
        if rayon_core::current_thread_index().is_some() {
            return None;
        }
        let more = |at_work| (at_work < self.most_at_work).then_some(at_work + 1);
        self.at_work
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .ok()
            .map(|_| AtWork(Arc::clone(&self.at_work)))
    }

    /// The threads, for who has leave for them; none if the system refuses them.
    pub(super) fn pool(&self) -> Option<&ThreadPool> {
        let name = self.name;
        let start = || {
            ThreadPoolBuilder::new()
                .num_threads(self.threads)
                .thread_name(move |number| format!("{name}{number}"))
                .build()
                .inspect_err(|error| {
                    tracing::warn!(
                        threads = name,
                        %error,
                        advice = "files are read one by one; raise the limit of threads and start anew",
                        "helpers_refused"
                    );
                })
                .ok()
        };
        self.pool.get_or_init(start).as_ref()
    }

    /// Has work done by this thread and at most `most` others at once; it divides itself among those who do it.
    pub(super) fn side_by_side(&self, most: usize, work: &(dyn Fn() + Sync)) {
        let hired: Vec<AtWork> = std::iter::from_fn(|| self.hire()).take(most).collect();
        let Some(pool) = hired.first().and_then(|_| self.pool()) else {
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
}

/// A thread at work.
pub(super) struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
