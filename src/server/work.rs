//! A session's work on a thread of its volume, and getting the session back.
//!
//! The session goes to the thread and comes back with the output. If the deadline passes first, what happens depends on where it is: still
//! in the queue, it is taken back and told that the work was refused, or goes on waiting while the volume is merely busy; on a
//! thread that hangs, it is left there, to be dropped when the call returns.
//!
//! A thread to which the stream is lent sends what was made, and goes on with what comes next for a while: the session comes back when it is to
//! wait, when the client does not take everything at once, or when others shall have their turn. For a client that gives one command right
//! after the answer to another the thread waits itself, for a moment, only while threads are at rest and nothing is ordered: each command would else change
//! threads twice.

use super::limits::Handle;
use super::loan::Loan;
use crate::protocol::{Output, Protocol, Step, Work};
use crate::storage::{Refused, Turn, Volumes};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a session may go on with work that others wait for: a change of threads takes some hundredths of that.
const TURN: Duration = Duration::from_millis(2);

/// How long it may go on if nobody waits.
const LONG_TURN: Duration = Duration::from_millis(100);

/// A session and the output that it has made.
#[derive(Debug)]
pub(super) struct Machine {
    /// The session.
    pub(super) protocol: Box<dyn Protocol>,
    /// What is to be sent.
    pub(super) output: Output,
}

impl Machine {
    /// Puts octets that were made earlier before the output.
    pub(super) fn precede(&mut self, mut earlier: Output) {
        if !earlier.is_empty() {
            earlier.append(std::mem::take(&mut self.output));
            self.output = earlier;
        }
    }

    /// Does work, and with a stream what comes next. Returns the next step if it is known.
    fn work(&mut self, loan: Option<&Loan>, turn: &Turn, handle: &Handle) -> Option<Step> {
        let Self { protocol, output } = self;
        protocol.work(output);
        let loan = loan?;
        let began = super::now();
        loop {
            let next = protocol.step(super::now(), output);
            let elapsed = loan
                .send(output, &next)
                .then(|| super::now().saturating_duration_since(began));
            let is_over = match elapsed {
                None => true,
                Some(elapsed) => elapsed >= LONG_TURN || (elapsed >= TURN && turn.is_wanted()),
            };
            match next {
                Step::Work(_) if !is_over => protocol.work(output),
                Step::Write if !is_over => {}
                Step::Wait(wait)
                    if !is_over
                        && wait.is_for_input_alone()
                        && turn.may_linger()
                        && handle.order().is_none()
                        && loan.read_soon(|octets| protocol.feed(octets)) => {}
                next => return Some(next),
            }
        }
    }
}

/// Work under way.
#[derive(Debug)]
pub(super) struct Ticket {
    slot: Arc<Mutex<Slot>>,
    done: oneshot::Receiver<(Machine, Option<Step>)>,
    work: Work,
    deadline: Duration,
    /// When to look next.
    look_at: Instant,
}

/// Where a session is.
#[derive(Debug)]
enum Slot {
    /// In the queue.
    Waiting(Machine),
    /// On a thread, since then.
    Running(Instant),
    /// Taken back.
    Gone,
}

/// What came of work.
#[derive(Debug)]
pub(super) enum Worked {
    /// It was done, and this comes next, if that is known.
    Done(Machine, Option<Step>),
    /// The volume did not take it.
    Refused(Machine, Refused),
    /// The volume hangs; the session is lost with it.
    Hung,
    /// The session panicked.
    Panicked,
}

/// Queues work, for which the stream may be lent; the session comes back at once if it is refused.
pub(super) fn begin(
    volumes: &Volumes,
    machine: Machine,
    work: Work,
    loan: Option<Arc<Loan>>,
    handle: &Arc<Handle>,
) -> Result<Ticket, (Machine, Refused)> {
    let slot = Arc::new(Mutex::new(Slot::Waiting(machine)));
    let (tell, done) = oneshot::channel();
    let for_thread = Arc::clone(&slot);
    let span = tracing::Span::current();
    let handle = Arc::clone(handle);
    let job = move |turn: &Turn| {
        let started = std::mem::replace(&mut *lock(&for_thread), Slot::Running(super::now()));
        let Slot::Waiting(mut machine) = started else {
            return;
        };
        let worked = span.in_scope(|| {
            catch_unwind(AssertUnwindSafe(|| {
                let next = machine.work(loan.as_deref(), turn, &handle);
                (machine, next)
            }))
        });
        match worked {
            // Nobody waits any more: the session ends here.
            Ok(worked) => drop(tell.send(worked)),
            Err(_) => drop(tell),
        }
    };
    if let Err(refused) = volumes.run(&work.place, &work.account, Box::new(job)) {
        let taken = std::mem::replace(&mut *lock(&slot), Slot::Gone);
        if let Slot::Waiting(machine) = taken {
            return Err((machine, refused));
        }
    }
    let deadline = volumes.deadline();
    let now = super::now();
    Ok(Ticket {
        slot,
        done,
        work,
        deadline,
        look_at: now.checked_add(deadline).unwrap_or(now),
    })
}

impl Ticket {
    /// Waits for the session to come back.
    pub(super) async fn finish(mut self, volumes: &Volumes) -> Worked {
        loop {
            match tokio::time::timeout_at(self.look_at.into(), &mut self.done).await {
                Ok(Ok((machine, next))) => return Worked::Done(machine, next),
                Ok(Err(_)) => return Worked::Panicked,
                Err(_) => {}
            }
            if let Some(worked) = self.look(volumes, super::now()) {
                return worked;
            }
        }
    }

    /// The deadline passed: whether to go on waiting.
    fn look(&mut self, volumes: &Volumes, now: Instant) -> Option<Worked> {
        let mut slot = lock(&self.slot);
        let next = match &*slot {
            Slot::Running(since) => since.checked_add(self.deadline).filter(|end| *end > now),
            Slot::Gone => None,
            Slot::Waiting(_) => {
                if let Err(refused) = volumes.check(&self.work.place, &self.work.account)
                    && let Slot::Waiting(machine) = std::mem::replace(&mut *slot, Slot::Gone)
                {
                    return Some(Worked::Refused(machine, refused));
                }
                now.checked_add(self.deadline)
            }
        };
        let Some(next) = next else {
            // It may have come back at the last moment.
            let worked = self.done.try_recv();
            return Some(
                worked.map_or(Worked::Hung, |(machine, next)| Worked::Done(machine, next)),
            );
        };
        self.look_at = next;
        None
    }
}

fn lock(slot: &Mutex<Slot>) -> std::sync::MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
