//! The threads on which logins are decided, apart from all others.
//!
//! - A fixed number of threads: hashing takes at most `threads × Argon2 memory`, and a flood of logins slows logins only.
//! - A queue of fixed length, and a shelf, of the same length, for those whose turn has not come (see [`super::policy`]).
//! - A deadline. Work hangs only if the disk of the credential database does. Whoever waits for it is answered in time all the same, by the
//!   timekeeper, with a temporary failure; when every thread hangs, nobody is kept waiting at all.
//!
//! Each reply is called exactly once, whatever happens: also when the work panics, and when the pool is dropped.

use super::{Outcome, clock, detail, unavailable};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A decision to be made.
pub(super) type Work = Box<dyn FnOnce() -> Outcome + Send>;

/// Where it goes.
pub(super) type Reply = Box<dyn FnOnce(Outcome) + Send>;

/// How much is taken on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Threads; at least one is started.
    pub(super) threads: usize,
    /// Decisions that may wait for a thread.
    pub(super) queue: usize,
    /// Longest time from when the turn has come to the answer.
    pub(super) deadline: Duration,
}

/// The pool; its threads end when it is dropped.
pub(super) struct Pool {
    /// Shared with the threads.
    shared: Arc<Shared>,
}

/// What the threads share.
struct Shared {
    /// See [`Limits`].
    limits: Limits,
    /// What is to be done.
    state: Mutex<State>,
    /// Something waits for a thread.
    arrived: Condvar,
    /// The timekeeper's next moment may have changed.
    changed: Condvar,
}

/// What is to be done and being done.
#[derive(Default)]
struct State {
    /// Not before the moment in the key; the number keeps apart what has the same moment.
    shelf: BTreeMap<(Instant, u64), (Work, Reply)>,
    /// Numbers for the shelf.
    next: u64,
    /// Waiting for a thread, the oldest first.
    queue: VecDeque<Arc<Ticket>>,
    /// On a thread.
    working: Vec<Arc<Ticket>>,
    /// It has been logged that threads hang.
    complained: bool,
    /// The pool is being dropped.
    stopping: bool,
}

/// One decision on its way.
struct Ticket {
    /// When it must be answered.
    due: Instant,
    /// The work, until a thread takes it.
    work: Mutex<Option<Work>>,
    /// The reply, until somebody answers.
    reply: Mutex<Option<Reply>>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// if not a single one can be started
    pub(super) fn start(limits: Limits) -> io::Result<Self> {
        let pool = Self {
            shared: Arc::new(Shared {
                limits,
                state: Mutex::default(),
                arrived: Condvar::new(),
                changed: Condvar::new(),
            }),
        };
        let spawn = |name: &str, life: fn(&Shared)| {
            let shared = Arc::clone(&pool.shared);
            let builder = thread::Builder::new().name(name.to_owned());
            builder.spawn(move || life(&shared)).map(drop)
        };
        spawn("login-timer", Shared::keep_time)?;
        for number in 0..limits.threads.max(1) {
            match spawn("login", Shared::work) {
                Ok(()) => {}
                Err(error) if number == 0 => return Err(error),
                Err(error) => tracing::error!(
                    started = number,
                    wanted = limits.threads,
                    %error,
                    "login_threads_missing: raise the limit of threads of this service"
                ),
            }
        }
        Ok(pool)
    }

    /// Has something decided, not before a wait is over. What is too much is answered at once, on this thread.
    pub(super) fn run(&self, wait: Duration, work: Work, reply: Reply) {
        let now = clock::now();
        let mut state = self.shared.lock();
        let limits = &self.shared.limits;
        let refusal = if hanging(&state, now) >= limits.threads.max(1) {
            detail::OVERDUE
        } else if wait.is_zero() && state.queue.len() >= limits.queue {
            detail::QUEUE_FULL
        } else if !wait.is_zero() && state.shelf.len() >= limits.queue {
            detail::THROTTLED
        } else {
            if wait.is_zero() {
                self.shared.enqueue(&mut state, work, reply, now);
            } else {
                let moment = now.checked_add(wait).unwrap_or(now);
                let number = state.next;
                state.next = state.next.wrapping_add(1);
                state.shelf.insert((moment, number), (work, reply));
            }
            drop(state);
            self.shared.changed.notify_one();
            return;
        };
        drop(state);
        answer(reply, Err(unavailable(refusal)));
    }
}

impl Shared {
    /// Takes the lock; a thread that panicked leaves nothing half done under it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts work into the queue.
    fn enqueue(&self, state: &mut State, work: Work, reply: Reply, now: Instant) {
        state.queue.push_back(Arc::new(Ticket {
            due: now.checked_add(self.limits.deadline).unwrap_or(now),
            work: Mutex::new(Some(work)),
            reply: Mutex::new(Some(reply)),
        }));
        self.arrived.notify_one();
    }

