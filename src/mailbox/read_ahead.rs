//! Reading the messages that a client wants next before their turn comes: by the thread that wants them, and by a helper if one is free, who goes on
//! while what was read is being sent.

use super::backend::{Error, Extent, Mailbox, Reading};
use super::id::Uid;
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Most messages that are ready or being read.
const MAX_MESSAGES: usize = 256;

/// How many times as much a helper reads ahead as a thread does that works alone, and has to be done before anything is sent.
const HELPERS_SHARE: u64 = 8;

/// Most octets that are read ahead over all clients before helpers read no more than others.
const MAX_OCTETS: u64 = 64 * 1024 * 1024;

/// How many octets lie ready, over all clients.
static OCTETS: AtomicU64 = AtomicU64::new(0);

/// Fewest messages that are left for which a helper is worth its while.
const WORTH_A_HELPER: usize = 4;

/// Messages that are read in their order.
pub(crate) struct ReadAhead<T: Send + 'static>(Arc<Line<T>>);

/// What came of reading a message ahead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome<T> {
    /// What was made of it.
    Made(T),
    /// It was left to be read in pieces: it is larger than [`super::backend::MAX_SMALL_OCTETS`].
    Left,
    /// It could not be read.
    Failed(Error),
}

/// What is made of a message, by any thread.
type Make<T> = dyn Fn(Uid, Reading<'_>) -> Weighed<T> + Send + Sync;

/// Something, and how many octets of memory it takes.
pub(crate) type Weighed<T> = (T, u64);

/// The messages, as those who read see them.
struct Line<T> {
    mailbox: Arc<dyn Mailbox>,
    uids: Vec<Uid>,
    extent: Extent,
    make: Box<Make<T>>,
    state: Mutex<State<T>>,
    /// The next message is ready, or a helper has left.
    is_ready: Condvar,
}

/// How far the reading is.
struct State<T> {
    /// How many messages were taken.
    taken: usize,
    /// The next ones, as far as anybody has begun to read them.
    begun: VecDeque<Option<Done<T>>>,
    /// How many octets of memory they take.
    octets: u64,
    /// How many are to be read ahead.
    wanted: u64,
    /// A helper reads.
    is_helped: bool,
    /// Nobody wants them any more.
    is_over: bool,
    /// What ended the helper.
    panic: Option<Box<dyn Any + Send>>,
}

/// A message that was read.
struct Done<T> {
    octets: u64,
    outcome: Outcome<T>,
}

/// Who reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The thread that wants the messages.
    Owner,
    /// One that has time.
    Helper,
}

impl<T: Send + 'static> ReadAhead<T> {
    /// For some messages of a mailbox. Nothing is read yet.
    pub(crate) fn new(
        mailbox: Arc<dyn Mailbox>,
        uids: Vec<Uid>,
        extent: Extent,
        make: impl Fn(Uid, Reading<'_>) -> Weighed<T> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Line {
            mailbox,
            uids,
            extent,
            make: Box::new(make),
            state: Mutex::new(State {
                taken: 0,
                begun: VecDeque::new(),
                octets: 0,
                wanted: 0,
                is_helped: false,
                is_over: false,
                panic: None,
            }),
            is_ready: Condvar::new(),
        }))
    }

    /// The next message; none if there is none. If it has not been read, this thread reads it, and if it is alone also those that follow: about
    /// as many octets as are `wanted`, and the last of them whole.
    pub(crate) fn take(&self, wanted: u64) -> Option<Outcome<T>> {
        self.ask_for_help(wanted);
        if !self.0.lock().is_next_ready() {
            self.0.read(Who::Owner);
        }
        self.0.take()
    }

    /// True if something was made of the next message, and the owner need not read before it takes it: a helper reads, or has read enough, or
    /// there is nothing more to read. Stays so until the message is taken.
    pub(crate) fn is_at_leisure(&self) -> bool {
        let state = self.0.lock();
        let is_made = matches!(
            state.begun.front(),
            Some(Some(Done {
                outcome: Outcome::Made(_),
                ..
            }))
        );
        let is_at_end = state.taken + state.begun.len() == self.0.uids.len();
        // a helper that leaves has found one of these
        let is_read = state.is_full(1) || is_at_end || state.panic.is_some();
        is_made && (state.is_helped || is_read)
    }

    /// True while a helper reads.
    #[cfg(test)]
    pub(crate) fn is_helped(&self) -> bool {
        self.0.lock().is_helped
    }

    /// The next message if it is ready. *Quick.*
    pub(crate) fn take_ready(&self, wanted: u64) -> Option<Outcome<T>> {
        self.ask_for_help(wanted);
        self.0.lock().take()
    }

    /// Has a helper read if none does, and if there is enough to do.
    fn ask_for_help(&self, wanted: u64) {
        {
            let mut state = self.0.lock();
            state.wanted = wanted;
            let left = self.0.uids.len() - state.taken - state.begun.len();
            let is_over = state.is_helped || state.panic.is_some();
            if wanted == 0 || is_over || state.is_half_full() || left < WORTH_A_HELPER {
                return;
            }
            state.is_helped = true;
        }
        let line = Arc::clone(&self.0);
        let help = move || {
            let helped = catch_unwind(AssertUnwindSafe(|| line.read(Who::Helper)));
            line.leave(helped.err());
        };
        if !self.0.mailbox.have_helped(Box::new(help)) {
            self.0.leave(None);
        }
    }
}

