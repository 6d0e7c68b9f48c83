//! Waking those who wait for changes.

use super::lock;
use crate::mailbox::backend::{Waker, Watch};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Who wants to hear of changes.
#[derive(Default)]
pub(super) struct Watchers(Mutex<WatcherList>);

/// Wakers by number.
#[derive(Default)]
struct WatcherList {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Watchers {
    /// Registers one, until what is returned is dropped.
    pub(super) fn add(self: &Arc<Self>, waker: Waker) -> Box<dyn Watch> {
        let mut list = lock(&self.0);
        let number = list.next;
        list.next += 1;
        list.wakers.insert(number, waker);
        Box::new(Watching {
            watchers: Arc::clone(self),
            number,
        })
    }

    /// Wakes all of them.
    pub(super) fn wake(&self) {
        let wakers: Vec<Waker> = lock(&self.0).wakers.values().cloned().collect();
        for waker in wakers {
            waker();
        }
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watchers({})", lock(&self.0).wakers.len())
    }
}

/// Keeps one waker registered.
#[derive(Debug)]
struct Watching {
    watchers: Arc<Watchers>,
    number: u64,
}

impl Watch for Watching {}

impl Drop for Watching {
    fn drop(&mut self) {
        lock(&self.watchers.0).wakers.remove(&self.number);
    }
}
