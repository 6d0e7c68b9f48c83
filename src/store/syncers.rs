//! Threads that help to sync: each sync waits for the disk, and what waits together takes hardly longer than the longest.
//!
//! A helper is given what nobody has begun, and who gives it begins the rest: while a helper waits for a disk that hangs, others do without it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many threads help, over all mailboxes. They use little of a processor, so that there may be more than processors.
const THREADS: usize = 8;

/// Time without work after which a thread ends.
const THREAD_IDLE: Duration = Duration::from_secs(60);

/// Something to be synced.
pub(super) type OneSync = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// The threads; they are started when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Syncers {
    shared: Arc<Shared>,
}

/// What the threads share with those who give them work.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is work, or there will be none.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Each once for every helper that it may have.
    waiting: VecDeque<Arc<Batch>>,
    threads: usize,
    idle: usize,
    closed: bool,
}

/// What is synced together.
#[derive(Default)]
struct Batch {
    progress: Mutex<Progress>,
    /// Something was synced.
    changed: Condvar,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Progress {
    /// What nobody has begun, with its place.
    left: Vec<(usize, OneSync)>,
    /// What came of each; of what is not over, that it was broken off.
    outcomes: Vec<io::Result<()>>,
    running: usize,
}

impl Syncers {
    /// Syncs all of these, in any order, side by side as far as threads are free. Returns what came of each.
    pub(super) fn sync(&self, all: Vec<OneSync>) -> Vec<io::Result<()>> {
        let outcomes = all.iter().map(|_| Err(io::ErrorKind::Interrupted.into()));
        let progress = Progress {
            outcomes: outcomes.collect(),
            left: all.into_iter().enumerate().rev().collect(),
            running: 0,
        };
        let others = progress.left.len().saturating_sub(1);
        let batch = Arc::new(Batch {
            progress: Mutex::new(progress),
            changed: Condvar::new(),
        });
        if others > 0 {
            self.shared.offer(&batch, others);
        }
        batch.work();
        batch.finish()
    }
}

impl Drop for Syncers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a batch to as many threads as are free, at most so many.
    fn offer(self: &Arc<Self>, batch: &Arc<Batch>, most: usize) {
        let mut state = self.lock();
        for _ in 0..most {
            let is_free = state.waiting.len() < state.idle;
            if !is_free && (state.threads >= THREADS || !self.start_thread(&mut state)) {
                break;
            }
            state.waiting.push_back(Arc::clone(batch));
            self.changed.notify_one();
        }
    }

    /// Starts one more thread; false if the system refuses it.
    fn start_thread(self: &Arc<Self>, state: &mut State) -> bool {
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new()
            .name("sync".to_owned())
            .spawn(move || shared.serve());
        match spawned {
            Ok(_) => {
                state.threads += 1;
                true
            }
            Err(error) => {
                tracing::warn!(
                    threads = state.threads,
                    %error,
                    advice = "files are synced one by one; raise the limit of threads",
                    "sync_thread_refused"
                );
                false
            }
        }
    }

    /// A thread's life.
    fn serve(&self) {
        let mut state = self.lock();
        while !state.closed {
            if let Some(batch) = state.waiting.pop_front() {
                drop(state);
                batch.work();
                drop(batch);
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let (woken, wait) = self
                .changed
                .wait_timeout(state, THREAD_IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if wait.timed_out() && state.waiting.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl Batch {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs what nobody has begun, one after the other.
    fn work(&self) {
        let mut progress = self.lock();
        while let Some((at, sync)) = progress.left.pop() {
            progress.running += 1;
            drop(progress);
            let outcome = sync();
            progress = self.lock();
            progress.running -= 1;
            if let Some(place) = progress.outcomes.get_mut(at) {
                *place = outcome;
            }
        }
        self.changed.notify_all();
    }

    /// Waits for what others have begun.
    fn finish(&self) -> Vec<io::Result<()>> {
        let progress = self.lock();
        let mut progress = self
            .changed
            .wait_while(progress, |progress| progress.running > 0)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut progress.outcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn all_are_synced_and_each_failure_is_told() {
        let syncers = Syncers::default();
        let count = Arc::new(AtomicUsize::new(0));
        let one = || -> OneSync {
            let count = Arc::clone(&count);
            Box::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
        };
        let outcomes = syncers.sync((0..50).map(|_| one()).collect());
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            50
        );
        assert_eq!(count.load(Ordering::Relaxed), 50);
        assert!(syncers.sync(Vec::new()).is_empty());
        let failing: OneSync = Box::new(|| Err(io::ErrorKind::StorageFull.into()));
        let outcomes = syncers.sync(vec![one(), failing, one()]);
        let kinds = outcomes
            .into_iter()
            .map(|outcome| outcome.err().map(|e| e.kind()));
        let expected = [None, Some(io::ErrorKind::StorageFull), None];
        assert!(kinds.eq(expected));
        assert_eq!(count.load(Ordering::Relaxed), 52);
    }

    #[test]
    fn they_wait_together_and_nobody_waits_for_threads_that_hang() {
        let syncers = Syncers::default();
        let meet = |barrier: &Arc<Barrier>| -> OneSync {
            let barrier = Arc::clone(barrier);
            Box::new(move || {
                barrier.wait();
                Ok(())
            })
        };
        // each waits until all others are at it
        let together = Arc::new(Barrier::new(THREADS + 1));
        let all = (0..=THREADS).map(|_| meet(&together)).collect();
        assert!(syncers.sync(all).iter().all(Result::is_ok));
        let hung = Arc::new(Barrier::new(THREADS + 2));
        thread::scope(|scope| {
            scope.spawn(|| syncers.sync((0..=THREADS).map(|_| meet(&hung)).collect()));
            let is_idle = |state: &State| state.idle > 0 || !state.waiting.is_empty();
            while syncers.shared.lock().threads < THREADS || is_idle(&syncers.shared.lock()) {
                thread::yield_now();
            }
            let quick: Vec<OneSync> = vec![Box::new(|| Ok(())), Box::new(|| Ok(()))];
            assert!(syncers.sync(quick).iter().all(Result::is_ok));
            hung.wait();
        });
    }
}
