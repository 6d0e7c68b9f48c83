//! Ends the turns of databases that nobody asks for anything any more.

use super::now;
use super::sqlite::Slot;
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

/// Turns under way, that which ends first in front.
#[derive(Debug, Default)]
struct Turns {
    ends: VecDeque<(Instant, Weak<Mutex<Slot>>)>,
    thread: Option<JoinHandle<()>>,
    is_over: bool,
}

impl Committer {
    /// Has the turn of a database ended at this time; false if there is no thread to do it.
    pub(super) fn add(&self, end: Instant, slot: &Arc<Mutex<Slot>>) -> bool {
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
        turns.ends.push_back((end, Arc::downgrade(slot)));
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
            let Some((end, _)) = turns.ends.front() else {
                turns = self
                    .changed
                    .wait(turns)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let rest = end.saturating_duration_since(now());
            if !rest.is_zero() {
                (turns, _) = self
                    .changed
                    .wait_timeout(turns, rest)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let due = turns.ends.pop_front();
            drop(turns);
            let again = due
                .and_then(|(_, slot)| slot.upgrade())
                .filter(|slot| !commit(slot));
            turns = self.lock();
            if let (Some(slot), Some(end)) = (again, now().checked_add(AGAIN)) {
                turns.ends.push_front((end, Arc::downgrade(&slot)));
            }
        }
    }
}

/// Commits what is due; false if the database is in use.
fn commit(slot: &Mutex<Slot>) -> bool {
    let mut slot = match slot.try_lock() {
        Ok(slot) => slot,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return false,
    };
    slot.end_turn(now());
    true
}
