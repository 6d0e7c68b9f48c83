//! Threads that help where work waits for the disk, as syncing and removing do: what waits together takes hardly longer than the longest.
//!
//! A helper is given what nobody has begun, and who gives it begins the rest: while a helper waits for a disk that hangs, others do without it.

use super::clock;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many threads help, over all mailboxes. They use little of a processor, so that there may be more than processors.
const THREADS: usize = 8;

/// Time without work after which a thread ends.
const THREAD_IDLE: Duration = Duration::from_secs(60);

/// What takes less is done before another thread has woken up for it.
const QUICK: Duration = Duration::from_micros(20);

/// How quick the syncs of a mailbox are: on some volumes there is nothing to wait for.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The last one was.
    is_quick: AtomicBool,
}

/// Something to be done.
pub(super) type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// The threads; they are started when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Waiters {
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
    waiting: VecDeque<Arc<dyn Work>>,
    threads: usize,
    idle: usize,
    closed: bool,
}

/// Work that divides itself among those who do it.
trait Work: Send + Sync {
    /// Does what nobody has begun, one after the other.
    fn work(&self);
}

impl std::fmt::Debug for dyn Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

/// What is done together.
struct Batch<T> {
    progress: Mutex<Progress<T>>,
    /// Something was done.
    changed: Condvar,
}

struct Progress<T> {
    /// What nobody has begun, with its place.
    left: Vec<(usize, Job<T>)>,
    /// What came of each; none while it is not over.
    outcomes: Vec<Option<T>>,
    running: usize,
}

impl Waiters {
    /// Does all of these, in any order, by this thread and as many others as are free, at most `most`. None of them may panic. Returns what came of
    /// each.
    pub(super) fn do_all<T: Send + 'static>(
        &self,
        all: Vec<Job<T>>,
        most: usize,
    ) -> Vec<Option<T>> {
        let others = all.len().saturating_sub(1).min(most);
        let batch = Arc::new(Batch {
            progress: Mutex::new(Progress {
                outcomes: all.iter().map(|_| None).collect(),
                left: all.into_iter().enumerate().rev().collect(),
                running: 0,
            }),
            changed: Condvar::new(),
        });
        if others > 0 {
            let work: Arc<dyn Work> = Arc::<Batch<T>>::clone(&batch);
            self.shared.offer(&work, others);
        }
        batch.work();
        batch.finish()
    }

    /// Syncs all of these, in any order. Returns what came of each.
    pub(super) fn sync(
        &self,
        all: Vec<Job<io::Result<()>>>,
        pace: &Arc<Pace>,
    ) -> Vec<io::Result<()>> {
        let mut left = all.into_iter();
        let mut outcomes = Vec::with_capacity(left.len());
        while pace.is_quick()
            && let Some(job) = left.next()
        {
            outcomes.push(pace.time(job));
        }
        let timed = left.next().map(|job| -> Job<io::Result<()>> {
            let pace = Arc::clone(pace);
            Box::new(move || pace.time(job))
        });
        let rest = self.do_all(timed.into_iter().chain(left).collect(), THREADS);
        let or_broken =
            |outcome: Option<_>| outcome.unwrap_or_else(|| Err(io::ErrorKind::Interrupted.into()));
        outcomes.extend(rest.into_iter().map(or_broken));
        outcomes
    }
}

impl Pace {
    fn is_quick(&self) -> bool {
        self.is_quick.load(Ordering::Relaxed)
    }

    /// Does a job, and notes whether it was quick.
    fn time<T>(&self, job: Job<T>) -> T {
        let begun = clock::monotonic();
        let outcome = job();
        let is_quick = begun.elapsed() < QUICK;
        self.is_quick.store(is_quick, Ordering::Relaxed);
        outcome
    }
}

