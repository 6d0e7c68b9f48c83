//! One volume: its threads, its queue, and the rules by which a job gets a thread.

use super::{Job, Refused, Settings, now};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Time without a job after which a thread ends, so that many small volumes cost nothing at rest.
const THREAD_IDLE: Duration = Duration::from_secs(60);

/// A volume's threads and queue.
#[derive(Debug)]
pub(super) struct Volume {
    shared: Arc<Shared>,
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    /// For the log.
    name: String,
    threads: usize,
    /// Threads that one account may have.
    share: usize,
    queue: usize,
    deadline: Duration,
    state: Mutex<State>,
}

/// A job's time on its thread.
#[derive(Debug)]
pub struct Turn {
    shared: Arc<Shared>,
}

impl Turn {
    /// True if a job waits for a thread: whoever has had one for a while gives it up.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.shared.lock().waiting.is_empty()
    }

    /// True if so many threads are at rest that this one may wait a moment for more of the same work.
    #[must_use]
    pub fn may_linger(&self) -> bool {
        let state = self.shared.lock();
        state.waiting.is_empty() && state.running.len() <= self.shared.threads / 2
    }
}

/// Who waits and who runs.
#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    running: Vec<Running>,
    /// Threads there are.
    threads: usize,
    /// What wakes each of them that waits for a job. The one that began to wait last is woken first: what it works with is at hand still, in the
    /// processor and in the allocator, which gives each thread memory of its own.
    idle: Vec<Arc<Condvar>>,
    /// Number of the next job.
    next: u64,
    /// The hanging was logged.
    reported: bool,
    closed: bool,
}

impl State {
    /// Wakes a thread that waits for a job; false if none does.
    fn wake_one(&mut self) -> bool {
        let idle = self.idle.pop();
        if let Some(idle) = &idle {
            idle.notify_one();
        }
        idle.is_some()
    }
}

/// A job that waits.
struct Waiting {
    account: Box<str>,
    job: Job,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Waiting").field(&self.account).finish()
    }
}

/// A job that has a thread.
#[derive(Debug)]
struct Running {
    number: u64,
    account: Box<str>,
    since: Instant,
}

impl Volume {
    /// A volume without threads yet.
    pub(super) fn new(name: String, settings: &Settings) -> Self {
        let threads = settings.threads.max(1);
        Self {
            shared: Arc::new(Shared {
                name,
                threads,
                share: (threads / 2).max(1),
                queue: settings.queue,
                deadline: settings.deadline,
                state: Mutex::default(),
            }),
        }
    }

    /// Queues a job.
    pub(super) fn submit(&self, account: &str, job: Job, now: Instant) -> Result<(), Refused> {
        let mut state = self.shared.lock();
        self.shared.may_submit(&mut state, account, now)?;
        if state.waiting.len() >= self.shared.queue {
            return Err(Refused::QueueFull);
        }
        state.waiting.push_back(Waiting {
            account: account.into(),
            job,
        });
        let idle = state.idle.pop();
        if idle.is_none() && state.threads < self.shared.threads {
            self.start_thread(&mut state)?;
        }
        drop(state);
        if let Some(idle) = idle {
            idle.notify_one();
        }
        Ok(())
    }

    /// Whether the volume or the account hangs.
    pub(super) fn check(&self, account: &str, now: Instant) -> Result<(), Refused> {
        self.shared
            .may_submit(&mut self.shared.lock(), account, now)
    }

    /// True if nothing waits, runs or stands ready.
    pub(super) fn is_vacant(&self) -> bool {
        let state = self.shared.lock();
        state.threads == 0 && state.waiting.is_empty()
    }

    /// Drops the jobs that wait and lets the threads end.
    pub(super) fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let unrun = std::mem::take(&mut state.waiting);
        while state.wake_one() {}
        drop(state);
        drop(unrun);
    }

    /// Starts one more thread; without any thread, the job just queued is taken back.
    fn start_thread(&self, state: &mut State) -> Result<(), Refused> {
        let shared = Arc::clone(&self.shared);
        let spawned = thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || Shared::serve(&shared));
        match spawned {
            Ok(_) => state.threads += 1,
            Err(error) => {
                tracing::error!(
                    volume = self.shared.name,
                    threads = state.threads,
                    %error,
                    advice = "raise the limit of processes or lower storage threads",
                    "disk_thread_refused"
                );
                if state.threads == 0 {
                    drop(state.waiting.pop_back());
                    return Err(Refused::NoThread);
                }
            }
        }
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a job runs for longer than the deadline.
    fn is_hung(&self, running: &Running, now: Instant) -> bool {
        now.saturating_duration_since(running.since) >= self.deadline
    }

    /// Refuses when the volume or the account hangs; logs it once.
    fn may_submit(&self, state: &mut State, account: &str, now: Instant) -> Result<(), Refused> {
        let mut hung = state.running.iter().filter(|job| self.is_hung(job, now));
        if hung.clone().count() >= self.threads {
            if !state.reported {
                state.reported = true;
                tracing::error!(
                    volume = self.name,
                    threads = self.threads,
                    deadline_secs = self.deadline.as_secs(),
                    advice = "its users are answered UNAVAILABLE; look at the disk or file server",
                    "volume_hung"
                );
            }
            return Err(Refused::VolumeHung);
        }
        if hung.any(|job| *job.account == *account) {
            return Err(Refused::AccountHung);
        }
        Ok(())
    }

    /// A thread's life: jobs, one after the other, until there has been none for a while.
    fn serve(self: &Arc<Self>) {
        let turn = Turn {
            shared: Arc::clone(self),
        };
        let wake = Arc::new(Condvar::new());
        let mut state = self.lock();
        loop {
            if let Some((number, job)) = self.take(&mut state) {
                drop(state);
                if catch_unwind(AssertUnwindSafe(|| job(&turn))).is_err() {
                    tracing::error!(volume = self.name, job = number, "disk_job_panicked");
                }
                state = self.lock();
                self.finish(&mut state, number);
                continue;
            }
            if state.closed {
                break;
            }
            state.idle.push(Arc::clone(&wake));
            let (woken, wait) = wake
                .wait_timeout(state, THREAD_IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            // whoever woke it has taken it out
            state.idle.retain(|idle| !Arc::ptr_eq(idle, &wake));
            if wait.timed_out() && state.waiting.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }

    /// The first job that waits and may have a thread; others that wait are announced to the next thread.
    fn take(&self, state: &mut State) -> Option<(u64, Job)> {
        let now = now();
        let running = &state.running;
        let index = state.waiting.iter().position(|job| {
            let mut own = running.iter().filter(|other| other.account == job.account);
            own.clone().count() < self.share && !own.any(|other| self.is_hung(other, now))
        })?;
        let Waiting { account, job } = state.waiting.remove(index)?;
        let number = state.next;
        state.next += 1;
        state.running.push(Running {
            number,
            account,
            since: now,
        });
        if !state.waiting.is_empty() {
            state.wake_one();
        }
        Some((number, job))
    }

    /// A job came back.
    fn finish(&self, state: &mut State, number: u64) {
        state.running.retain(|job| job.number != number);
        if std::mem::take(&mut state.reported) {
            tracing::info!(volume = self.name, "volume_recovered");
        }
    }
}
