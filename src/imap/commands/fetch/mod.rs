//! FETCH and UID FETCH (RFC 9051 §6.4.5).

use crate::imap::session::reply::CommandError;
use crate::imap::session::{Dialect, Progress, Selected};
use crate::imap::types::fetch::FetchItem;
use crate::imap::types::sequence::SequenceSet;

/// A FETCH in progress: what is still to be sent.
#[derive(Debug)]
pub(crate) struct FetchCursor {
    items: Vec<FetchItem>,
}

impl FetchCursor {
    /// Begins a FETCH. Touches no disk.
    ///
    /// # Errors
    /// [`CommandError::Bad`] for numbers that are not in the view.
    pub(crate) fn new(
        _uid: bool,
        _set: &SequenceSet,
        items: Vec<FetchItem>,
        _selected: &Selected,
        _dialect: &Dialect,
    ) -> Result<Self, CommandError> {
        Ok(Self { items })
    }

    /// True if [`FetchCursor::advance`] may touch the disk; else it may be called without a thread of the volume.
    pub(crate) fn needs_disk(&self) -> bool {
        !self.items.is_empty()
    }

    /// Appends the next piece of the answer. The tagged end is for the caller to send; an error is how the command ends, after all
    /// that could be sent.
    ///
    /// # Errors
    /// `NO [EXPUNGEISSUED]` if messages named by number were gone; what the store gives.
    pub(crate) fn advance(
        &mut self,
        _selected: &mut Selected,
        _dialect: &Dialect,
        _out: &mut Vec<u8>,
    ) -> Result<Progress, CommandError> {
        Ok(Progress::Done)
    }
}