impl Drop for Waiters {
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
    fn offer(self: &Arc<Self>, batch: &Arc<dyn Work>, most: usize) {
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
            .name("waiter".to_owned())
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
                    advice = "files are synced and removed one by one; raise the limit of threads",
                    "waiter_refused"
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

impl<T: Send> Work for Batch<T> {
    fn work(&self) {
        let mut progress = self.lock();
        while let Some((at, job)) = progress.left.pop() {
            progress.running += 1;
            drop(progress);
            let outcome = job();
            progress = self.lock();
            progress.running -= 1;
            if let Some(place) = progress.outcomes.get_mut(at) {
                *place = Some(outcome);
            }
        }
        drop(progress);
        self.changed.notify_all();
    }
}

impl<T> Batch<T> {
    fn lock(&self) -> MutexGuard<'_, Progress<T>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what others have begun.
    fn finish(&self) -> Vec<Option<T>> {
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
        let (waiters, pace) = (Waiters::default(), Arc::default());
        let count = Arc::new(AtomicUsize::new(0));
        let one = || -> Job<io::Result<()>> {
            let count = Arc::clone(&count);
            Box::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
        };
        let outcomes = waiters.sync((0..50).map(|_| one()).collect(), &pace);
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            50
        );
        assert_eq!(count.load(Ordering::Relaxed), 50);
        assert!(waiters.sync(Vec::new(), &pace).is_empty());
        let failing: Job<io::Result<()>> = Box::new(|| Err(io::ErrorKind::StorageFull.into()));
        let outcomes = waiters.sync(vec![one(), failing, one()], &pace);
        let kinds = outcomes
            .into_iter()
            .map(|outcome| outcome.err().map(|e| e.kind()));
        let expected = [None, Some(io::ErrorKind::StorageFull), None];
        assert!(kinds.eq(expected));
        assert_eq!(count.load(Ordering::Relaxed), 52);
    }

    #[test]
    fn what_is_quick_is_done_without_others() {
        let (waiters, pace) = (Waiters::default(), Arc::<Pace>::default());
        let by = Arc::new(Mutex::new(Vec::new()));
        let quick = || -> Job<io::Result<()>> {
            let by = Arc::clone(&by);
            Box::new(move || {
                by.lock().unwrap().push(thread::current().id());
                Ok(())
            })
        };
        let slow = || -> Job<io::Result<()>> {
            Box::new(|| {
                let begun = clock::monotonic();
                while begun.elapsed() < QUICK {}
                Ok(())
            })
        };
        // on a busy machine what is quick takes long now and then
        let is_alone = (0..1000).any(|_| {
            let was_quick = pace.is_quick();
            by.lock().unwrap().clear();
            let outcomes = waiters.sync((0..4).map(|_| quick()).collect(), &pace);
            assert_eq!(outcomes.len(), 4);
            was_quick && *by.lock().unwrap() == [thread::current().id(); 4]
        });
        assert!(is_alone);
        for _ in 0..2 {
            assert_eq!(waiters.sync(vec![slow(), quick()], &pace).len(), 2);
            assert_eq!(waiters.sync(vec![slow()], &pace).len(), 1);
            assert!(!pace.is_quick());
        }
    }

    #[test]
    fn they_wait_together_and_nobody_waits_for_threads_that_hang() {
        let waiters = Waiters::default();
        let meet = |barrier: &Arc<Barrier>| -> Job<io::Result<()>> {
            let barrier = Arc::clone(barrier);
            Box::new(move || {
                barrier.wait();
                Ok(())
            })
        };
        // each waits until all others are at it
        let together = Arc::new(Barrier::new(THREADS + 1));
        let all = (0..=THREADS).map(|_| meet(&together)).collect();
        let sync = |all| waiters.sync(all, &Arc::default());
        assert!(sync(all).iter().all(Result::is_ok));
        let hung = Arc::new(Barrier::new(THREADS + 2));
        thread::scope(|scope| {
            scope.spawn(|| sync((0..=THREADS).map(|_| meet(&hung)).collect()));
            let is_idle = |state: &State| state.idle > 0 || !state.waiting.is_empty();
            while waiters.shared.lock().threads < THREADS || is_idle(&waiters.shared.lock()) {
                thread::yield_now();
            }
            let quick: Vec<Job<io::Result<()>>> = vec![Box::new(|| Ok(())), Box::new(|| Ok(()))];
            assert!(sync(quick).iter().all(Result::is_ok));
            hung.wait();
        });
    }
}
