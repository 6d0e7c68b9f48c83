//! What STATUS tells of a mailbox, noted with the state of the disk for which it is true.

use super::codec::{Reader, Writer};
use crate::mailbox::id::Uid;
use crate::mailbox::messages::Counts;

/// Most octets of [`StatusNote::disk`].
const MAX_DISK_OCTETS: usize = 1024;

/// What STATUS tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusNote {
    /// The state of the disk, in a form that is the store's own business: the note holds while it is this one.
    pub disk: Vec<u8>,
    /// Messages, unseen, deleted, recent.
    pub counts: Counts,
    /// The next UID.
    pub uid_next: Uid,
    /// Octets of all messages with CRLF, if they were asked for.
    pub size: Option<u64>,
}

impl StatusNote {
    /// As octets.
    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.disk.len() as u64);
        out.octets(&self.disk);
        for count in [
            self.counts.messages,
            self.counts.unseen,
            self.counts.deleted,
            self.counts.recent,
            self.uid_next.value(),
        ] {
            out.number(u64::from(count));
        }
        out.number(self.size.map_or(0, |size| size.saturating_add(1)));
    }

    /// From octets.
    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let length = from.count(MAX_DISK_OCTETS)?;
        Some(Self {
            disk: from.octets(length)?.to_vec(),
            counts: Counts {
                messages: from.number_32()?,
                unseen: from.number_32()?,
                deleted: from.number_32()?,
                recent: from.number_32()?,
            },
            uid_next: Uid::new(from.number_32()?)?,
            size: from.number()?.checked_sub(1),
        })
    }
}