impl<T: Send + 'static> Drop for ReadAhead<T> {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
    }
}

impl<T> Drop for State<T> {
    fn drop(&mut self) {
        OCTETS.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

impl<T: Send + 'static> fmt::Debug for ReadAhead<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        formatter
            .debug_struct("ReadAhead")
            .field("messages", &self.0.uids.len())
            .field("taken", &state.taken)
            .field("octets", &state.octets)
            .finish_non_exhaustive()
    }
}

impl<T: Send> Line<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // nothing is left half done by a panic
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads for as long as this thread shall.
    fn read(&self, who: Who) {
        let next = || {
            let mut state = self.lock();
            let at = state.taken + state.begun.len();
            let uid = self
                .uids
                .get(at)
                .filter(|_| state.goes_on(who, share_of_helper()))?;
            state.begun.push_back(None);
            Some((at, *uid))
        };
        let mailbox = &*self.mailbox;
        mailbox.read_while(self.extent, &next, &|at, reading| {
            let Some(uid) = self.uids.get(at) else {
                return;
            };
            let mut octets = 0;
            let outcome = match reading {
                Err(error) => Outcome::Failed(error),
                Ok(reading) if self.extent == Extent::Small && !reading.is_whole() => Outcome::Left,
                Ok(reading) => {
                    let (made, weight) = (self.make)(*uid, reading);
                    octets = weight;
                    Outcome::Made(made)
                }
            };
            if self.lock().put(at, Done { octets, outcome }) {
                self.is_ready.notify_one();
            }
        });
    }

    /// The next message, once it is there.
    fn take(&self) -> Option<Outcome<T>> {
        let mut state = self.lock();
        loop {
            if let Some(panic) = state.panic.take() {
                drop(state);
                resume_unwind(panic);
            }
            if state.begun.is_empty() || state.is_next_ready() {
                return state.take();
            }
            let waited = self.is_ready.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A helper leaves.
    fn leave(&self, panic: Option<Box<dyn Any + Send>>) {
        let mut state = self.lock();
        state.is_helped = false;
        if panic.is_some() {
            state.panic = panic;
        }
        drop(state);
        self.is_ready.notify_one();
    }
}

/// How many times as much as is wanted a helper reads ahead.
fn share_of_helper() -> u64 {
    let is_room = OCTETS.load(Ordering::Relaxed) < MAX_OCTETS;
    if is_room { HELPERS_SHARE } else { 1 }
}

impl<T> State<T> {
    fn is_next_ready(&self) -> bool {
        matches!(self.begun.front(), Some(Some(_)))
    }

    /// True if so many times as much as is wanted was read, or as many messages as there may be.
    fn is_full(&self, share: u64) -> bool {
        self.octets >= self.wanted.saturating_mul(share) || self.begun.len() >= MAX_MESSAGES
    }

    /// True if so much is ready that a helper that left need not come back yet.
    fn is_half_full(&self) -> bool {
        let share = share_of_helper();
        self.octets > self.wanted.saturating_mul(share) / 2 || self.begun.len() > MAX_MESSAGES / 2
    }

    /// True if a thread shall read one more.
    fn goes_on(&self, who: Who, share_of_helper: u64) -> bool {
        let share = match who {
            Who::Helper => share_of_helper,
            Who::Owner => 1,
        };
        let is_full = self.is_full(share);
        match who {
            Who::Owner if self.is_helped => !is_full && !self.is_next_ready(),
            Who::Owner => !is_full || self.begun.is_empty(),
            Who::Helper => !is_full && !self.is_over,
        }
    }

    /// Puts a message in its place; true if it is the next one.
    fn put(&mut self, at: usize, done: Done<T>) -> bool {
        self.octets = self.octets.saturating_add(done.octets);
        OCTETS.fetch_add(done.octets, Ordering::Relaxed);
        let at = at.saturating_sub(self.taken);
        if let Some(place) = self.begun.get_mut(at) {
            *place = Some(done);
        }
        at == 0
    }

    /// The next message if it is ready.
    fn take(&mut self) -> Option<Outcome<T>> {
        let done = self.begun.pop_front_if(|next| next.is_some())??;
        self.taken += 1;
        self.octets = self.octets.saturating_sub(done.octets);
        OCTETS.fetch_sub(done.octets, Ordering::Relaxed);
        Some(done.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::backend::MAX_SMALL_OCTETS;
    use crate::mailbox::memory::{Mail, Memory};
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    /// A mailbox with messages of these sizes.
    fn mailbox(memory: &Memory, sizes: &[usize]) -> (Arc<dyn Mailbox>, Vec<Uid>) {
        let mailbox = memory.inbox("anna");
        let add = |size: &usize| mailbox.add(Mail::new(vec![b'a'; *size])).unwrap();
        let uids = sizes.iter().map(add).collect();
        (mailbox, uids)
    }

    /// What is made of a message: its size.
    fn size(_: Uid, reading: Reading<'_>) -> Weighed<u64> {
        let octets = reading.octets.len() as u64;
        (octets, octets)
    }

    /// Returns when no helper reads any more.
    fn without_helper<T: Send>(ahead: &ReadAhead<T>) {
        while ahead.is_helped() {
            thread::yield_now();
        }
    }

    /// How many messages are ready.
    fn ready<T: Send>(ahead: &ReadAhead<T>) -> usize {
        ahead.0.lock().begun.iter().flatten().count()
    }

    #[test]
    fn all_come_in_their_order_with_and_without_a_helper() {
        let large = usize::try_from(MAX_SMALL_OCTETS).unwrap();
        let mut sizes: Vec<usize> = (0..1000).map(|number| number * 37 % 5000).collect();
        sizes[7] = large;
        sizes[8] = large + 1;
        for has_helpers in [false, true] {
            let memory = Memory::new();
            if has_helpers {
                memory.have_helpers();
            }
            let (mailbox, uids) = mailbox(&memory, &sizes);
            memory.inbox("anna").vanish(uids[500]);
            for wanted in [0, 1, 10_000, 10_000_000] {
                let ahead = ReadAhead::new(Arc::clone(&mailbox), uids.clone(), Extent::Small, size);
                for (at, size) in sizes.iter().enumerate() {
                    let expected = match at {
                        8 => Outcome::Left,
                        500 => Outcome::Failed(Error::Expunged),
                        _ => Outcome::Made(*size as u64),
                    };
                    assert_eq!(ahead.take(wanted), Some(expected), "{at} {wanted}");
                }
                assert_eq!(ahead.take(wanted), None);
            }
        }
    }

    #[test]
    fn who_is_alone_reads_about_as_much_as_is_wanted() {
        let (mailbox, uids) = mailbox(&Memory::new(), &[100; 20]);
        for (wanted, expected) in [(0, 1), (1, 1), (100, 1), (101, 2), (450, 5), (9999, 20)] {
            let ahead = ReadAhead::new(Arc::clone(&mailbox), uids.clone(), Extent::Small, size);
            assert_eq!(ahead.take(wanted), Some(Outcome::Made(100)));
            assert_eq!(ready(&ahead), expected - 1, "{wanted}");
            assert_eq!(ahead.0.lock().octets, 100 * (expected as u64 - 1));
            while ready(&ahead) > 0 {
                assert_eq!(ahead.take_ready(wanted), Some(Outcome::Made(100)));
            }
            assert_eq!(ahead.take_ready(wanted), None);
        }
    }

    #[test]
    fn a_helper_reads_on_until_there_is_enough() {
        let memory = Memory::new();
        memory.have_helpers();
        let (mailbox, uids) = mailbox(&memory, &[100; 200]);
        let ahead = ReadAhead::new(mailbox, uids, Extent::Small, size);
        assert_eq!(ahead.take(1000), Some(Outcome::Made(100)));
        without_helper(&ahead);
        // one may have been in the hands of the owner
        let most = 10 * usize::try_from(HELPERS_SHARE).unwrap();
        assert!((most - 1..=most + 1).contains(&ready(&ahead)));
        // and goes on when half of it was taken
        for _ in 0..=most / 2 {
            assert!(ahead.take_ready(1000).is_some());
        }
        assert!(ahead.take(1000).is_some());
        without_helper(&ahead);
        assert!(ready(&ahead) >= most - 3);
    }

    #[test]
    fn a_helper_stops_when_nobody_wants_the_messages() {
        let memory = Memory::new();
        memory.have_helpers();
        let (mailbox, uids) = mailbox(&memory, &[100; 200]);
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let hang = Mutex::new(());
        let hang = Arc::new(hang);
        let gate = Arc::clone(&hang);
        let ahead = ReadAhead::new(mailbox, uids, Extent::Small, move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            drop(gate.lock().unwrap());
            ((), 0)
        });
        let held = hang.lock().unwrap();
        assert_eq!(ahead.take_ready(1_000_000), None);
        let line = Arc::clone(&ahead.0);
        while line.lock().begun.is_empty() {
            thread::yield_now();
        }
        drop(ahead);
        drop(held);
        while line.lock().is_helped {
            thread::yield_now();
        }
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_panic_of_the_helper_is_one_of_the_owner() {
        for waits in [false, true] {
            let memory = Memory::new();
            memory.have_helpers();
            let (mailbox, uids) = mailbox(&memory, &[100; 200]);
            let bad = uids[15];
            let ahead = ReadAhead::new(mailbox, uids, Extent::Small, move |uid, _| {
                assert_ne!(uid, bad, "this one cannot be read");
                ((), 100)
            });
            // those before it are taken as they come, and help is asked for again and again
            let take_all = || {
                for _ in 0..200 {
                    if waits {
                        without_helper(&ahead);
                    }
                    let ready = ahead.take_ready(1_000_000);
                    assert!(ready.or_else(|| ahead.take(1_000_000)).is_some());
                }
            };
            assert!(catch_unwind(AssertUnwindSafe(take_all)).is_err());
            assert!(ahead.0.lock().taken <= 15);
        }
    }

    #[test]
    fn what_was_made_is_weighed_not_what_was_read() {
        let (mailbox, uids) = mailbox(&Memory::new(), &[100; 20]);
        let make = |_, _: Reading<'_>| ((), 1000);
        let ahead = ReadAhead::new(mailbox, uids, Extent::Small, make);
        assert!(ahead.take(2001).is_some());
        assert_eq!(ready(&ahead), 2);
        assert_eq!(ahead.0.lock().octets, 2000);
    }

    #[test]
    fn where_too_much_lies_ready_helpers_read_no_more_than_others() {
        let mut state = State::<()> {
            taken: 0,
            begun: VecDeque::new(),
            octets: 150,
            wanted: 100,
            is_helped: true,
            is_over: false,
            panic: None,
        };
        assert!(state.goes_on(Who::Helper, HELPERS_SHARE));
        assert!(!state.goes_on(Who::Helper, 1));
        // what is not counted was not put there
        state.octets = 0;
    }
}
