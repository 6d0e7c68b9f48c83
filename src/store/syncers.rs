//! Threads that help to sync: each sync waits for the disk, and those that wait together need one flush of it.

use super::crew::Crew;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many threads help, over all mailboxes. They use little of a processor, so that there may be more than processors.
const THREADS: usize = 8;

/// Something to be synced.
pub(super) type OneSync<'a> = Box<dyn Fn() -> io::Result<()> + Sync + 'a>;

/// The threads.
#[derive(Debug)]
pub(super) struct Syncers(Crew);

impl Default for Syncers {
    fn default() -> Self {
        Self(Crew::new("sync", THREADS, THREADS))
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
        self.0.side_by_side(others, &work);
        failure.into_inner().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(syncers.0.at_work(), 0);
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
            while syncers.0.at_work() < THREADS {
                std::thread::yield_now();
            }
            let quick: [OneSync<'_>; 2] = [Box::new(|| Ok(())), Box::new(|| Ok(()))];
            syncers.sync(&quick).unwrap();
            hung.wait();
        });
    }
}
