//! Threads that help to sync: each sync waits for the disk, and those that wait together need one flush of it.
//!
//! Work is given to a thread only when it is free, and whoever gives it does the rest alone: so while threads wait for a disk that hangs,
//! nobody else waits for it.

use rayon_core::{ThreadPool, ThreadPoolBuilder};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How many threads help, over all mailboxes. They use little of a processor, so that there may be more than processors.
const THREADS: usize = 8;

/// Something to be synced.
pub(super) type OneSync<'a> = Box<dyn Fn() -> io::Result<()> + Sync + 'a>;

/// The threads; they are started when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Syncers {
    /// How many of them are at work.
    at_work: Arc<AtomicUsize>,
    pool: OnceLock<Option<ThreadPool>>,
}

/// A thread at work.
struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Syncers {
    /// Syncs all of these, in any order, side by side as far as threads are free.
    ///
    /// # Errors
    /// The first one met; some may not have been synced then.
    pub(super) fn sync(&self, all: &[OneSync<'_>]) -> io::Result<()> {
        let (next, failure) = (AtomicUsize::new(0), Mutex::new(Ok(())));
        let work = || {
            while let Some(sync) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = sync() {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Err(error);
                    next.store(all.len(), Ordering::Relaxed);
                }
            }
        };
        let others = all.len().saturating_sub(1);
        let hired: Vec<AtWork> = std::iter::from_fn(|| self.hire()).take(others).collect();
        match hired.first().and_then(|_| self.pool()) {
            // each has a thread to go to at once
            Some(pool) => pool.in_place_scope(|scope| {
                for helper in hired {
                    scope.spawn(|_| {
                        let _hired = helper;
                        work();
                    });
                }
                work();
            }),
            None => work(),
        }
        failure.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leave for one of the threads, until it is dropped; none if all are at work.
    fn hire(&self) -> Option<AtWork> {
        let more = |at_work| (at_work < THREADS).then_some(at_work + 1);
        self.at_work
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .ok()
            .map(|_| AtWork(Arc::clone(&self.at_work)))
    }

    fn pool(&self) -> Option<&ThreadPool> {
        let start = || {
            ThreadPoolBuilder::new()
                .num_threads(THREADS)
                .thread_name(|number| format!("sync{number}"))
                .build()
                .inspect_err(|error| {
                    tracing::warn!(
                        %error,
                        advice = "files are synced one by one; raise the limit of threads and start anew",
                        "syncers_refused"
                    );
                })
                .ok()
        };
        self.pool.get_or_init(start).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn all_are_synced_and_a_failure_is_told() {
        let syncers = Syncers::default();
        let count = AtomicUsize::new(0);
        let one = || -> OneSync<'_> {
            Box::new(|| {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
        };
        let all: Vec<OneSync<'_>> = (0..50).map(|_| one()).collect();
        syncers.sync(&all).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 50);
        syncers.sync(&[]).unwrap();
        let failing: OneSync<'_> = Box::new(|| Err(io::ErrorKind::StorageFull.into()));
        let outcome = syncers.sync(&[one(), failing, one()]);
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(syncers.at_work.load(Ordering::Acquire), 0);
    }

    #[test]
    fn they_wait_together_and_nobody_waits_for_threads_that_hang() {
        let syncers = Syncers::default();
        let together = Barrier::new(THREADS + 1);
        let meet = || -> OneSync<'_> {
            Box::new(|| {
                together.wait();
                Ok(())
            })
        };
        // each waits until all others are at it
        let all: Vec<OneSync<'_>> = (0..=THREADS).map(|_| meet()).collect();
        syncers.sync(&all).unwrap();
        let hung = Barrier::new(THREADS + 2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let hang = |_| -> OneSync<'_> {
                    Box::new(|| {
                        hung.wait();
                        Ok(())
                    })
                };
                let all: Vec<OneSync<'_>> = (0..=THREADS).map(hang).collect();
                syncers.sync(&all).unwrap();
            });
            while syncers.at_work.load(Ordering::Acquire) < THREADS {
                std::thread::yield_now();
            }
            let quick: [OneSync<'_>; 2] = [Box::new(|| Ok(())), Box::new(|| Ok(()))];
            syncers.sync(&quick).unwrap();
            hung.wait();
        });
    }
}
