//! Ends the turns of databases that nobody asks for anything any more, and lets them rest soon after.

use super::now;
use super::sqlite::{REST_AFTER, Slot};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// When to come again to a database that is in use.
const AGAIN: Duration = Duration::from_millis(2);

/// The thread, and what it waits for.
#[derive(Debug, Default)]
pub(super) struct Committer {
    shared: Arc<Shared>,
}

/// What the thread shares with those who make changes.
#[derive(Debug, Default)]
struct Shared {
    turns: Mutex<Turns>,
    /// A turn came, or the end.
    changed: Condvar,
}

/// A database, and when something is to be done with it.
type Due = (Instant, Weak<Mutex<Slot>>);

/// What is to be done, the earliest in front.
#[derive(Debug, Default)]
struct Turns {
    /// Turns that end.
    ends: VecDeque<Due>,
    /// Databases that may rest.
    rests: VecDeque<Due>,
    thread: Option<JoinHandle<()>>,
    is_over: bool,
}

impl Turns {
    /// When there is something to do next.
    fn next(&self) -> Option<Instant> {
        let fronts = [self.ends.front(), self.rests.front()];
        fronts.into_iter().flatten().map(|(at, _)| *at).min()
    }
}

/// Takes out what is due and still there.
fn take_due(dues: &mut VecDeque<Due>, now: Instant) -> Option<Arc<Mutex<Slot>>> {
    while let Some((_, slot)) = dues.pop_front_if(|(at, _)| *at <= now) {
        if let Some(slot) = slot.upgrade() {
            return Some(slot);
        }
    }
    None
}

impl Committer {
    /// Has the turn of a database ended at this time; false if there is no thread to do it.
    pub(super) fn add(&self, end: Instant, slot: &Arc<Mutex<Slot>>) -> bool {
        self.push(slot, |turns, slot| turns.ends.push_back((end, slot)))
    }

    /// Lets a database that was opened now rest once nobody has used it for a while; false if there is no thread to do it.
    pub(super) fn let_rest(&self, slot: &Arc<Mutex<Slot>>) -> bool {
        let at = now().checked_add(REST_AFTER);
        self.push(slot, |turns, slot| {
            turns.rests.extend(at.map(|at| (at, slot)));
        })
    }

    /// How many databases may rest later.
    #[cfg(test)]
    pub(super) fn rests(&self) -> usize {
        self.shared.lock().rests.len()
    }

    /// Adds something to do; false if there is no thread to do it.
    fn push(
        &self,
        slot: &Arc<Mutex<Slot>>,
        add: impl FnOnce(&mut Turns, Weak<Mutex<Slot>>),
    ) -> bool {
        let mut turns = self.shared.lock();
        if turns.is_over {
            return false;
        }
        if turns.thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let spawned = thread::Builder::new()
                .name("index".to_owned())
                .spawn(move || shared.serve());
            match spawned {
                Ok(thread) => turns.thread = Some(thread),
                Err(error) => {
                    tracing::debug!(%error, "index_thread_refused");
                    return false;
                }
            }
        }
        add(&mut turns, Arc::downgrade(slot));
        drop(turns);
        self.shared.changed.notify_one();
        true
    }
}

impl Committer {
    /// Ends the thread, and waits for it to let go of the database that it is at. What is under way elsewhere is committed by whoever
    /// closes the database.
    pub(super) fn stop(&self) {
        let mut turns = self.shared.lock();
        turns.is_over = true;
        let thread = turns.thread.take();
        drop(turns);
        self.shared.changed.notify_one();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::debug!("index_thread_panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's life.
    fn serve(&self) {
        let mut turns = self.lock();
        while !turns.is_over {
            let now = now();
            // turns first: other processes wait for their end
            if let Some(slot) = take_due(&mut turns.ends, now) {
                drop(turns);
                let is_done = commit(&slot);
                turns = self.lock();
                if let (false, Some(again)) = (is_done, now.checked_add(AGAIN)) {
                    turns.ends.push_front((again, Arc::downgrade(&slot)));
                }
            } else if let Some(slot) = take_due(&mut turns.rests, now) {
                drop(turns);
                let again = rest(&slot, now);
                turns = self.lock();
                let again = again.map(|at| (at, Arc::downgrade(&slot)));
                turns.rests.extend(again);
            } else {
                turns = self.wait(turns, now);
            }
        }
    }

    /// Waits until there is something to do.
    fn wait<'a>(&'a self, turns: MutexGuard<'a, Turns>, now: Instant) -> MutexGuard<'a, Turns> {
        match turns.next() {
            None => (self.changed.wait(turns)).unwrap_or_else(PoisonError::into_inner),
            Some(next) => {
                let rest = next.saturating_duration_since(now);
                let waited = self.changed.wait_timeout(turns, rest);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

/// A database, if nobody is using it.
fn unused(slot: &Mutex<Slot>) -> Option<MutexGuard<'_, Slot>> {
    match slot.try_lock() {
        Ok(slot) => Some(slot),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Commits what is due; false if the database is in use.
fn commit(slot: &Mutex<Slot>) -> bool {
    let slot = unused(slot);
    let is_unused = slot.is_some();
    slot.into_iter().for_each(|mut slot| slot.end_turn(now()));
    is_unused
}

/// Lets a database rest that nobody has used for a while; when to look again if somebody has.
fn rest(slot: &Mutex<Slot>, now: Instant) -> Option<Instant> {
    match unused(slot) {
        Some(mut slot) => slot.rest(now),
        None => now.checked_add(REST_AFTER),
    }
}
