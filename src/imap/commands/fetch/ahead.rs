//! Messages of a FETCH that are read side by side, before their turn comes.

use super::FetchCursor;
use super::parts::Parts;
use crate::mailbox::backend::{self, Mailbox};
use crate::mailbox::id::{SeqNum, Uid};
use crate::mailbox::read_ahead::{self, ReadAhead};
use crate::protocol::HIGH_WATER_OCTETS;
use std::collections::VecDeque;

/// What came of reading a message.
pub(super) type Read = read_ahead::Outcome<backend::Result<Parts>>;

/// Messages that were read.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    reads: ReadAhead,
    ready: VecDeque<Next>,
}

/// A message whose turn it is.
#[derive(Debug)]
pub(super) struct Next {
    /// Its number.
    pub(super) seq_num: SeqNum,
    /// Its UID.
    pub(super) uid: Uid,
    /// What was read of it.
    pub(super) read: Read,
}

impl Next {
    /// A message that is still to be read.
    pub(super) const fn unread(seq_num: SeqNum, uid: Uid) -> Self {
        Self {
            seq_num,
            uid,
            read: Read::Left,
        }
    }
}

impl Ahead {
    /// How many messages were read whose turn has not come.
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    /// True if there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// The next of them.
    pub(super) fn take(&mut self) -> Option<Next> {
        self.ready.pop_front()
    }
}

impl FetchCursor {
    /// Reads the next messages, as many as fill about one piece of output.
    pub(super) fn read_ahead(&mut self, mailbox: &dyn Mailbox) {
        let messages = self.messages.as_slice();
        let next = messages.get(..read_ahead::MAX_MESSAGES).unwrap_or(messages);
        let uids: Vec<Uid> = next.iter().map(|(_, uid)| *uid).collect();
        let plan = &self.plan;
        let reads = &mut self.ahead.reads;
        let read = reads.read(
            mailbox,
            &uids,
            plan.extent,
            HIGH_WATER_OCTETS as u64,
            &|at, reading| {
                let uid = uids.get(at).ok_or(backend::Error::Unavailable)?;
                Parts::of_reading(plan, reading, *uid)
            },
        );
        let messages = self.messages.by_ref().take(read.len());
        for ((seq_num, uid), read) in messages.zip(read) {
            self.ahead.ready.push_back(Next { seq_num, uid, read });
        }
    }
}
