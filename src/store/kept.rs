//! Mailboxes that nobody has open but that are kept in mind, so that a client that looks at many in turn does not have each read anew.

use super::open_mailbox::OpenMailbox;
use std::sync::{Arc, Mutex, PoisonError};

/// Most mailboxes kept, so that finding one stays quick.
const MAX_MAILBOXES: usize = 1024;

/// What a mailbox counts for beside its messages.
const WEIGHT_OF_MAILBOX: usize = 50;

/// The mailboxes used last, within a bound of messages.
#[derive(Debug)]
pub(super) struct Kept {
    max_messages: usize,
    mailboxes: Mutex<Mailboxes>,
}

/// Mailboxes with their weights, the one used last at the end.
#[derive(Debug, Default)]
struct Mailboxes {
    used: Vec<(Arc<OpenMailbox>, usize)>,
    weight: usize,
}

impl Kept {
    /// Keeps mailboxes with so many messages in all.
    pub(super) fn new(max_messages: usize) -> Self {
        Self {
            max_messages,
            mailboxes: Mutex::default(),
        }
    }

    /// Notes that a mailbox is used, and lets go of those used longest ago.
    pub(super) fn used(&self, mailbox: &Arc<OpenMailbox>) {
        let weight = mailbox.weight() + WEIGHT_OF_MAILBOX;
        let let_go = {
            let mut mailboxes = self
                .mailboxes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            mailboxes.put(mailbox, weight);
            mailboxes.shrink(self.max_messages)
        };
        // without the lock, since much may have to be written and memory to be given back
        for (mailbox, _) in let_go {
            // one that somebody has open stays in memory all the same
            if Arc::strong_count(&mailbox) == 1 {
                mailbox.keep_roster();
            }
        }
    }

    /// Has all rosters kept, for the end of the process.
    pub(super) fn rest(&self) {
        let mailboxes = self
            .mailboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let all: Vec<Arc<OpenMailbox>> = (mailboxes.used.iter())
            .map(|(mailbox, _)| Arc::clone(mailbox))
            .collect();
        drop(mailboxes);
        for mailbox in all {
            mailbox.keep_roster();
        }
    }
}

impl Mailboxes {
    fn put(&mut self, mailbox: &Arc<OpenMailbox>, weight: usize) {
        let known = self
            .used
            .iter()
            .rposition(|(known, _)| Arc::ptr_eq(known, mailbox));
        if let Some(at) = known {
            let (_, old) = self.used.remove(at);
            self.weight -= old;
        }
        self.used.push((Arc::clone(mailbox), weight));
        self.weight += weight;
    }

    fn shrink(&mut self, max_weight: usize) -> Vec<(Arc<OpenMailbox>, usize)> {
        let mut weight = self.weight;
        let mut count = 0;
        for (mailbox, of_one) in &self.used {
            let is_in_bounds = weight <= max_weight && self.used.len() - count <= MAX_MAILBOXES;
            if is_in_bounds && !mailbox.is_gone() {
                break;
            }
            weight -= of_one;
            count += 1;
        }
        self.weight = weight;
        self.used.drain(..count).collect()
    }
}
