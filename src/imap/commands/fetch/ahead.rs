//! Messages of a FETCH that are read before their turn comes.

use super::FetchCursor;
use super::parts::Parts;
use crate::mailbox::backend::{self, Mailbox};
use crate::mailbox::id::{SeqNum, Uid};
use crate::mailbox::read_ahead::{Outcome, ReadAhead};
use crate::protocol::HIGH_WATER_OCTETS;
use std::sync::Arc;

/// What came of reading a message.
pub(super) type Read = Outcome<backend::Result<Parts>>;

/// Messages that are read.
pub(super) type Ahead = ReadAhead<backend::Result<Parts>>;

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

impl FetchCursor {
    /// The next message, not read.
    pub(super) fn unread(&mut self) -> Option<Next> {
        let (seq_num, uid) = self.messages.next()?;
        Some(Next::unread(seq_num, uid))
    }

    /// The next message, read.
    pub(super) fn read(&mut self, mailbox: &Arc<dyn Mailbox>) -> Option<Next> {
        let ahead = self.ahead.get_or_insert_with(|| {
            let uids = self.messages.as_slice().iter().map(|(_, uid)| *uid);
            let plan = Arc::clone(&self.plan);
            let make = move |uid, reading: backend::Reading<'_>| {
                let parts = Parts::of_reading(&plan, reading, uid);
                let weight = parts.as_ref().map_or(0, Parts::weight);
                (parts, weight)
            };
            Ahead::new(Arc::clone(mailbox), uids.collect(), self.plan.extent, make)
        });
        let read = ahead.take(HIGH_WATER_OCTETS as u64)?;
        let next = self.unread()?;
        Some(Next { read, ..next })
    }
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