    /// The life of a thread that decides.
    fn work(&self) {
        while let Some(ticket) = self.next() {
            if let Some(work) = take(&ticket.work) {
                let outcome = catch_unwind(AssertUnwindSafe(work))
                    .unwrap_or_else(|_panic| Err(unavailable(detail::INTERNAL)));
                ticket.answer(outcome);
            }
            self.finish(&ticket);
        }
    }

    /// Waits for something to do; none when the pool is dropped.
    fn next(&self) -> Option<Arc<Ticket>> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(ticket) = state.queue.pop_front() {
                state.working.push(Arc::clone(&ticket));
                return Some(ticket);
            }
            state = self
                .arrived
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A thread is free again.
    fn finish(&self, ticket: &Arc<Ticket>) {
        let now = clock::now();
        let mut state = self.lock();
        state.working.retain(|other| !Arc::ptr_eq(other, ticket));
        let recovered = state.complained && hanging(&state, now) == 0;
        if recovered {
            state.complained = false;
            drop(state);
            tracing::info!("logins_recovered");
        }
    }

    /// The life of the timekeeper: brings from the shelf what has its turn, answers for what is overdue.
    fn keep_time(&self) {
        let mut state = self.lock();
        while !state.stopping {
            let now = clock::now();
            while let Some(entry) = state.shelf.first_entry() {
                if entry.key().0 > now {
                    break;
                }
                let (work, reply) = entry.remove();
                self.enqueue(&mut state, work, reply, now);
            }
            let overdue = self.take_overdue(&mut state, now);
            if !overdue.is_empty() {
                let complain = !std::mem::replace(&mut state.complained, true);
                drop(state);
                if complain {
                    let secs = self.limits.deadline.as_secs();
                    tracing::error!(
                        deadline_secs = secs,
                        "logins_overdue: the disk of the credential database hangs, or there are more logins than [auth] hashing_threads can check"
                    );
                }
                for ticket in overdue {
                    ticket.answer(Err(unavailable(detail::OVERDUE)));
                }
                state = self.lock();
                continue;
            }
            state = match next_moment(&state).map(|at| at.saturating_duration_since(now)) {
                Some(wait) => {
                    let woken = self.changed.wait_timeout(state, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// What must be answered now: past its deadline; or waiting, while every thread hangs.
    fn take_overdue(&self, state: &mut State, now: Instant) -> Vec<Arc<Ticket>> {
        let mut overdue: Vec<_> = state
            .working
            .iter()
            .filter(|ticket| ticket.due <= now && ticket.is_open())
            .map(Arc::clone)
            .collect();
        if hanging(state, now) >= self.limits.threads.max(1) {
            overdue.extend(state.queue.drain(..));
        }
        while state.queue.front().is_some_and(|ticket| ticket.due <= now) {
            overdue.extend(state.queue.pop_front());
        }
        overdue
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopping = true;
        let queue = std::mem::take(&mut state.queue);
        let shelf = std::mem::take(&mut state.shelf);
        drop(state);
        self.shared.arrived.notify_all();
        self.shared.changed.notify_all();
        for ticket in queue {
            ticket.answer(Err(unavailable(detail::INTERNAL)));
        }
        for (_, reply) in shelf.into_values() {
            answer(reply, Err(unavailable(detail::INTERNAL)));
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("limits", &self.shared.limits)
            .finish_non_exhaustive()
    }
}

impl Ticket {
    /// Gives the answer, unless somebody has.
    fn answer(&self, outcome: Outcome) {
        if let Some(reply) = take(&self.reply) {
            answer(reply, outcome);
        }
    }

    /// Nobody has answered.
    fn is_open(&self) -> bool {
        self.reply
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

/// How many threads are past their deadline.
fn hanging(state: &State, now: Instant) -> usize {
    let late = |ticket: &&Arc<Ticket>| ticket.due <= now;
    state.working.iter().filter(late).count()
}

/// When the timekeeper has something to do next.
fn next_moment(state: &State) -> Option<Instant> {
    let shelved = state.shelf.keys().next().map(|(moment, _)| *moment);
    let waiting = state.queue.front().map(|ticket| ticket.due);
    let working = state.working.iter().filter(|ticket| ticket.is_open());
    let working = working.map(|ticket| ticket.due).min();
    [shelved, waiting, working].into_iter().flatten().min()
}

/// Takes what can be taken once.
fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Calls a reply; its panic is not ours.
fn answer(reply: Reply, outcome: Outcome) {
    if catch_unwind(AssertUnwindSafe(|| reply(outcome))).is_err() {
        tracing::error!("login_reply_panicked: a mistake of the program, please report it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Accepted, Denial};
    use std::sync::mpsc::{Receiver, Sender, channel};

    const LONG: Duration = Duration::from_secs(30);

    fn pool(threads: usize, queue: usize, deadline: Duration) -> Pool {
        Pool::start(Limits {
            threads,
            queue,
            deadline,
        })
        .unwrap()
    }

    fn accepted() -> Outcome {
        Ok(Accepted {
            user: "anna".into(),
            ..Accepted::default()
        })
    }

    /// A reply that sends what the log would say.
    fn reply(to: &Sender<&'static str>) -> Reply {
        let to = to.clone();
        Box::new(move |outcome| {
            let text = outcome.map_or_else(|denied| denied.detail, |_| "ok");
            to.send(text).ok();
        })
    }

    /// Work that hangs until the sender is dropped.
    fn hanging_work() -> (Sender<()>, Work) {
        let (gate, held): (_, Receiver<()>) = channel();
        let work = Box::new(move || {
            held.recv().ok();
            accepted()
        });
        (gate, work)
    }

    #[test]
    fn decides_and_survives_panics() {
        let pool = pool(1, 10, LONG);
        let (to, answers) = channel();
        pool.run(
            Duration::ZERO,
            Box::new(|| panic!("on purpose")),
            reply(&to),
        );
        pool.run(
            Duration::ZERO,
            Box::new(accepted),
            Box::new(|_| panic!("on purpose")),
        );
        pool.run(Duration::ZERO, Box::new(accepted), reply(&to));
        assert_eq!(answers.recv_timeout(LONG), Ok(detail::INTERNAL));
        assert_eq!(answers.recv_timeout(LONG), Ok("ok"));
    }

    #[test]
    fn a_full_queue_is_told_at_once() {
        let pool = pool(1, 1, LONG);
        let (to, answers) = channel();
        let (gate, work) = hanging_work();
        let (started, begun) = channel();
        pool.run(
            Duration::ZERO,
            Box::new(move || {
                started.send(()).unwrap();
                work()
            }),
            reply(&to),
        );
        begun.recv_timeout(LONG).unwrap();
        pool.run(Duration::ZERO, Box::new(accepted), reply(&to));
        pool.run(Duration::ZERO, Box::new(accepted), reply(&to));
        assert_eq!(answers.try_recv(), Ok(detail::QUEUE_FULL));
        drop(gate);
        assert_eq!(answers.recv_timeout(LONG), Ok("ok"));
        assert_eq!(answers.recv_timeout(LONG), Ok("ok"));
    }

    #[test]
    fn what_hangs_is_answered_for_and_then_nobody_waits() {
        let pool = pool(1, 10, Duration::from_millis(50));
        let (to, answers) = channel();
        let (gate, work) = hanging_work();
        pool.run(Duration::ZERO, work, reply(&to));
        pool.run(Duration::ZERO, Box::new(accepted), reply(&to));
        assert_eq!(answers.recv_timeout(LONG), Ok(detail::OVERDUE));
        assert_eq!(answers.recv_timeout(LONG), Ok(detail::OVERDUE));
        pool.run(Duration::ZERO, Box::new(accepted), reply(&to));
        assert_eq!(answers.try_recv(), Ok(detail::OVERDUE));
        drop(gate);
        // the thread comes back by itself; until it has, the answer is as before
        loop {
            pool.run(Duration::ZERO, Box::new(accepted), reply(&to));
            match answers.recv_timeout(LONG) {
                Ok("ok") => break,
                other => assert_eq!(other, Ok(detail::OVERDUE)),
            }
        }
    }

    #[test]
    fn what_has_no_turn_yet_is_passed_by_others() {
        let pool = pool(1, 1, LONG);
        let (to, answers) = channel();
        let late = Duration::from_millis(100);
        let begun = clock::now();
        pool.run(late, Box::new(accepted), reply(&to));
        pool.run(late, Box::new(accepted), reply(&to));
        assert_eq!(answers.try_recv(), Ok(detail::THROTTLED));
        let passing = reply(&to);
        pool.run(
            Duration::ZERO,
            Box::new(|| Err(unavailable("passed"))),
            passing,
        );
        assert_eq!(answers.recv_timeout(LONG), Ok("passed"));
        assert_eq!(answers.recv_timeout(LONG), Ok("ok"));
        assert!(clock::now() - begun >= late);
    }

    #[test]
    fn all_are_answered_when_the_pool_goes() {
        let pool = pool(1, 10, LONG);
        let (to, answers) = channel();
        let (gate, work) = hanging_work();
        pool.run(Duration::ZERO, work, reply(&to));
        pool.run(LONG, Box::new(accepted), reply(&to));
        drop(pool);
        assert_eq!(answers.recv_timeout(LONG), Ok(detail::INTERNAL));
        drop(gate);
        drop(to);
        let rest: Vec<_> = answers.iter().collect();
        assert_eq!(rest.len(), 1, "{rest:?}");
        assert_eq!(unavailable("x").reason, Denial::Unavailable);
    }
}
