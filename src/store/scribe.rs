//! Has notes written to the index while those who made them go on.
//!
//! Notes can be made anew from the messages: what is still waiting at a crash is lost, and nothing else. Only so much waits; who has more
//! writes it himself, so that an index that hangs holds up nobody but those whose notes it takes.

use crate::index::Key;
use crate::mailbox::notes::{Page, PageId};
use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Most octets of notes that wait.
const MAX_OCTETS: usize = 8 << 20;

/// So few pages are written in less time than it takes to hand them over.
const FEW_PAGES: usize = 3;

/// How long the end waits for what is still to be written.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// Pages of notes of one mailbox.
#[derive(Debug)]
pub(super) struct Pages {
    /// The account's spool.
    pub(super) root: Arc<Path>,
    /// What the mailbox is called in the index.
    pub(super) key: Key,
    /// The pages.
    pub(super) pages: Vec<(PageId, Arc<Page>)>,
}

impl Pages {
    fn octets(&self) -> usize {
        self.pages.iter().map(|(_, page)| page.weight()).sum()
    }
}

/// The thread that writes, started when it is first needed, and what waits for it.
#[derive(Debug)]
pub(super) struct Scribe {
    shared: Arc<Shared>,
}

struct Shared {
    write: Box<dyn Fn(&Pages) + Send + Sync>,
    state: Mutex<State>,
    /// Something came, was written, or there will be nothing more.
    changed: Condvar,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.state).finish()
    }
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they are written.
    waiting: VecDeque<Pages>,
    /// Octets of those that wait, and of what is being written.
    octets: usize,
    thread: Option<JoinHandle<()>>,
    is_over: bool,
}

impl Scribe {
    /// One that writes by this. It must not panic.
    pub(super) fn new(write: impl Fn(&Pages) + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                write: Box::new(write),
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
        }
    }

    /// Has pages written, after all that were given before. Those that there is no room or no thread for come back, and few that nothing waits
    /// before.
    pub(super) fn take(&self, pages: Pages) -> Option<Pages> {
        let octets = pages.octets();
        let mut state = self.shared.lock();
        let is_not_worth_it = if state.octets > 0 {
            state.octets + octets > MAX_OCTETS
        } else {
            pages.pages.len() <= FEW_PAGES
        };
        if state.is_over || is_not_worth_it || !self.shared.has_thread(&mut state) {
            return Some(pages);
        }
        state.octets += octets;
        state.waiting.push_back(pages);
        drop(state);
        self.shared.changed.notify_all();
        None
    }

    /// Waits until all is written, but not for ever, and takes nothing more.
    pub(super) fn finish(&self) {
        let state = self.shared.lock();
        let waited = (self.shared.changed)
            .wait_timeout_while(state, FINISH_WITHIN, |state| state.octets > 0);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_over = true;
        state.waiting.clear();
        let thread = state.thread.take().filter(|_| !waited.timed_out());
        drop(state);
        self.shared.changed.notify_all();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::debug!("scribe_panicked");
        }
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread if there is none; false if the system refuses it.
    fn has_thread(self: &Arc<Self>, state: &mut State) -> bool {
        if state.thread.is_none() {
            let shared = Arc::clone(self);
            let spawned = thread::Builder::new()
                .name("scribe".to_owned())
                .spawn(move || shared.serve());
            match spawned {
                Ok(thread) => state.thread = Some(thread),
                Err(error) => tracing::debug!(%error, "scribe_refused"),
            }
        }
        state.thread.is_some()
    }

    /// The thread's life.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(pages) = state.waiting.pop_front() {
                drop(state);
                (self.write)(&pages);
                state = self.lock();
                state.octets -= pages.octets().min(state.octets);
                self.changed.notify_all();
            } else if state.is_over {
                return;
            } else {
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::id::{Uid, UidValidity};
    use crate::mailbox::notes::{Kind, PageNumber};
    use std::sync::Barrier;

    /// As many times the page with a number, each of so many octets or somewhat more.
    fn pages(number: u32, times: usize, octets: usize) -> Pages {
        let (uid, note) = (Uid::new(1).unwrap(), vec![0; octets]);
        let page = Page::default().with([(uid, note.as_slice())]);
        Pages {
            root: Path::new("spool").into(),
            key: Key {
                guid: [0; 16],
                uid_validity: UidValidity::new(1).unwrap(),
                directory: 0,
            },
            pages: vec![((Kind::Size, PageNumber::new(number)), Arc::new(page)); times],
        }
    }

    /// One that notes the numbers of pages.
    fn scribe() -> (Scribe, Arc<Mutex<Vec<u32>>>) {
        let written = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&written);
        let write = move |given: &Pages| {
            let numbers = given.pages.first().map(|((_, number), _)| number.value());
            notes.lock().unwrap().extend(numbers);
        };
        (Scribe::new(write), written)
    }

    #[test]
    fn all_is_written_in_order_by_the_end() {
        let (scribe, written) = scribe();
        for number in 0..1000 {
            assert!(scribe.take(pages(number, FEW_PAGES + 1, 10)).is_none());
        }
        scribe.finish();
        assert!(written.lock().unwrap().iter().copied().eq(0..1000));
        assert!(scribe.take(pages(0, FEW_PAGES + 1, 10)).is_some());
        scribe.finish();
    }

    #[test]
    fn what_there_is_no_room_for_comes_back() {
        let gate = Arc::new(Barrier::new(2));
        let at_gate = Arc::clone(&gate);
        let scribe = Scribe::new(move |_| {
            at_gate.wait();
        });
        // few, and nothing waits
        assert!(scribe.take(pages(0, FEW_PAGES, 1)).is_some());
        // larger than all room, and nothing waits: taken
        assert!(scribe.take(pages(1, FEW_PAGES + 1, MAX_OCTETS)).is_none());
        assert!(scribe.take(pages(2, 1, 1)).is_some());
        gate.wait();
        let mut given = Some(pages(3, FEW_PAGES + 1, 1));
        while let Some(again) = given {
            given = scribe.take(again);
        }
        // few after others
        assert!(scribe.take(pages(4, 1, 1)).is_none());
        gate.wait();
        gate.wait();
    }
}
